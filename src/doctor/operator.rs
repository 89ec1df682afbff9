//! The operator's own files, and what they and the running Asterisk lack for the tenants.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    Check, Finding,
    asterisk::lacking,
    sections::{FileSection, sections},
};
use crate::{
    asterisk::{ConfigFile, SectionType},
    deploy::{
        Examined, MissingFolder, MissingName, NamePlaces, OperatorFile, Override, broken_include, operator_files,
    },
    fs::FileError,
    model::{Extension, Settings, Tenant, printable},
    plan::RailStop,
    render::Parsed,
};

/// The realm of an Asterisk whose `pjsip.conf` names none.
const USUAL_REALM: &str = "asterisk";

/// Says that the configuration folder is missing.
pub(crate) fn no_folder(missing: &MissingFolder) -> Finding {
    Finding::new(Check::MissingFolder, missing.to_string(), missing.hint())
}

/// What the operator's files hold.
#[derive(Debug, Default)]
pub(crate) struct OperatorFacts {
    /// `pjsip.conf` and what it includes, without generated files.
    pub(crate) pjsip: Vec<OperatorFile>,
    /// `pjsip_wizard.conf`, if the module that reads it is loaded.
    pub(crate) wizard: Vec<OperatorFile>,
    /// `extensions.conf` and what it includes, without generated files.
    pub(crate) extensions: Vec<OperatorFile>,
    /// Include lines that match nothing: the file that Asterisk would reject, the place, and what the line names.
    pub(crate) broken: Vec<(String, String, String)>,
    /// The objects of the generated files, by name.
    pub(crate) ours: BTreeMap<String, BTreeSet<SectionType>>,
    /// The settings of the recorded tenants.
    pub(crate) tenants: Vec<(Tenant, Settings)>,
}

impl OperatorFacts {
    /// Reads the files below a configuration folder.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub(crate) fn read(config_dir: &Path, has_wizard: bool) -> Result<Self, FileError> {
        let includers: BTreeSet<&str> = ConfigFile::ALL.into_iter().map(|file| file.facts().includer).collect();
        let broken = includers.into_iter().filter_map(|includer| {
            let (place, name) = broken_include(config_dir, includer)?;
            Some((includer.to_owned(), place, name))
        });
        Ok(Self {
            pjsip: operator_files(config_dir, ConfigFile::Endpoints.facts().includer)?,
            wizard: if has_wizard { operator_files(config_dir, "pjsip_wizard.conf")? } else { Vec::new() },
            extensions: operator_files(config_dir, ConfigFile::Routing.facts().includer)?,
            broken: broken.collect(),
            ..Self::default()
        })
    }

    /// Adds the objects of a generated endpoint file.
    pub(crate) fn add_ours(&mut self, file: &Parsed) {
        let of_phones = [SectionType::Auth, SectionType::Aor, SectionType::Endpoint];
        for name in file.phones.keys() {
            self.ours.entry(name.clone()).or_default().extend(of_phones);
        }
        for (name, object) in &file.objects {
            let kinds = SectionType::ALL.into_iter().filter(|kind| object.has(*kind));
            self.ours.entry(name.clone()).or_default().extend(kinds);
        }
    }

    /// Finds what is wrong with them.
    pub(crate) fn check(&self) -> Vec<Finding> {
        let pjsip = sections(&self.pjsip);
        let mut found: Vec<Finding> = self.broken.iter().map(broken).collect();
        found.extend(pjsip.iter().filter_map(|section| self.duplicate(section)));
        found.extend(sections(&self.wizard).iter().filter_map(|section| self.wizard(section)));
        let endpoints = || pjsip.iter().filter(|section| section.is_type("endpoint"));
        found.extend(endpoints().filter_map(open_endpoint));
        found.extend(self.tenants.iter().filter_map(|(tenant, settings)| realm(tenant, settings, &pjsip)));
        found.extend(self.tenants.iter().flat_map(|(tenant, settings)| self.shadowed(tenant, settings)));
        found
    }

    fn duplicate(&self, section: &FileSection) -> Option<Finding> {
        let kinds = self.ours.get(&section.name)?;
        let kind = kinds.iter().find(|kind| section.is_type(kind.word()))?;
        let (place, name) = (&section.place, &section.name);
        let fact = format!("{place} defines the {kind} `{name}`, which reconcile generates");
        let fix = format!("remove it from {place}, or reserve the number; at its next start Asterisk takes no {kind}");
        Some(Finding::new(Check::DuplicateName, fact, fix))
    }

    fn wizard(&self, section: &FileSection) -> Option<Finding> {
        self.ours.get(&section.name).filter(|_| section.is_type("wizard"))?;
        let fact = format!("{} makes `{}`, which reconcile generates", section.place, section.name);
        let fix = "remove the section; once none is left, add `noload = res_pjsip_config_wizard.so` to `modules.conf`";
        Some(Finding::new(Check::Wizard, fact, fix))
    }

    /// Finds numbers in the operator's contexts that the tenant's own patterns keep from being dialled.
    fn shadowed(&self, tenant: &Tenant, settings: &Settings) -> Vec<Finding> {
        let left_out = settings.pinned_only();
        let is_ours = |number: &Extension| settings.range.contains(*number) && !left_out.contains(number);
        let mut numbers: BTreeMap<Extension, String> = BTreeMap::new();
        for section in sections(&self.extensions) {
            if !settings.include.iter().any(|context| context.as_str() == section.name) {
                continue;
            }
            for (_, value) in section.options.iter().filter(|(key, _)| key == "exten") {
                let number = value.split(',').next().and_then(|number| number.trim().parse().ok());
                if let Some(number) = number.filter(is_ours) {
                    numbers.entry(number).or_insert_with(|| format!("`{}` ({})", section.name, section.place));
                }
            }
        }
        let mut by_context: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (number, context) in numbers {
            by_context.entry(context).or_default().push(number.to_string());
        }
        let finding = |(context, numbers): (String, Vec<String>)| {
            let numbers = numbers.join(", ");
            let fact = format!("phones of `{tenant}` never reach {numbers} in {context}: the tenant's range has it");
            let fix = format!("add `extensions: {{ reserved: [{numbers}] }}` to the file, or change the range");
            Finding::new(Check::ShadowedNumber, fact, fix)
        };
        by_context.into_iter().map(finding).collect()
    }
}

fn broken((includer, place, name): &(String, String, String)) -> Finding {
    let name = printable(name);
    let fact = format!(
        "Asterisk rejects the whole of {includer} at its next start: `#include {name}` in {place} matches no file"
    );
    Finding::new(Check::BrokenInclude, fact, format!("write `#tryinclude` in {place}, or remove the line"))
}

fn open_endpoint(section: &FileSection) -> Option<Finding> {
    let FileSection { place, name, .. } = section;
    let context = printable(section.value("context").unwrap_or("default"));
    let (name, has_auth) = (printable(name), section.value("auth").is_some_and(|auth| !auth.is_empty()));
    if name == "anonymous" {
        let fact = format!("{place} defines the endpoint `anonymous`: anyone can call the context `{context}`");
        return Some(Finding::new(Check::Anonymous, fact, format!("remove it from {place}")));
    }
    let identify_by = section.value("identify_by").unwrap_or("username,ip");
    let by_name = identify_by.split(',').any(|way| ["username", "auth_username"].contains(&way.trim()));
    (!has_auth && by_name).then(|| {
        let fact = format!(
            "the endpoint `{name}` in {place} has no `auth`: who sends this name can call the context `{context}`"
        );
        let fix = "add `identify_by = ip` to a trunk that is known by its address, or an `auth`";
        Finding::new(Check::OpenEndpoint, fact, fix)
    })
}

fn realm(tenant: &Tenant, settings: &Settings, pjsip: &[FileSection]) -> Option<Finding> {
    let named = pjsip.iter().filter(|section| section.is_type("global"));
    let named = named.filter_map(|section| Some((section.value("default_realm")?, &section.place))).next_back();
    let (theirs, place) = named.map_or((USUAL_REALM, None), |(realm, place)| (realm, Some(place)));
    let ours = &settings.phones.realm;
    (ours.as_str() != theirs).then(|| {
        let place = place.map(|place| format!(" in {place}")).unwrap_or_default();
        let theirs = printable(theirs);
        let fact = format!(
            "the phones of `{tenant}` have the realm `{ours}`, and Asterisk's `default_realm`{place} is `{theirs}`"
        );
        let fix = format!("set `default_realm = {ours}` in a section of `type = global` in `pjsip.conf`, and reload");
        Finding::new(Check::Realm, fact, fix)
    })
}

/// Says what a host lacks for a tenant.
pub(crate) fn examined(tenant: &Tenant, found: Examined) -> Vec<Finding> {
    let Examined { lacks, missing_names, emergency, search_contexts, unreadable, .. } = found;
    let mut findings: Vec<Finding> = lacking(lacks).collect();
    let missing = |line: String| {
        let fact = format!("Asterisk does not include the generated file of `{tenant}`");
        Finding::new(Check::MissingInclude, fact, format!("add {line}, outside of any comment"))
    };
    findings.extend(found.missing_includes.into_iter().map(missing));
    let twice = |RailStop { message, hint, .. }: RailStop| Finding::new(Check::IncludedTwice, message, hint);
    findings.extend(found.included_twice.into_iter().map(twice));
    let fix = "take that out of the section, or declare it in the desired state";
    let changes = |found: &Override| Finding::new(Check::ChangesOurs, found.words(), fix);
    findings.extend(found.overrides.iter().map(changes));
    let name = |name: &MissingName| Finding::new(Check::MissingName, name.words(&NamePlaces::new()), name.hint());
    findings.extend(missing_names.iter().map(name));
    findings.extend(emergency.into_iter().map(|found| Finding::new(Check::Emergency, found.fact, found.fix)));
    findings.extend(search_contexts.map(|words| {
        let (fact, fix) = words.rsplit_once("; ").unwrap_or((&words, "remove that option"));
        Finding::new(Check::SearchContexts, fact, fix)
    }));
    findings.extend(unreadable.map(|(fact, fix)| Finding::new(Check::UnreadableFiles, fact, fix)));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{deploy::Unreachable, doctor::assert_found};

    fn files(name: &str, text: &str) -> Vec<OperatorFile> {
        vec![OperatorFile { name: name.to_owned(), text: text.to_owned() }]
    }

    fn acme(settings: Settings) -> Vec<(Tenant, Settings)> {
        vec![("acme".parse().unwrap(), settings)]
    }

    /// One fixture a check.
    #[test]
    fn each_fault_of_the_operators_files_is_found() {
        let ours = BTreeMap::from([("1000".to_owned(), SectionType::ALL.into_iter().take(3).collect())]);
        let found = |text: &str| {
            let facts = OperatorFacts { pjsip: files("pjsip.conf", text), ours: ours.clone(), ..Default::default() };
            facts.check()
        };
        for clean in [
            "[transport-udp]\ntype = transport\n",
            "[1000](!)\ntype = endpoint\n",
            "[1000]\ntype = identify\n",
            "[carrier]\ntype = endpoint\nidentify_by = ip\n",
            "[phone](!)\ntype = endpoint\nauth = all\n[2000](phone)\n",
            ";[anonymous]\n;type = endpoint\n",
        ] {
            assert_found(&found(clean), &[]);
        }
        assert_found(
            &found("\n[1000]\ntype = aor\nmax_contacts = 1\n"),
            &["duplicate-name: pjsip.conf:2 defines the aor `1000`, which reconcile generates -> remove it from \
               pjsip.conf:2, or reserve the number; at its next start Asterisk takes no aor"],
        );
        assert_found(
            &found("[anonymous]\ntype = endpoint\ncontext = public\n"),
            &[
                "anonymous: pjsip.conf:1 defines the endpoint `anonymous`: anyone can call the context `public` -> remove it \
               from pjsip.conf:1",
            ],
        );
        assert_found(
            &found("[carrier]\ntype = endpoint\n"),
            &[
                "open-endpoint: the endpoint `carrier` in pjsip.conf:1 has no `auth`: who sends this name can call the context \
               `default` -> add `identify_by = ip` to a trunk that is known by its address, or an `auth`",
            ],
        );
        let wizard = OperatorFacts {
            wizard: files("pjsip_wizard.conf", "[1000]\ntype = wizard\n[2000]\ntype = wizard\n"),
            ours: ours.clone(),
            ..Default::default()
        };
        assert_found(
            &wizard.check(),
            &[
                "wizard: pjsip_wizard.conf:1 makes `1000`, which reconcile generates -> remove the section; once none is left, \
               add `noload = res_pjsip_config_wizard.so` to `modules.conf`",
            ],
        );
        let broken = OperatorFacts {
            broken: vec![("pjsip.conf".into(), "mine.conf:3".into(), "gone.conf".into())],
            ..Default::default()
        };
        assert_found(
            &broken.check(),
            &["broken-include: Asterisk rejects the whole of pjsip.conf at its next start: `#include gone.conf` in \
               mine.conf:3 matches no file -> write `#tryinclude` in mine.conf:3, or remove the line"],
        );
    }

    #[test]
    fn a_realm_that_tells_strangers_who_exists_is_found() {
        let found = |text: &str, realm: &str| {
            let mut settings = Settings::default();
            settings.phones.realm = realm.parse().unwrap();
            OperatorFacts { pjsip: files("pjsip.conf", text), tenants: acme(settings), ..Default::default() }.check()
        };
        let named = "[global]\ntype = global\ndefault_realm = pbx\n";
        assert_found(&found("", "asterisk"), &[]);
        assert_found(&found(named, "pbx"), &[]);
        assert_found(
            &found(named, "asterisk"),
            &[
                "realm: the phones of `acme` have the realm `asterisk`, and Asterisk's `default_realm` in pjsip.conf:1 is \
               `pbx` -> set `default_realm = asterisk` in a section of `type = global` in `pjsip.conf`, and reload",
            ],
        );
        assert_found(
            &found("", "pbx"),
            &["realm: the phones of `acme` have the realm `pbx`, and Asterisk's `default_realm` is `asterisk` -> set \
               `default_realm = pbx` in a section of `type = global` in `pjsip.conf`, and reload"],
        );
    }

    #[test]
    fn numbers_of_the_operator_inside_the_range_are_found() {
        let text = "[outbound]\nexten => 1500,1,Answer()\nexten = 1501,1,Answer()\nexten => _15XX,1,Hangup()\n\
                    exten => 1911,1,Answer()\nexten => 112,1,Answer()\n[other]\nexten => 1600,1,Answer()\n";
        let settings = Settings {
            range: "1000-1999".parse().unwrap(),
            include: vec!["outbound".parse().unwrap()],
            reserved: BTreeSet::from(["1911".parse().unwrap()]),
            ..Settings::default()
        };
        let facts =
            OperatorFacts { extensions: files("extensions.conf", text), tenants: acme(settings), ..Default::default() };
        assert_found(
            &facts.check(),
            &[
                "shadowed-number: phones of `acme` never reach 1500, 1501 in `outbound` (extensions.conf:1): the tenant's \
               range has it -> add `extensions: { reserved: [1500, 1501] }` to the file, or change the range",
            ],
        );
    }

    #[test]
    fn what_an_apply_checks_is_said_in_the_same_words() {
        let rail = RailStop { rail: "included-twice", message: "twice".into(), hint: "once".into(), allow: None };
        let found = Examined {
            missing_includes: vec!["`#tryinclude x` in `pjsip.conf`".into()],
            included_twice: vec![rail],
            overrides: vec![Override {
                place: "pjsip.conf:9".into(),
                name: "1000".into(),
                keys: vec!["context".into()],
            }],
            emergency: vec![Unreachable { fact: "phones cannot dial `112`: why".into(), fix: "add them".into() }],
            search_contexts: Some("`searchcontexts` is set in x:2: harm; remove that option".into()),
            unreadable: Some(("it may not".into(), "chgrp".into())),
            ..Examined::default()
        };
        assert_found(
            &examined(&"acme".parse().unwrap(), found),
            &[
                "missing-include: Asterisk does not include the generated file of `acme` -> add `#tryinclude x` in \
                 `pjsip.conf`, outside of any comment",
                "included-twice: twice -> once",
                "changes-ours: pjsip.conf:9 changes `1000`, which reconcile generates: `context` -> take that out of the \
                 section, or declare it in the desired state",
                "emergency: phones cannot dial `112`: why -> add them",
                "search-contexts: `searchcontexts` is set in x:2: harm -> remove that option",
                "unreadable-files: it may not -> chgrp",
            ],
        );
    }
}
