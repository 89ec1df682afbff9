//! Reading the objects that are declared back: each of their sections runs with the values in the file, and what was
//! removed is gone.
//!
//! Identifies and registrations bear no generation mark, because one would take calls or register
//! somewhere; a tenant has few such objects, so all their sections are looked at each time.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use super::{
    asterisk::{Answer, Asterisk, AsteriskError},
    mismatch::{Mismatch, has_parameters, values_of},
};
use crate::{
    asterisk::SectionType,
    render::{Parsed, ParsedObject},
};

/// The keys that are compared; others hold no name, address or secret.
const COMPARED: [&str; 13] = [
    "username",
    "realm",
    "password",
    "password_digest",
    "contact",
    "context",
    "aors",
    "outbound_auth",
    "identify_by",
    "allow_transfer",
    "endpoint",
    "server_uri",
    "client_uri",
];

/// Compares all sections of objects with what runs.
pub(super) fn read_back(
    asterisk: &Asterisk,
    objects: &BTreeMap<String, ParsedObject>,
    gone: &[(SectionType, String)],
) -> Result<Vec<Mismatch>, AsteriskError> {
    let sections = objects.iter().flat_map(|(name, object)| object.sections.iter().map(move |section| (name, section)));
    let wanted: Vec<_> =
        sections.filter_map(|(name, section)| Some((name, section.kind?, section.options.as_slice()))).collect();
    let commands = wanted.iter().map(|(name, kind, _)| show(*kind, name));
    let commands: Vec<String> = commands.chain(gone.iter().map(|(kind, name)| show(*kind, name))).collect();
    let answers = asterisk.ask_all(&commands)?;
    let mut wrong = Vec::new();
    for ((name, kind, options), answer) in wanted.iter().zip(&answers) {
        if has_parameters(answer) {
            let differs = |key| Mismatch::Value { name: (*name).clone(), key };
            wrong.extend(differing(options, answer).into_iter().map(differs));
        } else {
            wrong.push(Mismatch::Missing { kind: kind.word(), names: vec![(*name).clone()] });
        }
    }
    for ((kind, name), answer) in gone.iter().zip(answers.iter().skip(wanted.len())) {
        if has_parameters(answer) {
            wrong.push(Mismatch::Left { kind: kind.word(), name: name.clone() });
        }
    }
    Ok(wrong)
}

fn show(kind: SectionType, name: &str) -> String {
    format!("pjsip show {kind} {name}")
}

/// Lists the sections that no mark vouches for and that the new file no longer holds.
pub(super) fn gone(old: &Parsed, new: &Parsed) -> Vec<(SectionType, String)> {
    let mut gone = Vec::new();
    for (name, object) in &old.objects {
        let stays = |kind: SectionType| new.objects.get(name).is_some_and(|object| object.has(kind));
        let unmarked = SectionType::ALL.into_iter().filter(|kind| !kind.has_mark());
        gone.extend(unmarked.filter(|kind| object.has(*kind) && !stays(*kind)).map(|kind| (kind, name.clone())));
    }
    gone
}

/// Names the objects of a file whose sections do not run, by type.
pub(super) fn missing(
    asterisk: &Asterisk,
    objects: &BTreeMap<String, ParsedObject>,
) -> Result<Vec<Mismatch>, AsteriskError> {
    let mut by_type: BTreeMap<SectionType, Vec<&String>> = BTreeMap::new();
    for (name, object) in objects {
        for kind in SectionType::ALL.into_iter().filter(|kind| object.has(*kind)) {
            by_type.entry(kind).or_default().push(name);
        }
    }
    let mut wrong = Vec::new();
    for (kind, names) in by_type {
        let answers = asterisk.ask_all(&names.iter().map(|name| show(kind, name)).collect::<Vec<_>>())?;
        let absent = names.into_iter().zip(&answers).filter(|(_, answer)| !has_parameters(answer));
        let names: Vec<String> = absent.map(|(name, _)| name.clone()).collect();
        if !names.is_empty() {
            wrong.push(Mismatch::Missing { kind: kind.word(), names });
        }
    }
    Ok(wrong)
}

/// Names the keys whose value is another one.
fn differing(options: &[(String, String)], answer: &Answer) -> Vec<&'static str> {
    let running = values_of(answer);
    let as_shown = |value: &str| if value == "no" { "false".to_owned() } else { value.to_owned() };
    let mut wrong: Vec<&'static str> = Vec::new();
    for (key, value) in options {
        let compared = COMPARED.into_iter().find(|compared| compared == key);
        wrong.extend(compared.filter(|key| running.get(*key).map(String::as_str) != Some(as_shown(value).as_str())));
    }
    let networks = |values: &mut dyn Iterator<Item = &str>| -> Vec<Option<IpNet>> {
        let mut networks: Vec<_> = values.map(network).collect();
        networks.sort_unstable();
        networks.dedup();
        networks
    };
    let wanted = networks(&mut options.iter().filter(|(key, _)| key == "match").map(|(_, value)| value.as_str()));
    let shown = answer.raw().lines().filter_map(|line| line.split_once(" : "));
    let shown = networks(&mut shown.filter(|(key, _)| key.trim() == "match").map(|(_, value)| value.trim()));
    if !wanted.is_empty() && wanted != shown {
        wrong.push("match");
    }
    wrong
}

/// Reads a network, its size given in bits or, as Asterisk shows it, as a mask.
fn network(text: &str) -> Option<IpNet> {
    let (address, size) = text.split_once('/').unwrap_or((text, ""));
    let address: IpAddr = address.parse().ok()?;
    let network = match (size.parse(), size.parse()) {
        (Ok(mask), _) => IpNet::with_netmask(address, mask).ok()?,
        (_, Ok(bits)) => IpNet::new(address, bits).ok()?,
        _ => address.into(),
    };
    Some(network.trunc())
}

/// Tells whether two addresses or networks have an address in common.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    network(one).zip(network(other)).is_some_and(|(one, other)| one.contains(&other) || other.contains(&one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_differs_is_named() {
        let answer = Answer::of(
            " ParameterName     : ParameterValue\n endpoint          : acme-trunk-carrier\n \
             match             : 203.0.113.0/255.255.255.240\n match             : 127.0.0.2/255.255.255.255\n \
             allow_transfer    : false\n password          : canary;1\n",
        );
        let line = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut lines = vec![
            line("endpoint", "acme-trunk-carrier"),
            line("match", "127.0.0.2"),
            line("match", "203.0.113.7/28"),
            line("allow_transfer", "no"),
            line("password", "canary;1"),
            line("qualify_frequency", "60"),
        ];
        assert_eq!(differing(&lines, &answer), [""; 0]);
        lines[4] = line("password", "canary;2");
        lines[2] = line("match", "203.0.113.7/29");
        assert_eq!(differing(&lines, &answer), ["password", "match"]);
        lines.push(line("context", "acme-inbound"));
        assert_eq!(differing(&lines, &answer), ["password", "context", "match"]);
    }

    #[test]
    fn what_no_mark_vouches_for_must_be_gone() {
        let section = |kind: &str| format!("[acme-trunk-c]\ntype = {kind}\n");
        let file = |kinds: &str| {
            let sections: Vec<String> = kinds.split(' ').map(section).collect();
            crate::render::parse(&format!("; trunk c\n{}", sections.concat()))
        };
        let (all, some) = (file("aor endpoint identify registration"), file("aor endpoint identify"));
        assert_eq!(gone(&all, &some), [(SectionType::Registration, "acme-trunk-c".to_owned())]);
        assert_eq!(gone(&all, &crate::render::parse("")).len(), 2);
        assert_eq!(gone(&some, &all), []);
    }

    #[test]
    fn a_network_is_the_same_however_it_is_written() {
        for (declared, shown) in [
            ("127.0.0.2", "127.0.0.2/255.255.255.255"),
            ("203.0.113.5/28", "203.0.113.0/255.255.255.240"),
            ("0.0.0.0/0", "0.0.0.0/0.0.0.0"),
            ("2001:db8::/32", "2001:db8::/ffff:ffff::"),
            ("2001:db8::7", "2001:db8::7/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            assert!(network(declared).is_some() && network(declared) == network(shown), "{declared}");
        }
        for (one, other, common) in [
            ("203.0.113.0/28", "203.0.113.15", true),
            ("203.0.113.0/28", "203.0.113.16", false),
            ("203.0.113.4/30", "203.0.112.0/22", true),
            ("2001:db8::/32", "2001:db8:1::7", true),
            ("2001:db8::7", "203.0.113.7", false),
        ] {
            assert_eq!((overlap(one, other), overlap(other, one)), (common, common), "{one} {other}");
        }
        assert_ne!(network("127.0.0.0/8"), network("127.0.0.0/16"));
        assert_eq!(network("sip.example.com"), None);
    }
}
