//! Trunks in the endpoint file: how calls go out to dialers over a carrier, and how the carrier's calls come in.
//!
//! A trunk has no inbound auth, so it is found by address (or by what it registered with) and by nothing else, lands
//! in a context that leads to our own targets only, and may neither transfer nor subscribe.

use std::{fmt, net::Ipv6Addr};

use super::Trunk;
use crate::{
    asterisk::{BadValue, Name, Section, SectionType, inbound_context, nowhere_context},
    model::{Codec, Secret, Tenant},
    objects::{
        Object, ObjectKind,
        render::{Block, Parts, RenderContext, section_name},
    },
};

/// Options of every trunk's AOR: a carrier that does not answer costs each call 32 s (SIP timer B) until it is known
/// to be down, so that it is asked every 10 s and given 1 s.
const AOR: [(&str, &str); 2] = [("qualify_frequency", "10"), ("qualify_timeout", "1.0")];

/// Options of every trunk's endpoint: found by address only, media through the PBX, no transfers.
const ENDPOINT: [(&str, &str); 10] = [
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
const REGISTRATION: [(&str, &str); 5] = [
    ("retry_interval", "60"),
    ("forbidden_retry_interval", "300"),
    ("fatal_retry_interval", "300"),
    ("max_retries", "1000000"),
    ("auth_rejection_permanent", "no"),
];

/// Names all sections of a trunk.
pub(crate) fn trunk_name(tenant: &Tenant, trunk: impl fmt::Display) -> String {
    section_name(tenant, ObjectKind::Trunk, trunk)
}

/// Writes the host of a SIP address: an IPv6 address stands in brackets.
fn sip_host(host: &str) -> String {
    host.parse::<Ipv6Addr>().map_or_else(|_| host.to_owned(), |address| format!("[{address}]"))
}

/// Writes the sections of a trunk.
///
/// # Errors
/// When the secret of a trunk that logs in is missing; for values never, if the trunk was checked.
pub(super) fn render(trunk: &Trunk, name: &str, cx: &RenderContext<'_>, parts: &mut Parts<'_>) -> Result<(), BadValue> {
    let object = Name::new(trunk_name(cx.tenant, name))?;
    let own_name = object.to_string();
    let host = sip_host(&trunk.host);
    let contact = format!("sip:{host}");
    let auth = trunk.username.as_ref().map(|_| ("outbound_auth", own_name.as_str()));
    let transport = cx.phones.transport.as_ref().map(|transport| ("transport", transport.as_str()));
    let mut sections = Vec::new();
    if let Some(login) = trunk.login() {
        let mut section = Section::new(&object, SectionType::Auth).behind("res_pjsip_outbound_authenticator_digest");
        section.options([("auth_type", "digest"), ("username", login.username)])?;
        let shown = |secret: &Secret| login.shown(secret);
        if let Some(realm) = login.realm {
            let digest = cx.secret(ObjectKind::Trunk, name, |secret| format!("MD5:{}", *shown(secret)))?;
            section.options([("realm", realm), ("password_digest", &digest)])?;
        } else {
            section.option("password", &cx.secret(ObjectKind::Trunk, name, |secret| shown(secret).to_string())?)?;
        }
        sections.push(section);
    }
    let mut aor = Section::new(&object, SectionType::Aor);
    aor.option("contact", &contact)?.options(AOR)?;
    sections.push(aor);
    let codecs: Vec<&str> = cx.phones.codecs.iter().map(Codec::as_str).collect();
    let mut endpoint = Section::new(&object, SectionType::Endpoint).behind("res_pjsip_caller_id");
    endpoint
        .option("context", &inbound_context(cx.tenant))?
        .option("message_context", &nowhere_context(cx.tenant))?
        .option("aors", &own_name)?
        .options(auth)?
        .options(transport)?
        .options([("disallow", "all"), ("allow", &codecs.join(","))])?
        .options(ENDPOINT)?;
    sections.push(endpoint);
    let addresses = trunk.addresses();
    if !addresses.is_empty() {
        let mut identify = Section::new(&object, SectionType::Identify).behind("res_pjsip_endpoint_identifier_ip");
        identify.option("endpoint", &own_name)?.options(addresses.iter().map(|address| ("match", address.as_str())))?;
        sections.push(identify);
    }
    if let (true, Some(username)) = (trunk.register, &trunk.username) {
        let mut registration =
            Section::new(&object, SectionType::Registration).behind("res_pjsip_outbound_registration");
        registration
            .option("server_uri", &contact)?
            .option("client_uri", &format!("sip:{username}@{host}"))?
            .option("contact_user", username.as_str())?
            .options(auth)?
            .options(transport)?;
        if addresses.is_empty() {
            registration.options([("line", "yes"), ("endpoint", &own_name)])?;
        }
        registration.options(REGISTRATION)?;
        sections.push(registration);
    }
    let remark = addresses.is_empty().then_some(if trunk.by_registration {
        "Another account is at the same host: its calls are known by the registration."
    } else if trunk.register {
        "`identify` names no address, nor does `host`: its calls are known by the registration."
    } else {
        "`identify` names no address, nor does `host`: none of its calls are taken."
    });
    parts.blocks.push(Block { kind: ObjectKind::Trunk, name: name.to_owned(), remark, sections });
    Ok(())
}
