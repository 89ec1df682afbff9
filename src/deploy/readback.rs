//! Reading back: whether Asterisk runs what the files say. Its own "success" proves nothing.
//!
//! Marks prove that a file was read to its end, for each object type apart, because types load
//! independently. Names prove that every phone is there; the changed objects are looked at one by
//! one, a spread sample where they are many.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    asterisk::{Answer, Asterisk, AsteriskError},
    listing::{Kind, Listing},
    trunks,
};
use crate::{
    asterisk::{mark_context, mark_name},
    directory::seal::Ha1,
    model::{Codec, Extension, ObjectName, Secret, Tenant},
    render::{Phone, Phonebook, endpoint_name, endpoints_path, routing_path},
};

/// Asterisk runs something else than the files say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.words())]
pub enum Mismatch {
    /// The generation of a file is not there.
    Mark {
        /// The kind of object, such as `endpoint`.
        kind: &'static str,
        /// The file that ought to be loaded.
        file: String,
    },
    /// Objects are missing.
    Missing {
        /// The kind of object.
        kind: &'static str,
        /// Their names.
        names: Vec<String>,
    },
    /// An object has another value.
    Value {
        /// The object's name.
        name: String,
        /// The key.
        key: &'static str,
    },
    /// An object is there that was removed.
    Left {
        /// The kind of object.
        kind: &'static str,
        /// Its name.
        name: String,
    },
}

impl Mismatch {
    fn words(&self) -> String {
        let list = |names: &[String]| {
            let mut shown = names.iter().take(5).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            if names.len() > 5 {
                let _ = write!(shown, " and {} more", names.len() - 5);
            }
            shown
        };
        match self {
            Self::Mark { kind, file } => format!("the {kind} mark of `{file}` is not in the running Asterisk"),
            Self::Missing { kind, names } => {
                let kinds = if *kind == "identify" { "identifies".to_owned() } else { format!("{kind}s") };
                format!("{kinds} are missing in the running Asterisk: {}", list(names))
            }
            Self::Left { kind, name } => format!("the {kind} `{name}` is still in the running Asterisk"),
            Self::Value { name, key } => format!("`{key}` of `{name}` has another value in the running Asterisk"),
        }
    }
}

/// How many objects are looked at one by one.
const LOOKED_AT: usize = 100;

/// What ought to run.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    pub(super) book: &'a Phonebook<'a>,
    pub(super) digests: &'a BTreeMap<Extension, Ha1>,
    pub(super) trunk_secrets: &'a BTreeMap<ObjectName, Secret>,
    /// The marks of both files.
    pub(super) marks: [String; 2],
    /// Numbers whose objects changed.
    pub(super) changed: Vec<Extension>,
    /// Objects of trunks that were removed, by type and name.
    pub(super) gone: Vec<(&'static str, String)>,
}

/// Compares; answers with what is wrong and how many objects were looked at one by one.
pub(super) fn read_back(asterisk: &Asterisk, expected: &Expected<'_>) -> Result<(Vec<Mismatch>, usize), AsteriskError> {
    let book = expected.book;
    let wrong = marks_as_expected(asterisk, expected)?;
    if !wrong.is_empty() {
        return Ok((wrong, 0));
    }
    let name_of = |extension| endpoint_name(book.tenant, book.settings.endpoint_names, extension);
    let names: Vec<String> = book.phones.iter().map(|phone| name_of(phone.extension)).collect();
    let mut wrong = missing(asterisk, &names)?;
    wrong.extend(trunks::read_back(asterisk, book, expected.trunk_secrets, &expected.gone)?);
    let by_number: BTreeMap<Extension, &Phone<'_>> = book.phones.iter().map(|phone| (phone.extension, phone)).collect();
    let step = expected.changed.len().div_ceil(LOOKED_AT / 3).max(1);
    let sample: Vec<(&Phone<'_>, String)> = expected
        .changed
        .iter()
        .step_by(step)
        .filter_map(|extension| Some((*by_number.get(extension)?, name_of(*extension))))
        .collect();
    let commands =
        sample.iter().flat_map(|(_, name)| Kind::ALL.map(|kind| format!("pjsip show {} {name}", kind.word())));
    let answers = asterisk.ask_all(&commands.collect::<Vec<_>>())?;
    for ((phone, name), answers) in sample.iter().zip(answers.chunks(Kind::ALL.len())) {
        wrong.extend(phone_as_expected(expected, phone, name, answers));
    }
    Ok((wrong, answers.len()))
}

/// Names the phones that do not run, by kind of object.
pub(super) fn missing(asterisk: &Asterisk, names: &[String]) -> Result<Vec<Mismatch>, AsteriskError> {
    let running = Listing::of_phones(asterisk, names.iter().map(String::as_str))?;
    let missing_of = |kind: Kind| Mismatch::Missing {
        kind: kind.word(),
        names: names.iter().filter(|name| !running.has(kind, name)).cloned().collect(),
    };
    let some = |mismatch: &Mismatch| !matches!(mismatch, Mismatch::Missing { names, .. } if names.is_empty());
    Ok(Kind::ALL.map(missing_of).into_iter().filter(some).collect())
}

fn marks_as_expected(asterisk: &Asterisk, expected: &Expected<'_>) -> Result<Vec<Mismatch>, AsteriskError> {
    let tenant = expected.book.tenant;
    let marks = expected.marks.each_ref().map(String::as_str);
    let (kinds, routing) = marks_running(asterisk, tenant, marks)?;
    let mut wrong: Vec<Mismatch> = Kind::ALL
        .into_iter()
        .zip(kinds)
        .filter(|(_, there)| !there)
        .map(|(kind, _)| Mismatch::Mark { kind: kind.word(), file: endpoints_path(tenant) })
        .collect();
    if !routing {
        wrong.push(Mismatch::Mark { kind: "dialplan", file: routing_path(tenant) });
    }
    Ok(wrong)
}

fn phone_as_expected(expected: &Expected<'_>, phone: &Phone<'_>, name: &str, answers: &[Answer]) -> Vec<Mismatch> {
    let settings = expected.book.settings;
    let realm = phone.phone.realm.as_ref().unwrap_or(&settings.phones.realm).as_str();
    let devices = phone.phone.devices.unwrap_or(settings.phones.devices).to_string();
    let codecs = phone.phone.codecs.as_ref().unwrap_or(&settings.phones.codecs);
    let codecs = format!("({})", codecs.iter().map(Codec::as_str).collect::<Vec<_>>().join("|"));
    let digest = expected.digests.get(&phone.extension).map(|digest| format!("MD5:{}", digest.reveal()));
    let context = format!("{}-internal", expected.book.tenant);
    // In the order of the kinds.
    let wanted: [&[(&'static str, &str)]; 3] = [
        &[("auth", name), ("aors", name), ("context", &context), ("allow", &codecs)],
        &[("max_contacts", &devices)],
        &[("username", name), ("realm", realm), ("password_digest", digest.as_deref().unwrap_or(""))],
    ];
    let mut wrong = Vec::new();
    for (answer, values) in answers.iter().zip(wanted) {
        let running = values_of(answer);
        for (key, value) in values {
            if running.get(*key).map(String::as_str) != Some(*value) {
                wrong.push(Mismatch::Value { name: name.to_owned(), key });
            }
        }
    }
    wrong
}

/// Tells of both files whether Asterisk runs the generation with this mark.
pub(super) fn live(asterisk: &Asterisk, tenant: &Tenant, marks: [&str; 2]) -> Result<[bool; 2], AsteriskError> {
    let (kinds, routing) = marks_running(asterisk, tenant, marks)?;
    Ok([kinds.into_iter().all(|there| there), routing])
}

/// Tells whether the auths of the file with this mark run.
pub(super) fn auth_mark(asterisk: &Asterisk, tenant: &Tenant, mark: &str) -> Result<bool, AsteriskError> {
    Ok(has_parameters(&asterisk.ask(&format!("pjsip show auth {}", mark_name(tenant, mark)))?))
}

/// The table above the parameters cuts long names; that there are parameters is the proof.
pub(super) fn has_parameters(answer: &Answer) -> bool {
    answer.raw().contains("ParameterName")
}

/// Asks for the marks: those of the endpoint file by kind of object, and that of the routing file.
fn marks_running(
    asterisk: &Asterisk,
    tenant: &Tenant,
    [endpoints, routing]: [&str; 2],
) -> Result<([bool; 3], bool), AsteriskError> {
    let name = mark_name(tenant, endpoints);
    let mut commands: Vec<String> = Kind::ALL.iter().map(|kind| format!("pjsip show {} {name}", kind.word())).collect();
    commands.push(format!("dialplan show {routing}@{}", mark_context(tenant)));
    let answers = asterisk.ask_all(&commands)?;
    let there = |index: usize| answers.get(index).is_some_and(has_parameters);
    let extension = format!("'{routing}'");
    let shown =
        answers.last().is_some_and(|answer| answer.raw().lines().any(|line| line.trim_start().starts_with(&extension)));
    Ok(([there(0), there(1), there(2)], shown))
}

/// Reads the `key : value` lines of a `pjsip show`.
pub(super) fn values_of(answer: &Answer) -> BTreeMap<String, String> {
    answer
        .raw()
        .lines()
        .filter_map(|line| line.split_once(" : "))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}
