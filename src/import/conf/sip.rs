//! The phones of `sip.conf`, which `chan_sip` reads, as the same objects of PJSIP.

use super::{Config, Section, codecs::Codecs};
use crate::{
    import::{
        LeftOut, Rank,
        answers::{Answers, Listed, Options},
        settings::OF_SIP,
    },
    model::printable,
};

/// The options of a peer that are judged one by one.
const JUDGED: [&str; 10] =
    ["type", "host", "secret", "md5secret", "encryption", "transport", "allowguest", "register", "avpf", "defaultuser"];

/// Sections that are no peers.
const NO_PEERS: [&str; 2] = ["general", "authentication"];

/// Options that go by another name in PJSIP.
const RENAMED: [(&str, &str); 10] = [
    ("context", "context"),
    ("callerid", "callerid"),
    ("mailbox", "mailboxes"),
    ("callgroup", "call_group"),
    ("pickupgroup", "pickup_group"),
    ("namedcallgroup", "named_call_group"),
    ("namedpickupgroup", "named_pickup_group"),
    ("subscribecontext", "subscribe_context"),
    ("accountcode", "accountcode"),
    ("language", "language"),
];

/// Makes the answers that a running Asterisk would give of the same phones in PJSIP.
pub(crate) fn sip(config: &Config) -> Answers {
    let mut answers = Answers { is_of_chan_sip: true, ..Answers::default() };
    let general = config.real().find(|section| section.name == "general");
    let empty = Section::default();
    let common = general.unwrap_or(&empty);
    let place = general.map_or_else(|| config.files[0].name.clone(), |general| config.place(general.line));
    if common.option("allowguest") != "no" {
        let what = "calls from strangers are let in there (`allowguest`); here they are not";
        answers.left_out.push(LeftOut::new(Rank::Open, &place, what));
    }
    if !common.option("register").is_empty() {
        let what = "it registers at a carrier (`register`); declare carriers under `trunks`";
        answers.left_out.push(LeftOut::new(Rank::Phone, &place, what));
    }
    for section in config.real().filter(|section| !NO_PEERS.contains(&section.name.as_str())) {
        let place = config.place(section.line);
        if section.option("type").is_empty() {
            let what = "not imported: a section without `type`, which chan_sip ignores";
            answers.left_out.push(LeftOut::new(Rank::Phone, place, what).of(&section.name));
            continue;
        }
        peer(&mut answers, section, common, place);
    }
    answers
}

fn peer(answers: &mut Answers, section: &Section, common: &Section, place: String) {
    let name = section.name.clone();
    let option = |key: &str| {
        let own = section.option(key);
        if own.is_empty() { common.option(key) } else { own }
    };
    let mut options: Options =
        RENAMED.iter().map(|(sip, pjsip)| ((*pjsip).to_owned(), option(sip).to_owned())).collect();
    let mut codecs: Codecs = common.codecs.clone();
    codecs.inherit(&section.codecs);
    options.insert("allow".to_owned(), codecs.shown());
    options.insert("aors".to_owned(), name.clone());
    if section.option("encryption") == "yes" {
        options.insert("media_encryption".to_owned(), "sdes".to_owned());
    }
    if section.option("avpf") == "yes" {
        options.insert("webrtc".to_owned(), "yes".to_owned());
    }
    let registers = section.option("host") == "dynamic" && section.option("type") != "user";
    let (contact, devices) = if registers { ("", "1") } else { ("elsewhere", "0") };
    let aor = [("contact", contact), ("max_contacts", devices)].map(|(key, value)| (key.to_owned(), value.to_owned()));
    answers.aors.insert(name.clone(), aor.into());
    let (secret, digest) = (section.option("secret"), section.option("md5secret"));
    if !secret.is_empty() || !digest.is_empty() {
        // A digest wins over a secret.
        let password = if digest.is_empty() { secret } else { "" };
        let auth = [("username", name.as_str()), ("password", password)];
        let auth = auth.map(|(key, value)| (key.to_owned(), value.to_owned()));
        answers.auths.insert(name.clone(), auth.into());
        options.insert("auth".to_owned(), name.clone());
    }
    let is_renamed = |key: &str| RENAMED.iter().any(|(sip, _)| *sip == key);
    for (key, value) in section.options.iter() {
        if !JUDGED.contains(&key.as_str()) && !is_renamed(key) && !value.is_empty() {
            options.insert(format!("{OF_SIP}{key}"), value.clone());
        }
    }
    if registers && section.option("transport") == "tls" {
        let what = "it may log in over any transport, not over TLS alone; name one under `phones.transport`";
        answers.left_out.push(LeftOut::new(Rank::Restriction, format!("{place} {}", printable(&name)), what).of(&name));
    }
    answers.endpoints.push(Listed { name: name.clone(), is_identified: false });
    answers.places.insert(name.clone(), place);
    answers.options.insert(name, options);
}
