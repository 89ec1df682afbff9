//! The way back, after the rows were committed: the last good files in place, running again and
//! read back. It needs no database.

use super::{Asterisk, AsteriskError, NotLive, Observer, clock::Clock, compare::modules, readback, step::Step};
use crate::{
    asterisk::PerFile,
    fail_point,
    fs::Staged,
    render::{Parsed, parse},
};

/// Puts the last good files back and makes Asterisk run them again.
pub(super) fn put_back(
    step: &Step<'_>,
    staged: PerFile<Option<Staged>>,
    mut reasons: Vec<String>,
    clock: &mut Clock,
    observer: &mut dyn Observer,
) -> NotLive {
    clock.start("put back", observer);
    let mut restored = true;
    if let Err(error) = fail_point::pass("put-back") {
        reasons.push(error.to_string());
    }
    for (file, staged) in staged.into_iter().filter(|(file, _)| step.kept[*file]) {
        let (target, good) = (step.host.target(&step.rendered[file].path), &step.last_good[file]);
        // One that cannot be read is replaced, too.
        if target.read().is_ok_and(|text| text.as_ref() == Some(good)) {
            continue;
        }
        // What was staged may have gone with its folder.
        if staged.is_some_and(|staged| staged.commit().is_ok()) {
            continue;
        }
        if let Err(error) = target.stage(good).and_then(Staged::commit) {
            reasons.push(error.to_string());
            restored = false;
        }
    }
    // What was to be let go stays: its phones are the valid ones again.
    if let Err(error) = step.undo_contacts() {
        reasons.push(error.to_string());
    }
    let (mut rolled_back, mut answers, mut not_included) = (restored, true, Vec::new());
    if let Some(asterisk) = &step.host.asterisk {
        let runs = run_last_good(step, asterisk);
        answers = !matches!(
            runs,
            Err(AsteriskError::NotRunning(_) | AsteriskError::Killed { .. } | AsteriskError::Silent { .. })
        );
        rolled_back &= *runs.as_ref().unwrap_or(&false);
        reasons.extend(runs.err().map(|error| error.to_string()));
        match step.host.missing_includes(step.tenant, step.kept) {
            Ok(lines) => not_included = lines,
            Err(error) => reasons.push(error.to_string()),
        }
    }
    reasons.dedup();
    NotLive {
        reasons,
        complaints: Vec::new(),
        others_at_fault: Vec::new(),
        overrides: Vec::new(),
        taken_over: 0,
        restored,
        first: step.first,
        rolled_back,
        answers,
        run: 0,
        unaudited: None,
        not_included,
    }
}

/// Makes Asterisk run the last good files; one that died or hangs is not asked again and again.
fn run_last_good(step: &Step<'_>, asterisk: &Asterisk) -> Result<bool, AsteriskError> {
    asterisk.wait_until_booted()?;
    for module in step.kept_files().flat_map(|file| modules(file, &step.kept)) {
        asterisk.reload(module)?;
    }
    let good = PerFile::from_fn(|file| if step.kept[file] { parse(&step.last_good[file]) } else { Parsed::default() });
    let live = readback::live(asterisk, step.tenant, &good.each_ref().map(|file| file.mark.as_str()))?;
    for (file, good) in good.iter().filter(|(file, _)| step.kept[*file]) {
        if !live[file] || !readback::missing(asterisk, file, good)?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}
