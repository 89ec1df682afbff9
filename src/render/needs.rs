//! What the running Asterisk must have for calls: the applications and functions that the routing file
//! uses, the modules behind the sections of objects, and the time zones that they go by.
//!
//! Asterisk takes a file that uses what it lacks without a word, and each call then goes another way:
//! a function that is not there is empty, a step that is not there ends the call, and a time zone
//! that is not there is UTC.

use std::collections::{BTreeMap, BTreeSet};

use super::{Digests, Phonebook, routing};
use crate::{
    asterisk::{BadValue, Section},
    objects::{Parts, Timezone},
};

/// What Asterisk must have.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs<'a> {
    /// Applications and functions, each with the module that gives it.
    pub words: BTreeMap<&'static str, &'static str>,
    /// Modules of `res_pjsip`, each with what it is for: `the auth of trunks`.
    pub modules: BTreeMap<&'static str, BTreeSet<String>>,
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
        let Parts { blocks, zones, boxes, .. } = self.parts(Digests::Masked)?;
        if !boxes.is_empty() {
            modules.entry("res_pjsip_mwi").or_default().insert("the lamps of voicemail boxes".to_owned());
        }
        for block in blocks {
            for (section, module) in block.sections.iter().filter_map(Section::module) {
                modules.entry(module).or_default().insert(format!("the {section} of {}s", block.kind));
            }
        }
        Ok(Needs { words: routing::dialplan(self, Digests::Masked)?.words(), modules, zones })
    }
}
