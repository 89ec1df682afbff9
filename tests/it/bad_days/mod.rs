//! Bad days: what an administrator sees when something breaks at the worst moment, what stands
//! where afterwards, and that with the cause removed a plain `apply` is all it takes.
//!
//! A case is a row of a table: what was applied before, what goes wrong, the exit code and the
//! words that count, and the state of each stage. Here live the rows' type, the one runner for all
//! of them and the count; each family of cases has a file of its own.

mod at_once;
mod daemon;
mod database;
mod day;
mod disk;
mod fail_points;
mod failover;
mod operator;
mod pooler;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
};

use reconcile::asterisk::PerFile;

use super::support::{Outcome, say};
use day::{Day, Snapshot};

/// The families and how many cases each has: a case that is lost is noticed.
const FAMILIES: &[(&str, usize)] = &[
    ("fail points: first apply", 42),
    ("fail points: change", 42),
    ("fail points: delete", 42),
    ("fail points: rename", 42),
    ("operator", 18),
    ("damage", 8),
    ("unreadable", 3),
    ("daemon", 13),
    ("disk", 6),
    ("ordinary user", 5),
    ("folders", 3),
    ("database", 11),
    ("failover", 6),
    ("pooler", 5),
    ("at once", 6),
];

/// What stands at a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// What stood there before the bad day.
    Before,
    /// What stands there once all is well again.
    After,
    /// Nothing but marks: what the first apply puts back.
    Stub,
    /// Nothing of ours.
    Nothing,
    /// Something of ours that is neither.
    Else,
    /// Nobody there to ask.
    Gone,
}

/// What stands where after the command on the bad day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stands {
    rows: Stage,
    files: PerFile<Stage>,
    running: PerFile<Stage>,
    /// How the audit row that the command wrote ended; none where it wrote none.
    audit: Option<&'static str>,
}

/// Nothing moved.
const UNTOUCHED: Stands = Stands {
    rows: Stage::Before,
    files: PerFile::all(Stage::Before),
    running: PerFile::all(Stage::Before),
    audit: None,
};

/// All moved.
const LIVE: Stands = Stands {
    rows: Stage::After,
    files: PerFile::all(Stage::After),
    running: PerFile::all(Stage::After),
    audit: Some("live"),
};

/// The rows are recorded, the last good files are back and run.
const PUT_BACK: Stands = Stands {
    rows: Stage::After,
    files: PerFile::all(Stage::Before),
    running: PerFile::all(Stage::Before),
    audit: Some("rolled_back"),
};

/// Undoes what went wrong, as an administrator would.
type Mend = Box<dyn FnOnce(&mut Day)>;

/// One bad day.
struct Case {
    name: String,
    /// The desired state that is applied while all is well; none: whatever stands.
    before: Option<String>,
    /// The desired state of the bad day.
    declared: String,
    /// What goes wrong.
    wrong: Box<dyn Fn(&mut Day) -> Mend>,
    /// What the administrator runs.
    runs: Box<dyn Fn(&mut Day) -> Outcome>,
    exit: i32,
    /// Words that must be told.
    says: &'static [&'static str],
    stands: Stands,
    /// The numbers whose phones are still registered in the end; none: not looked at.
    registered: Option<&'static [&'static str]>,
}

/// A case in which nothing goes wrong, to be filled in.
fn case(name: impl Into<String>, before: &[&str], declared: &[&str]) -> Case {
    Case {
        name: name.into(),
        before: Some(day::desired(before)),
        declared: day::desired(declared),
        wrong: Box::new(|_| Box::new(|_| {})),
        runs: Box::new(|day| day.run("apply")),
        exit: 0,
        says: &[],
        stands: LIVE,
        registered: None,
    }
}

impl Case {
    fn goes_wrong<M: FnOnce(&mut Day) + 'static>(mut self, wrong: impl Fn(&mut Day) -> M + 'static) -> Self {
        self.wrong = Box::new(move |day| Box::new(wrong(day)));
        self
    }

    fn runs(mut self, runs: impl Fn(&mut Day) -> Outcome + 'static) -> Self {
        self.runs = Box::new(runs);
        self
    }

    fn sees(mut self, exit: i32, says: &'static [&'static str]) -> Self {
        (self.exit, self.says) = (exit, says);
        self
    }

    fn stands(mut self, stands: Stands) -> Self {
        self.stands = stands;
        self
    }

    /// Lives through the day; panics where it went otherwise.
    fn live_through(&self, day: &mut Day) {
        if let Some(before) = &self.before {
            day.env.write("pbx.yaml", before);
            day.run("apply --allow deletes=9").expect(0);
        }
        day.env.write("pbx.yaml", &self.declared);
        let before = Snapshot::take(day);
        let mend = (self.wrong)(day);
        let seen = (self.runs)(day);
        let answers = self.stands.running != PerFile::all(Stage::Gone);
        assert_eq!(day.answers(), answers, "whether Asterisk answers; {}", seen.text());
        let files_and_running = Snapshot::without_rows(day, answers);
        mend(day);
        // Mending touches no rows; a database that was away can be asked only now.
        let bad = Snapshot { rows: day.rows(), audit: day.audit(), ..files_and_running };

        assert_eq!(seen.code, self.exit, "{}", seen.text());
        for words in self.says {
            let told = seen.stdout.contains(words) || seen.stderr.contains(words);
            assert!(told, "these words are missing: {words}\n{}", seen.text());
        }
        // Files that were put back go live again only on purpose.
        day.run(if self.exit == 6 { "apply --again" } else { "apply" }).expect(0);
        let after = Snapshot::take(day);
        let stands = bad.between(&before, &after, self.stands);
        assert_eq!(stands, self.stands, "what stands where; {}", seen.text());
        self.all_is_well(day, &after);
    }

    /// What holds after every bad day.
    fn all_is_well(&self, day: &mut Day, after: &Snapshot) {
        day.run("plan --detailed-exitcode").expect(0);
        assert_eq!(after.audit.last().map(|(_, outcome)| outcome.as_str()), Some("live"));
        assert!(after.audit.iter().all(|(_, outcome)| outcome != "open"), "{:?}", after.audit);
        assert!(after.runs_its_files(), "{after:?}");
        assert_eq!(day.leftovers(), [""; 0]);
        assert!(day.lock_is_free());
        if let Some(numbers) = self.registered {
            assert_eq!(day.registered(), numbers, "who is registered");
        }
        day.no_secret_was_told();
    }
}

/// Lives through a family of bad days, one after the other on one system; says how many passed.
fn live_through(family: &'static str, day: &mut Day, cases: &[Case]) {
    live_through_each(family, cases, |case| case.live_through(day));
}

/// Lives through a family of bad days, each as told.
fn live_through_each(family: &'static str, cases: &[Case], mut live: impl FnMut(&Case)) {
    let only = std::env::var("BAD_DAY").unwrap_or_default();
    let mut otherwise = Vec::new();
    for case in cases.iter().filter(|case| case.name.contains(&only)) {
        if catch_unwind(AssertUnwindSafe(|| live(case))).is_err() {
            say(&format!("the bad day was: {family}: {}", case.name));
            otherwise.push(case.name.as_str());
        }
    }
    assert!(otherwise.is_empty(), "these days of `{family}` went otherwise: {otherwise:#?}");
    if only.is_empty() {
        passed(family, cases.len(), 0);
    }
}

/// Says that a family cannot be lived through here, and why.
fn skipped(family: &'static str, cases: usize, why: &str) {
    say(&format!("bad days: {family}: {cases} cases skipped: {why}"));
    passed(family, 0, cases);
}

/// Says how many cases passed, of this family and so far in all.
fn passed(family: &'static str, cases: usize, skipped: usize) {
    static PASSED: Mutex<BTreeMap<&str, usize>> = Mutex::new(BTreeMap::new());
    let expected = FAMILIES.iter().find(|(name, _)| *name == family).map(|(_, number)| *number);
    assert_eq!(expected, Some(cases + skipped), "the number of cases of `{family}`");
    let mut all = PASSED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    all.insert(family, cases);
    let each: Vec<String> = all.iter().map(|(name, number)| format!("{name} {number}")).collect();
    let total: usize = all.values().sum();
    let of = FAMILIES.len() - all.len();
    let rest = if of == 0 { String::new() } else { format!("; families to go: {of}") };
    say(&format!("bad days: {total} cases passed ({}){rest}", each.join(", ")));
}
