//! Running another program: the only place that does it.
//!
//! Owns the deadline, the size of the output, the end of everything a program started, Ctrl-C, and
//! which variables of our environment a program gets. Does not know what any program is for. The
//! private database server is the exception: it outlives the command that starts it.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    fs,
    io::{self, Read},
    os::{fd::AsFd, unix::process::CommandExt},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Mutex, MutexGuard, Once, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid},
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};

/// How long a pipe is read after the program has ended, while a process that it left behind holds it
/// open. All that the program itself wrote is in the pipe by then.
const GRACE: Duration = Duration::from_millis(200);

/// How often a program whose pipe stays silent is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How soon a program that closed its pipes is looked at again: it ends within microseconds. Each further wait is
/// twice as long, up to [`TICK`].
const FIRST_TICK: Duration = Duration::from_micros(50);

/// How often a program is looked at that takes its time to end.
const TICK: Duration = Duration::from_millis(1);

/// How long a killed program may take to disappear. One that hangs in the kernel, or that runs as
/// another user behind `sudo`, cannot be waited for.
const REAP: Duration = Duration::from_secs(1);

/// The variables that any program gets: where things are, and the language, zone and terminal it
/// speaks to. Everything else may be a secret, such as `TWILIO_AUTH_TOKEN` or `GITHUB_TOKEN`.
const PASSED: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TERM",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "XDG_RUNTIME_DIR",
];

/// How long a program may take, and how much it may print.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// From its start until it has ended and its output is read.
    pub(crate) deadline: Duration,
    /// For standard output and for standard error each, in bytes.
    pub(crate) output: usize,
}

/// A program did not end well for us. Everything that it started has been killed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChildError {
    /// It cannot be started, or its output cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It had not ended by its deadline.
    #[error("it had not ended after {} s", .0.as_secs())]
    Deadline(Duration),
    /// It printed more than it may.
    #[error("it printed more than {} KiB", .0 / 1024)]
    Output(usize),
}

impl ChildError {
    /// Returns the error as one of input and output, for callers that know only those.
    pub(crate) fn into_io(self) -> io::Error {
        match self {
            Self::Io(error) => error,
            Self::Deadline(_) => io::Error::new(io::ErrorKind::TimedOut, self),
            Self::Output(_) => io::Error::new(io::ErrorKind::FileTooLarge, self),
        }
    }
}

/// Clears a program's environment, and passes on what programs need and the further variables named.
pub(crate) fn clean_environment<'a>(command: &'a mut Command, more: &[&str]) -> &'a mut Command {
    let passed = |name: &OsStr| {
        name.to_str().is_some_and(|name| PASSED.contains(&name) || name.starts_with("LC_") || more.contains(&name))
    };
    command.env_clear().envs(env::vars_os().filter(|(name, _)| passed(name)))
}

/// Runs a program without input and returns what it printed.
///
/// # Errors
/// If it cannot be started, outlives its deadline or prints too much.
pub(crate) fn output(command: &mut Command, limits: Limits) -> Result<Output, ChildError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Running::start(command)?;
    let printed = child.read(limits);
    if !matches!(printed, Ok(Printed { closed: true, .. })) {
        child.kill();
    }
    let Printed { stdout, stderr, .. } = printed?;
    let status = child.reap()?;
    Ok(Output { status, stdout, stderr })
}

/// What a program printed.
struct Printed {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Whether no process holds its pipes any more.
    closed: bool,
}

/// The process groups of the programs that run now, by the process that leads each.
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn groups() -> MutexGuard<'static, BTreeSet<i32>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program that runs in a process group of its own, so that all it started can be ended together.
struct Running {
    child: Child,
    pid: Pid,
    /// Whether it was waited for: its number may be another process's since.
    reaped: bool,
}

impl Running {
    fn start(command: &mut Command) -> io::Result<Self> {
        // Under the lock, so that a signal finds the program either listed or not started.
        let mut groups = groups();
        let child = command.process_group(0).spawn()?;
        let pid = Pid::from_child(&child);
        groups.insert(pid.as_raw_nonzero().get());
        Ok(Self { child, pid, reaped: false })
    }

    /// Reads both pipes until they are closed and the program has ended.
    fn read(&mut self, limits: Limits) -> Result<Printed, ChildError> {
        let until = Instant::now() + limits.deadline;
        let (mut out, mut err) = (self.child.stdout.take(), self.child.stderr.take());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut ended: Option<Instant> = None;
        let mut tick = FIRST_TICK;
        loop {
            if ended.is_none() && self.has_ended()? {
                ended = Some(Instant::now());
            }
            let closed = out.is_none() && err.is_none();
            match ended {
                Some(at) if closed || at.elapsed() > GRACE => return Ok(Printed { stdout, stderr, closed }),
                _ => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ChildError::Deadline(limits.deadline));
            }
            if closed {
                thread::sleep(left.min(tick));
                tick = TICK.min(tick * 2);
                continue;
            }
            let [out_ready, err_ready] = ready(out.as_ref(), err.as_ref(), left.min(LOOK))?;
            if out_ready {
                take(&mut out, &mut stdout, limits.output)?;
            }
            if err_ready {
                take(&mut err, &mut stderr, limits.output)?;
            }
        }
    }

    /// Tells whether the program has ended, and leaves it to be reaped: until then no other process
    /// can get its number.
    fn has_ended(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        loop {
            match waitid(WaitId::Pid(self.pid), options) {
                Err(Errno::INTR) => {}
                status => return Ok(status?.is_some()),
            }
        }
    }

    /// Kills the program and whatever it started; a client of a hanging daemon ignores other signals.
    fn kill(&self) {
        kill_group(self.pid);
    }

    /// Waits for a program that has ended.
    fn reap(mut self) -> io::Result<ExitStatus> {
        self.forget();
        self.child.wait()
    }

    /// Takes it off the list while its number is still its own.
    fn forget(&mut self) {
        groups().remove(&self.pid.as_raw_nonzero().get());
        self.reaped = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        let start = Instant::now();
        while start.elapsed() < REAP && matches!(self.has_ended(), Ok(false)) {
            thread::sleep(TICK);
        }
        self.forget();
        if let Err(error) = self.child.try_wait() {
            tracing::debug!(%error, "cannot reap a program");
        }
    }
}

/// Kills a process group. One that has ended needs no killing, and one of another user, as behind
/// `sudo`, ends when its pipe is closed.
fn kill_group(pid: Pid) {
    if let Err(error) = kill_process_group(pid, Signal::KILL) {
        tracing::debug!(%error, "cannot kill a process group");
    }
}

/// Waits until a pipe can be read or was closed; tells which.
fn ready(out: Option<&impl AsFd>, err: Option<&impl AsFd>, time: Duration) -> io::Result<[bool; 2]> {
    let mut fds = Vec::with_capacity(2);
    fds.extend(out.map(|out| PollFd::new(out, PollFlags::IN)));
    fds.extend(err.map(|err| PollFd::new(err, PollFlags::IN)));
    let time = Timespec { tv_sec: 0, tv_nsec: time.as_nanos().try_into().unwrap_or(0) };
    match poll(&mut fds, Some(&time)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut events = fds.iter().map(|fd| !fd.revents().is_empty());
    let mut next = |open: bool| open && events.next().unwrap_or(false);
    Ok([next(out.is_some()), next(err.is_some())])
}

/// Reads once from a pipe that is ready; forgets one that was closed.
fn take(pipe: &mut Option<impl Read>, bytes: &mut Vec<u8>, most: usize) -> Result<(), ChildError> {
    let Some(open) = pipe else { return Ok(()) };
    let mut some = [0; 16 * 1024];
    match open.read(&mut some) {
        Ok(0) => *pipe = None,
        Ok(count) if bytes.len() + count > most => return Err(ChildError::Output(most)),
        Ok(count) => bytes.extend_from_slice(&some[..count]),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Makes SIGINT, SIGTERM and SIGHUP end the programs that run, and then this process as if it had no
/// handler. Programs are in groups of their own, so that Ctrl-C in a terminal reaches only us.
///
/// A signal that the parent had us ignore, as `nohup` does, stays ignored. The server does not call
/// this: it finishes what runs.
pub(crate) fn end_with_us() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let listen = || {
            let ignored = ignored();
            let heard = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
            let mut signals = match Signals::new(heard) {
                Ok(signals) => signals,
                Err(error) => return tracing::warn!(%error, "cannot listen for signals"),
            };
            let Some(signal) = signals.forever().next() else { return };
            // Never unlocked: nothing is started any more.
            let groups = groups();
            groups.iter().filter_map(|pid| Pid::from_raw(*pid)).for_each(kill_group);
            if let Err(error) = emulate_default_handler(signal) {
                tracing::warn!(%error, "cannot end by the signal");
                std::process::exit(128 + signal);
            }
        };
        // Without the thread the signals keep their default action, which ends us all the same.
        if let Err(error) = thread::Builder::new().name("signals".to_owned()).spawn(listen) {
            tracing::warn!(%error, "programs that run will outlive Ctrl-C");
        }
    });
}

/// Returns the signals that this process was started to ignore, as a set of bits. Other systems than
/// Linux do not say.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { deadline: Duration::from_secs(20), output: 1024 };

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    /// Whether a process runs; one that only waits to be reaped does not.
    fn runs(pid: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
    }

    /// Waits for a killed process to go, which the kernel does not do at once.
    fn is_gone(pid: &str) -> bool {
        let until = Instant::now() + Duration::from_secs(10);
        while runs(pid) && Instant::now() < until {
            thread::sleep(TICK);
        }
        !runs(pid)
    }

    #[test]
    fn the_output_and_the_status_of_a_program_are_returned() {
        let done = output(&mut shell("echo out; echo err >&2; exit 3"), LIMITS).unwrap();
        assert_eq!((done.stdout.as_slice(), done.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
        assert_eq!(done.status.code(), Some(3));
        let missing = output(&mut Command::new("/nowhere/program"), LIMITS).unwrap_err();
        assert!(matches!(missing, ChildError::Io(error) if error.kind() == io::ErrorKind::NotFound));
    }

    /// A client left `sleep 45` behind, which held the pipe: `plan` had not ended after two minutes.
    #[test]
    fn a_process_left_behind_does_not_hold_the_reading() {
        let start = Instant::now();
        let done = output(&mut shell("sleep 45 & echo $!"), LIMITS).unwrap();
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
        assert!(done.status.success());
        assert!(is_gone(std::str::from_utf8(&done.stdout).unwrap()), "what holds the pipe is ended");
    }

    #[test]
    fn the_whole_group_is_killed_at_the_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let script = format!("trap '' TERM INT; sleep 45 & echo $! $$ >{}; wait; sleep 45", pids.display());
        let limits = Limits { deadline: Duration::from_secs(1), ..LIMITS };
        let late = output(&mut shell(&script), limits).unwrap_err();
        assert!(matches!(late, ChildError::Deadline(_)), "{late}");
        let pids = fs::read_to_string(pids).unwrap();
        assert!(pids.split_whitespace().all(is_gone) && pids.split_whitespace().count() == 2, "{pids}");
    }

    /// A program may close its output and go on.
    #[test]
    fn a_program_that_closed_its_pipes_has_the_same_deadline() {
        let limits = Limits { deadline: Duration::from_secs(1), ..LIMITS };
        let late = output(&mut shell("exec >&- 2>&-; sleep 45"), limits).unwrap_err();
        assert!(matches!(late, ChildError::Deadline(_)), "{late}");
    }

    #[test]
    fn the_output_of_a_program_is_bounded() {
        for stream in ["cat /dev/zero", "cat /dev/zero >&2"] {
            let much = output(&mut shell(stream), LIMITS).unwrap_err();
            assert!(matches!(much, ChildError::Output(1024)), "{stream}: {much}");
        }
        assert_eq!(output(&mut shell("head -c 1024 /dev/zero"), LIMITS).unwrap().stdout.len(), 1024);
    }

    #[test]
    fn a_program_gets_only_the_variables_it_needs() {
        let mut command = shell("env");
        command.env("A_SECRET_OF_OURS", "1");
        let done = output(clean_environment(&mut command, &["PWD"]), LIMITS).unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        let names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        // Some are the shell's own.
        let known =
            |name: &str| PASSED.contains(&name) || name.starts_with("LC_") || ["PWD", "_", "SHLVL"].contains(&name);
        assert!(names.contains(&"PATH") && names.iter().all(|name| known(name)), "{text}");
    }
}
