//! Runs `tests/scenarios`: each folder holds files, commands and what they print. The README there says how to add one.
//!
//! `SCENARIO=hold` runs those whose name contains `hold`. `UPDATE_SCENARIOS=1` writes what was printed and which files
//! were made into the folders instead of comparing.

use std::{
    env,
    fmt::Write as _,
    fs, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex},
    thread,
    time::Instant,
};

use regex::Regex;
use similar::TextDiff;

use super::{
    support::{TestEnv, say},
    transcript,
};

/// The file of a scenario that holds its commands.
const STEPS: &str = "scenario.txt";

/// The folder of a scenario with the files that Asterisk's configuration folder must hold in the end.
const EXPECTED: &str = "expected";

/// The first line of a scenario that needs a running Asterisk.
const ASTERISK: &str = "needs: asterisk";

/// A scenario as its file holds it.
#[derive(Default)]
struct Scenario {
    needs_asterisk: bool,
    /// How many empty lines stand before the first step.
    blank: usize,
    steps: Vec<Step>,
}

/// A line that is run or kept, and what stands below it.
struct Step {
    line: String,
    kind: Kind,
    /// What a command printed, without empty lines at its end.
    printed: String,
    /// How many empty lines follow.
    blank: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Remark,
    Command,
    /// `call TO from FROM at TIME -> TARGETS`
    Call,
}

impl Kind {
    fn of(line: &str) -> Option<Self> {
        [("#", Self::Remark), ("$ ", Self::Command), ("call ", Self::Call)]
            .into_iter()
            .find_map(|(head, kind)| line.starts_with(head).then_some(kind))
    }
}

impl Scenario {
    fn read(text: &str) -> Result<Self, String> {
        let mut scenario = Self { needs_asterisk: text.lines().next() == Some(ASTERISK), ..Self::default() };
        for (number, line) in text.lines().enumerate().skip(usize::from(scenario.needs_asterisk)) {
            let last = scenario.steps.last_mut();
            match (Kind::of(line), last) {
                (Some(kind), _) => {
                    scenario.steps.push(Step { line: line.to_owned(), kind, printed: String::new(), blank: 0 });
                }
                (None, Some(step)) if line.is_empty() => step.blank += 1,
                (None, Some(step)) if step.kind == Kind::Command => {
                    step.printed += &"\n".repeat(mem::take(&mut step.blank));
                    step.printed = mem::take(&mut step.printed) + line + "\n";
                }
                _ if line.is_empty() => scenario.blank += 1,
                _ => return Err(format!("line {}: neither a command, a call nor a remark", number + 1)),
            }
        }
        Ok(scenario)
    }

    fn write(&self) -> String {
        let mut text = if self.needs_asterisk { format!("{ASTERISK}\n") } else { String::new() };
        text += &"\n".repeat(self.blank);
        for step in &self.steps {
            let _ = writeln!(text, "{}", step.line);
            text += &step.printed;
            text += &"\n".repeat(step.blank);
        }
        text
    }

    /// Runs it, and puts what was printed in the place of what was expected.
    fn run(&mut self, env: &TestEnv) -> Result<(), String> {
        let steps: Vec<&mut Step> = self.steps.iter_mut().filter(|step| step.kind != Kind::Remark).collect();
        let mut commands = vec!["set -o pipefail".to_owned()];
        for step in &steps {
            step.plant_secrets(env);
            commands.push(step.command()?);
        }
        let printed = transcript::run(env, &commands, &[env.path("asterisk/bin")]);
        if printed.len() != commands.len() {
            return Err(format!("the shell ended at `{}`", commands[printed.len()]));
        }
        for (step, printed) in steps.into_iter().zip(printed.into_iter().skip(1)) {
            env.hear(&step.line, &printed.text);
            let mut text = printed.text.trim_end_matches('\n').to_owned();
            if step.kind == Kind::Call {
                let asked = step.line.split(" -> ").next().unwrap_or_default();
                step.line = format!("{asked} -> {text}");
                continue;
            }
            if let Some(line) = text.lines().find(|line| Kind::of(line).is_some()) {
                return Err(format!("`{}` prints a line that begins like a step: {line}", step.line));
            }
            if !text.is_empty() {
                text.push('\n');
            }
            if printed.status != 0 {
                let _ = writeln!(text, "[exit {}]", printed.status);
            }
            step.printed = text;
        }
        Ok(())
    }
}

impl Step {
    /// Fails the scenario where a secret that it exports is printed or left behind.
    fn plant_secrets(&self, env: &TestEnv) {
        let exported = self.line.strip_prefix("$ export ").and_then(shlex::split).unwrap_or_default();
        for (name, value) in exported.iter().filter_map(|word| word.split_once('=')) {
            if name.ends_with("_SECRET") {
                env.plant(value);
            }
        }
    }

    /// What the shell runs for it.
    fn command(&self) -> Result<String, String> {
        if let Some(command) = self.line.strip_prefix("$ ") {
            return Ok(command.to_owned());
        }
        let words: Vec<&str> = self.line.split(" -> ").next().unwrap_or_default().split_whitespace().collect();
        let mut trace = "reconcile trace --format json".to_owned();
        for pair in words.chunks(2) {
            let &[word, value] = pair else { return Err(format!("`{}`: a value is missing", self.line)) };
            let option = match word {
                "call" => "to",
                "from" | "at" => word,
                _ => return Err(format!("`{}`: `{word}` is none of call, from and at", self.line)),
            };
            let _ = write!(trace, " --{option} '{value}'");
        }
        Ok(trace + r#" | jq -r 'if .targets == [] then "nobody" else .targets | join(", then ") end'"#)
    }
}

/// Text that differs from run to run, and what stands for it.
static VARIABLE: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let pattern = |pattern: &str| Regex::new(pattern).unwrap();
    vec![
        (pattern(r"postgres(ql)?://\S+"), "[database]"),
        (pattern(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "[directory]"),
        (pattern(r" ; [0-9a-f]{32}\b"), " ; [tag]"),
        (pattern(r"\b[0-9a-f]{32,64}\b"), "[digest]"),
        (pattern(r"\bp1-[0-9a-f]{16}\b"), "p1-[id]"),
    ]
});

/// Puts names in the place of what differs from run to run.
fn settled(text: &str, env: &TestEnv, days: &[String]) -> String {
    let mut text = text.replace(env.path("").to_str().unwrap().trim_end_matches('/'), "[test]");
    for (pattern, name) in VARIABLE.iter() {
        text = pattern.replace_all(&text, *name).into_owned();
    }
    days.iter().fold(text, |text, day| text.replace(day, "[today]"))
}

fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// Runs the scenario in a folder. An error says what differs.
fn run(folder: &Path) -> Result<(), String> {
    let (update, first) = (env::var_os("UPDATE_SCENARIOS").is_some(), today());
    let expected = fs::read_to_string(folder.join(STEPS)).map_err(|error| format!("{STEPS}: {error}"))?;
    if expected.lines().any(|line| line.starts_with("$ ") && line.contains("[today]")) {
        return Err("a command names `[today]`: choose another date, which an update does not replace".to_owned());
    }
    let mut scenario = Scenario::read(&expected)?;
    let env = if scenario.needs_asterisk { TestEnv::with_asterisk() } else { TestEnv::new() };
    for file in files_below(folder).iter().filter(|file| !file.starts_with(EXPECTED)) {
        env.write(file.to_str().unwrap(), &fs::read_to_string(folder.join(file)).unwrap());
    }
    scenario.run(&env)?;
    let days = [first, today()];
    let settled = |text: &str| settled(text, &env, &days);
    let mut results = vec![(PathBuf::from(STEPS), expected, settled(&scenario.write()))];
    for file in files_below(&folder.join(EXPECTED)) {
        let made = fs::read_to_string(env.etc(file.to_str().unwrap())).unwrap_or_default();
        let file = Path::new(EXPECTED).join(file);
        results.push((file.clone(), fs::read_to_string(folder.join(file)).unwrap(), settled(&made)));
    }
    let mut differences = String::new();
    for (file, expected, made) in results {
        if update {
            fs::write(folder.join(&file), &made).unwrap();
        } else if made != expected {
            let diff = TextDiff::from_lines(&expected, &made);
            let file = file.display().to_string();
            let _ = write!(differences, "{}", diff.unified_diff().header(&file, "now"));
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(differences) }
}

/// The files in a folder and below it, as paths from there.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = PathBuf::from(entry.file_name());
        if entry.path().is_dir() {
            files.extend(files_below(&entry.path()).iter().map(|file| name.join(file)));
        } else {
            files.push(name);
        }
    }
    files.sort();
    files
}

/// Each folder of `tests/scenarios` is one case. Those that fail are named, each with what differs.
#[test]
fn every_scenario_ends_as_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let wanted = env::var("SCENARIO").unwrap_or_default();
    let name = |folder: &Path| folder.file_name().unwrap().to_string_lossy().into_owned();
    let mut folders: Vec<PathBuf> = fs::read_dir(&root).unwrap().flatten().map(|entry| entry.path()).collect();
    folders.retain(|folder| folder.is_dir() && name(folder).contains(&wanted));
    folders.sort();
    assert!(!folders.is_empty(), "no scenario is called like `{wanted}`");
    let (waiting, failed) = (Mutex::new(folders.iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some(folder) = waiting.lock().unwrap().next() else { return };
                    let (name, began) = (name(folder), Instant::now());
                    let ended = catch_unwind(AssertUnwindSafe(|| run(folder)));
                    let ended = ended.unwrap_or_else(|_| Err("it panicked, as said above".to_owned()));
                    let word = if ended.is_ok() { "ok" } else { "FAILED" };
                    say(&format!("scenario {name} ... {word} ({:.1} s)", began.elapsed().as_secs_f32()));
                    failed.lock().unwrap().extend(ended.err().map(|why| format!("{name}\n{why}")));
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    let hint = "`UPDATE_SCENARIOS=1 cargo test scenarios::` writes what is now: review what it changes";
    assert!(
        failed.is_empty(),
        "{} of {} scenarios failed:\n\n{}\n{hint}",
        failed.len(),
        folders.len(),
        failed.join("\n")
    );
}

#[test]
fn a_scenario_is_written_as_it_was_read() {
    let text =
        "needs: asterisk\n\n# why\n$ reconcile plan\nfirst\n\n second\n[exit 2]\n\n\n$ true\ncall +1 -> nobody\n";
    let scenario = Scenario::read(text).unwrap();
    assert_eq!((scenario.write().as_str(), scenario.needs_asterisk, scenario.steps.len()), (text, true, 4));
    assert_eq!(scenario.steps[1].printed, "first\n\n second\n[exit 2]\n");
    for wrong in ["nothing runs this\n", "# why\n\noutput of nothing\n", "call +1 -> nobody\nmore\n"] {
        assert!(Scenario::read(wrong).is_err(), "{wrong}");
    }
    for wrong in ["call +1 from -> nobody", "call +1 by +2 -> nobody"] {
        assert!(Scenario::read(wrong).unwrap().steps[0].command().is_err(), "{wrong}");
    }
}
