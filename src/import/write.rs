//! The file: every number pinned, and what most phones have in common once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use crate::{
    desired::scalar,
    model::{Codec, DisplayName, Extension, Identity, ObjectName, OperatorsBox, Tenant},
};

/// What stands in the file.
pub(super) struct File {
    pub(super) source: String,
    pub(super) tenant: Tenant,
    /// Numbers that something else answers.
    pub(super) answered: BTreeSet<Extension>,
    pub(super) with_prefix: bool,
    pub(super) realm: Option<ObjectName>,
    pub(super) include: Vec<ObjectName>,
    pub(super) users: Vec<User>,
}

/// A user of the file.
pub(super) struct User {
    pub(super) email: Identity,
    pub(super) name: DisplayName,
    pub(super) extension: Option<Extension>,
    /// Empty where the source names none.
    pub(super) codecs: Vec<Codec>,
    pub(super) devices: Option<u8>,
    pub(super) transport: Option<ObjectName>,
    pub(super) context: Option<ObjectName>,
    pub(super) login: Option<ObjectName>,
    pub(super) mailbox: Option<OperatorsBox>,
}

/// Writes the file.
pub(super) fn file(file: File) -> String {
    let File { source, tenant, answered, with_prefix, realm, include, mut users } = file;
    users.sort_by(|one, other| {
        (one.extension.is_none(), one.extension, one.email.key()).cmp(&(
            other.extension.is_none(),
            other.extension,
            other.email.key(),
        ))
    });
    let mut text = format!("# Imported from {source}.\nversion: 1\ntenant: {tenant}\n");
    text += &extensions(&users, &answered);
    if with_prefix {
        text += "endpoint_names: tenant-extension\n";
    }
    let codecs = most_common(users.iter().map(|user| Some(&user.codecs).filter(|codecs| !codecs.is_empty())));
    let devices = most_common(users.iter().map(|user| user.devices));
    let transport = most_common(users.iter().map(|user| user.transport.as_ref()));
    let mut phones = String::new();
    if let Some(codecs) = codecs {
        let _ = writeln!(phones, "  codecs: {}", list(codecs.iter().map(Codec::as_str)));
    }
    if let Some(devices) = devices {
        let _ = writeln!(phones, "  devices: {devices}");
    }
    for (key, name) in [("transport", transport), ("realm", realm.as_ref())] {
        if let Some(name) = name {
            let _ = writeln!(phones, "  {key}: {}", scalar(name.as_str()));
        }
    }
    if !phones.is_empty() {
        let _ = write!(text, "phones:\n{phones}");
    }
    if !include.is_empty() {
        let _ = writeln!(text, "dialplan:\n  include: {}", list(include.iter().map(ObjectName::as_str)));
    }
    text += "users:\n";
    for user in &users {
        let _ = writeln!(
            text,
            "  - {}: {}\n    name: {}",
            user.email.field(),
            scalar(user.email.as_str()),
            scalar(user.name.as_str())
        );
        if let Some(extension) = user.extension {
            let _ = writeln!(text, "    extension: {extension}");
        }
        let mut own = Vec::new();
        if !user.codecs.is_empty() && Some(&user.codecs) != codecs {
            own.push(format!("codecs: {}", list(user.codecs.iter().map(Codec::as_str))));
        }
        if let Some(own_devices) = user.devices.filter(|own| Some(*own) != devices) {
            own.push(format!("devices: {own_devices}"));
        }
        if let Some(name) = user.transport.as_ref().filter(|own| Some(*own) != transport) {
            own.push(format!("transport: {}", scalar(name.as_str())));
        }
        for (key, name) in [("context", &user.context), ("login", &user.login)] {
            own.extend(name.as_ref().map(|name| format!("{key}: {}", scalar(name.as_str()))));
        }
        own.extend(user.mailbox.as_ref().map(|mailbox| format!("mailbox: {}", scalar(mailbox.as_str()))));
        if !own.is_empty() {
            let _ = writeln!(text, "    phone: {{ {} }}", own.join(", "));
        }
    }
    text
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<String> = items.map(scalar).collect();
    format!("[{}]", items.join(", "))
}

/// Finds what most have, the first of those that as many have; `None` if most have nothing.
fn most_common<T: Ord + Copy>(values: impl Iterator<Item = Option<T>>) -> Option<T> {
    let mut counts: BTreeMap<Option<T>, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count)?.0
}

/// Writes the ranges that hold all numbers, one for each length, and what nobody may be given in them.
fn extensions(users: &[User], answered: &BTreeSet<Extension>) -> String {
    let mut ranges: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
    for number in users.iter().filter_map(|user| user.extension).map(Extension::number) {
        let range = ranges.entry(number.ilog10()).or_insert((number, number));
        *range = (range.0.min(number), range.1.max(number));
    }
    let Some((last, _)) = ranges.last_key_value() else { return String::new() };
    let last = *last;
    let taken: BTreeSet<u32> = users.iter().filter_map(|user| Some(user.extension?.number())).collect();
    let mut in_use: BTreeSet<u32> = answered.iter().map(|number| number.number()).collect();
    in_use.extend(&taken);
    // Who has no number yet must get one.
    let wanted = users.iter().filter(|user| user.extension.is_none()).count();
    let free = |(first, last): &(u32, u32)| (last - first + 1) as usize - in_use.range(*first..=*last).count();
    let mut free: usize = ranges.values().map(free).sum();
    if let Some((_, end)) = ranges.get_mut(&last) {
        while free < wanted && *end < Extension::MAX {
            *end += 1;
            free += usize::from(!in_use.contains(end));
        }
    }
    let written: Vec<String> = ranges.values().map(|(first, last)| format!("{first}-{last}")).collect();
    let range = if written.len() == 1 { written[0].clone() } else { format!("[{}]", written.join(", ")) };
    let mut text = format!("extensions:\n  range: {range}\n");
    let within = |number: &&Extension| {
        ranges.values().any(|(first, last)| (*first..=*last).contains(&number.number()))
            && !taken.contains(&number.number())
    };
    let reserved: Vec<String> = answered.iter().filter(within).map(Extension::to_string).collect();
    if !reserved.is_empty() {
        let _ = writeln!(text, "  reserved: [{}]", reserved.join(", "));
    }
    text
}
