//! The programs that `reconcile` runs: what bounds them, what ends them, and what they get to know.

use std::{
    fs,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::support::{KEY, TestEnv, desired, until};

const ANA: &str = "email: ana@example.com, name: Ana";

/// Makes commands ask Asterisk through a shell script, in which `$2` is the command.
fn ask_through(env: &mut TestEnv, script: &str) {
    let real = env.path("asterisk/bin/asterisk");
    let client = env.path("client");
    fs::write(&client, format!("{script}\nexec {} \"$@\"\n", real.display())).unwrap();
    env.set("ASTERISK_COMMAND", &format!("sh {}", client.display()));
}

/// Whether a process runs; one that only waits to be reaped does not.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

/// Names the variables in a file that `env` wrote.
fn names(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let mut names: Vec<String> =
        text.lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).filter(|name| name != "_").collect();
    names.sort();
    names.dedup();
    names
}

/// A client that left `sleep 45` behind with its pipe open: `plan` had not ended after two minutes.
#[test]
fn a_client_that_leaves_a_process_behind_does_not_hold_a_command() {
    let mut env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    let left = env.path("left");
    ask_through(&mut env, &format!("sleep 600 & echo $! >>{}", left.display()));
    let start = Instant::now();
    for command in ["plan", "apply", "status"] {
        env.run(command).expect(0);
    }
    assert!(start.elapsed() < Duration::from_mins(2), "{:?}", start.elapsed());
    let left = fs::read_to_string(left).unwrap();
    assert!(left.lines().count() > 3, "{left}");
    until("nothing is left behind", || !left.lines().any(runs));
}

#[test]
fn an_answer_without_end_is_an_error_before_anything_moves() {
    let mut env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    let client = env.path("client");
    fs::write(&client, "exec cat /dev/zero\n").unwrap();
    env.set("ASTERISK_COMMAND", &format!("sh {}", client.display()));
    let said = env.run("apply").expect(1).stderr;
    // Which question it is depends on how long so much takes.
    assert!(said.contains("error: Asterisk's answer to `core "), "{said}");
    assert!(said.contains("` is longer than 256 MiB; nothing was changed"), "{said}");
}

/// The client runs in a process group of its own, which Ctrl-C in a terminal does not reach, and the
/// client of a hanging Asterisk ignores SIGTERM.
#[test]
fn ctrl_c_ends_the_client_too() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    let pids = env.path("pids");
    ask_through(&mut env, &format!("trap '' INT TERM HUP; sleep 600 & echo $$ $! >{}; wait; exit", pids.display()));
    // Under `nohup` nobody is ended by SIGHUP, the tests and what they start included.
    for signal in ["INT", "TERM", "HUP"].into_iter().filter(|signal| *signal != "HUP" || !ignores_hang_up()) {
        let mut command = env.command(&["apply"]);
        let mut apply = command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let both = || fs::read_to_string(&pids).is_ok_and(|text| text.split_whitespace().count() == 2);
        until("the client hangs", both);
        let to = format!("-{}", apply.id());
        assert!(Command::new("kill").args(["-s", signal, "--", &to]).status().unwrap().success());
        let ended = apply.wait().unwrap();
        assert_eq!(
            ended.signal(),
            Some(match signal {
                "INT" => 2,
                "TERM" => 15,
                _ => 1,
            }),
            "as without a handler"
        );
        let text = fs::read_to_string(&pids).unwrap();
        until("the client is gone", || !text.split_whitespace().any(runs));
        fs::remove_file(&pids).unwrap();
    }
}

/// Tells whether the tests were started with SIGHUP ignored, which programs inherit.
fn ignores_hang_up() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 == 1
}

/// As under `nohup`.
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    let (pid, go) = (env.path("pid"), env.path("go"));
    let hang = format!("echo $PPID >{}; until [ -e {} ]; do sleep 0.05; done; exit 1", pid.display(), go.display());
    ask_through(&mut env, &hang);
    let reconcile = env.command(&["apply"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(reconcile.get_program()).args(reconcile.get_args());
    command.env_clear().envs(reconcile.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(env.path("work")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut apply = command.spawn().unwrap();
    until("the client hangs", || fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')));
    assert!(Command::new("kill").args(["-s", "HUP", &apply.id().to_string()]).status().unwrap().success());
    fs::write(go, "").unwrap();
    assert_eq!(apply.wait().unwrap().code(), Some(1), "it goes on, and says what the client did");
}

/// The client of Asterisk had the tokens of everything else that the environment held.
#[test]
fn the_client_of_asterisk_gets_no_secret() {
    let mut env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[&format!("{ANA}, secret: {{ env: ANA_SIP_SECRET }}")]));
    for name in ["TWILIO_AUTH_TOKEN", "GITHUB_TOKEN", "ANA_SIP_SECRET", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY"] {
        env.set(name, "ask-Me.no$3cret");
    }
    env.set("TZ", "Europe/Berlin");
    env.set("LC_ALL", "C.UTF-8");
    let seen = env.path("seen");
    ask_through(&mut env, &format!("env >>{}", seen.display()));
    env.run("apply").expect(0);
    let text = fs::read_to_string(&seen).unwrap();
    assert!(!text.contains("3cret") && !text.contains(KEY) && !text.contains("postgres:"), "{text}");
    assert_eq!(names(&seen), ["HOME", "LC_ALL", "PATH", "PWD", "TZ"], "PWD is the shell's own");
}

#[test]
fn git_gets_no_secret() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    let (bin, seen) = (env.path("bin"), env.path("seen"));
    fs::create_dir(&bin).unwrap();
    let script = format!("#!/bin/sh\nenv >>{}\necho 0123456789abcdef0123456789abcdef01234567\n", seen.display());
    fs::write(bin.join("git"), script).unwrap();
    fs::set_permissions(bin.join("git"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    env.set("PATH", &format!("{}:{path}", bin.display()));
    env.set("GITHUB_TOKEN", "ask-Me.no$3cret");
    env.set("GIT_DIR", "/nowhere");
    env.run("sync").expect(0);
    assert_eq!(names(&seen), ["GIT_DIR", "HOME", "PATH", "PWD"]);
}
