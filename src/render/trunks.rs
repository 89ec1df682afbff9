//! Trunks in the endpoint file: how calls go out to dialers over a carrier, and how the carrier's calls
//! come in.
//!
//! A trunk has no inbound auth, so it is found by address (or by what it registered with) and by
//! nothing else, lands in a context that leads to our own targets only, and may neither transfer nor
//! subscribe.

use std::{collections::BTreeMap, fmt::Write, net::Ipv6Addr};

use super::{Digests, Phonebook, pjsip};
use crate::{
    asterisk::{BadValue, Name, Value},
    model::{Codec, Ha1, ObjectName, SENSITIVE, Secret, Tenant},
    objects::Trunk,
};

/// What begins the comment before a trunk.
pub(super) const COMMENT: &str = "trunk ";

/// One object of a trunk, as a section of the file.
#[derive(Debug)]
pub struct Section {
    /// Its type, as Asterisk's commands name it too.
    pub kind: &'static str,
    /// Its lines: key, value as it is meant.
    pub lines: Vec<(&'static str, String)>,
}

/// Names all objects of a trunk.
pub fn trunk_name(tenant: &Tenant, trunk: &ObjectName) -> String {
    format!("{}{trunk}", trunk_prefix(tenant))
}

/// Returns what the names of all objects of trunks begin with.
pub fn trunk_prefix(tenant: &Tenant) -> String {
    format!("{tenant}-trunk-")
}

/// Names the context that calls from trunks arrive in.
pub fn inbound_context(tenant: &Tenant) -> String {
    format!("{tenant}-inbound")
}

/// Writes the host of a SIP address: an IPv6 address stands in brackets.
fn sip_host(host: &str) -> String {
    host.parse::<Ipv6Addr>().map_or_else(|_| host.to_owned(), |address| format!("[{address}]"))
}

/// Options of every trunk's AOR: a carrier that does not answer costs each call 32 s (SIP timer B) until it is known
/// to be down, so that it is asked every 10 s and given 1 s.
const AOR: &[(&str, &str)] = &[("qualify_frequency", "10"), ("qualify_timeout", "1.0")];

/// Options of every trunk's endpoint: found by address only, media through the PBX, no transfers.
const ENDPOINT: &[(&str, &str)] = &[
    ("identify_by", "ip"),
    ("allow_transfer", "no"),
    ("allow_subscribe", "no"),
    ("direct_media", "no"),
    ("rtp_symmetric", "yes"),
    ("dtmf_mode", "rfc4733"),
    ("rtp_timeout", "120"),
    ("rtp_timeout_hold", "600"),
    ("send_pai", "yes"),
    ("trust_id_outbound", "yes"),
];

/// Options of every registration: it is tried for as long as the trunk is declared.
const REGISTRATION: &[(&str, &str)] = &[
    ("retry_interval", "60"),
    ("forbidden_retry_interval", "300"),
    ("fatal_retry_interval", "300"),
    ("max_retries", "1000000"),
    ("auth_rejection_permanent", "no"),
];

/// Makes the sections of a trunk; `secret` is none where it is not to be shown.
///
/// # Errors
/// Never for trunks that were checked.
pub fn sections(
    book: &Phonebook<'_>,
    name: &ObjectName,
    trunk: &Trunk,
    secret: Option<&Secret>,
) -> Result<Vec<Section>, BadValue> {
    let object = Name::new(trunk_name(book.tenant, name))?.to_string();
    let host = sip_host(&trunk.host);
    let section = |kind, lines: Vec<(&'static str, String)>| Section { kind, lines };
    let auth = || trunk.username.is_some().then(|| ("outbound_auth", object.clone()));
    let transport = || book.settings.phones.transport.as_ref().map(|transport| ("transport", transport.to_string()));
    let own = |options: &[(&'static str, &str)]| -> Vec<_> {
        options.iter().map(|(key, value)| (*key, (*value).to_owned())).collect()
    };
    let mut made = Vec::new();
    if let Some(username) = &trunk.username {
        let mut lines = vec![("auth_type", "digest".to_owned()), ("username", username.to_string())];
        if let Some(realm) = &trunk.realm {
            let digest = |secret| format!("MD5:{}", Ha1::new(username.as_str(), realm.as_str(), secret).reveal());
            lines.push(("realm", realm.to_string()));
            lines.push(("password_digest", secret.map_or_else(|| SENSITIVE.to_owned(), digest)));
        } else {
            lines.push(("password", secret.map_or(SENSITIVE, Secret::reveal).to_owned()));
        }
        made.push(section("auth", lines));
    }
    let contact = format!("sip:{host}");
    let mut aor = vec![("contact", contact.clone())];
    aor.extend(own(AOR));
    made.push(section("aor", aor));
    let codecs: Vec<&str> = book.settings.phones.codecs.iter().map(Codec::as_str).collect();
    let mut endpoint = vec![
        ("context", inbound_context(book.tenant)),
        ("message_context", pjsip::nowhere(book)?.to_string()),
        ("aors", object.clone()),
    ];
    endpoint.extend(auth());
    endpoint.extend(transport());
    endpoint.extend([("disallow", "all".to_owned()), ("allow", codecs.join(","))]);
    endpoint.extend(own(ENDPOINT));
    made.push(section("endpoint", endpoint));
    let addresses = trunk.addresses();
    if !addresses.is_empty() {
        let matches = addresses.iter().map(|address| ("match", address.clone()));
        made.push(section("identify", [("endpoint", object.clone())].into_iter().chain(matches).collect()));
    }
    if let (true, Some(username)) = (trunk.register, &trunk.username) {
        let mut lines = vec![
            ("server_uri", contact),
            ("client_uri", format!("sip:{username}@{host}")),
            ("contact_user", username.to_string()),
        ];
        lines.extend(auth());
        lines.extend(transport());
        if addresses.is_empty() {
            lines.extend([("line", "yes".to_owned()), ("endpoint", object.clone())]);
        }
        lines.extend(own(REGISTRATION));
        made.push(section("registration", lines));
    }
    Ok(made)
}

/// Renders all trunks.
pub(super) fn render(text: &mut String, book: &Phonebook<'_>, digests: Digests<'_>) -> Result<(), BadValue> {
    for (name, trunk) in &book.routes.trunks {
        let secret = match digests {
            Digests::Masked => None,
            Digests::Real { trunk_secrets, .. } => secret_of(trunk_secrets, name, trunk)?,
        };
        let object = Name::new(trunk_name(book.tenant, name))?;
        text.push('\n');
        if trunk.addresses().is_empty() {
            text.push_str(if trunk.register {
                "; `identify` names no address, nor does `host`: its calls are known by the registration.\n"
            } else {
                "; `identify` names no address, nor does `host`: none of its calls are taken.\n"
            });
        }
        let _ = writeln!(text, "; {COMMENT}{name}");
        for Section { kind, lines } in sections(book, name, trunk, secret)? {
            let _ = writeln!(text, "[{object}]\ntype = {kind}");
            for (key, value) in lines {
                let _ = writeln!(text, "{key} = {}", Value::new(key, &value)?);
            }
        }
    }
    Ok(())
}

/// Finds the secret of a trunk that logs in.
fn secret_of<'a>(
    secrets: &'a BTreeMap<ObjectName, Secret>,
    name: &ObjectName,
    trunk: &Trunk,
) -> Result<Option<&'a Secret>, BadValue> {
    match (secrets.get(name), &trunk.username) {
        (None, Some(_)) => Err(BadValue { what: "a trunk's secret", reason: "it is missing" }),
        (secret, _) => Ok(secret),
    }
}
