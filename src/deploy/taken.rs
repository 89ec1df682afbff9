//! Whether another file on this host defines a name of a tenant, or leads calls from an address elsewhere. Asked of a
//! plan before it is shown, and again under the host's lock.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ApplyError, Host,
    asterisk::Asterisk,
    generations::Generations,
    listing::{Kind, Listing},
    sections,
    step::GENERATIONS,
    survey::Survey,
};
use crate::{
    asterisk::{BadValue, ConfigFile, mark_name},
    model::ObjectName,
    plan::{Plan, RailStop},
    render::{ParsedObject, Phone, Phonebook, endpoint_name, parse, section_names},
};

impl Host {
    /// Finds the rail `taken-names` of a plan. If Asterisk was not asked, only the files of other tenants are looked at.
    ///
    /// # Errors
    /// If a file cannot be read, or Asterisk does not answer.
    pub(super) fn taken_names(&self, plan: &Plan, survey: &Survey) -> Result<Option<RailStop>, ApplyError> {
        let book = Phonebook::of(plan, None);
        let defined = Defined::by(self, &book)?;
        let asterisk = self.asterisk.as_ref().filter(|_| survey.running.is_some());
        let checked = defined
            .check_files()
            .and_then(|()| asterisk.map_or(Ok(()), |asterisk| defined.check_running(asterisk, survey)));
        match checked {
            Ok(()) => Ok(None),
            Err(ApplyError::Rail(rail)) => Ok(Some(rail)),
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
        self.check_includes()?;
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

    /// Makes sure that no new name already runs in Asterisk, from the operator's own files.
    fn check_running(&self, asterisk: &Asterisk, survey: &Survey) -> Result<(), ApplyError> {
        let tenant = self.book.tenant;
        let old = survey.in_place[ConfigFile::Endpoints].as_ref().map(|file| &file.parsed);
        let is_old = |name: &String| old.is_some_and(|old| old.phones.contains_key(name));
        let mut fresh: Vec<&String> = self.phones.iter().filter(|name| !is_old(name)).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let good = self.host.last_good(tenant, ConfigFile::Endpoints, survey)?.map(|text| parse(&text));
        let generations = Generations::read(&self.host.note(tenant, GENERATIONS))?;
        let ours = generations.names();
        let is_good = |name: &String| good.as_ref().is_some_and(|good| good.phones.contains_key(name));
        fresh.retain(|name| !is_good(name) && !ours.contains(name.as_str()));
        let running = Listing::of_names(asterisk, fresh.iter().map(|name| name.as_str()))?;
        let taken = |name: &str| Kind::ALL.into_iter().find(|kind| running.has(*kind, name));
        let Some((name, kind)) = fresh.into_iter().find_map(|name| Some((name, taken(name)?))) else { return Ok(()) };
        // A generation of ours that no note knows any more: whose a name is cannot be told.
        let prefix = mark_name(tenant, "");
        let known: Vec<&str> = [old, good.as_ref()].into_iter().flatten().map(|file| file.mark.as_str()).collect();
        let is_known = |name: &str| name.strip_prefix(&prefix).is_some_and(|mark| known.contains(&mark));
        if generations.is_empty() && Listing::of_marks(asterisk, &prefix)?.endpoints().any(|mark| !is_known(mark)) {
            return Ok(());
        }
        Err(ApplyError::taken_name(
            format!(
                "the {} `{name}` already runs in Asterisk, from a file that reconcile did not generate",
                kind.word()
            ),
            "remove it there, or reserve the number with `extensions.reserved`",
        ))
    }

    /// Makes sure that phones do not dial into another tenant's contexts: its phones would ring, and its carriers
    /// would be paid for.
    fn check_includes(&self) -> Result<(), ApplyError> {
        let include = &self.book.settings.include;
        if include.is_empty() {
            return Ok(());
        }
        for (other, text) in self.host.routing_of_others(self.book.tenant)? {
            let theirs = |name: &&ObjectName| section_names(&text).any(|context| context == name.as_str());
            if let Some(name) = include.iter().find(theirs) {
                return Err(ApplyError::taken_name(
                    format!("`dialplan.include` names `{name}`, a context of the tenant `{other}` on this host"),
                    "include contexts of your own only",
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
