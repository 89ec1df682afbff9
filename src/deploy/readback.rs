//! Reading back: whether Asterisk runs what the files say. Its own "success" proves nothing.
//!
//! Marks prove that a file was read to its end, for each object type apart, because types load
//! independently. Names prove that every phone is there; the changed objects are looked at one by
//! one, a spread sample where they are many.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::asterisk::{Answer, Asterisk, AsteriskError};
use crate::{
    directory::seal::Ha1,
    model::{Codec, Extension, Tenant},
    render::{Phonebook, endpoint_name, mark_context, mark_name},
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
            Self::Missing { kind, names } => format!("{kind}s are missing in the running Asterisk: {}", list(names)),
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
    /// The marks of both files.
    pub(super) marks: [String; 2],
    /// Numbers whose objects changed.
    pub(super) changed: Vec<Extension>,
}

/// Compares; answers with what is wrong and how many objects were looked at one by one.
pub(super) fn read_back(asterisk: &Asterisk, expected: &Expected<'_>) -> Result<(Vec<Mismatch>, usize), AsteriskError> {
    let book = expected.book;
    let [endpoints, routing] = &expected.marks;
    let mut wrong = Vec::new();
    let mark = mark_name(book.tenant, endpoints);
    for kind in ["auth", "aor", "endpoint"] {
        if !exists(asterisk, kind, &mark)? {
            wrong.push(Mismatch::Mark { kind, file: crate::render::endpoints_path(book.tenant) });
        }
    }
    if !routing_mark(asterisk, book.tenant, routing)? {
        wrong.push(Mismatch::Mark { kind: "dialplan", file: crate::render::routing_path(book.tenant) });
    }
    if !wrong.is_empty() {
        return Ok((wrong, 0));
    }
    let names: BTreeMap<String, Extension> = book
        .phones
        .iter()
        .map(|phone| (endpoint_name(book.tenant, book.settings.endpoint_names, phone.extension), phone.extension))
        .collect();
    for kind in ["endpoint", "aor", "auth"] {
        let running = Names::of(&asterisk.ask(&format!("pjsip list {kind}s"))?);
        let missing: Vec<String> = names.keys().filter(|name| !running.has(name)).cloned().collect();
        if !missing.is_empty() {
            wrong.push(Mismatch::Missing { kind, names: missing });
        }
    }
    let by_number: BTreeMap<Extension, &crate::render::Phone<'_>> =
        book.phones.iter().map(|phone| (phone.extension, phone)).collect();
    let step = expected.changed.len().div_ceil(LOOKED_AT / 3).max(1);
    let mut looked_at = 0;
    for extension in expected.changed.iter().step_by(step) {
        let Some(phone) = by_number.get(extension) else { continue };
        let name = endpoint_name(book.tenant, book.settings.endpoint_names, *extension);
        wrong.extend(phone_as_expected(asterisk, expected, phone, &name)?);
        looked_at += 3;
    }
    Ok((wrong, looked_at))
}

fn phone_as_expected(
    asterisk: &Asterisk,
    expected: &Expected<'_>,
    phone: &crate::render::Phone<'_>,
    name: &str,
) -> Result<Vec<Mismatch>, AsteriskError> {
    let settings = expected.book.settings;
    let realm = phone.phone.realm.as_ref().unwrap_or(&settings.phones.realm).as_str();
    let devices = phone.phone.devices.unwrap_or(settings.phones.devices).to_string();
    let codecs = phone.phone.codecs.as_ref().unwrap_or(&settings.phones.codecs);
    let codecs = format!("({})", codecs.iter().map(Codec::as_str).collect::<Vec<_>>().join("|"));
    let digest = expected.digests.get(&phone.extension).map(|digest| format!("MD5:{}", digest.reveal()));
    let context = format!("{}-internal", expected.book.tenant);
    let wanted: [(&str, Vec<(&'static str, &str)>); 3] = [
        ("auth", vec![("username", name), ("realm", realm), ("password_digest", digest.as_deref().unwrap_or(""))]),
        ("aor", vec![("max_contacts", &devices)]),
        ("endpoint", vec![("auth", name), ("aors", name), ("context", &context), ("allow", &codecs)]),
    ];
    let mut wrong = Vec::new();
    for (kind, values) in wanted {
        let answer = asterisk.ask(&format!("pjsip show {kind} {name}"))?;
        let running = values_of(&answer);
        for (key, value) in values {
            if running.get(key).map(String::as_str) != Some(value) {
                wrong.push(Mismatch::Value { name: name.to_owned(), key });
            }
        }
    }
    Ok(wrong)
}

/// Tells whether the running pjsip objects are those of the file with this mark.
pub(super) fn endpoints_mark(asterisk: &Asterisk, tenant: &Tenant, mark: &str) -> Result<bool, AsteriskError> {
    let name = mark_name(tenant, mark);
    for kind in ["auth", "aor", "endpoint"] {
        if !exists(asterisk, kind, &name)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Tells whether the running dialplan is that of the file with this mark.
pub(super) fn routing_mark(asterisk: &Asterisk, tenant: &Tenant, mark: &str) -> Result<bool, AsteriskError> {
    let answer = asterisk.ask(&format!("dialplan show {mark}@{}", mark_context(tenant)))?;
    Ok(answer.raw().lines().any(|line| line.trim_start().starts_with(&format!("'{mark}' =>"))))
}

fn exists(asterisk: &Asterisk, kind: &str, name: &str) -> Result<bool, AsteriskError> {
    let answer = asterisk.ask(&format!("pjsip show {kind} {name}"))?;
    // The table above the parameters cuts long names; that there are parameters is the proof.
    Ok(answer.raw().contains("ParameterName"))
}

/// Lists the endpoints that run.
pub(super) fn endpoints(asterisk: &Asterisk) -> Result<Names, AsteriskError> {
    Ok(Names::of(&asterisk.ask("pjsip list endpoints")?))
}

/// The names in a `pjsip list`. Long ones are cut there, from 38 bytes on; ours are shorter.
#[derive(Debug)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    fn of(answer: &Answer) -> Self {
        let listed = answer.raw().lines().filter_map(|line| {
            let (kind, rest) = line.trim_start().split_once(':')?;
            let known = ["Endpoint", "Aor", "Auth", "I/OAuth"].contains(&kind);
            let name = rest.split_whitespace().next()?.split('/').next()?;
            (known && !name.starts_with('<')).then(|| name.to_owned())
        });
        Self(listed.collect())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The generation marks of a tenant, as far as a listing shows them.
    pub(super) fn marks<'a>(&'a self, tenant: &Tenant) -> impl Iterator<Item = &'a str> {
        let prefix = mark_name(tenant, "");
        self.0.iter().filter_map(move |name| name.strip_prefix(&prefix))
    }
}

/// Reads the `key : value` lines of a `pjsip show`.
fn values_of(answer: &Answer) -> BTreeMap<String, String> {
    answer
        .raw()
        .lines()
        .filter_map(|line| line.split_once(" : "))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}
