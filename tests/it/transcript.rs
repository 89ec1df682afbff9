//! Commands as a page or a scenario shows them, run in one shell.

use std::{path::PathBuf, process::Command};

use super::support::{TestEnv, tool};

/// What one command of a transcript printed, stdout and stderr as they came, and its exit status.
pub(crate) struct Printed {
    pub(crate) text: String,
    pub(crate) status: i32,
}

/// Runs commands one after another in one shell, in the folder and the environment of a test. `reconcile`, `jq`, `curl`
/// and `openssl` are the ones to be tested, and so are programs in further folders.
pub(crate) fn run(env: &TestEnv, commands: &[String], folders: &[PathBuf]) -> Vec<Printed> {
    let script =
        commands.iter().fold("exec 2>&1\n".to_owned(), |script, command| script + command + "\nprintf '\\0%s\\0' $?\n");
    let programs =
        [PathBuf::from(env!("CARGO_BIN_EXE_reconcile")), tool("LAB_JQ"), tool("LAB_CURL"), tool("LAB_OPENSSL")];
    let of_programs = programs.iter().map(|program| program.parent().unwrap().to_owned());
    let path = std::env::var_os("PATH").unwrap();
    let path = of_programs.chain(folders.iter().cloned()).chain(std::env::split_paths(&path));
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(env.path("work")).env_clear();
    for (name, value) in env.command(&[]).get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    let output = shell.env("PATH", std::env::join_paths(path).unwrap()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let parts: Vec<&str> = printed.split('\0').collect();
    let printed = parts.as_chunks().0.iter();
    printed.map(|[text, status]| Printed { text: (*text).to_owned(), status: status.parse().unwrap() }).collect()
}
