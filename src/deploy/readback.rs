//! Reading back: whether Asterisk runs what the files say. Its own "success" proves nothing.
//!
//! Marks prove that a file was read to its end, for each object type apart, because types load
//! independently. Names prove that every phone is there; the changed objects are looked at one by
//! one, a spread sample where they are many.

use std::collections::BTreeMap;

use super::{
    asterisk::{Answer, Asterisk, AsteriskError},
    at_once::both,
    boxes,
    listing::{Kind, Listing},
    mismatch::{Mismatch, has_parameters, values_of},
    queues, sections,
};
use crate::{
    asterisk::{ConfigFile, PerFile, SectionType, mark_name, nowhere_context},
    model::{Codec, Extension, Ha1, ObjectName, Tenant},
    render::{Parsed, Phone, Phonebook, endpoint_name},
};

/// How many objects are looked at one by one.
const LOOKED_AT: usize = 100;

/// What ought to run.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    pub(super) book: &'a Phonebook<'a>,
    pub(super) digests: &'a BTreeMap<Extension, Ha1>,
    /// The files, read.
    pub(super) files: &'a PerFile<Parsed>,
    /// Numbers whose objects changed.
    pub(super) changed: Vec<Extension>,
    /// Sections of objects that were removed, by type and name.
    pub(super) gone: Vec<(SectionType, String)>,
}

/// What is wrong, and how many objects were looked at one by one.
type Compared = Result<(Vec<Mismatch>, usize), AsteriskError>;

/// How what a file defines is read back, beyond its mark.
struct ReadBack {
    /// Names the objects of a file that do not run.
    missing: fn(&Asterisk, &Parsed) -> Result<Vec<Mismatch>, AsteriskError>,
    /// Compares the objects that run with those that ought to.
    differing: fn(&Asterisk, &Expected<'_>) -> Compared,
}

/// Returns how what a file defines is read back.
fn read_back_of(file: ConfigFile) -> ReadBack {
    match file {
        ConfigFile::Voicemail => ReadBack {
            missing: boxes::differing,
            differing: |asterisk, expected| {
                Ok((boxes::differing(asterisk, &expected.files[ConfigFile::Voicemail])?, 0))
            },
        },
        ConfigFile::Endpoints => {
            ReadBack { missing: phones_and_objects_missing, differing: phones_and_objects_differing }
        }
        ConfigFile::Queues => ReadBack {
            missing: queues::differing,
            differing: |asterisk, expected| Ok((queues::differing(asterisk, &expected.files[ConfigFile::Queues])?, 0)),
        },
        // The dialplan loads as a whole: its mark, which ends the file, proves all of it.
        ConfigFile::Routing => ReadBack { missing: |_, _| Ok(Vec::new()), differing: |_, _| Ok((Vec::new(), 0)) },
    }
}

/// Compares all files with what runs.
pub(super) fn read_back(asterisk: &Asterisk, expected: &Expected<'_>) -> Compared {
    let wrong = marks_as_expected(asterisk, expected)?;
    if !wrong.is_empty() {
        return Ok((wrong, 0));
    }
    let (mut wrong, mut looked_at) = (Vec::new(), 0);
    for file in ConfigFile::ALL {
        let (found, looked) = (read_back_of(file).differing)(asterisk, expected)?;
        wrong.extend(found);
        looked_at += looked;
    }
    Ok((wrong, looked_at))
}

/// Tells whether what a file defines runs as it ought to.
pub(super) fn runs(asterisk: &Asterisk, file: ConfigFile, expected: &Expected<'_>) -> Result<bool, AsteriskError> {
    Ok((read_back_of(file).differing)(asterisk, expected)?.0.is_empty())
}

/// Names the objects of a file in place that do not run.
pub(super) fn missing(asterisk: &Asterisk, file: ConfigFile, parsed: &Parsed) -> Result<Vec<Mismatch>, AsteriskError> {
    (read_back_of(file).missing)(asterisk, parsed)
}

fn phones_and_objects_missing(asterisk: &Asterisk, file: &Parsed) -> Result<Vec<Mismatch>, AsteriskError> {
    let names: Vec<String> = file.phones.keys().cloned().collect();
    let mut missing = phones_missing(asterisk, &names)?;
    missing.extend(sections::missing(asterisk, &file.objects)?);
    Ok(missing)
}

fn phones_and_objects_differing(asterisk: &Asterisk, expected: &Expected<'_>) -> Compared {
    let book = expected.book;
    let name_of = |extension| endpoint_name(book.tenant, book.settings.endpoint_names, extension);
    let names: Vec<String> = book.phones.iter().map(|phone| name_of(phone.extension)).collect();
    let by_number: BTreeMap<Extension, &Phone<'_>> = book.phones.iter().map(|phone| (phone.extension, phone)).collect();
    let all = expected.changed.len();
    let some = all.min(LOOKED_AT / Kind::ALL.len());
    let spread = (0..some).map(|nth| expected.changed[nth * all / some]);
    let sample: Vec<(&Phone<'_>, String)> =
        spread.filter_map(|extension| Some((*by_number.get(&extension)?, name_of(extension)))).collect();
    let commands =
        sample.iter().flat_map(|(_, name)| Kind::ALL.map(|kind| format!("pjsip show {} {name}", kind.word())));
    let commands: Vec<String> = commands.collect();
    let (missing, answers) = both(|| phones_missing(asterisk, &names), || asterisk.ask_all(&commands));
    let (mut wrong, answers) = (missing?, answers?);
    wrong.extend(sections::read_back(asterisk, &expected.files[ConfigFile::Endpoints].objects, &expected.gone)?);
    for ((phone, name), answers) in sample.iter().zip(answers.chunks(Kind::ALL.len())) {
        wrong.extend(phone_as_expected(expected, phone, name, answers));
    }
    Ok((wrong, answers.len()))
}

/// Names the phones that do not run, by kind of object.
fn phones_missing(asterisk: &Asterisk, names: &[String]) -> Result<Vec<Mismatch>, AsteriskError> {
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
    let running = marks_running(asterisk, tenant, &expected.files.each_ref().map(|file| file.mark.as_str()))?;
    let missing = running.into_iter().flat_map(|(file, shown)| {
        let absent = file.facts().marks.iter().zip(shown).filter(|(_, shown)| !shown);
        absent.map(move |(mark, _)| Mismatch::Mark { kind: mark.kind, file: file.path(tenant) })
    });
    Ok(missing.collect())
}

fn phone_as_expected(expected: &Expected<'_>, phone: &Phone<'_>, name: &str, answers: &[Answer]) -> Vec<Mismatch> {
    let settings = expected.book.settings;
    let realm = phone.phone.realm.as_ref().unwrap_or(&settings.phones.realm).as_str();
    let devices = phone.phone.devices.unwrap_or(settings.phones.devices).to_string();
    let codecs = phone.phone.codecs.as_ref().unwrap_or(&settings.phones.codecs);
    let codecs = format!("({})", codecs.iter().map(Codec::as_str).collect::<Vec<_>>().join("|"));
    let digest = expected.digests.get(&phone.extension).map(|digest| format!("MD5:{}", digest.reveal()));
    let generated = format!("{}-internal", expected.book.tenant);
    let context = phone.phone.context.as_ref().map_or(generated.as_str(), ObjectName::as_str);
    let nowhere = nowhere_context(expected.book.tenant);
    // In the order of the kinds.
    let wanted: [&[(&'static str, &str)]; 3] = [
        &[("auth", name), ("aors", name), ("context", context), ("message_context", &nowhere), ("allow", &codecs)],
        &[("max_contacts", &devices)],
        &[
            ("username", phone.phone.login_of(name)),
            ("realm", realm),
            ("password_digest", digest.as_deref().unwrap_or("")),
        ],
    ];
    // Asterisk may write a name in another way than the file.
    let caller = format!("<{}>", phone.extension);
    let mailboxes = expected.files[ConfigFile::Endpoints].phones.get(name).map(|phone| phone.mailboxes.as_str());
    let mut wrong = Vec::new();
    for (kind, (answer, values)) in answers.iter().zip(wanted).enumerate() {
        let running = values_of(answer);
        if kind == 0 && !running.get("callerid").is_some_and(|shown| shown.ends_with(&caller)) {
            wrong.push(Mismatch::Value { name: name.to_owned(), key: "callerid" });
        }
        // The lamp. Asterisk writes none as an empty value.
        let shown = running.get("mailboxes").map(String::as_str).unwrap_or_default();
        if kind == 0 && shown != mailboxes.unwrap_or_default() {
            wrong.push(Mismatch::Value { name: name.to_owned(), key: "mailboxes" });
        }
        for (key, value) in values {
            if running.get(*key).map(String::as_str) != Some(*value) {
                wrong.push(Mismatch::Value { name: name.to_owned(), key });
            }
        }
    }
    wrong
}

/// Tells of each file whether Asterisk runs the generation with its mark.
pub(super) fn live(
    asterisk: &Asterisk,
    tenant: &Tenant,
    marks: &PerFile<&str>,
) -> Result<PerFile<bool>, AsteriskError> {
    Ok(marks_running(asterisk, tenant, marks)?.map(|shown| shown.into_iter().all(|shown| shown)))
}

/// Tells whether the auths of the file with this mark run.
pub(super) fn auth_mark(asterisk: &Asterisk, tenant: &Tenant, mark: &str) -> Result<bool, AsteriskError> {
    Ok(has_parameters(&asterisk.ask(&format!("pjsip show auth {}", mark_name(tenant, mark)))?))
}

/// Asks for the marks; tells of each, in the order of the table, whether it is there.
fn marks_running(
    asterisk: &Asterisk,
    tenant: &Tenant,
    marks: &PerFile<&str>,
) -> Result<PerFile<Vec<bool>>, AsteriskError> {
    // A file that only some tenants have runs as it stands if this tenant has none.
    let is_absent = |file: ConfigFile| file.facts().is_optional && marks[file].is_empty();
    let asked = || marks.iter().filter(|(file, _)| !is_absent(*file));
    let checks = || asked().flat_map(|(file, mark)| file.facts().marks.iter().map(move |check| (check, *mark)));
    let commands: Vec<String> = checks().map(|(check, mark)| check.command(tenant, mark)).collect();
    let answers = asterisk.ask_all(&commands)?;
    let mut shown = checks().zip(&answers).map(|((check, mark), answer)| check.is_shown(answer.raw(), tenant, mark));
    Ok(PerFile::from_fn(|file| {
        let marks = file.facts().marks.len();
        if is_absent(file) { vec![true; marks] } else { shown.by_ref().take(marks).collect() }
    }))
}
