//! What a server process looks like from outside.
//!
//! Owns telling a living server of one data folder from everything it could be taken for: a dead
//! one nobody has reaped, another program that was given its number, one in another container.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::EmbeddedError;
#[cfg(not(target_os = "linux"))]
use super::account;

/// How long a server we cannot see may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// The protocol's request for TLS, to which a server answers with one letter.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Tells whether a process is a living server of this data folder, and not another program
/// that was given the same number since, nor a dead one nobody has reaped.
pub(super) fn serves(pid: Pid, data: &Path) -> bool {
    is_alive(pid) && runs_on(pid, data)
}

/// Tells whether a server answers on the socket, by asking it for TLS. To be let in says
/// nothing: a killed server's socket is open for a moment longer than it lives.
pub(super) fn answers(socket: &Path) -> bool {
    let ask = || -> io::Result<()> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(&TLS_REQUEST)?;
        stream.read_exact(&mut [0])
    };
    ask().is_ok()
}

/// Tells whether a child has ended, and reaps it.
pub(super) fn has_ended(child: &mut Child) -> Result<bool, EmbeddedError> {
    let ended = child.try_wait();
    ended.map(|status| status.is_some()).map_err(|source| EmbeddedError::io("wait for", "postgres", source))
}

pub(super) fn pid_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// Reads the server's number from the first line of `postmaster.pid`.
pub(super) fn recorded_pid(state: &[u8]) -> Option<Pid> {
    let line = state.split(|byte| *byte == b'\n').next()?;
    Pid::from_raw(std::str::from_utf8(line).ok()?.trim().parse().ok().filter(|pid| *pid > 1)?)
}

/// Tells whether `postmaster.pid` says that this process takes connections.
pub(super) fn is_ready(state: &[u8], pid: Pid) -> bool {
    let status = state.split(|byte| *byte == b'\n').nth(7);
    recorded_pid(state) == Some(pid) && status.is_some_and(|status| status.trim_ascii() == b"ready")
}

pub(super) fn is_alive(pid: Pid) -> bool {
    !matches!(test_kill_process(pid), Err(Errno::SRCH))
}

/// Tells whether a process is a server of this data folder, by its command line, which unlike
/// its working folder can be read across users. It is empty once the process has ended.
#[cfg(target_os = "linux")]
fn runs_on(pid: Pid, data: &Path) -> bool {
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let mut arguments = line.split(|byte| *byte == 0);
    arguments.next().is_some_and(|program| program.ends_with(b"postgres"))
        && arguments.next() == Some(b"-D")
        && arguments.next() == Some(data.as_os_str().as_bytes())
}

/// Tells whether a process is a server of this data folder, by its command line.
#[cfg(not(target_os = "linux"))]
fn runs_on(pid: Pid, data: &Path) -> bool {
    let pid = pid.as_raw_nonzero().to_string();
    let mut ps = account::command(Path::new("/bin/ps"), None);
    let ps = account::output(ps.args(["-ww", "-o", "args=", "-p", &pid]), account::ANSWER);
    let wanted = [b"postgres -D ", data.as_os_str().as_bytes(), b" -c "].concat();
    ps.is_ok_and(|ps| ps.stdout.windows(wanted.len()).any(|part| part == wanted))
}
