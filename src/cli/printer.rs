//! The one place that writes to the terminal: stdout is the document, stderr is the talk.

use std::{
    io::{self, IsTerminal, Write},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use super::output::{Color, OutputArgs};
use crate::{desired::Sources, log, model::Diagnostic, report::paint};

/// Writes documents and talk.
#[expect(clippy::struct_excessive_bools, reason = "two streams, two ways to lose the reader")]
#[derive(Debug)]
pub(crate) struct Printer {
    color_out: bool,
    color_err: bool,
    /// Whether the document could not be written whole.
    pub(crate) failed: bool,
    /// Whether the reader of the document went away.
    pub(crate) unread: bool,
    /// Whether a document may be shortened: a person reads it on a terminal.
    shortened: bool,
    progress: Progress,
}

impl Printer {
    pub(crate) fn new(args: &OutputArgs) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let on = |terminal: bool| match args.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !no_color,
        };
        let (color_out, color_err) = (on(io::stdout().is_terminal()), on(io::stderr().is_terminal()));
        let progress = if io::stderr().is_terminal() { Progress::start() } else { Progress(None) };
        Self { color_out, color_err, failed: false, unread: false, shortened: io::stdout().is_terminal(), progress }
    }

    /// Shows documents whole, on a terminal, too.
    pub(crate) fn show_all(&mut self) {
        self.shortened = false;
    }

    /// Tells whether long documents are shortened.
    pub(crate) fn is_shortened(&self) -> bool {
        self.shortened
    }

    /// Says which phase begins, if it takes long and a person waits.
    pub(crate) fn phase(&self, name: &'static str) {
        self.progress.phase(name);
    }

    /// Gives out what says which phase runs.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Writes to the document. A reader who went away is no error: an apply goes on.
    pub(crate) fn document(&mut self, text: &str) {
        self.progress.rest();
        let written = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
        let Err(error) = written else { return };
        if error.kind() == io::ErrorKind::BrokenPipe {
            self.unread = true;
        } else {
            self.talk(&format!("error: cannot write the output: {error}"));
            self.failed = true;
        }
    }

    #[expect(clippy::unused_self, reason = "the one printer is what may write")]
    /// Says something on the side.
    pub(crate) fn talk(&mut self, line: &str) {
        // What was logged before stands before it.
        log::flush();
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// Says what went wrong: `error: ...`, with its hints.
    pub(crate) fn error(&mut self, words: &str) {
        let head = paint(self.color_err, anstyle::AnsiColor::Red, "error");
        let body = words.strip_prefix("error").unwrap_or(words);
        let joint = if body.starts_with(['[', ':']) { "" } else { ": " };
        self.talk(&format!("{head}{joint}{body}"));
    }

    /// Says the problems of a desired state, each with its snippet.
    ///
    /// `unlisted` problems are only counted, as are those beyond the most that are printed.
    pub(crate) fn diagnostics(&mut self, problems: &[Diagnostic], unlisted: usize, sources: &Sources) {
        const SHOWN: usize = 100;
        for problem in problems.iter().take(SHOWN) {
            self.talk(&problem.render(sources, self.color_err));
            self.talk("");
        }
        let more = problems.len().saturating_sub(SHOWN) + unlisted;
        if more > 0 {
            self.talk(&format!("... and {more} more"));
        }
    }

    pub(crate) fn color(&self) -> bool {
        self.color_out
    }
}

/// After so long a phase is named.
const LONG: Duration = Duration::from_secs(1);

/// Names the phase that runs on stderr once it has taken longer than a second; silent if stderr is no terminal.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Option<Sender<Option<&'static str>>>);

impl Progress {
    fn start() -> Self {
        let (sender, phases) = mpsc::channel();
        let started = thread::Builder::new().name("progress".to_owned()).spawn(move || name_long(&phases));
        Self(started.ok().map(|_| sender))
    }

    /// Begins a phase, which ends the one before.
    pub(crate) fn phase(&self, name: &'static str) {
        self.send(Some(name));
    }

    /// Ends the phase: what comes is shown as it happens.
    fn rest(&self) {
        self.send(None);
    }

    fn send(&self, phase: Option<&'static str>) {
        if let Some(sender) = &self.0 {
            let _ = sender.send(phase);
        }
    }
}

fn name_long(phases: &Receiver<Option<&'static str>>) {
    let mut running = None;
    loop {
        let next = match running {
            None => phases.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(_) => phases.recv_timeout(LONG),
        };
        running = match (next, running) {
            (Ok(phase), _) => phase,
            (Err(RecvTimeoutError::Timeout), Some(name)) => {
                let _ = writeln!(io::stderr(), "{name} ...");
                None
            }
            (Err(_), _) => return,
        };
    }
}
