//! The running Asterisk: its version and its modules.

use std::{collections::BTreeSet, time::Duration};

use super::{Check, Finding};
use crate::{
    deploy::{Asterisk, AsteriskError, MissingNeed, running_modules},
    error::words_of,
};

/// How long Asterisk may take to say that it has finished starting.
const DEADLINE: Duration = Duration::from_secs(1);

/// The major version that reconcile is tested with.
const TESTED: u32 = 22;

/// The releases in which the reload of `res_pjsip_config_wizard` can block for ever: reported for 20.18.2 and 22.9.0,
/// corrected in 20.20.0, 22.10.0 and 23.4.0. Major version, first minor version, and the one that is correct.
const DEADLOCKS: [(u32, u32, u32); 3] = [(20, 18, 20), (22, 8, 10), (23, 2, 4)];

/// The module with that reload.
pub(crate) const WIZARD: &str = "res_pjsip_config_wizard";

/// What Asterisk says about itself.
#[derive(Debug, Default)]
pub(crate) struct AsteriskFacts {
    /// Why it does not answer, and what to do.
    pub(crate) silent: Option<(String, String)>,
    /// The first line of `core show version`.
    pub(crate) version: String,
    /// The modules that run; `None` if Asterisk does not list them.
    pub(crate) modules: Option<BTreeSet<String>>,
}

impl AsteriskFacts {
    /// Asks Asterisk. One that is silent is not asked a second time.
    pub(crate) fn ask(asterisk: &Asterisk) -> Self {
        let ask = || -> Result<Self, AsteriskError> {
            asterisk.wait_at_most(DEADLINE)?;
            let version = asterisk.ask("core show version")?;
            let shown = asterisk.ask("module show")?;
            let listed = shown.raw().contains("modules loaded");
            let modules = listed.then(|| running_modules(&shown).into_iter().map(str::to_owned).collect());
            Ok(Self { silent: None, version: version.raw().lines().next().unwrap_or_default().to_owned(), modules })
        };
        ask().unwrap_or_else(|error| {
            let words = words_of(&error);
            let (fact, fix) = words.split_once("\nhint: ").unwrap_or((&words, "restart Asterisk if it hangs"));
            Self { silent: Some((fact.to_owned(), fix.replace("\nhint: ", ", or "))), ..Self::default() }
        })
    }

    /// Tells whether a module runs.
    pub(crate) fn runs(&self, module: &str) -> bool {
        self.modules.as_ref().is_some_and(|modules| modules.contains(module))
    }

    /// Finds what is wrong with it.
    pub(crate) fn check(&self) -> Vec<Finding> {
        if let Some((fact, fix)) = &self.silent {
            return vec![Finding::new(Check::AsteriskSilent, fact, fix)];
        }
        let mut found = Vec::new();
        let version = version_of(&self.version);
        if let Some((major, minor)) = version {
            let shown = format!("{major}.{minor}");
            if major < TESTED {
                let fact = format!("Asterisk {shown} runs, which is older than {TESTED}");
                found.push(Finding::new(Check::AsteriskVersion, fact, format!("update Asterisk to {TESTED}")));
            }
            let affected =
                DEADLOCKS.iter().find(|(known, first, correct)| *known == major && (*first..*correct).contains(&minor));
            if let Some((_, _, correct)) = affected.filter(|_| self.runs(WIZARD)) {
                let fact = format!("`core reload` can block Asterisk {shown} for ever, because `{WIZARD}` is loaded");
                let fix = format!(
                    "update Asterisk to {major}.{correct} or later; if nothing uses the module, add `noload = {WIZARD}.so` \
                     to `modules.conf`"
                );
                found.push(Finding::new(Check::ReloadDeadlock, fact, fix));
            }
        }
        if self.modules.is_some() && !self.runs("res_resolver_unbound") {
            let fact = "Asterisk has not loaded `res_resolver_unbound`, so one phone can hold up the requests of all";
            let fix = "add `load = res_resolver_unbound.so` to `modules.conf` and restart Asterisk; without the module, set \
                       `taskprocessor_overload_trigger = pjsip_only` in `[global]` of `pjsip.conf`";
            found.push(Finding::new(Check::ResolverUnbound, fact, fix));
        }
        found
    }
}

/// Says what Asterisk lacks for a tenant, as the rails of an apply do.
pub(crate) fn lacking(lacks: Vec<MissingNeed>) -> impl Iterator<Item = Finding> {
    lacks.into_iter().map(|MissingNeed { rail, message, hint }| {
        let check = if rail == Check::Clocks.id() { Check::Clocks } else { Check::MissingModules };
        Finding::new(check, message, hint)
    })
}

/// Reads the major and the minor version from a line such as `Asterisk 22.10.1~dfsg built by ..`.
fn version_of(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line.strip_prefix("Asterisk ")?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::assert_found;

    #[test]
    fn each_fault_of_asterisk_is_found() {
        let facts = |version: &str, modules: &[&str]| AsteriskFacts {
            silent: None,
            version: version.to_owned(),
            modules: Some(modules.iter().map(|name| (*name).to_owned()).collect()),
        };
        let resolver = "res_resolver_unbound";
        let of = |version: &str| facts(version, &[resolver, WIZARD]).check();
        assert_found(&of("Asterisk 22.10.1~dfsg+~cs6.17 built by nobody @ buildd.debian.org"), &[]);
        assert_found(&of("Asterisk GIT-master-36f8490 built by"), &[]);
        assert_found(
            &of("Asterisk 20.5.2 built by"),
            &["asterisk-version: Asterisk 20.5 runs, which is older than 22 -> update Asterisk to 22"],
        );
        let blocks = "reload-deadlock: `core reload` can block Asterisk 22.9 for ever, because \
             `res_pjsip_config_wizard` is loaded -> update Asterisk to 22.10 or later; if nothing uses the module, add \
             `noload = res_pjsip_config_wizard.so` to `modules.conf`";
        assert_found(&of("Asterisk 22.9.0 built by"), &[blocks]);
        assert_found(&of("Asterisk 22.7.0 built by"), &[]);
        assert_found(&of("Asterisk 23.4.0 built by"), &[]);
        assert_found(&facts("Asterisk 22.9.0 built by", &[resolver]).check(), &[]);
        assert_found(
            &facts("Asterisk 22.10.1 built by", &["res_pjsip"]).check(),
            &[
                "resolver-unbound: Asterisk has not loaded `res_resolver_unbound`, so one phone can hold up the requests of \
               all -> add `load = res_resolver_unbound.so` to `modules.conf` and restart Asterisk; without the module, set \
               `taskprocessor_overload_trigger = pjsip_only` in `[global]` of `pjsip.conf`",
            ],
        );
        let silent = AsteriskFacts { silent: Some(("it is away".into(), "start it".into())), ..Default::default() };
        assert_found(&silent.check(), &["asterisk-silent: it is away -> start it"]);
        // A client that may not list the modules says nothing about them.
        assert_found(&AsteriskFacts { version: "Asterisk 22.10.1 b".into(), ..Default::default() }.check(), &[]);
        let lack = |rail| MissingNeed { rail, message: "x".into(), hint: "y".into() };
        let found: Vec<Finding> = lacking(vec![lack("missing-modules"), lack("clocks")]).collect();
        assert_found(&found, &["missing-modules: x -> y", "clocks: x -> y"]);
    }
}
