//! What is known of phones, whether Asterisk answered it or files say it: the form of the answers, and whose boxes are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::LeftOut;

/// The options of a section or of an object, by name in lower case.
pub(crate) type Options = BTreeMap<String, String>;

/// Returns an option, empty if there is none.
pub(super) fn value<'a>(options: &'a Options, option: &str) -> &'a str {
    options.get(option).map_or("", String::as_str)
}

/// Returns the first of a list.
pub(super) fn first(options: &Options, option: &str) -> Option<String> {
    let first = value(options, option).split(',').next()?.trim();
    (!first.is_empty()).then(|| first.to_owned())
}

/// The answers, as far as they were asked for.
#[derive(Default)]
pub(crate) struct Answers {
    /// What `pjsip show endpoints` lists.
    pub(crate) endpoints: Vec<Listed>,
    /// Endpoints that our own files define.
    pub(crate) ours: BTreeSet<String>,
    /// `pjsip show settings`.
    pub(crate) settings: Options,
    /// `pjsip show endpoint` of each; empty if Asterisk does not know the name.
    pub(crate) options: BTreeMap<String, Options>,
    /// `pjsip show auth` of the first auth of each.
    pub(crate) auths: BTreeMap<String, Options>,
    /// `pjsip show aor` of the first AOR of each.
    pub(crate) aors: BTreeMap<String, Options>,
    /// How many contacts are registered at each AOR: `pjsip show aor` lists them beside those of the configuration.
    pub(crate) registered: BTreeMap<String, usize>,
    /// `dialplan show` of the contexts that phones dial in, and of those that they include.
    pub(crate) contexts: BTreeMap<String, Context>,
    /// Endpoints that are known by their address, beside those in the list.
    pub(crate) identified: BTreeSet<String>,
    /// Where each endpoint stands, if files were read.
    pub(crate) places: BTreeMap<String, String>,
    /// Why Asterisk does not load an endpoint, or its auth or AOR, if files were read.
    pub(crate) rejected: BTreeMap<String, String>,
    /// Whose the boxes of `voicemail.conf` are.
    pub(crate) boxes: MailboxOwners,
    /// Whether these are phones of `chan_sip`, whose options have other names and defaults.
    pub(crate) is_of_chan_sip: bool,
    /// What else is not carried over.
    pub(crate) left_out: Vec<LeftOut>,
}

/// A line of the list of endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The name, cut at 51 bytes.
    pub(crate) name: String,
    /// Whether requests are told to be its by their address.
    pub(crate) is_identified: bool,
}

/// A context of the dialplan.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Context {
    /// What each extension runs, hints left out, in the order of the answer.
    pub(crate) extensions: Vec<(String, Vec<String>)>,
    /// The contexts it includes.
    pub(crate) includes: Vec<String>,
    /// Whether a `switch` answers further numbers, which nobody can list.
    pub(crate) has_switch: bool,
}

/// The name and the e-mail address of a box.
pub(crate) type Owner = (String, String);

/// Whose each box is.
#[derive(Default)]
pub(crate) struct MailboxOwners {
    /// By number and context.
    pub(super) by_place: HashMap<(String, String), Owner>,
    /// By number alone; `None` if several contexts have the number.
    pub(super) by_number: HashMap<String, Option<Owner>>,
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
