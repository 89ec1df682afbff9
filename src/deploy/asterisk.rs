//! The `asterisk` program as a client: one command at a time, each with our own deadline.
//!
//! Asterisk's word is no proof: it says "success" for broken reloads and exits 0 whatever
//! happens. What is believed is read back in `readback.rs`.

use std::{
    fmt,
    os::unix::process::ExitStatusExt,
    panic::resume_unwind,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::denied;
use crate::{
    accounts::way_in,
    asterisk::Module,
    child::{self, ChildError, Limits},
    model::{Hints, SENSITIVE, TELLING},
};

/// Answers once Asterisk has finished starting.
const BOOTED: &str = "core waitfullybooted";

/// How long an Asterisk that has finished starting may take to say so: it answers within milliseconds.
const BOOTED_DEADLINE: Duration = Duration::from_secs(3);

/// How long the first word may take, which costs Asterisk nothing.
const GREETING_DEADLINE: Duration = Duration::from_secs(10);

/// How long an ordinary command may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// How long a reload may take. Asterisk's client itself gives up after 60 s, with an empty answer.
const RELOAD_DEADLINE: Duration = Duration::from_secs(70);

/// How long a running reload is waited for: 11,000 phones take Asterisk most of a minute.
const PATIENCE: Duration = Duration::from_mins(5);

/// How long an answer may be, in bytes: the registrations of 300,000 phones take about 100 MiB.
const LONGEST: usize = 256 * 1024 * 1024;

/// How many clients ask at the same time.
const AT_ONCE: usize = 4;

/// What Asterisk answers to the reload of a module that it has not loaded.
const NOT_LOADED: [&str; 3] = ["No such command", "No such module", "was not properly initialized"];

/// What became of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reload {
    /// The module was reloaded.
    Reloaded,
    /// The module was not loaded, and now is.
    Loaded,
}

/// Asterisk could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AsteriskError {
    /// The program is not there.
    #[error("cannot run `{program}`: {source}")]
    Missing {
        program: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The program says that no Asterisk runs.
    #[error("Asterisk does not run here: {0}")]
    NotRunning(String),
    /// The user who asks may not.
    #[error("the user who runs this command has no access to `{}`, which Asterisk's CLI needs", path.display())]
    Denied {
        /// The socket of Asterisk, or its configuration, which names the socket.
        path: PathBuf,
    },
    /// The program was ended by a signal: for want of memory, or by somebody.
    #[error("`{program}` was ended by signal {signal} while it asked Asterisk for `{command}`")]
    Killed {
        program: String,
        command: String,
        /// Its number.
        signal: i32,
    },
    /// No answer within the deadline.
    #[error("Asterisk did not answer `{command}` within {seconds} s")]
    Silent {
        command: String,
        /// The deadline.
        seconds: u64,
    },
    /// The answer does not end.
    #[error("Asterisk's answer to `{command}` is longer than {mebibytes} MiB")]
    TooLong {
        command: String,
        /// The bound.
        mebibytes: usize,
    },
    /// Another reload never ended.
    #[error("another reload has been running for {0} s")]
    Busy(u64),
    /// The answer to a reload was another one than success.
    #[error("Asterisk answered `{command}` with: {answer}")]
    Refused {
        command: String,
        /// The answer, scrubbed.
        answer: String,
    },
}

impl Hints for AsteriskError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Missing { .. } => {
                vec!["set the command that runs Asterisk's CLI on this machine with `--asterisk-command`".to_owned()]
            }
            Self::Denied { path } => vec![way_in(path)],
            Self::NotRunning(_) => vec!["start it, then run the same command again".to_owned()],
            Self::Killed { .. } => {
                vec!["look with `dmesg` whether memory ran out, then run the same command again".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}

/// What Asterisk printed. May hold secrets: `Debug` and `Display` show it scrubbed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Answer(String);

impl Answer {
    /// Takes what Asterisk once printed.
    #[cfg(test)]
    pub(super) fn of(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the text for reading, not for showing.
    pub(crate) fn raw(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&scrub(&self.0))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Replaces everything that looks like a secret: what follows a telling key, and long hex.
pub(super) fn scrub(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let lower = line.to_ascii_lowercase();
        let at = TELLING.iter().filter_map(|word| lower.find(word)).min();
        let cut = at.and_then(|at| line[at..].find(['=', ':']).map(|sign| at + sign + 1));
        let shown = cut.map_or_else(|| line.to_owned(), |cut| format!("{} {}", &line[..cut], SENSITIVE));
        lines.push(shown.split(' ').map(without_hashes).collect::<Vec<_>>().join(" "));
    }
    lines.join("\n")
}

/// Replaces what may be a digest in a word; our marks, which name a generation, are none.
fn without_hashes(word: &str) -> String {
    let hashes = word.split(|c: char| !c.is_ascii_hexdigit()).filter(|run| run.len() >= 32 && !word.contains("-gen-"));
    hashes.fold(word.to_owned(), |shown, hash| shown.replace(hash, SENSITIVE))
}

/// The program to ask.
#[derive(Debug, Clone)]
pub(crate) struct Asterisk {
    words: Vec<String>,
}

impl Asterisk {
    /// Takes the command line of the client, such as `asterisk` or `sudo asterisk`.
    ///
    /// Returns none where it holds no word, or a quote is left open.
    pub(crate) fn new(command: &str) -> Option<Self> {
        shlex::split(command).filter(|words| !words.is_empty()).map(|words| Self { words })
    }

    /// Names the program.
    pub(crate) fn program(&self) -> String {
        self.words.join(" ")
    }

    /// Makes sure that Asterisk runs and has finished starting.
    ///
    /// # Errors
    /// When it does not run, or stays silent.
    pub(crate) fn wait_until_booted(&self) -> Result<(), AsteriskError> {
        match self.wait_at_most(BOOTED_DEADLINE) {
            Err(AsteriskError::Silent { .. }) => {}
            answer => return answer,
        }
        // Answered even while it boots: one that hangs is told from one that takes its time.
        self.ask_within("core show version", GREETING_DEADLINE)?;
        self.ask_within(BOOTED, RELOAD_DEADLINE).map(drop)
    }

    /// Makes sure that Asterisk runs and has finished starting, for a command that does not wait.
    ///
    /// # Errors
    /// When it does not run, or does not answer in time.
    pub(crate) fn wait_at_most(&self, deadline: Duration) -> Result<(), AsteriskError> {
        match self.ask_within(BOOTED, deadline) {
            Err(AsteriskError::NotRunning(said)) => {
                let denied = denied::named_in(&said).map(|path| AsteriskError::Denied { path });
                Err(denied.unwrap_or(AsteriskError::NotRunning(said)))
            }
            answer => answer.map(drop),
        }
    }

    /// Asks for something.
    ///
    /// # Errors
    /// When Asterisk does not run, or stays silent.
    pub(crate) fn ask(&self, command: &str) -> Result<Answer, AsteriskError> {
        self.ask_within(command, DEADLINE)
    }

    /// Asks for several things, a few at a time; the answers come in the order of the commands.
    ///
    /// # Errors
    /// When Asterisk does not run, or stays silent, for any of them.
    pub(crate) fn ask_all(&self, commands: &[String]) -> Result<Vec<Answer>, AsteriskError> {
        self.ask_each(commands).collect()
    }

    /// Asks for several things as they are taken, a few at a time and in their order.
    pub(super) fn ask_each(&self, commands: &[String]) -> impl Iterator<Item = Result<Answer, AsteriskError>> {
        commands.chunks(AT_ONCE).flat_map(move |some| {
            thread::scope(|scope| {
                let clients: Vec<_> = some.iter().map(|command| scope.spawn(|| self.ask(command))).collect();
                let answers =
                    clients.into_iter().map(|client| client.join().unwrap_or_else(|panic| resume_unwind(panic)));
                answers.collect::<Vec<_>>()
            })
        })
    }

    /// Looks at all AORs, upon which Asterisk clears away the registrations that have expired: 10,000 in two
    /// seconds (measured). What the answer says is not needed.
    ///
    /// # Errors
    /// When Asterisk does not run, or stays silent.
    pub(super) fn look_at_all_aors(&self) -> Result<(), AsteriskError> {
        self.ask_within("pjsip show aors", RELOAD_DEADLINE).map(drop)
    }

    /// Asks for a narrow reload, again and again while another one runs. Loads a module that Asterisk
    /// has not loaded.
    ///
    /// An empty answer is none: the client gave up, and the reload goes on behind it until
    /// Asterisk would take another one.
    ///
    /// # Errors
    /// When Asterisk does not run, refuses, or is busy for five minutes.
    pub(crate) fn reload(&self, module: Module) -> Result<Reload, AsteriskError> {
        let command = module.reload_command;
        let start = Instant::now();
        loop {
            let answer = self.ask_within(command, RELOAD_DEADLINE)?;
            let text = answer.raw();
            if text.contains("already in progress") {
                if start.elapsed() > PATIENCE {
                    return Err(AsteriskError::Busy(PATIENCE.as_secs()));
                }
                thread::sleep(Duration::from_millis(200));
            } else if text.trim().is_empty() {
                return self.wait_for_reload(start).map(|()| Reload::Reloaded);
            } else if is_done(text) {
                return Ok(Reload::Reloaded);
            } else if NOT_LOADED.iter().any(|words| text.contains(words)) {
                return self.load(module).map(|()| Reload::Loaded);
            } else {
                return Err(AsteriskError::Refused { command: command.to_owned(), answer: answer.to_string() });
            }
        }
    }

    /// Loads a module that is not loaded, such as one that rejected its file when Asterisk started.
    ///
    /// # Errors
    /// When it does not run afterwards.
    pub(super) fn load(&self, module: Module) -> Result<(), AsteriskError> {
        let command = format!("module load {}.so", module.object);
        let answer = self.ask_within(&command, RELOAD_DEADLINE)?;
        if self.runs(module)? != Some(false) {
            return Ok(());
        }
        Err(AsteriskError::Refused { command, answer: answer.to_string() })
    }

    /// Tells whether a module runs; `None` if Asterisk does not answer that.
    pub(super) fn runs(&self, module: Module) -> Result<Option<bool>, AsteriskError> {
        let answer = match self.ask(&format!("module show like {}", module.object)) {
            // A client that may not ask this fails as one without Asterisk does.
            Err(AsteriskError::NotRunning(_)) => return Ok(None),
            answer => answer?,
        };
        let known = answer.raw().contains(" loaded");
        Ok(known.then(|| running_modules(&answer).contains(&module.object)))
    }

    /// Waits for the end of a reload: while one runs, Asterisk refuses even that of a module that
    /// it does not know.
    fn wait_for_reload(&self, start: Instant) -> Result<(), AsteriskError> {
        while self.ask("module reload none.so")?.raw().contains("already in progress") {
            if start.elapsed() > PATIENCE {
                return Err(AsteriskError::Busy(PATIENCE.as_secs()));
            }
            thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    fn ask_within(&self, command: &str, deadline: Duration) -> Result<Answer, AsteriskError> {
        let mut client = Command::new(&self.words[0]);
        client.args(&self.words[1..]).args(["-rx", command]);
        let limits = Limits { deadline, output: LONGEST };
        let done = child::output(child::clean_environment(&mut client, &[]), limits).map_err(|error| match error {
            ChildError::Io(source) => AsteriskError::Missing { program: self.program(), source },
            ChildError::Deadline(_) => {
                AsteriskError::Silent { command: command.to_owned(), seconds: deadline.as_secs() }
            }
            ChildError::Output(most) => {
                AsteriskError::TooLong { command: command.to_owned(), mebibytes: most / (1024 * 1024) }
            }
        })?;
        if let Some(signal) = done.status.signal() {
            return Err(AsteriskError::Killed { program: self.program(), command: command.to_owned(), signal });
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (stdout, stderr) = (text(done.stdout), text(done.stderr));
        if !done.status.success() {
            let words = [stderr.trim(), stdout.trim()].into_iter().find(|words| !words.is_empty()).map(scrub);
            let silent = || format!("`{}` printed nothing and ended with {}", self.program(), done.status);
            return Err(AsteriskError::NotRunning(words.unwrap_or_else(silent)));
        }
        // What the client says where the daemon goes away under it, all the same with exit 0.
        if let Some(line) = stdout.lines().find(|line| line.starts_with("read() failed: ")) {
            return Err(AsteriskError::NotRunning(line.to_owned()));
        }
        Ok(Answer(without_colours(&stdout)))
    }
}

/// Tells whether an answer means that a reload ended. Its sentence may change from version to version,
/// and proves nothing anyway: what runs is read back.
fn is_done(answer: &str) -> bool {
    const NOT_DONE: [&str; 5] = ["cannot", "queued", "permission", "initialized", "no such"];
    let answer = answer.to_ascii_lowercase();
    answer.contains("reload") && !NOT_DONE.iter().any(|words| answer.contains(words))
}

/// Reads which modules run from `module show`.
pub(crate) fn running_modules(answer: &Answer) -> Vec<&str> {
    let runs = |line: &&str| line.contains(" Running ") && !line.contains(" Not Running ");
    let firsts = answer.raw().lines().filter(runs).filter_map(|line| line.split_whitespace().next());
    firsts.map(|name| name.trim_end_matches(".so")).collect()
}

/// Drops terminal colours, which some commands print even into a pipe.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, rest)| rest);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asterisk_says_is_scrubbed() {
        let line = "Error parsing password_digest=MD5:0123456789abcdef0123456789abcdef at line 41 of";
        assert_eq!(scrub(line), "Error parsing password_digest= (sensitive)");
        assert_eq!(scrub(" md5_cred   : 6d430e6d8d3f1e9feda7ae4d5dc778f1"), " md5_cred   : (sensitive)");
        assert_eq!(scrub("saw MD5:6d430e6d8d3f1e9feda7ae4d5dc778f1 here"), "saw MD5:(sensitive) here");
        let line = "Error parsing auth_type=6d430e6d8d3f1e9feda7ae4d5dc778f1 at line 4";
        assert_eq!(scrub(line), "Error parsing auth_type=(sensitive) at line 4");
        let mark = "acme-gen-6d430e6d8d3f1e9feda7ae4d5dc778f1";
        assert_eq!(scrub(mark), mark);
        assert_eq!(scrub("Objects found: 2"), "Objects found: 2");
    }

    /// The sentences of Asterisk 22, and what a later version might say instead.
    #[test]
    fn the_end_of_a_reload_is_distinguished_from_a_refusal() {
        for done in ["Dialplan reloaded.\n", "Module 'res_pjsip.so' reloaded successfully.\n", "Reload complete.\n"] {
            assert!(is_done(done), "{done}");
        }
        for refused in [
            "",
            "No such command 'dialplan reload' (type 'core show help dialplan reload' for other possible commands)",
            "No such module 'res_pjsip.so'",
            "The module 'pbx_config.so' was not properly initialized. Before reloading the module, you must run ..",
            "Asterisk cannot reload a module yet; request queued",
            "You do not have permissions to run 'dialplan reload' command",
            "sudo: a password is required",
        ] {
            assert!(!is_done(refused), "{refused}");
        }
    }

    #[test]
    fn colours_are_dropped() {
        assert_eq!(without_colours("\u{1b}[1;31mred\u{1b}[0m plain"), "red plain");
    }
}
