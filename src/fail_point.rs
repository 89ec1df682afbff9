//! Fail points: places in the apply protocol where a test has a debug build killed, failed,
//! delayed, panicking, or stopped until it is continued. A release build holds none of it.
//!
//! `RECONCILE_FAIL_POINT=NAME=kill|error|delay|panic|stop`, several separated by commas.

use crate::fs::FileError;

/// Passes the point, unless the environment of a debug build says what happens here.
///
/// # Errors
/// Where the environment asks for one.
#[cfg(debug_assertions)]
pub(crate) fn pass(name: &'static str) -> Result<(), FileError> {
    let wanted = std::env::var("RECONCILE_FAIL_POINT").unwrap_or_default();
    let here = wanted.split(',').filter_map(|point| point.split_once('=')).find(|(point, _)| *point == name);
    match here.map(|(_, what)| what) {
        Some("kill") => {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            std::thread::park();
            Ok(())
        }
        Some("error") => Err(crate::fs::failed("pass", name.as_ref())(std::io::Error::other("asked to fail here"))),
        Some("panic") => panic!("asked to panic here"),
        Some("stop") => {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
            Ok(())
        }
        Some("delay") => {
            std::thread::sleep(std::time::Duration::from_millis(1500));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Passes.
#[cfg(not(debug_assertions))]
#[expect(clippy::unnecessary_wraps, reason = "a debug build may fail here")]
pub(crate) fn pass(_: &'static str) -> Result<(), FileError> {
    Ok(())
}
