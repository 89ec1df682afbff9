//! Whether the running Asterisk has what inbound calls need. It takes files that use what it lacks,
//! and routes calls otherwise than declared, so that it is asked before anything moves.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil, tz::TimeZone};

use super::asterisk::{Answer, Asterisk, AsteriskError};
use crate::render::Needs;

/// Something that Asterisk lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// What, in words.
    pub message: String,
    /// The way out.
    pub hint: String,
}

impl Lack {
    /// Says what it is and what is to be done.
    pub fn words(&self) -> String {
        format!("{}: {}", self.message, self.hint)
    }
}

/// Finds out what Asterisk lacks; asks nothing where nothing is needed.
///
/// # Errors
/// When it cannot be asked.
pub(super) fn lacks(asterisk: &Asterisk, needs: &Needs<'_>, now: Timestamp) -> Result<Vec<Lack>, AsteriskError> {
    if needs.words.is_empty() {
        return Ok(Vec::new());
    }
    let asked: Vec<_> = needs.zones.values().flat_map(|zone| probes(now).map(|at| (*zone, at))).collect();
    let lists = ["core show applications", "core show functions", "module show like res_pjsip_"].map(str::to_owned);
    let clocks = asked.iter().map(|(zone, at)| clock(zone.name(), *at));
    let answers = asterisk.ask_all(&lists.into_iter().chain(clocks).collect::<Vec<_>>())?;
    let (shown, clocks) = answers.split_at(3);
    let missing = missing(needs, &[names(&shown[0]), names(&shown[1])].concat(), &running(&shown[2]));
    let knows_clocks = !missing.values().flatten().any(|word| word == "STRFTIME");
    let mut lacks: Vec<Lack> = modules(&missing).into_iter().collect();
    let mut told = BTreeSet::new();
    for ((zone, at), answer) in asked.iter().zip(clocks).filter(|_| knows_clocks) {
        let (ours, theirs) = (zone.clock(*at), result(answer));
        if theirs != ours && told.insert(zone.name()) {
            lacks.push(other_clock(zone.name(), *at, &ours, theirs));
        }
    }
    Ok(lacks)
}

/// Lists what is missing, by module.
fn missing(needs: &Needs<'_>, known: &[&str], running: &[&str]) -> BTreeMap<&'static str, Vec<String>> {
    let mut missing: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (word, module) in needs.words.iter().filter(|(word, _)| !known.contains(*word)) {
        missing.entry(module).or_default().push((*word).to_owned());
    }
    for (module, kinds) in needs.modules.iter().filter(|(module, _)| !running.contains(*module)) {
        missing.entry(module).or_default().extend(kinds.iter().map(|kind| format!("the {kind} of trunks")));
    }
    missing
}

/// Says which modules are missing, what for, and how they are loaded.
fn modules(missing: &BTreeMap<&str, Vec<String>>) -> Option<Lack> {
    let list = |one: &dyn Fn(&str) -> String| missing.keys().map(|module| one(module)).collect::<Vec<_>>();
    let what: Vec<String> = missing.iter().map(|(module, uses)| format!("{module} ({})", uses.join(", "))).collect();
    (!missing.is_empty()).then(|| Lack {
        message: format!("Asterisk has not loaded what inbound calls need: {}", what.join(", ")),
        hint: format!(
            "add {} to `modules.conf`, then run {} or restart Asterisk",
            list(&|module| format!("`load = {module}.so`")).join(", "),
            list(&|module| format!("`asterisk -rx 'module load {module}.so'`")).join(", "),
        ),
    })
}

fn other_clock(zone: &str, at: Timestamp, ours: &str, theirs: &str) -> Lack {
    let theirs = if theirs.is_empty() { "nothing" } else { theirs };
    Lack {
        message: format!(
            "the clocks for the time zone `{zone}` differ: at {at} Asterisk's shows {theirs}, and ours {ours}"
        ),
        hint: "install or update `tzdata` on the Asterisk host and restart Asterisk, which remembers zones; \
            where its data is the newer one, use a later version of reconcile"
            .to_owned(),
    }
}

/// Asks for what the clocks of a zone show.
fn clock(zone: &str, at: Timestamp) -> String {
    format!("dialplan eval function STRFTIME({},{zone},%Y-%m-%dT%H:%M)", at.as_second())
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

/// Reads which modules run.
fn running(answer: &Answer) -> Vec<&str> {
    let runs = |line: &&str| line.contains(" Running ") && !line.contains(" Not Running ");
    let firsts = answer.raw().lines().filter(runs).filter_map(|line| line.split_whitespace().next());
    firsts.map(|name| name.trim_end_matches(".so")).collect()
}

/// Reads what a function evaluates to; nothing where it does not.
fn result(answer: &Answer) -> &str {
    answer.raw().lines().find_map(|line| line.strip_prefix("Result: ")).unwrap_or_default().trim()
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
    fn what_is_loaded_is_told_from_what_is_not() {
        let shown = Answer::of(
            "Module                         Description  Use Count  Status      Support Level\n\
             res_pjsip_caller_id.so         PJSIP Caller 1          Running              core\n\
             res_pjsip_notify.so            PJSIP NOTIFY 0          Not Running          core\n\
             2 modules loaded\n",
        );
        assert_eq!(running(&shown), ["res_pjsip_caller_id"]);
        assert_eq!(
            names(&Answer::of("   Dial: Attempt to connect\nFILTER    FILTER(allowed-chars,string)\n")),
            ["Dial", "FILTER"]
        );
        assert_eq!(result(&Answer::of("Return Value: Success (0)\nResult: 2027-01-15T13:00\n")), "2027-01-15T13:00");
        assert_eq!(result(&Answer::of("Return Value: Failure (-1)\nResult: \n")), "");
    }
}
