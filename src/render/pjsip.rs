//! The endpoint file: the phone profile as a template, three short sections a user, the marks.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    Digests, GENERATION, MASKED_MARK, Phone, Phonebook, contexts::Contexts, head, mark, mark_digest, parts,
    routing::OWN_BOX,
};
use crate::{
    asterisk::{BadValue, Name, Value, box_context, mark_name, nowhere_context},
    model::{Codec, OperatorsBox, PhoneProfile, SENSITIVE, Tenant},
    objects::PhoneBoxes,
};

/// Registration: one contact pushes out the oldest, refreshed every few minutes, probed each minute.
const AOR: &[(&str, &str)] = &[
    ("remove_existing", "yes"),
    ("qualify_frequency", "60"),
    ("default_expiration", "300"),
    ("minimum_expiration", "60"),
    ("maximum_expiration", "3600"),
];

/// Phones behind NAT work, and media stays on the PBX. `device_state_busy_at` is left alone: with 1, a phone that
/// rings looks busy to the lamps of others, and a second call still reaches it.
const ENDPOINT: &[(&str, &str)] = &[
    ("direct_media", "no"),
    ("rtp_symmetric", "yes"),
    ("force_rport", "yes"),
    ("rewrite_contact", "yes"),
    ("dtmf_mode", "rfc4733"),
    ("rtp_timeout", "120"),
    ("rtp_timeout_hold", "600"),
    ("send_pai", "yes"),
];

/// About how many bytes a phone's sections have.
const PHONE_BYTES: usize = 240;

/// Renders the file.
pub(super) fn render(book: &Phonebook<'_>, digests: Digests<'_>) -> Result<String, BadValue> {
    let [auth, aor, phone] = template_names(book.tenant).map(Name::new);
    let templates = Templates { auth: auth?, aor: aor?, phone: phone? };
    let phone_boxes = if book.routes.have_boxes() { book.parts(digests)?.phone_boxes } else { BTreeMap::new() };
    let mut text = head(book, digests);
    text.reserve(book.phones.len() * PHONE_BYTES);
    profile(&mut text, book, &templates)?;
    if book.routes.have_boxes() {
        let _ = writeln!(text, "voicemail_extension = {OWN_BOX}");
    }
    let lists = book.lists();
    for phone in &book.phones {
        user(&mut text, book, phone, &templates, digests)?;
        let none = PhoneBoxes { own: None, shared: Vec::new() };
        let boxes = phone_boxes.get(&phone.email.key()).unwrap_or(&none);
        mailboxes(&mut text, book.tenant, boxes, phone.phone.mailbox.as_ref())?;
        if let Some(list) = lists.of(phone.extension) {
            let _ = writeln!(text, "@no_answer = {list}");
        }
    }
    parts::render(&mut text, book, digests)?;
    text.push('\n');
    let mark = match digests {
        Digests::Masked => MASKED_MARK.to_owned(),
        Digests::Real { .. } => mark(&text),
    };
    let secret = match (digests, book.directory) {
        (Digests::Real { .. }, Some(directory)) => format!("MD5:{}", mark_digest(&mark, directory)),
        _ => SENSITIVE.to_owned(),
    };
    text.push_str(GENERATION);
    let name = match digests {
        Digests::Masked => MASKED_MARK.to_owned(),
        Digests::Real { .. } => Name::new(mark_name(book.tenant, &mark))?.to_string(),
    };
    let context = nowhere_context(book.tenant);
    let Templates { auth, aor, phone } = &templates;
    let _ = write!(
        text,
        "[{name}]({auth})\nusername = {name}\npassword_digest = {secret}\n\
         [{name}]({aor})\nmax_contacts = 0\n\
         [{name}]({phone})\nauth = {name}\ncontext = {context}\n"
    );
    Ok(text)
}

/// Names the sections that all phones of a tenant share: those of auths, AORs and endpoints.
pub(crate) fn template_names(tenant: &Tenant) -> [String; 3] {
    ["auth", "aor", "phone"].map(|kind| format!("{tenant}-{kind}"))
}

struct Templates {
    auth: Name,
    aor: Name,
    phone: Name,
}

fn line(text: &mut String, key: &str, value: &Value) {
    let _ = writeln!(text, "{key} = {value}");
}

fn allow(codecs: &[Codec]) -> Result<Value, BadValue> {
    let names: Vec<&str> = codecs.iter().map(Codec::as_str).collect();
    Value::new("allow", &names.join(","))
}

fn profile(text: &mut String, book: &Phonebook<'_>, templates: &Templates) -> Result<(), BadValue> {
    let PhoneProfile { codecs, devices, transport, realm } = &book.settings.phones;
    let _ = write!(text, "\n[{}](!)\ntype = auth\nauth_type = digest\n", templates.auth);
    line(text, "realm", &Value::new("realm", realm.as_str())?);
    let _ = write!(text, "\n[{}](!)\ntype = aor\nmax_contacts = {devices}\n", templates.aor);
    for (key, value) in AOR {
        line(text, key, &Value::new("aor", value)?);
    }
    let _ = write!(
        text,
        "\n[{}](!)\ntype = endpoint\n@tenant = {tenant}\ncontext = {internal}\n",
        templates.phone,
        tenant = book.tenant,
        internal = Contexts::of(book.tenant)?.internal
    );
    let _ = writeln!(text, "message_context = {}", nowhere_context(book.tenant));
    if let Some(transport) = transport {
        line(text, "transport", &Value::new("transport", transport.as_str())?);
    }
    text.push_str("disallow = all\n");
    line(text, "allow", &allow(codecs)?);
    for (key, value) in ENDPOINT {
        line(text, key, &Value::new("endpoint", value)?);
    }
    Ok(())
}

/// Which boxes have a lamp at a phone, and which one is the user's own.
fn mailboxes(
    text: &mut String,
    tenant: &Tenant,
    boxes: &PhoneBoxes<'_>,
    operators: Option<&OperatorsBox>,
) -> Result<(), BadValue> {
    let PhoneBoxes { own, shared } = boxes;
    let context = box_context(tenant);
    let ours = own.iter().chain(shared).map(|number| format!("{number}@{context}"));
    let all: Vec<String> = ours.chain(operators.map(ToString::to_string)).collect();
    if all.is_empty() {
        return Ok(());
    }
    line(text, "mailboxes", &Value::new("mailboxes", &all.join(","))?);
    if let Some(number) = own {
        let _ = writeln!(text, "@box = {number}");
    }
    Ok(())
}

/// Auth before AOR before endpoint, whose first line is its `auth`: should the file ever be cut
/// short, no endpoint is left that lets everybody in.
fn user(
    text: &mut String,
    book: &Phonebook<'_>,
    phone: &Phone<'_>,
    templates: &Templates,
    digests: Digests<'_>,
) -> Result<(), BadValue> {
    let name = book.endpoint(phone.extension)?;
    let digest = match digests {
        Digests::Masked => SENSITIVE.to_owned(),
        Digests::Real { digests, .. } => digests
            .get(&phone.extension)
            .map(|digest| format!("MD5:{}", digest.reveal()))
            .ok_or(BadValue { what: "password_digest", reason: "it is missing" })?,
    };
    let _ = writeln!(text, "\n; {}", Value::new("e-mail", phone.email.as_str())?);
    let _ = writeln!(text, "[{name}]({})", templates.auth);
    if let Some(realm) = &phone.phone.realm {
        line(text, "realm", &Value::new("realm", realm.as_str())?);
    }
    line(text, "username", &Value::new("username", phone.phone.login_of(&name.to_string()))?);
    let _ = writeln!(text, "password_digest = {digest}");
    let _ = writeln!(text, "[{name}]({})", templates.aor);
    if let Some(devices) = phone.phone.devices {
        let _ = writeln!(text, "max_contacts = {devices}");
    }
    let _ = writeln!(text, "[{name}]({})\nauth = {name}\naors = {name}", templates.phone);
    line(text, "callerid", &Value::caller_id(phone.name, phone.extension)?);
    if let Some(context) = &phone.phone.context {
        line(text, "context", &Value::new("context", context.as_str())?);
    }
    if let Some(transport) = &phone.phone.transport {
        line(text, "transport", &Value::new("transport", transport.as_str())?);
    }
    if let Some(codecs) = &phone.phone.codecs {
        text.push_str("disallow = all\n");
        line(text, "allow", &allow(codecs)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asterisk skips a line that is too long, and the lamp stays dark.
    #[test]
    fn the_most_boxes_of_a_phone_are_one_line() {
        let tenant: Tenant = "a-slug-of-twenty-eight-bytes".parse().unwrap();
        let line = |boxes: usize| {
            let boxes = PhoneBoxes { own: Some("999999999"), shared: vec!["999999999"; boxes - 1] };
            let mut text = String::new();
            mailboxes(&mut text, &tenant, &boxes, None).map(|()| text)
        };
        assert!(line(40).is_ok() && line(50).is_err());
    }
}
