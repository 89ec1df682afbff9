//! What the running Asterisk must have for calls: the applications and functions that the routing file
//! uses, the modules behind its trunks, and the time zones of its hours.
//!
//! Asterisk takes a file that uses what it lacks without a word, and each call then goes another way:
//! a function that is not there is empty, a step that is not there ends the call, and a time zone
//! that is not there is UTC.

use std::collections::{BTreeMap, BTreeSet};

use super::{Digests, Phonebook, routing, trunks};
use crate::{asterisk::BadValue, objects::Timezone};

/// The modules behind the objects of a trunk, by type.
const BEHIND: [(&str, &str); 4] = [
    ("auth", "res_pjsip_outbound_authenticator_digest"),
    ("endpoint", "res_pjsip_caller_id"),
    ("identify", "res_pjsip_endpoint_identifier_ip"),
    ("registration", "res_pjsip_outbound_registration"),
];

/// What Asterisk must have.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs<'a> {
    /// Applications and functions, each with the module that gives it.
    pub words: BTreeMap<&'static str, &'static str>,
    /// Modules of `res_pjsip`, each with the types of object that it is for.
    pub modules: BTreeMap<&'static str, BTreeSet<&'static str>>,
    /// Time zones, by name.
    pub zones: BTreeMap<&'a str, &'a Timezone>,
}

impl Phonebook<'_> {
    /// Collects what its calls need: phones alone need the words of the dialplan.
    ///
    /// # Errors
    /// When a value cannot stand in a configuration line.
    pub fn needs(&self) -> Result<Needs<'_>, BadValue> {
        let mut modules: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (name, trunk) in &self.routes.trunks {
            for section in trunks::sections(self, name, trunk, None)? {
                let behind = BEHIND.iter().filter(|(kind, _)| *kind == section.kind);
                for (kind, module) in behind {
                    modules.entry(*module).or_default().insert(*kind);
                }
            }
        }
        Ok(Needs {
            words: routing::dialplan(self, Digests::Masked)?.words(),
            modules,
            zones: self.routes.hours.values().map(|hours| (hours.timezone.name(), &hours.timezone)).collect(),
        })
    }
}
