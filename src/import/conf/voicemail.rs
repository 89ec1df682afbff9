//! The boxes of `voicemail.conf`: whose they are. PINs are passed over.

use std::collections::{HashMap, hash_map::Entry};

use super::Config;

/// Sections that hold no boxes.
const NO_CONTEXTS: [&str; 2] = ["general", "zonemessages"];

/// The name and the e-mail address of a box.
type Owner = (String, String);

/// Whose each box is.
#[derive(Default)]
pub(crate) struct MailboxOwners {
    /// By number and context.
    by_place: HashMap<(String, String), Owner>,
    /// By number alone; `None` if several contexts have the number.
    by_number: HashMap<String, Option<Owner>>,
}

impl MailboxOwners {
    /// Finds the owner of the first box of an endpoint's `mailboxes`, or of the only box with the number.
    pub(crate) fn owner(&self, mailboxes: &str, number: &str) -> Option<&Owner> {
        let first = mailboxes.split(',').next().unwrap_or_default().trim();
        if first.is_empty() {
            return self.by_number.get(number)?.as_ref();
        }
        let (number, context) = first.split_once('@').unwrap_or((first, "default"));
        self.by_place.get(&(number.to_owned(), context.to_owned()))
    }
}

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
