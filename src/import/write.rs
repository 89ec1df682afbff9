//! The file: every number pinned, and what most phones have in common once.

use std::{collections::BTreeMap, fmt::Write};

use super::range::{Elsewhere, extensions};
use crate::{
    desired::scalar,
    model::{Codec, DisplayName, Extension, Identity, ObjectName, OperatorsBox, Tenant},
};

/// What stands in the file.
pub(super) struct File {
    pub(super) source: String,
    pub(super) tenant: Tenant,
    /// Numbers that no user of the file has.
    pub(super) elsewhere: Elsewhere,
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

/// Writes the file, and the note about a range without room.
pub(super) fn file(file: File) -> (String, Option<String>) {
    let File { source, tenant, elsewhere, with_prefix, realm, include, mut users } = file;
    users.sort_by(|one, other| {
        (one.extension.is_none(), one.extension, one.email.key()).cmp(&(
            other.extension.is_none(),
            other.extension,
            other.email.key(),
        ))
    });
    let mut text = format!("# Imported from {source}.\nversion: 1\ntenant: {tenant}\n");
    let taken = users.iter().filter_map(|user| Some(user.extension?.number())).collect();
    let wanted = users.iter().filter(|user| user.extension.is_none()).count();
    let (ranges, narrow) = extensions(&taken, wanted, &elsewhere);
    text += &ranges;
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
    let note = narrow.map(|range| {
        format!(
            "the range {range} has no room for new users, because its numbers and those around it are in use, or \
             emergency numbers of a country: widen `extensions.range`, or add a second range"
        )
    });
    (text, note)
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
