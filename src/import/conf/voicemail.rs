//! The boxes of `voicemail.conf`: whose they are. PINs are passed over.

use std::collections::hash_map::Entry;

use super::Config;
use crate::import::answers::MailboxOwners;

/// Sections that hold no boxes.
const NO_CONTEXTS: [&str; 2] = ["general", "zonemessages"];

/// Reads the boxes.
pub(crate) fn mailbox_owners(config: &Config) -> MailboxOwners {
    let mut owners = MailboxOwners::default();
    for section in config.real().filter(|section| !NO_CONTEXTS.contains(&section.name.as_str())) {
        for (number, value, _) in &section.entries {
            // The PIN comes first.
            let mut fields = value.split(',').skip(1).map(|field| field.trim().to_owned());
            let owner = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            let place = (number.clone(), section.name.clone());
            let is_again = owners.by_place.insert(place, owner.clone()).is_some();
            match owners.by_number.entry(number.clone()) {
                Entry::Vacant(entry) => _ = entry.insert(Some(owner)),
                Entry::Occupied(mut entry) if !is_again => _ = entry.insert(None),
                Entry::Occupied(_) => {}
            }
        }
    }
    owners
}
