//! What changes for imported phones: each option before, and in the file that we would render.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use super::{
    LeftOut, Rank,
    answers::{Answers, Options},
};
use crate::model::printable;

/// The options of Asterisk 22 with their defaults: what it shows of an endpoint, an AOR and an auth without options.
const DEFAULTS: &str = include_str!("asterisk_22.txt");

/// What is judged phone by phone, by the kind of object.
const JUDGED: [(&str, &[&str]); 3] = [
    ("endpoint", &["type", "auth", "aors", "allow", "disallow", "callerid", "context", "webrtc"]),
    ("aor", &["type", "contact", "mailboxes", "max_contacts"]),
    ("auth", &["type", "auth_type", "username", "password", "md5_cred", "password_digest", "realm"]),
];

/// What `webrtc` sets, beside all that begins with `dtls_`.
const OF_WEBRTC: [&str; 6] =
    ["media_encryption", "use_avpf", "ice_support", "rtcp_mux", "media_use_received_transport", "bundle"];

/// The prefix of options that only `sip.conf` has.
pub(super) const OF_SIP: &str = "sip.conf/";

/// How many values of one option are listed, and how many characters of one.
const VALUES: usize = 3;
const SHOWN: usize = 40;

/// The defaults by kind of object and option.
struct Defaults(BTreeMap<&'static str, BTreeMap<&'static str, &'static str>>);

impl Defaults {
    fn read() -> Self {
        let mut all: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        let mut kind = "";
        for line in DEFAULTS.lines() {
            if let Some(name) = line.strip_prefix('[') {
                kind = name.trim_end_matches(']');
            } else if let Some((option, value)) = line.split_once(':') {
                all.entry(kind).or_default().insert(option.trim(), value.trim());
            }
        }
        Self(all)
    }

    fn of(&self, kind: &str, option: &str) -> &'static str {
        self.0.get(kind).and_then(|options| options.get(option)).copied().unwrap_or_default()
    }
}

/// Returns the default of an option, as Asterisk 22 shows it; `None` if it shows no such option of this kind of object.
pub(super) fn default_of(kind: &str, option: &str) -> Option<&'static str> {
    static DEFAULTS: LazyLock<Defaults> = LazyLock::new(Defaults::read);
    DEFAULTS.0.get(kind)?.get(option).copied()
}

/// Tells whether Asterisk 22 has such an option of endpoints.
pub(super) fn is_endpoint_option(option: &str) -> bool {
    let (endpoints, _) = DEFAULTS.split_once("\n[").unwrap_or((DEFAULTS, ""));
    endpoints.lines().any(|line| line.split_once(':').is_some_and(|(name, _)| name.trim() == option))
}

/// A change of one option of one phone.
struct Change {
    rank: Rank,
    what: String,
    /// The same without the value before.
    in_short: String,
}

/// The changes of one option by their text, each with the phones that have it.
type Texts<'a> = BTreeMap<String, (Change, Vec<&'a str>)>;

/// Lists what changes for each phone, by its name before and its name in the rendered file. What is the same for many is
/// the same text.
pub(crate) fn changes(before: &Answers, after: &Answers, phones: &BTreeMap<String, String>) -> Vec<LeftOut> {
    let (defaults, none) = (Defaults::read(), Options::new());
    let mut found: BTreeMap<(&str, String), Texts<'_>> = BTreeMap::new();
    for (name, rendered) in phones {
        for (kind, judged) in JUDGED {
            let [old, new] = [before.object(kind, name), after.object(kind, rendered)].map(|of| of.unwrap_or(&none));
            let skips = |option: &str| {
                judged.contains(&option)
                    || option.starts_with('@')
                    || kind == "endpoint"
                        && old.get("webrtc").is_some_and(|webrtc| is_yes(webrtc) == Some(true))
                        && (OF_WEBRTC.contains(&option) || option.starts_with("dtls_"))
            };
            let names = old.keys().chain(new.keys().filter(|_| !before.is_of_chan_sip));
            for option in names.collect::<BTreeSet<_>>().into_iter().filter(|option| !skips(option)) {
                if let Some(change) = change(kind, option, old, new, &defaults) {
                    let of = found.entry((kind, option.clone())).or_default();
                    of.entry(change.what.clone()).or_insert_with(|| (change, Vec::new())).1.push(name);
                }
            }
        }
    }
    let mut lines: Vec<(Rank, String, Vec<&str>)> = Vec::new();
    for texts in found.into_values() {
        let is_short = texts.len() > VALUES;
        let mut merged: BTreeMap<(Rank, String), Vec<&str>> = BTreeMap::new();
        for (change, names) in texts.into_values() {
            let text = if is_short { change.in_short } else { change.what };
            merged.entry((change.rank, text)).or_default().extend(names);
        }
        lines.extend(merged.into_iter().map(|((rank, text), mut names)| {
            names.sort_unstable();
            (rank, text, names)
        }));
    }
    // What most phones have comes first, and what the same phones have stands together.
    lines.sort_by_key(|(rank, _, names)| (*rank, Reverse(names.len()), names.clone()));
    let of_phone = |rank, text: &str, name: &str| LeftOut::new(rank, before.place(name), text).of(name);
    lines.iter().flat_map(|(rank, text, names)| names.iter().map(|name| of_phone(*rank, text, name))).collect()
}

impl Answers {
    /// Returns the options of an endpoint, or of its first AOR or auth.
    fn object(&self, kind: &str, endpoint: &str) -> Option<&Options> {
        let options = self.options.get(endpoint);
        let first = |option: &str| options.and_then(|options| super::answers::first(options, option));
        match kind {
            "aor" => first("aors").and_then(|name| self.aors.get(&name)),
            "auth" => first("auth").and_then(|name| self.auths.get(&name)),
            _ => options,
        }
    }
}

fn change(kind: &str, option: &str, old: &Options, new: &Options, defaults: &Defaults) -> Option<Change> {
    let default = defaults.of(kind, option);
    let value = |of: &Options| normal(of.get(option).map_or(default, String::as_str), default);
    let (before, after) = (value(old), value(new));
    // The lamp of a box that stands at the AOR is one of the endpoint here.
    if before == after || option == "mailboxes" && before.is_empty() {
        return None;
    }
    let name = option.strip_prefix(OF_SIP).unwrap_or(option);
    let is_of_both = kind != "endpoint" && defaults.0["endpoint"].contains_key(name);
    let name: String = printable(name).chars().take(SHOWN).collect();
    let name = if is_of_both { format!("`{name}` of its {}", kind.to_uppercase()) } else { format!("`{name}`") };
    let in_short = if after.is_empty() { "is not carried over".to_owned() } else { format!("becomes {after}") };
    // A text may hold anything, such as a PIN. Others are words and numbers.
    let shown: String = printable(&before).chars().take(SHOWN).collect();
    let is_shown = !default.is_empty() && !after.is_empty();
    let what = if is_shown { format!("{name} {shown} {in_short}") } else { format!("{name} {in_short}") };
    let in_short = format!("{name}, which differs between them, {in_short}");
    let lost = restriction(option.strip_prefix(OF_SIP).unwrap_or(option), &before, &after);
    let with = |text: String| lost.map_or_else(|| text.clone(), |lost| format!("{text}: {lost}"));
    let rank = match (lost, after.is_empty()) {
        (Some(_), _) => Rank::Restriction,
        (None, true) => Rank::Feature,
        (None, false) => Rank::Setting,
    };
    Some(Change { rank, what: with(what), in_short: with(in_short) })
}

/// Says what a phone may do, or what others may do with it, that was not possible before.
fn restriction(option: &str, before: &str, after: &str) -> Option<&'static str> {
    match option {
        "deny" | "permit" | "acl" => Some("it may log in and call from any address"),
        "contact_deny" | "contact_permit" | "contact_acl" | "contactdeny" | "contactpermit" | "contactacl" => {
            Some("it may register any address as its own")
        }
        "media_encryption" if after == "no" => Some(
            "its sound is no longer encrypted, and a phone that insists on SRTP has no calls until it is set up anew",
        ),
        "allow_transfer" if after == "yes" => Some("it may transfer calls"),
        "allow_subscribe" if after == "yes" => Some("it may watch other phones"),
        "supported_algorithms_uas" => Some("it may log in with a weaker digest"),
        "transport" if !before.is_empty() => Some("it may log in over other transports, also unencrypted"),
        _ => None,
    }
}

fn is_yes(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "1" | "y" | "t" => Some(true),
        "no" | "false" | "off" | "0" | "n" | "f" => Some(false),
        _ => None,
    }
}

/// Writes a value in one form, whether a file or Asterisk has it: the default says what kind of value it is.
fn normal(value: &str, default: &str) -> String {
    if ["yes", "no", "true", "false"].contains(&default.to_ascii_lowercase().as_str())
        && let Some(is_yes) = is_yes(value)
    {
        return if is_yes { "yes" } else { "no" }.to_owned();
    }
    if let (Ok(number), Ok(_)) = (value.parse::<f64>(), default.parse::<f64>()) {
        return number.to_string();
    }
    value.split(',').map(str::trim).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Options {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn answers(phones: &[(&str, &[(&str, &str)])]) -> Answers {
        let all = phones.iter().map(|(name, pairs)| ((*name).to_owned(), options(pairs)));
        Answers { options: all.collect(), ..Answers::default() }
    }

    fn listed(before: &Answers, after: &Answers) -> String {
        let phones = before.options.keys().map(|name| (name.clone(), name.clone())).collect();
        crate::import::listed(&changes(before, after, &phones))
    }

    #[test]
    fn the_same_value_in_another_form_is_no_change() {
        for (option, before, after) in [
            ("force_rport", "on", "true"),
            ("rtp_timeout", "0120", "120"),
            ("identify_by", "username, ip", "username,ip"),
            ("timers", "true", "yes"),
            ("device_state_busy_at", "0", ""),
        ] {
            let after = if after.is_empty() { vec![] } else { vec![(option, after)] };
            let [before, after] = [&[(option, before)][..], &after].map(|pairs| answers(&[("1101", pairs)]));
            assert_eq!(listed(&before, &after), "", "{option}");
        }
    }

    #[test]
    fn a_change_is_one_line_for_all_phones_that_have_it_and_texts_are_not_quoted() {
        let numbers: Vec<String> = (1..=9).map(|n| format!("110{n}")).collect();
        let busy: Vec<String> = (1..=9).map(|n| n.to_string()).collect();
        let set: Vec<Vec<(&str, &str)>> = busy
            .iter()
            .map(|busy| vec![("device_state_busy_at", busy.as_str()), ("set_var", "PIN=canary"), ("future", "canary")])
            .collect();
        let phones: Vec<_> = numbers.iter().zip(&set).map(|(name, set)| (name.as_str(), set.as_slice())).collect();
        let profile: Vec<_> = numbers.iter().map(|name| (name.as_str(), &[("rtp_timeout", "120")][..])).collect();
        assert_eq!(
            listed(&answers(&phones), &answers(&profile)),
            "features that are not carried over:\n  endpoint 1101, endpoint 1102, endpoint 1103 and 6 more:\n    \
             `future` is not carried over\n    `set_var` is not carried over\n\
             settings that change:\n  endpoint 1101, endpoint 1102, endpoint 1103 and 6 more:\n    \
             `device_state_busy_at`, which differs between them, becomes 0\n    `rtp_timeout` 0 becomes 120\n"
        );
    }
}
