//! The apply protocol, step by step: survey, plan, lock, the same plan under the lock, rows, staged files, commit,
//! rename, reload, read back, old phones, audit. Anything wrong after the commit puts the last
//! good files back, which needs no database.
//!
//! While a transaction or the tenant's lock is open, nothing is printed, no pipe is waited for and Asterisk is not
//! asked: other writers of the tenant wait for that lock.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::{
    ApplyError, ApplyOutcome, Asterisk, AsteriskError, Host, NotLive, Observer, Request,
    at_once::both,
    audit_row, callers,
    clock::Clock,
    contacts,
    decide::{Decided, ROUNDS, decide, never_still, show},
    host::HostLock,
    log::LogMark,
    mismatch::Mismatch,
    put_back::put_back,
    readback::{self, Expected},
    reload::{check_names_late, load_stopped, loaded_words, reload},
    rows::Prepared,
    sections,
    step::{StagedFiles, Step},
    taken::Defined,
};
use crate::{
    asterisk::{ConfigFile, Module, PerFile},
    directory::{
        Directory,
        audit::{End, Outcome},
    },
    fail_point,
    fs::{FileError, Staged},
    model::{Extension, Tenant, hex},
    plan::Effects,
    render::{Digests, File, Phonebook, endpoint_name},
};

/// Records the plan: rows only.
///
/// # Errors
/// When the plan must not be applied, or the directory fails; then nothing was changed.
pub(crate) fn sync(
    request: &Request<'_>,
    directory: &mut Directory,
    host: &Host,
    observer: &mut dyn Observer,
) -> Result<ApplyOutcome, ApplyError> {
    let mut clock = Clock::default();
    let mut shown = None;
    for round in 1..=ROUNDS {
        clock.start("check", observer);
        let survey = host.survey(request.tenant)?;
        let mut plan = show(request, directory, None, &survey, shown.as_ref(), (&mut clock, observer))?;
        clock.start("record", observer);
        let mut writer = directory.write(request.tenant)?;
        let Some(decided) = decide(request, &mut writer, &survey, &mut plan, round == ROUNDS)? else {
            shown = Some(plan);
            continue;
        };
        writer.change(&decided.prepared.rows)?;
        let rows = audit_row::bounded(audit_row::rows(&decided.plan, &decided.effects));
        let run = writer.open_audit(&decided.run(request, host, "sync", &rows))?;
        clock.stop();
        let end =
            End { outcome: Outcome::Recorded, files: BTreeMap::new(), phases: clock.phases.clone(), message: None };
        writer.close_audit(run, &end)?;
        writer.commit()?;
        return Ok(ApplyOutcome { phases: clock.phases, ..ApplyOutcome::new(Outcome::Recorded, run) });
    }
    Err(never_still())
}

/// Applies: records the rows, renders the files, makes Asterisk run them, and proves it.
///
/// # Errors
/// Before the rows are committed: nothing was changed. After: [`ApplyError::NotLive`] says which
/// stage stands where.
pub(crate) fn apply(
    request: &Request<'_>,
    directory: &mut Directory,
    host: &Host,
    observer: &mut dyn Observer,
) -> Result<ApplyOutcome, ApplyError> {
    let mut clock = Clock::default();
    let (mut loaded, mut shown) = (Vec::new(), None);
    for round in 1..=ROUNDS {
        let is_last = round == ROUNDS;
        clock.start("check", observer);
        let survey = host.look(request.tenant)?;
        let mut plan = show(request, directory, Some(host), &survey, shown.as_ref(), (&mut clock, observer))?;
        let _lock = lock(request, directory, host)?;
        fail_point::pass("locked")?;
        // Listed in time to be kept before the files change.
        let registered = || match &host.asterisk {
            Some(asterisk) if plan.changes_endpoints || is_last => contacts::all(asterisk),
            _ => Ok(Vec::new()),
        };
        let (registered, is_still) = both(registered, || host.still_has(request.tenant, &survey));
        let (registered, is_still) = (registered?, is_still?);
        fail_point::pass("checked")?;
        // No rail stops the plan. What Asterisk loads now may know names that were unchecked, so it is asked again.
        let now_loaded = if is_still { load_stopped(host, &survey)? } else { Vec::new() };
        if !is_still || !now_loaded.is_empty() {
            loaded.extend(now_loaded);
            shown = Some(plan);
            continue;
        }
        clock.start("record", observer);
        let mut writer = directory.write(request.tenant)?;
        let Some(decided) = decide(request, &mut writer, &survey, &mut plan, is_last)? else {
            shown = Some(plan);
            continue;
        };
        writer.change(&decided.prepared.rows)?;
        writer.mark_put_away(request.tenant, &host.name, &host.put_away(request.tenant)?)?;
        let run = writer.open_audit(&decided.run(request, host, "apply", &decided.diff))?;
        fail_point::pass("recording")?;

        clock.start("render", observer);
        let book = Phonebook::of(&decided.plan, decided.recorded.directory);
        let Prepared { digests, object_secrets: secrets, .. } = &decided.prepared;
        let rendered = book.files(Digests::Real { digests, secrets })?;
        let step = Step::new(host, &book, &rendered, &survey)?;
        Defined::by(host, &book)?.check_files()?;
        fail_point::pass("rendered")?;
        let staged = step.stage(&registered)?;
        fail_point::pass("staged")?;
        writer.commit()?;
        return carry_out((&step, staged), &decided, (directory, run, loaded), clock, observer);
    }
    Err(never_still())
}

/// Takes the host's lock, or says who has it.
fn lock(request: &Request<'_>, directory: &mut Directory, host: &Host) -> Result<HostLock, ApplyError> {
    let since = request.policy.now.strftime("%Y-%m-%dT%H:%M:%SZ");
    if let Some(lock) = host.lock(&format!("{} runs `apply` on {} since {since}", request.actor, host.name))? {
        return Ok(lock);
    }
    // Who holds it is only told: that it is held stands, whatever the directory says.
    let open_run = |directory: &mut Directory| {
        let run = directory.open_run(&host.name);
        run.inspect_err(|error| tracing::debug!(%error, "cannot tell who holds the lock")).ok().flatten()
    };
    let holder = host.holder().or_else(|| open_run(directory));
    Err(ApplyError::Locked { host: host.name.clone(), holder })
}

/// Carries out what was committed, and closes the audit row.
fn carry_out(
    (step, staged): (&Step<'_>, StagedFiles),
    decided: &Decided,
    (directory, run, loaded): (&mut Directory, i64, Vec<Module>),
    mut clock: Clock,
    observer: &mut dyn Observer,
) -> Result<ApplyOutcome, ApplyError> {
    // From here on the rows stand; what goes wrong is put back.
    let mut live = ApplyOutcome { loaded, ..ApplyOutcome::new(Outcome::Rendered, 0) };
    let attempt = write_and_reload(step, staged, decided, &mut live, &mut clock, observer).map(|()| live);
    clock.stop();
    let phases = clock.phases;
    let (outcome, message, result) = match attempt {
        Ok(live) => (live.outcome, loaded_words(&live.loaded), Ok(live)),
        Err(not_live) => {
            let outcome = if not_live.rolled_back { Outcome::RolledBack } else { Outcome::NotLive };
            (outcome, Some(not_live.reasons.join("; ")), Err(not_live))
        }
    };
    let passed = fail_point::pass("closing").map_err(|error| error.to_string());
    let files = hashes(step.host, step.rendered);
    let end = End { outcome, files: files.clone(), phases: phases.clone(), message };
    let Decided { plan, recorded, prepared, .. } = decided;
    let closed = passed.and_then(|()| {
        callers::close(directory, run, &end, plan, recorded, &prepared.rows).map_err(|error| error.to_string())
    });
    match result {
        Ok(live) => {
            let mut warnings: Vec<String> = loaded_words(&live.loaded).into_iter().chain(live.warnings).collect();
            warnings.extend(decided.unasked.iter().cloned());
            warnings.extend(closed.err().map(|error| {
                let callers = callers::unmoved(plan, recorded);
                format!("the audit row {run} stays open{callers}: {error}")
            }));
            Ok(ApplyOutcome { run, files, phases, warnings, ..live })
        }
        Err(not_live) => Err(ApplyError::NotLive(Box::new(NotLive { run, unaudited: closed.err(), ..*not_live }))),
    }
}

/// Hashes the files as they now stand.
fn hashes(host: &Host, files: &PerFile<File>) -> BTreeMap<String, String> {
    let text = |file: &File| {
        let read = host.target(&file.path).read();
        read.inspect_err(|error| tracing::warn!(%error, "the audit row does not say how a file stands")).ok()?
    };
    files.values().filter_map(|file| Some((file.path.clone(), hex(&Sha256::digest(text(file)?.as_bytes()))))).collect()
}

fn write_and_reload(
    step: &Step<'_>,
    StagedFiles { new, back }: StagedFiles,
    decided: &Decided,
    live: &mut ApplyOutcome,
    clock: &mut Clock,
    observer: &mut dyn Observer,
) -> Result<(), Box<NotLive>> {
    clock.start("write", observer);
    let (log, written) = both(|| step.host.asterisk.as_ref().map(LogMark::now), || write(step, new, live));
    let taken_over = decided.taken_over.len();
    if let Err(error) = written {
        let not_live = put_back(step, back, vec![error.to_string()], clock, observer);
        return Err(Box::new(NotLive { taken_over, ..not_live }));
    }
    let Some((asterisk, log)) = step.host.asterisk.as_ref().zip(log) else { return Ok(()) };
    make_live(step, asterisk, &log, decided, live, clock, observer).map_err(|reasons| {
        let complaints = log.complaints(&decided.prepared.object_secrets);
        let mut reasons = reasons;
        let others_at_fault = step.host.others_at_fault(step.tenant, &complaints).unwrap_or_else(|error| {
            reasons.push(format!("cannot tell whether another tenant's file is at fault: {error}"));
            Vec::new()
        });
        // A file that cannot be read is named by `put_back`.
        let overrides = step.host.overrides(step.tenant).unwrap_or_default();
        let not_live = put_back(step, back, reasons, clock, observer);
        Box::new(NotLive { complaints, others_at_fault, overrides, taken_over, ..not_live })
    })
}

fn write(step: &Step<'_>, staged: PerFile<Option<Staged>>, live: &mut ApplyOutcome) -> Result<(), FileError> {
    fail_point::pass("committed")?;
    for (file, staged) in staged {
        let Some(staged) = staged else { continue };
        live.written.push(step.rendered[file].path.clone());
        staged.commit()?;
        fail_point::pass("renamed")?;
    }
    fail_point::pass("written")
}

fn make_live(
    step: &Step<'_>,
    asterisk: &Asterisk,
    log: &LogMark,
    decided: &Decided,
    live: &mut ApplyOutcome,
    clock: &mut Clock,
    observer: &mut dyn Observer,
) -> Result<(), Vec<String>> {
    let told = |error: AsteriskError| vec![error.to_string()];
    let failed = |error: FileError| vec![error.to_string()];
    let mut contacts = step.pending_contacts().map_err(failed)?;
    clock.start("reload", observer);
    for file in ConfigFile::ALL.into_iter().filter(|file| step.must_reload(*file)) {
        contacts.extend(reload(step, asterisk, file, live).map_err(told)?);
        fail_point::pass("reloaded").map_err(failed)?;
    }
    let endpoints_reloaded = step.must_reload(ConfigFile::Endpoints);
    if !endpoints_reloaded {
        contacts.extend(contacts::list(asterisk, step.stale()).map_err(told)?);
    }
    clock.start("read back", observer);
    fail_point::pass("read-back").map_err(failed)?;
    let changed = if endpoints_reloaded { changed_phones(step, decided) } else { Vec::new() };
    let expected = Expected {
        book: step.book,
        digests: &decided.prepared.digests,
        files: &step.new,
        changed,
        gone: sections::gone(&step.old, step.new_endpoints()),
    };
    // Objects that are missing without any change of ours were kept out by somebody else's mistake:
    // a reload brings them back where it was mended.
    for file in step.kept_files().filter(|file| !step.must_reload(*file)) {
        if !readback::runs(asterisk, file, &expected).map_err(told)? {
            reload(step, asterisk, file, live).map_err(told)?;
        }
    }
    let mut verified = verify(asterisk, &expected);
    if verified.is_err() {
        let mended = step.mend_others(&log.complaints(&decided.prepared.object_secrets)).map_err(failed)?;
        for (other, file) in &mended {
            contacts.extend(reload(step, asterisk, *file, live).map_err(told)?);
            live.warnings.push(mended_words(other, *file));
        }
        if !mended.is_empty() {
            verified = verify(asterisk, &expected);
        }
    }
    live.looked_at = (verified?, expected.changed.len() * 3);
    live.outcome = Outcome::Live;
    live.warnings.extend(check_names_late(step, asterisk, &decided.unchecked));
    // It is live: whatever goes wrong from here on is told, and left to the next apply.
    clock.start("contacts", observer);
    let noted = step.proven().map_err(|error| error.to_string());
    let ended = fail_point::pass("proven")
        .map_err(|error| error.to_string())
        .and_then(|()| contacts::expire_contacts(asterisk, &contacts).map_err(|error| error.to_string()));
    let forgotten = match &ended {
        Ok(_) => fail_point::pass("let-go").and_then(|()| step.forget_contacts()).map_err(|error| error.to_string()),
        Err(_) => Ok(()),
    };
    live.warnings.extend([noted.err(), ended.as_ref().err().cloned(), forgotten.err()].into_iter().flatten());
    live.expired = ended.unwrap_or(0);
    Ok(())
}

fn mended_words(other: &Tenant, file: ConfigFile) -> String {
    format!(
        "{} was edited by hand or cut short, and kept Asterisk from taking what stands behind it: \
         tenant `{other}`'s last good file was put back",
        file.path(other)
    )
}

/// Phones whose sections differ from those in the former file.
fn changed_phones(step: &Step<'_>, decided: &Decided) -> Vec<Extension> {
    let Effects { made, moved, reread, .. } = &decided.effects;
    let differs = |number: &Extension| [made, moved, reread].iter().any(|phones| phones.contains(number));
    let written = decided.plan.users.values().filter(|user| {
        let name = endpoint_name(step.tenant, decided.plan.settings.endpoint_names, user.extension);
        user.write
            || differs(&user.extension)
            || step.old.phones.get(&name).map(|phone| &phone.digest)
                != step.new_endpoints().phones.get(&name).map(|phone| &phone.digest)
    });
    written.map(|user| user.extension).collect()
}

/// How long the read-back is repeated while a slow reload may still be running.
const SETTLE: Duration = Duration::from_secs(3);

/// How long an Asterisk that is gone is waited for: it may restart just now.
const RESTART: Duration = Duration::from_secs(10);

fn verify(asterisk: &Asterisk, expected: &Expected<'_>) -> Result<usize, Vec<String>> {
    let mut until = Instant::now() + SETTLE;
    let gone = Instant::now() + RESTART;
    loop {
        let (wrong, until_then) = match readback::read_back(asterisk, expected) {
            Ok((wrong, looked_at)) if wrong.is_empty() => return Ok(looked_at),
            Ok((wrong, _)) => (wrong.iter().map(Mismatch::to_string).collect(), until),
            Err(error @ AsteriskError::NotRunning(_)) => (vec![error.to_string()], gone),
            Err(error) => (vec![error.to_string()], until),
        };
        if Instant::now() > until_then {
            return Err(wrong);
        }
        thread::sleep(Duration::from_millis(100));
        // The time that it takes to start does not count.
        let asked = Instant::now();
        if asterisk.wait_until_booted().is_ok() {
            until += asked.elapsed();
        }
    }
}
