//! Reads our own files back: whose they are, which phones they hold, whether they are whole.
//!
//! Used on files that may have been edited by hand, so everything is optional.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use uuid::Uuid;
use zeroize::Zeroizing;

use super::{GENERATION, mark};
use crate::{
    asterisk::{SectionType, read_value},
    model::{Pin, packed},
    objects::{ObjectKind, without_port},
};

/// Begins the comment with the highest number that a box ever had.
pub(super) const HIGHEST_BOX: &str = "boxes up to ";

/// Stands before the tag of a PIN.
pub(super) const BEFORE_TAG: &str = " ; ";

/// What a generated file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The directory named in its head.
    pub directory: Option<Uuid>,
    /// The phones by the name of their endpoint.
    pub phones: BTreeMap<String, ParsedPhone>,
    /// The objects that are declared, by the name of their sections.
    pub objects: BTreeMap<String, ParsedObject>,
    /// The voicemail boxes by context, and by number.
    pub boxes: BTreeMap<String, BTreeMap<String, ParsedBox>>,
    /// The queues: who takes the calls of each.
    pub queues: BTreeMap<String, BTreeSet<String>>,
    /// The highest number that a voicemail box had when the file was written. 0 if it is not known.
    pub highest_box: u32,
    /// The mark the bytes ought to carry.
    pub mark: String,
    /// Whether they do carry it: the file is whole and unedited.
    pub intact: bool,
    /// The mark at its end. It is another one if the file was edited.
    pub written: Option<String>,
}

/// One phone as the file has it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ParsedPhone {
    /// The e-mail in the comment before it.
    pub email: String,
    /// The digest (32 hex digits); never shown.
    pub digest: String,
    /// The voicemail boxes whose messages it shows. Empty if there are none.
    pub(crate) mailboxes: String,
    /// Every `key = value` by section type, in the order of the file.
    pub sections: u8,
}

impl std::fmt::Debug for ParsedPhone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.email, crate::model::SENSITIVE)
    }
}

/// One voicemail box as the file has it.
#[derive(Clone, PartialEq, Eq)]
pub struct ParsedBox {
    /// Its name for people.
    pub name: String,
    /// The address that messages are mailed to. Empty if there is none.
    pub mail: String,
    /// Its PIN and the tag of that, as one secret; never shown.
    pub secret: Zeroizing<String>,
}

impl std::fmt::Debug for ParsedBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, crate::model::SENSITIVE)
    }
}

/// The sections of one declared object as the file has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedObject {
    /// Its kind.
    pub kind: ObjectKind,
    /// The name it is declared under.
    pub name: String,
    /// Its sections.
    pub sections: Vec<ParsedSection>,
}

impl ParsedObject {
    /// Tells whether it has a section of a type.
    pub fn has(&self, kind: SectionType) -> bool {
        self.sections.iter().any(|section| section.kind == Some(kind))
    }

    /// Lists the addresses and networks its calls come from.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.values("match")
    }

    /// The host at which it registers, if its calls are known by that alone.
    pub(crate) fn registers_at(&self) -> Option<&str> {
        let is_known = self.addresses().next().is_some();
        let host = without_port(self.values("server_uri").next()?.strip_prefix("sip:")?);
        (!is_known).then(|| host.trim_start_matches('[').trim_end_matches(']'))
    }

    fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let options = self.sections.iter().flat_map(|section| &section.options);
        options.filter(move |(found, _)| found == key).map(|(_, value)| value.as_str())
    }
}

/// One section of an object.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ParsedSection {
    /// Its type, if it is one that we write.
    pub kind: Option<SectionType>,
    /// Its options in the order of the file. Values may be secrets; never shown.
    pub options: Vec<(String, String)>,
}

impl std::fmt::Debug for ParsedSection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.kind, crate::model::SENSITIVE)
    }
}

/// A generated file as it stands: its text, and what it says.
#[derive(Debug, Clone)]
pub(crate) struct Present {
    /// The text.
    pub text: String,
    /// What it says.
    pub parsed: Parsed,
}

impl Present {
    /// Reads a generated file.
    pub(crate) fn new(text: String) -> Self {
        Self { parsed: parse(&text), text }
    }
}

/// Reads a generated file.
pub fn parse(text: &str) -> Parsed {
    let (body, tail) = split(text);
    let mut parsed = Parsed { mark: mark(body), ..Parsed::default() };
    parsed.intact = tail.contains(&parsed.mark);
    parsed.written = tail.split(|c: char| !c.is_ascii_hexdigit()).find(|run| run.len() == 32).map(str::to_owned);
    let mut email = "";
    let mut object = None;
    let mut name = String::new();
    for line in body.lines().map(str::trim_end) {
        if let Some(comment) = line.strip_prefix("; ") {
            if let Some(id) = comment.strip_prefix("directory ") {
                parsed.directory = id.parse().ok();
            }
            if let Some(number) = comment.strip_prefix(HIGHEST_BOX) {
                parsed.highest_box = box_number(number);
            }
            email = comment;
            object = declared(comment);
        } else if let Some((number, found)) = entry(line) {
            parsed.highest_box = parsed.highest_box.max(box_number(number));
            parsed.boxes.entry(name.clone()).or_default().insert(number.to_owned(), found);
        } else if let Some(member) = line.strip_prefix("member => ") {
            let member = member.split(',').next().unwrap_or_default();
            parsed.queues.entry(name.clone()).or_default().insert(member.to_owned());
        } else if let Some(declared) = object {
            object_line(line, declared, &mut name, &mut parsed.objects);
        } else if let Some((section, template)) = section(line) {
            section.clone_into(&mut name);
            // A mark may stand here where somebody tore its comment off.
            if template != "!" && !is_mark(section) {
                let phone = parsed.phones.entry(name.clone()).or_default();
                email.clone_into(&mut phone.email);
                phone.sections += 1;
            }
        } else if let Some(digest) = digest_of(line)
            && let Some(phone) = parsed.phones.get_mut(&name)
        {
            phone.digest = digest;
        } else if let Some(mailboxes) = line.strip_prefix("mailboxes = ")
            && let Some(phone) = parsed.phones.get_mut(&name)
        {
            mailboxes.clone_into(&mut phone.mailboxes);
        }
    }
    parsed.phones.retain(|_, phone| phone.sections > 1);
    parsed.phones = packed(mem::take(&mut parsed.phones));
    parsed
}

/// Reads the comment before the sections of a declared object.
fn declared(comment: &str) -> Option<(ObjectKind, &str)> {
    let (kind, name) = comment.split_once(' ')?;
    Some((ObjectKind::of(kind)?, name))
}

/// Takes a line behind such a comment.
fn object_line(
    line: &str,
    (kind, declared): (ObjectKind, &str),
    name: &mut String,
    objects: &mut BTreeMap<String, ParsedObject>,
) {
    if let Some((section, _)) = section(line) {
        section.clone_into(name);
        let new = || ParsedObject { kind, name: declared.to_owned(), sections: Vec::new() };
        objects.entry(name.clone()).or_insert_with(new).sections.push(ParsedSection::default());
    } else if let Some((key, value)) = line.split_once('=')
        && let Some(section) = objects.get_mut(name).and_then(|object| object.sections.last_mut())
    {
        match (key.trim(), read_value(value)) {
            ("type", value) => section.kind = SectionType::of(&value),
            (key, value) => section.options.push((key.to_owned(), value)),
        }
    }
}

/// Tells whether a file stands as it was written: whole, unedited, and with nothing behind its
/// marks, which are as long as those of any other file of its tenant and kind.
pub(crate) fn is_as_written(text: &str, other: &str) -> bool {
    let (body, tail) = split(text);
    tail.len() == split(other).1.len() && tail.contains(&mark(body))
}

/// Tells whether a section is a generation mark.
pub(super) fn is_mark(section: &str) -> bool {
    let mark = section.rsplit_once("-gen-").map_or("", |(_, mark)| mark);
    mark.len() == 32 && mark.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Splits a file into what its mark vouches for, and the mark.
pub(super) fn split(text: &str) -> (&str, &str) {
    let head = GENERATION.trim_end();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end() == head {
            return text.split_at(start);
        }
        start += line.len();
    }
    (text, "")
}

/// Splits `[name](template)`.
pub(super) fn section(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.strip_prefix('[')?.split_once(']')?;
    Some((name, rest.strip_prefix('(').and_then(|rest| rest.split(')').next()).unwrap_or_default()))
}

/// Reads the digest of a `password_digest` line.
pub(super) fn digest_of(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    if key.trim() != "password_digest" {
        return None;
    }
    let value = read_value(value);
    Some(value.strip_prefix("MD5:").unwrap_or(&value).to_owned())
}

/// Reads a voicemail box, such as `17 => -27182,Ana,ana@example.com`.
fn entry(line: &str) -> Option<(&str, ParsedBox)> {
    let (key, value) = line.split_once('=')?;
    let number = key.trim();
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (value, tag) = match value.split_once(BEFORE_TAG) {
        Some((value, tag)) => (value, Some(tag)),
        None => (value, None),
    };
    let mut fields = value.split(',');
    let digits = fields.next().unwrap_or_default().trim_start_matches('>').trim().trim_start_matches('-');
    let mut field = || fields.next().unwrap_or_default().to_owned();
    Some((number, ParsedBox { name: field(), mail: field(), secret: Pin { digits, tag }.joined() }))
}

/// Reads the number of a box. One of nine digits was edited in: no directory gives so many.
fn box_number(text: &str) -> u32 {
    text.parse().ok().filter(|number| *number < 100_000_000).unwrap_or_default()
}

/// Reads what a line gives away: a phone's or a trunk's digest, or a trunk's plain secret.
pub(super) fn secret_of(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    digest_of(line).or_else(|| (key.trim() == "password").then(|| read_value(value)))
}

/// Lists the objects of any pjsip configuration text: section names that are no templates.
pub(crate) fn section_names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(section).filter(|(_, template)| !template.starts_with('!')).map(|(name, _)| name)
}
