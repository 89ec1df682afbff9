//! Whether another file on this host defines a name of a tenant, or leads calls from an address elsewhere. Asked of a
//! plan before it is shown, and again under the host's lock.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ApplyError, Host,
    asterisk::Asterisk,
    former_logins,
    generations::Generations,
    listing::{Kind, Listing},
    names::named,
    operators::OperatorsNames,
    phones_at, sections,
    step::GENERATIONS,
    survey::Survey,
};
use crate::{
    asterisk::{BadValue, ConfigFile, mark_name},
    model::{Extension, HostName, ObjectName, OperatorsExtension},
    plan::{Plan, RailStop},
    render::{ParsedObject, Phone, Phonebook, endpoint_name, parse, section_names},
};

/// What of a plan's names others have.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The rail `taken-names`.
    pub(super) stop: Option<RailStop>,
    /// The phones that run from a file which no longer defines them: the reload takes them over.
    pub(super) over: Vec<String>,
    /// Those of them that must log in again.
    pub(super) logins: BTreeSet<Extension>,
}

impl Host {
    /// Finds what others have of a plan's names. If Asterisk was not asked, only the files of other tenants are looked at.
    ///
    /// # Errors
    /// If a file cannot be read, or Asterisk does not answer.
    pub(super) fn taken_names(&self, plan: &Plan, survey: &Survey) -> Result<Taken, ApplyError> {
        let book = Phonebook::of(plan, None);
        let defined = Defined::by(self, &book)?;
        let asterisk = self.asterisk.as_ref().filter(|_| survey.running.is_some());
        let checked = defined.check_files().and_then(|()| match asterisk {
            Some(asterisk) => {
                let old = survey.in_place[ConfigFile::Endpoints].as_ref().map(|file| &file.parsed.objects);
                phones_at::check(asterisk, &defined.objects, old)?;
                defined.check_running(asterisk, survey)
            }
            None => Ok(Vec::new()),
        });
        match checked {
            Ok(over) => {
                let ended = asterisk.map(|asterisk| former_logins::ended(asterisk, plan, &over)).transpose()?;
                Ok(Taken { stop: None, over, logins: ended.unwrap_or_default() })
            }
            Err(ApplyError::Rail(rail)) => Ok(Taken { stop: Some(rail), ..Taken::default() }),
            Err(error) => Err(error),
        }
    }
}

/// What the endpoint file of a tenant defines, on one host.
pub(super) struct Defined<'a> {
    host: &'a Host,
    book: &'a Phonebook<'a>,
    /// The names of the phones' objects.
    phones: BTreeSet<String>,
    /// The sections of declared objects, by their names.
    objects: BTreeMap<String, ParsedObject>,
}

impl<'a> Defined<'a> {
    /// Collects what the file defines.
    ///
    /// # Errors
    /// When a value cannot stand in a configuration line.
    pub(super) fn by(host: &'a Host, book: &'a Phonebook<'a>) -> Result<Self, BadValue> {
        let phone = |phone: &Phone<'_>| endpoint_name(book.tenant, book.settings.endpoint_names, phone.extension);
        Ok(Self { host, book, phones: book.phones.iter().map(phone).collect(), objects: book.objects()? })
    }

    /// Makes sure that no name belongs to another tenant on this host, by its files.
    pub(super) fn check_files(&self) -> Result<(), ApplyError> {
        let files = self.host.files_of_others(self.book.tenant)?;
        self.check_addresses(&files)?;
        self.check_contexts()?;
        let others: BTreeMap<&str, &str> = files
            .iter()
            .flat_map(|(tenant, text)| section_names(text).map(move |name| (name, tenant.as_str())))
            .collect();
        let taken = |name: &String| others.get(name.as_str()).map(|tenant| (name.clone(), *tenant));
        let mut ours = self.objects.iter();
        if let Some((kind, (name, tenant))) = ours.find_map(|(name, object)| Some((object.kind, taken(name)?))) {
            return Err(ApplyError::taken_name(
                format!(
                    "the name of the {kind} `{name}` is already used in the file of the tenant `{tenant}` on this host"
                ),
                &format!("give the {kind} another name"),
            ));
        }
        if let Some((name, tenant)) = self.phones.iter().find_map(taken) {
            return Err(ApplyError::taken_name(
                format!("the endpoint `{name}` is already in the file of the tenant `{tenant}` on this host"),
                "give the tenants ranges that do not overlap, or set `endpoint_names: tenant-extension`",
            ));
        }
        Ok(())
    }

    /// Makes sure that no new name that runs in Asterisk is also defined by the operator's own files: it would be there
    /// twice after the reload. Lists those that run and that no file defines any more.
    fn check_running(&self, asterisk: &Asterisk, survey: &Survey) -> Result<Vec<String>, ApplyError> {
        let tenant = self.book.tenant;
        // Of files that were only written, as by `--no-reload`, nothing runs.
        let runs_none = survey.running.is_some_and(|running| !running.live[ConfigFile::Endpoints])
            && survey.marks.is_empty()
            && survey.runs.is_none();
        let old = survey.in_place[ConfigFile::Endpoints].as_ref().map(|file| &file.parsed).filter(|_| !runs_none);
        let is_old = |name: &String| old.is_some_and(|old| old.phones.contains_key(name));
        let mut fresh: Vec<&String> = self.phones.iter().filter(|name| !is_old(name)).collect();
        if fresh.is_empty() {
            return Ok(Vec::new());
        }
        let good = self.host.last_good(tenant, ConfigFile::Endpoints, survey)?.map(|text| parse(&text));
        let generations = Generations::read(&self.host.note(tenant, GENERATIONS))?;
        if !runs_none {
            let ours = generations.names();
            let is_good = |name: &String| good.as_ref().is_some_and(|good| good.phones.contains_key(name));
            fresh.retain(|name| !is_good(name) && !ours.contains(name.as_str()));
        }
        let running = Listing::of_names(asterisk, fresh.iter().map(|name| name.as_str()))?;
        let taken = |name: &str| Kind::ALL.into_iter().find(|kind| running.has(*kind, name));
        let mut taken: Vec<(&String, Kind)> = fresh.into_iter().filter_map(|name| Some((name, taken(name)?))).collect();
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        // A generation of ours that no note knows any more: whose a name is cannot be told.
        let prefix = mark_name(tenant, "");
        let known: Vec<&str> = [old, good.as_ref()].into_iter().flatten().map(|file| file.mark.as_str()).collect();
        let is_known = |name: &str| name.strip_prefix(&prefix).is_some_and(|mark| known.contains(&mark));
        if generations.is_empty() && Listing::of_marks(asterisk, &prefix)?.endpoints().any(|mark| !is_known(mark)) {
            return Ok(Vec::new());
        }
        let place = match self.host.operators_names()? {
            OperatorsNames::Known(names) => {
                let defined = taken.iter().find_map(|(name, kind)| Some((*name, *kind, names.get(*name)?.clone())));
                let Some((name, kind, place)) = defined else {
                    return Ok(taken.into_iter().map(|(name, _)| name.clone()).collect());
                };
                taken = vec![(name, kind)];
                Some(place)
            }
            OperatorsNames::Unknown => None,
        };
        let (name, kind) = taken[0];
        let place = place.map_or_else(|| "there".to_owned(), |place| format!("at {place}"));
        Err(ApplyError::taken_name(
            format!(
                "the {} `{name}` already runs in Asterisk, from a file that reconcile did not generate",
                kind.word()
            ),
            &format!("remove it {place}, or reserve the number with `extensions.reserved`"),
        ))
    }

    /// Makes sure that no call comes into another tenant's contexts, from phones that dial there or by a destination: its
    /// phones would ring, and its carriers would be paid for.
    fn check_contexts(&self) -> Result<(), ApplyError> {
        let named = named(self.book);
        let contexts = named.iter().filter_map(|(name, naming)| match name {
            HostName::Context(context) | HostName::Extension(OperatorsExtension { context, .. }) => {
                Some((context, naming.by.as_str()))
            }
            HostName::Transport(_) | HostName::Prompt(_) => None,
        });
        let named: Vec<(&ObjectName, &str)> = contexts.collect();
        if named.is_empty() {
            return Ok(());
        }
        for (other, text) in self.host.routing_of_others(self.book.tenant)? {
            let theirs: BTreeSet<&str> = section_names(&text).collect();
            if let Some((name, by)) = named.iter().find(|(name, _)| theirs.contains(name.as_str())) {
                return Err(ApplyError::taken_name(
                    format!("{by} names `{name}`, a context of the tenant `{other}` on this host"),
                    "name contexts of your own only",
                ));
            }
        }
        Ok(())
    }

    /// Makes sure that no address leads to two tenants: Asterisk gives its calls to either of them.
    fn check_addresses(&self, others: &[(String, String)]) -> Result<(), ApplyError> {
        let has_address = |object: &ParsedObject| object.addresses().next().or(object.registers_at()).is_some();
        if !self.objects.values().any(has_address) {
            return Ok(());
        }
        for (other, text) in others {
            let parsed = parse(text);
            let theirs: Vec<&str> = parsed.objects.values().flat_map(ParsedObject::addresses).collect();
            // Two accounts that are known by their registrations are apart.
            let accounts: Vec<&str> = parsed.objects.values().filter_map(ParsedObject::registers_at).collect();
            let is_in = |all: &[&str], ours: &str| all.iter().any(|theirs| sections::overlap(ours, theirs));
            for (name, object) in &self.objects {
                let known = object.addresses().find(|address| is_in(&theirs, address) || is_in(&accounts, address));
                let account = object.registers_at().filter(|address| is_in(&theirs, address));
                if let Some(address) = known.or(account) {
                    return Err(ApplyError::taken_name(
                        format!(
                            "calls from `{address}` of `{name}` already belong to the tenant `{other}` on this host"
                        ),
                        "an address can belong to one tenant only: narrow `identify`, or declare both trunks in one tenant",
                    ));
                }
            }
        }
        Ok(())
    }
}
