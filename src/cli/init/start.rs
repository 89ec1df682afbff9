//! The first desired-state file, from what Asterisk's configuration holds. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use crate::{
    deploy::OperatorFile,
    desired::scalar,
    doctor::sections::{FileSection, sections},
    model::{Extension, ObjectName, Tenant},
};

/// Sections of `extensions.conf` that are no contexts.
const NO_CONTEXTS: [&str; 2] = ["general", "globals"];

/// Numbers by which a context is told that lets phones call for help.
const EMERGENCY: [&str; 6] = ["112", "911", "999", "000", "110", "113"];

/// How many numbers of present phones are reserved one by one.
const MOST_RESERVED: usize = 50;

/// What the operator's files hold that the desired state names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Transports.
    pub(super) transports: Vec<String>,
    /// Contexts.
    pub(super) contexts: Vec<String>,
    /// Those of them that have an emergency number.
    pub(super) with_emergency: Vec<String>,
    /// The realm, if it is named.
    pub(super) realm: Option<String>,
    /// How many phones log in.
    pub(super) phones: usize,
    /// The context that most of them dial in.
    pub(super) phone_context: Option<String>,
    /// The numbers that endpoints are named by.
    pub(super) numbers: BTreeSet<u32>,
}

impl Found {
    /// Reads `pjsip.conf` and `extensions.conf`, generated files left out.
    pub(super) fn in_files(pjsip: &[OperatorFile], extensions: &[OperatorFile]) -> Self {
        let pjsip = sections(pjsip);
        let of_type = |kind| pjsip.iter().filter(move |section| section.is_type(kind));
        let is_name = |name: &&String| name.parse::<ObjectName>().is_ok();
        let mut found = Self {
            transports: of_type("transport").map(|section| &section.name).filter(is_name).cloned().collect(),
            realm: of_type("global")
                .filter_map(|section| section.value("default_realm"))
                .next_back()
                .map(str::to_owned),
            numbers: of_type("endpoint").filter_map(|section| number(&section.name)).collect(),
            ..Self::default()
        };
        let mut dialled: BTreeMap<&str, usize> = BTreeMap::new();
        for phone in of_type("endpoint").filter(|section| section.value("auth").is_some_and(|auth| !auth.is_empty())) {
            found.phones += 1;
            *dialled.entry(phone.value("context").unwrap_or("default")).or_default() += 1;
        }
        let most = dialled.into_iter().rev().max_by_key(|(_, phones)| *phones).map(|(context, _)| context.to_owned());
        found.realm = found.realm.filter(|realm| realm.parse::<ObjectName>().is_ok());
        for section in sections(extensions) {
            let name = &section.name;
            if NO_CONTEXTS.contains(&name.as_str()) || !is_name(&name) || found.contexts.contains(name) {
                continue;
            }
            found.contexts.push(name.clone());
            if has_emergency(&section) {
                found.with_emergency.push(name.clone());
            }
        }
        found.phone_context = most.filter(|context| found.contexts.contains(context));
        found
    }

    /// Writes the file of a tenant. It passes `check` as it stands.
    pub(super) fn file(&self, tenant: &Tenant) -> String {
        let mut text = format!(
            "# The phones of {tenant}. `reconcile check` reports mistakes, `reconcile plan` shows what would change, and\n\
             # `reconcile apply` makes it so. docs/desired-state.md explains every key.\n\
             version: 1\n\
             tenant: {tenant}\n\
             # country: DE                  # its emergency numbers are left to your own contexts\n"
        );
        text += &self.extensions();
        text += &self.phones();
        text += &self.dialplan();
        text += "users: []\n\
                 # users:\n\
                 #   - email: ana.silva@example.com\n\
                 #     name: Ana Silva\n\
                 #   - email: bo.li@example.com\n\
                 #     name: Bo Li\n\
                 #     extension: 1010            # pinned; the others get the lowest free number, and keep it\n";
        text
    }

    /// The range that the present numbers lie in, without them; the usual one if there are none.
    fn extensions(&self) -> String {
        let (Some(first), Some(last)) = (self.numbers.first(), self.numbers.last()) else {
            return "extensions:\n  range: 1000-1999             # inclusive\n".to_owned();
        };
        // A whole block of numbers of one length.
        let block = if *last < 1000 { 100 } else { 1000 };
        let (low, high) = (first / block * block, last / block * block + block - 1);
        let is_one_length = low.to_string().len() == high.to_string().len() && low > 0;
        if self.numbers.len() > MOST_RESERVED || !is_one_length || high - low > 9999 {
            let free = (1..10).map(|thousand| thousand * 1000);
            let free =
                free.clone().find(|low| self.numbers.range(*low..*low + 1000).next().is_none()).unwrap_or(10_000);
            return format!(
                "extensions:\n  range: {free}-{}             # your own phones have {first} to {last}\n",
                if free < 10_000 { free + 999 } else { 19_999 }
            );
        }
        let numbers: Vec<String> = self.numbers.iter().map(ToString::to_string).collect();
        format!(
            "extensions:\n  range: {low}-{high}\n  # Your own phones have these. `reconcile import --running` takes them over.\n  \
             reserved: [{}]\n",
            numbers.join(", ")
        )
    }

    fn phones(&self) -> String {
        let mut lines = String::new();
        match self.transports.as_slice() {
            [] => {}
            [only] => {
                let _ = writeln!(lines, "  transport: {}", scalar(only));
            }
            several => {
                let _ = writeln!(lines, "  # transport: {}    # yours are {}", several[0], several.join(", "));
            }
        }
        if let Some(realm) = self.realm.as_ref().filter(|realm| realm.as_str() != "asterisk") {
            let _ = writeln!(lines, "  realm: {}    # the `default_realm` of pjsip.conf", scalar(realm));
        }
        let is_empty = lines.lines().all(|line| line.trim_start().starts_with('#'));
        match (lines.is_empty(), is_empty) {
            (true, _) => String::new(),
            (false, true) => {
                let bare = lines.lines().filter_map(|line| line.strip_prefix("  # "));
                format!("# phones:\n{}", bare.map(|line| format!("#   {line}\n")).collect::<Vec<_>>().concat())
            }
            (false, false) => format!("phones:\n{lines}"),
        }
    }

    fn dialplan(&self) -> String {
        // The context of present phones has what they may dial, emergency numbers included.
        let named = self.phone_context.as_ref().map_or(&self.with_emergency[..], std::slice::from_ref);
        let others: Vec<&str> = self.contexts.iter().filter(|name| !named.contains(name)).map(String::as_str).collect();
        let more = if others.is_empty() { String::new() } else { format!("; others are {}", others.join(", ")) };
        if named.is_empty() {
            return format!(
                "# Name your own contexts by which phones dial out, emergency numbers included{more}.\n\
                 # dialplan:\n#   include: [outbound]\n"
            );
        }
        format!(
            "# Phones may dial what these contexts of yours have: check that no stranger's calls arrive there{more}.\n\
             dialplan:\n  include: [{}]\n",
            named.iter().map(|name| scalar(name)).collect::<Vec<_>>().join(", ")
        )
    }
}

/// Reads the number that an endpoint is named by.
fn number(name: &str) -> Option<u32> {
    name.parse::<Extension>().ok().map(Extension::number)
}

fn has_emergency(section: &FileSection) -> bool {
    section
        .options
        .iter()
        .filter(|(key, _)| key == "exten")
        .any(|(_, value)| value.split(',').next().is_some_and(|number| EMERGENCY.contains(&number.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired;

    fn file(name: &str, text: &str) -> Vec<OperatorFile> {
        vec![OperatorFile { name: name.to_owned(), text: text.to_owned() }]
    }

    fn written(pjsip: &str, extensions: &str) -> String {
        let found = Found::in_files(&file("pjsip.conf", pjsip), &file("extensions.conf", extensions));
        let text = found.file(&"acme".parse().unwrap());
        let loaded = desired::load_text("pbx.yaml", &text);
        assert!(loaded.declared.is_some(), "{:?}\n{text}", loaded.problems);
        text
    }

    #[test]
    fn what_is_found_stands_in_a_file_that_passes_check() {
        let text = written(
            "[udp]\ntype = transport\n[global]\ntype = global\ndefault_realm = pbx\n[1101]\ntype = endpoint\n\
             [1105]\ntype = endpoint\n[carrier]\ntype = endpoint\n",
            "[general]\nstatic = yes\n[outbound]\nexten => 112,1,Answer()\n[from-carrier]\nexten => _X.,1,Hangup()\n",
        );
        for lines in [
            "extensions:\n  range: 1000-1999\n  # Your own phones have these. `reconcile import --running` takes them over.\n  \
             reserved: [1101, 1105]\n",
            "phones:\n  transport: \"udp\"\n  realm: \"pbx\"    # the `default_realm` of pjsip.conf\n",
            "calls arrive there; others are from-carrier.\ndialplan:\n  include: [\"outbound\"]\n",
        ] {
            assert!(text.contains(lines), "{text}");
        }
    }

    /// `null` and `0123` were read as no name, and as a number.
    #[test]
    fn names_that_yaml_takes_for_something_else_are_quoted() {
        let text = written(
            "[null]\ntype = transport\n[global]\ntype = global\ndefault_realm = 0123\n",
            "[yes]\nexten => 112,1,Answer()\n",
        );
        for line in ["  transport: \"null\"\n", "  realm: \"0123\"    #", "  include: [\"yes\"]\n"] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn nothing_found_is_a_file_that_passes_check() {
        let text = written("", "");
        assert!(text.contains("extensions:\n  range: 1000-1999 ") && !text.contains("\nphones:"), "{text}");
        assert!(text.contains("emergency numbers included.\n# dialplan:\n#   include: [outbound]\n"), "{text}");
    }

    #[test]
    fn phones_of_many_numbers_leave_the_next_thousand() {
        let many: Vec<String> = (1000..1100).map(|number| format!("[{number}]\ntype = endpoint\n")).collect();
        let many = many.concat();
        assert!(written(&many, "").contains("range: 2000-2999             # your own phones have 1000 to 1099\n"));
        let lengths = "[15]\ntype = endpoint\n[2001]\ntype = endpoint\n";
        assert!(written(lengths, "").contains("range: 1000-1999"), "{}", written(lengths, ""));
        let transports = "[udp]\ntype = transport\n[tcp]\ntype = transport\n";
        assert!(written(transports, "").contains("# phones:\n#   transport: udp    # yours are udp, tcp\n"));
    }
}
