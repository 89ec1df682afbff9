//! What the running Asterisk must have for inbound calls: the applications and functions that the
//! routing file uses, the modules behind its trunks, and the time zones of its hours.
//!
//! Asterisk takes a file that uses what it lacks without a word, and each call then goes another way:
//! a function that is not there is empty, a step that is not there ends the call, and a time zone
//! that is not there is UTC.

use std::collections::{BTreeMap, BTreeSet};

use super::{BadValue, Digests, Phonebook, inbound, routing, trunks};
use crate::calls::Timezone;

/// The applications and functions that we write, each with the module that gives it; those that are
/// in Asterisk itself are not among them.
const GIVEN: [(&str, &str); 13] = [
    ("AST_SORCERY", "func_sorcery"),
    ("CALLERID", "func_callerid"),
    ("CUT", "func_cut"),
    ("Dial", "app_dial"),
    ("ExecIf", "app_exec"),
    ("FILTER", "func_strings"),
    ("Gosub", "app_stack"),
    ("ISNULL", "func_logic"),
    ("PJSIP_DIAL_CONTACTS", "chan_pjsip"),
    ("REGEX", "func_strings"),
    ("Return", "app_stack"),
    ("STRFTIME", "func_strings"),
    ("TOLOWER", "func_strings"),
];

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
    /// Finds out what its inbound calls need; nothing where none are declared.
    ///
    /// # Errors
    /// When a value cannot stand in a configuration line.
    pub fn needs(&self) -> Result<Needs<'_>, BadValue> {
        if !inbound::is_declared(self.routes) {
            return Ok(Needs::default());
        }
        let text = routing::render(self, Digests::Masked)?;
        let used = words(&text);
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
            words: GIVEN.into_iter().filter(|(word, _)| used.contains(word)).collect(),
            modules,
            zones: self.routes.hours.values().map(|hours| (hours.timezone.name(), &hours.timezone)).collect(),
        })
    }
}

/// Finds the applications and functions in a dialplan: words that an opening bracket follows.
fn words(text: &str) -> BTreeSet<&str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let lines = text.lines().filter(|line| !line.starts_with(';'));
    let heads = lines.flat_map(|line| line.match_indices('(').map(|(at, _)| &line[..at]));
    heads.filter_map(|head| head.rsplit(|c| !is_word(c)).next()).filter(|word| !word.is_empty()).collect()
}
