//! Whether the running Asterisk has what calls need. It takes files that use what it lacks,
//! and routes calls otherwise than declared, so that it is asked before anything moves.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil, tz::TimeZone};

use super::asterisk::{Answer, Asterisk, AsteriskError, running_modules};
use crate::render::Needs;

/// The lists that Asterisk is asked for, each with what any such list has: a word of Asterisk's core, or the
/// last line. An answer without it is none, as where the operator forbids the command. The last list is for trunks.
const LISTS: [(&str, &str); 3] = [
    ("core show applications", "WaitExten"),
    ("core show functions", "EXCEPTION"),
    ("module show like res_pjsip_", "modules loaded"),
];

/// Asks for the value of a function.
const EVALUATE: &str = "dialplan eval function";

/// What was found out.
#[derive(Debug, Default)]
pub(super) struct CheckedNeeds {
    /// What Asterisk lacks.
    pub(super) lacks: Vec<MissingNeed>,
    /// What it was not asked, in words. `None` if it was asked everything.
    pub(super) unasked: Option<String>,
}

/// Something that Asterisk lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingNeed {
    /// The rail that it stops an apply at.
    pub(crate) rail: &'static str,
    /// What, in words.
    pub(crate) message: String,
    /// The way out.
    pub(crate) hint: String,
}

impl MissingNeed {
    /// Says what it is and what is to be done.
    pub(crate) fn words(&self) -> String {
        format!("{}: {}", self.message, self.hint)
    }
}

/// Finds out what Asterisk lacks; asks nothing where nothing is needed.
///
/// # Errors
/// When it does not run, or stays silent.
pub(super) fn lacks(asterisk: &Asterisk, needs: &Needs<'_>, now: Timestamp) -> Result<CheckedNeeds, AsteriskError> {
    if needs.words.is_empty() {
        return Ok(CheckedNeeds::default());
    }
    let asked: Vec<_> = needs.zones.values().flat_map(|zone| probes(now).map(|at| (*zone, at))).collect();
    let clocks = asked.iter().map(|(zone, at)| clock(zone.name(), *at));
    let lists = if needs.modules.is_empty() { &LISTS[..2] } else { &LISTS[..] };
    let answers = ask(asterisk, &lists.iter().map(|(list, _)| (*list).to_owned()).chain(clocks).collect::<Vec<_>>())?;
    let (shown, clocks) = answers.split_at(lists.len());
    let mut unasked = BTreeSet::new();
    let [applications, functions, modules] = [0, 1, 2].map(|at: usize| {
        let (list, sure) = LISTS[at];
        let answer = shown.get(at)?.as_ref().filter(|answer| answer.raw().contains(sure));
        answer.or_else(|| {
            unasked.insert(list);
            None
        })
    });
    let known = applications.zip(functions).map(|(one, other)| [names(one), names(other)].concat());
    let missing = missing(needs, known.as_deref(), modules.map(running_modules).as_deref());
    let knows_clocks = !missing.values().flatten().any(|word| word == "STRFTIME");
    let mut lacks: Vec<MissingNeed> = not_loaded(&missing).into_iter().collect();
    let mut told = BTreeSet::new();
    for ((zone, at), answer) in asked.iter().zip(clocks).filter(|_| knows_clocks) {
        let Some(theirs) = answer.as_ref().and_then(result) else {
            unasked.insert(EVALUATE);
            continue;
        };
        let ours = zone.clock(*at);
        if theirs != ours && told.insert(zone.name()) {
            lacks.push(other_clock(zone.name(), *at, &ours, theirs));
        }
    }
    Ok(CheckedNeeds { lacks, unasked: words(&unasked) })
}

/// Asks Asterisk. Returns `None` for a command that a wrapper around the running Asterisk rejects.
pub(super) fn ask(asterisk: &Asterisk, commands: &[String]) -> Result<Vec<Option<Answer>>, AsteriskError> {
    let told = |answer| match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(AsteriskError::NotRunning(_)) => Ok(None),
        Err(error) => Err(error),
    };
    let answers: Vec<_> = asterisk.ask_each(commands).map(told).collect::<Result<_, _>>()?;
    if answers.contains(&None) {
        asterisk.wait_until_booted()?;
    }
    Ok(answers)
}

/// Says what was not found out.
fn words(unasked: &BTreeSet<&str>) -> Option<String> {
    let commands: Vec<String> = unasked.iter().map(|command| format!("`{command}`")).collect();
    (!commands.is_empty()).then(|| {
        let commands = commands.join(", ");
        format!("the check for the modules that calls need is incomplete: Asterisk does not answer {commands}")
    })
}

/// Lists what is missing, by module, of the words and the modules that are known.
fn missing(needs: &Needs<'_>, known: Option<&[&str]>, running: Option<&[&str]>) -> BTreeMap<&'static str, Vec<String>> {
    let mut missing: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (word, module) in needs.words.iter().filter(|(word, _)| known.is_some_and(|known| !known.contains(*word))) {
        missing.entry(module).or_default().push((*word).to_owned());
    }
    let stopped = |module: &str| running.is_some_and(|running| !running.contains(&module));
    for (module, uses) in needs.modules.iter().filter(|(module, _)| stopped(module)) {
        missing.entry(module).or_default().extend(uses.iter().cloned());
    }
    missing
}

/// Says which modules are missing, what for, and how they are loaded.
fn not_loaded(missing: &BTreeMap<&str, Vec<String>>) -> Option<MissingNeed> {
    let list = |one: &dyn Fn(&str) -> String| missing.keys().map(|module| one(module)).collect::<Vec<_>>();
    let what: Vec<String> = missing.iter().map(|(module, uses)| format!("{module} ({})", uses.join(", "))).collect();
    (!missing.is_empty()).then(|| MissingNeed {
        rail: "missing-modules",
        message: format!("Asterisk has not loaded modules that calls need: {}", what.join(", ")),
        hint: format!(
            "add {} to `modules.conf`, then run {} or restart Asterisk",
            list(&|module| format!("`load = {module}.so`")).join(", "),
            list(&|module| format!("`asterisk -rx 'module load {module}.so'`")).join(", "),
        ),
    })
}

fn other_clock(zone: &str, at: Timestamp, ours: &str, theirs: &str) -> MissingNeed {
    let theirs = if theirs.is_empty() { "nothing" } else { theirs };
    MissingNeed {
        rail: "clocks",
        message: format!(
            "Asterisk and reconcile disagree about the time zone `{zone}`: at {at}, Asterisk shows {theirs} and reconcile shows {ours}"
        ),
        hint: "install or update `tzdata` on the Asterisk host and restart Asterisk, which caches time zones; \
            if its `tzdata` is newer than reconcile's, use a later version of reconcile"
            .to_owned(),
    }
}

/// Asks for what the clocks of a zone show.
fn clock(zone: &str, at: Timestamp) -> String {
    format!("{EVALUATE} STRFTIME({},{zone},%Y-%m-%dT%H:%M)", at.as_second())
}

/// The next 15 January and 15 July: one of them is in summer time where there is any.
fn probes(now: Timestamp) -> [Timestamp; 2] {
    let year = now.to_zoned(TimeZone::UTC).year();
    [1, 7].map(|month| {
        let noon = |year| civil::Date::new(year, month, 15)?.at(12, 0, 0, 0).to_zoned(TimeZone::UTC);
        let coming = [year, year + 1].into_iter().filter_map(|year| Some(noon(year).ok()?.timestamp()));
        coming.filter(|at| *at > now).min().unwrap_or(now)
    })
}

/// Reads the names from a list of applications or functions: a line each.
fn names(answer: &Answer) -> Vec<&str> {
    let firsts = answer.raw().lines().filter_map(|line| line.split_whitespace().next());
    firsts.map(|name| name.trim_end_matches(':')).collect()
}

/// Reads what a function evaluates to, which may be an empty text. `None` if no function was evaluated.
pub(super) fn result(answer: &Answer) -> Option<&str> {
    answer.raw().lines().find_map(|line| line.strip_prefix("Result:")).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared_in_both_halves_of_the_coming_year() {
        for (now, winter, summer) in [
            ("2026-11-21T08:00:00Z", "2027-01-15T12:00:00Z", "2027-07-15T12:00:00Z"),
            ("2027-01-15T11:59:59Z", "2027-01-15T12:00:00Z", "2027-07-15T12:00:00Z"),
            ("2027-02-01T00:00:00Z", "2028-01-15T12:00:00Z", "2027-07-15T12:00:00Z"),
        ] {
            assert_eq!(probes(now.parse().unwrap()).map(|at| at.to_string()), [winter, summer], "{now}");
        }
        let latest = Timestamp::MAX;
        assert_eq!(probes(latest), [latest; 2]);
    }

    #[test]
    fn what_is_loaded_is_distinguished_from_what_is_not() {
        let shown = Answer::of(
            "Module                         Description  Use Count  Status      Support Level\n\
             res_pjsip_caller_id.so         PJSIP Caller 1          Running              core\n\
             res_pjsip_notify.so            PJSIP NOTIFY 0          Not Running          core\n\
             2 modules loaded\n",
        );
        assert_eq!(running_modules(&shown), ["res_pjsip_caller_id"]);
        assert_eq!(
            names(&Answer::of("   Dial: Attempt to connect\nFILTER    FILTER(allowed-chars,string)\n")),
            ["Dial", "FILTER"]
        );
        let evaluated = |text: &str| result(&Answer::of(text)).map(str::to_owned);
        assert_eq!(evaluated("Return Value: Success (0)\nResult: 2027-01-15T13:00\n").unwrap(), "2027-01-15T13:00");
        assert_eq!(evaluated("Return Value: Failure (-1)\nResult: \n").unwrap(), "");
        assert_eq!(evaluated("You do not have permissions to run 'dialplan eval function' command\n"), None);
    }
}
