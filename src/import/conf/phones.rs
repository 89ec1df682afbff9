//! The phones of `pjsip.conf` and `pjsip_wizard.conf`, as the running Asterisk would list them.

use std::collections::{BTreeMap, HashMap};

use super::{
    Config, Fault, Section,
    loads::{bad_option, line_of},
};
use crate::import::{
    LeftOut, Rank,
    answers::{Answers, Listed, Options, first},
};

/// The options of a wizard itself that the phone has in another way.
const WIZARD_OWN: [&str; 7] =
    ["type", "accepts_auth", "accepts_registrations", "remote_hosts", "transport", "sends_registrations", "sends_auth"];

/// What a wizard makes of the options that begin so.
const UNFOLDED: [&str; 3] = ["endpoint/", "aor/", "inbound_auth/"];

/// The kinds of objects that a phone has.
const OF_PHONES: [&str; 3] = ["endpoint", "auth", "aor"];

/// Why Asterisk does not load an object, by kind and name.
type Rejected = BTreeMap<(String, String), String>;

/// Makes the answers that the running Asterisk would give.
pub(crate) fn phones(pjsip: &mut Config, wizard: &mut Config) -> Answers {
    let mut answers = Answers::default();
    let (mut known, mut twice, mut rejected) = (HashMap::new(), Vec::new(), BTreeMap::new());
    for section in pjsip.real() {
        let place = pjsip.place(section.line);
        let kind = section.option("type").to_owned();
        if kind.is_empty() {
            let what = "a section without `type`, which Asterisk ignores";
            answers.left_out.push(LeftOut::new(Rank::Small, place, what));
            continue;
        }
        let lower = kind.to_ascii_lowercase();
        if kind != lower && OF_PHONES.contains(&lower.as_str()) {
            let what = format!("not imported: Asterisk knows no such type; it is written `{lower}`");
            let place = pjsip.place(line_of(pjsip, section, "type"));
            answers.left_out.push(LeftOut::new(Rank::Phone, place, what).of(&section.name));
            continue;
        }
        if let Some(first) = known.insert((section.name.clone(), kind.clone()), place.clone()) {
            twice.push(duplicate(place.clone(), &kind, &first));
        }
        if OF_PHONES.contains(&kind.as_str())
            && let Some(bad) = bad_option(&kind, &section.options)
        {
            let why = bad.at(&pjsip.place(line_of(pjsip, section, bad.key)));
            rejected.insert((kind.clone(), section.name.clone()), why);
        }
        add(&mut answers, section, &kind, place);
    }
    pjsip.faults.extend(twice);
    reject(&mut answers, &rejected);
    let mut twice = Vec::new();
    for section in wizard.real().filter(|section| section.option("type") == "wizard") {
        let place = wizard.place(section.line);
        if let Some(first) = known.insert((section.name.clone(), "endpoint".to_owned()), place.clone()) {
            twice.push(duplicate(place.clone(), "endpoint", &first));
        }
        unfold(&mut answers, section, place);
    }
    wizard.faults.extend(twice);
    answers
}

/// Rejects the endpoints that Asterisk does not load, and those whose auth or AOR it does not load.
fn reject(answers: &mut Answers, rejected: &Rejected) {
    for (name, options) in &answers.options {
        let named = |kind: &str, option: &str| Some((kind.to_owned(), first(options, option)?));
        let objects = [Some(("endpoint".to_owned(), name.clone())), named("auth", "auth"), named("aor", "aors")];
        if let Some(why) = objects.into_iter().flatten().find_map(|object| rejected.get(&object)) {
            answers.rejected.insert(name.clone(), why.clone());
        }
    }
}

fn duplicate(place: String, kind: &str, first: &str) -> Fault {
    let what = format!("the same {kind} as at {first}: Asterisk starts without any {kind} if it has one of them twice");
    Fault { place, what }
}

fn add(answers: &mut Answers, section: &Section, kind: &str, place: String) {
    let name = section.name.clone();
    let mut options = Options::clone(&section.options);
    match kind {
        "endpoint" => {
            options.insert("allow".to_owned(), section.codecs.shown());
            list(answers, name, options, place);
        }
        "auth" => _ = answers.auths.insert(name, options),
        "aor" => {
            options.entry("max_contacts".to_owned()).or_insert_with(|| "0".to_owned());
            answers.aors.insert(name, options);
        }
        "global" => answers.settings.extend(options),
        "identify" => _ = answers.identified.insert(section.option("endpoint").to_owned()),
        _ => {}
    }
}

fn list(answers: &mut Answers, name: String, options: Options, place: String) {
    answers.endpoints.push(Listed { name: name.clone(), is_identified: false });
    answers.places.insert(name.clone(), place);
    answers.options.insert(name, options);
}

fn is_no(value: &str) -> bool {
    ["", "no", "false", "off", "0"].contains(&value.to_ascii_lowercase().as_str())
}

/// Makes an endpoint, an AOR and an auth of a wizard, as its module does.
fn unfold(answers: &mut Answers, section: &Section, place: String) {
    let name = &section.name;
    let of = |kind: &str| -> Options {
        let options = section.options.iter();
        options.filter_map(|(key, value)| Some((key.strip_prefix(kind)?.to_owned(), value.clone()))).collect()
    };
    let is_yes =
        |key: &str| ["yes", "true", "on", "1", "y", "t"].contains(&section.option(key).to_ascii_lowercase().as_str());
    let (mut endpoint, mut aor, mut auth) = (of("endpoint/"), of("aor/"), of("inbound_auth/"));
    for (key, value) in section.options.iter() {
        let is_unfolded = UNFOLDED.iter().any(|of| key.starts_with(of)) || WIZARD_OWN.contains(&key.as_str());
        if !is_unfolded && !is_no(value) {
            endpoint.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    endpoint.insert("aors".to_owned(), name.clone());
    endpoint.insert("allow".to_owned(), section.codecs.shown());
    if is_yes("accepts_auth") {
        let auth_name = format!("{name}-iauth");
        endpoint.insert("auth".to_owned(), auth_name.clone());
        auth.entry("username".to_owned()).or_insert_with(|| name.clone());
        answers.auths.insert(auth_name, auth);
    }
    if !section.option("transport").is_empty() {
        endpoint.entry("transport".to_owned()).or_insert_with(|| section.option("transport").to_owned());
    }
    if !section.option("remote_hosts").is_empty() {
        aor.insert("contact".to_owned(), section.option("remote_hosts").to_owned());
        if !is_yes("accepts_registrations") {
            answers.identified.insert(name.clone());
        }
    }
    aor.entry("max_contacts".to_owned()).or_insert_with(|| "0".to_owned());
    answers.aors.insert(name.clone(), aor);
    list(answers, name.clone(), endpoint, place);
}
