//! Making Asterisk read files again: narrow reloads, and modules that it did not load when it started.

use std::{panic::resume_unwind, thread, time::Duration};

use super::{
    ApplyOutcome, Asterisk, AsteriskError, Host, Survey,
    asterisk::Reload,
    compare::modules,
    contacts::{self, Contact},
    names::{self, CheckedNames, NamePlaces},
    readback,
    step::Step,
};
use crate::asterisk::{ConfigFile, Module};

/// Loads what Asterisk has not loaded although our files need it: it rejected the operator's file when
/// it started, and what was wrong may have been mended since. One that still does not load is tried
/// again once our files are in place. Called only when no rail stops the apply: an apply that is stopped leaves
/// Asterisk alone.
///
/// A module whose file runs, by its marks, is loaded and not asked about.
pub(super) fn load_stopped(host: &Host, survey: &Survey) -> Result<Vec<Module>, AsteriskError> {
    let Some(asterisk) = &host.asterisk else { return Ok(Vec::new()) };
    let runs = |file: &ConfigFile| survey.running.is_some_and(|running| running.live[*file]);
    let mut loaded = Vec::new();
    for module in ConfigFile::ALL.into_iter().filter(|file| !runs(file)).map(ConfigFile::module) {
        if asterisk.runs(module)? == Some(false) && asterisk.load(module).is_ok() {
            tracing::warn!("{} was not loaded: loaded now", module.object);
            loaded.push(module);
        }
    }
    Ok(loaded)
}

/// Says which modules were loaded.
pub(super) fn loaded_words(loaded: &[Module]) -> Option<String> {
    let names: Vec<&str> = loaded.iter().map(|module| module.object).collect();
    (!names.is_empty()).then(|| {
        format!(
            "Asterisk had not loaded {}: loaded now, including the operator's own configuration",
            names.join(" and ")
        )
    })
}

/// Reloads the module that reads a file; returns the registrations to delete afterwards.
///
/// A phone may refresh its registration with the old secret until the reload reaches the auths, and
/// another may register with the new one from then on: so they are listed at that very moment.
pub(super) fn reload(
    step: &Step<'_>,
    asterisk: &Asterisk,
    file: ConfigFile,
    live: &mut ApplyOutcome,
) -> Result<Vec<Contact>, AsteriskError> {
    const GLANCE: Duration = Duration::from_millis(20);
    let module = file.module();
    let stale = if file == ConfigFile::Endpoints { step.stale() } else { &[] };
    let reached = || readback::auth_mark(asterisk, step.tenant, &step.new_endpoints().mark);
    if stale.is_empty() || reached()? {
        for module in modules(file, &step.kept) {
            note_reload(live, module, asterisk.reload(module)?);
        }
        return contacts::list(asterisk, stale);
    }
    let (listed, reload) = thread::scope(|scope| {
        let reload = scope.spawn(|| asterisk.reload(module));
        while !reload.is_finished() && !reached()? {
            thread::sleep(GLANCE);
        }
        let listed = contacts::list(asterisk, stale);
        let reload = reload.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        Ok::<_, AsteriskError>((listed?, reload))
    })?;
    note_reload(live, module, reload);
    for watcher in modules(file, &step.kept).skip(1) {
        note_reload(live, watcher, asterisk.reload(watcher)?);
    }
    Ok(listed)
}

fn note_reload(live: &mut ApplyOutcome, module: Module, reload: Reload) {
    for (list, is_in) in [(&mut live.reloaded, true), (&mut live.loaded, reload == Reload::Loaded)] {
        if is_in && !list.contains(&module) {
            list.push(module);
        }
    }
}

/// Checks the names that could not be checked before: the module that knows them was not loaded.
pub(super) fn check_names_late(step: &Step<'_>, asterisk: &Asterisk, unchecked: &[String]) -> Vec<String> {
    if unchecked.is_empty() {
        return Vec::new();
    }
    match names::check(asterisk, &step.host.config_dir, step.book) {
        Ok(CheckedNames { missing, unchecked: still }) => {
            let missing = missing.iter().map(|name| format!("{}: {}", name.words(&NamePlaces::new()), name.hint()));
            missing.chain(still).collect()
        }
        Err(error) => unchecked.iter().map(|name| format!("{name}; afterwards: {error}")).collect(),
    }
}
