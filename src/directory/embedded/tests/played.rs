//! Another command, played by this test program itself.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::state_dir;

/// Tells the test program which command to play: `hold` or `rounds <n>`.
pub(super) const COMMAND: &str = "EMBEDDED_TEST_COMMAND";
/// The state folder of the played command.
pub(super) const STATE_DIR: &str = "EMBEDDED_TEST_STATE_DIR";

/// Another command, played by this test program.
pub(super) struct Played {
    pub(super) child: Child,
    lines: BufReader<std::process::ChildStdout>,
    _program: Option<TempDir>,
}

impl Played {
    pub(super) fn spawn(state: &Path, command: &str, user: Option<u32>) -> Self {
        let mut program = std::env::current_exe().unwrap();
        // The build folder may be closed to other users.
        let copy = user.map(|_| state_dir());
        if let Some(copy) = &copy {
            let target = copy.path().join("command");
            fs::copy(&program, &target).unwrap();
            program = target;
        }
        let tests = module_path!().split_once("::").unwrap().1.strip_suffix("::played").unwrap();
        let name = format!("{tests}::plays_a_command");
        let mut process = Command::new(program);
        process
            .args([&name, "--exact", "--nocapture", "--test-threads=1"])
            .env(COMMAND, command)
            .env(STATE_DIR, state)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(user) = user {
            process.uid(user).gid(user).stderr(Stdio::piped());
        }
        let mut child = process.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines, _program: copy }
    }

    pub(super) fn hold(state: &Path) -> Self {
        let mut played = Self::spawn(state, "hold", None);
        played.await_line("ready");
        played
    }

    pub(super) fn rounds(state: &Path, rounds: u32) -> Self {
        Self::spawn(state, &format!("rounds {rounds}"), None)
    }

    pub(super) fn await_line(&mut self, wanted: &str) {
        let found = self.lines.by_ref().lines().any(|line| line.unwrap() == wanted);
        assert!(found, "the command ended early");
    }

    /// Lets a holding command leave, and waits until it is through.
    pub(super) fn leave(&mut self) {
        drop(self.child.stdin.take());
        self.finish();
    }

    pub(super) fn finish(&mut self) {
        assert!(self.child.wait().unwrap().success());
    }

    pub(super) fn fail(mut self) -> String {
        let mut output = String::new();
        self.lines.read_to_string(&mut output).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut output).unwrap();
        assert!(!self.child.wait().unwrap().success());
        output
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
