//! Which pjsip objects run, asked for by name.
//!
//! Asterisk sorts what it lists by inserting into a list: 4.6 s for 10,000 endpoints, 0.1 s for
//! 1,000 of them (measured, 22.10). So names are asked for in groups that a regular expression
//! picks, several at a time.

use std::collections::{BTreeMap, BTreeSet};

use super::asterisk::{Answer, Asterisk, AsteriskError};

/// The kinds of object that make up a phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Endpoint,
    Aor,
    Auth,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Endpoint, Self::Aor, Self::Auth];

    /// Returns the word that Asterisk's commands use.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Aor => "aor",
            Self::Auth => "auth",
        }
    }

    /// Reads the label in front of a name in a listing.
    fn of_label(label: &str) -> Option<Self> {
        match label {
            "Endpoint" => Some(Self::Endpoint),
            "Aor" => Some(Self::Aor),
            "InAuth" | "I/OAuth" => Some(Self::Auth),
            _ => None,
        }
    }
}

/// Objects that run.
#[derive(Debug, Default)]
pub(super) struct Listing(BTreeSet<(Kind, String)>);

impl Listing {
    /// Lists phones: endpoints of these names, each with the auth and the AOR that it really has.
    pub(super) fn of_phones<'a>(
        asterisk: &Asterisk,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<Self, AsteriskError> {
        let groups = groups(names);
        let commands = groups.iter().map(|group| format!("pjsip show endpoints like {group}"));
        Self::ask(asterisk, &commands.collect::<Vec<_>>())
    }

    /// Lists whatever has one of these names, of any kind.
    pub(super) fn of_names<'a>(
        asterisk: &Asterisk,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<Self, AsteriskError> {
        let groups = groups(names);
        let commands = |kind: Kind| groups.iter().map(move |group| format!("pjsip list {}s like {group}", kind.word()));
        Self::ask(asterisk, &Kind::ALL.into_iter().flat_map(commands).collect::<Vec<_>>())
    }

    /// Lists the generation marks that begin like this: endpoints whose name ends with a hash, unlike
    /// the phones of a tenant that is called so.
    pub(super) fn of_marks(asterisk: &Asterisk, prefix: &str) -> Result<Self, AsteriskError> {
        Self::ask(asterisk, &[format!("pjsip list endpoints like ^{prefix}[0-9a-f]{{32}}$")])
    }

    fn ask(asterisk: &Asterisk, commands: &[String]) -> Result<Self, AsteriskError> {
        let answers = asterisk.ask_all(commands)?;
        Ok(Self(answers.iter().flat_map(objects).collect()))
    }

    pub(super) fn has(&self, kind: Kind, name: &str) -> bool {
        self.0.contains(&(kind, name.to_owned()))
    }

    /// Names the endpoints, in order.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(kind, _)| *kind == Kind::Endpoint).map(|(_, name)| name.as_str())
    }
}

/// Reads a listing. Names are cut there from 38 bytes on; ours are shorter.
fn objects(answer: &Answer) -> impl Iterator<Item = (Kind, String)> {
    answer.raw().lines().filter_map(|line| {
        let (label, rest) = line.trim_start().split_once(':')?;
        let kind = Kind::of_label(label)?;
        let name = rest.split_whitespace().next()?.split('/').next()?;
        (!name.starts_with('<')).then(|| (kind, name.to_owned()))
    })
}

/// How many digits at the end of a name a group leaves open.
const OPEN: usize = 3;

/// How many names one command may find.
const MOST_NAMES: usize = 1000;

/// How long an expression may be: Asterisk forgets a command of more than some 490 bytes.
const MOST_BYTES: usize = 400;

/// Makes regular expressions that together find the names, each of them by one of these.
pub(super) fn groups<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut stems: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    for name in names {
        let digits = name.bytes().rev().take(OPEN).take_while(u8::is_ascii_digit).count();
        *stems.entry((digits, &name[..name.len() - digits])).or_default() += 1;
    }
    let mut groups: Vec<(usize, usize, String)> = Vec::new();
    for ((digits, stem), count) in stems {
        match groups.last_mut() {
            Some((open, found, text))
                if *open == digits && *found + count <= MOST_NAMES && text.len() + stem.len() < MOST_BYTES =>
            {
                *found += count;
                text.push('|');
                text.push_str(stem);
            }
            _ => groups.push((digits, count, stem.to_owned())),
        }
    }
    groups.into_iter().map(|(digits, _, stems)| format!("^({stems})[0-9]{{{digits}}}$")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_thousand_numbers_are_one_group() {
        let names: Vec<String> = (1000..2000).map(|number| number.to_string()).collect();
        assert_eq!(groups(names.iter().map(String::as_str)), ["^(1)[0-9]{3}$"]);
        assert_eq!(groups(["7", "acme-1042"].into_iter()), ["^()[0-9]{1}$", "^(acme-1)[0-9]{3}$"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn each_name_is_found_by_one_group(numbers in prop::collection::btree_set(1_u32..100_000_000, 1..200), prefix in "([a-z0-9]{28}-)?") {
            let names: Vec<String> = numbers.iter().map(|number| format!("{prefix}{number}")).collect();
            let groups = groups(names.iter().map(String::as_str));
            let expressions: Vec<regex::Regex> = groups.iter().map(|group| regex::Regex::new(group).unwrap()).collect();
            for name in &names {
                prop_assert_eq!(expressions.iter().filter(|expression| expression.is_match(name)).count(), 1);
            }
            prop_assert!(groups.iter().all(|group| group.len() < 480 - "pjsip show endpoints like ".len()));
        }
    }
}
