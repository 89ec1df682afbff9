//! Other users of the machine: what they can neither block nor lead astray, and what Asterisk's own user
//! must be able to read.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::support::{Outcome, TestEnv, desired, say, until};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";
const LOCK: &str = "pjsip.d/.reconcile.lock";
const NOBODY: u32 = 65534;
const DAEMON: u32 = 1;

fn is_root() -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        say("skipped: only root can be another user");
    }
    root
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// Every file and folder below a folder.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            found.extend(tree(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// A command of another user that has a lock until it is killed.
struct Locked(Child);

impl Locked {
    fn by_nobody(env: &TestEnv, path: &Path) -> Self {
        let held = env.path("held");
        let _ = fs::remove_file(&held);
        fs::set_permissions(env.path(""), PermissionsExt::from_mode(0o777)).unwrap();
        let mut command = Command::new("flock");
        command.arg(path).args(["sh", "-c", "touch \"$0\"; exec sleep 600"]).arg(&held);
        let child = command.uid(NOBODY).gid(NOBODY).spawn().unwrap();
        until("the lock is held", || held.exists());
        Self(child)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = Command::new("pkill").args(["-KILL", "-P", &self.0.id().to_string()]).status();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What was locked was the configuration folder, which every user of the machine may open.
#[test]
fn a_lock_of_another_user_blocks_no_apply() {
    if !is_root() {
        return;
    }
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply --no-reload").expect(0);
    let folders = [env.etc(""), env.etc("pjsip.d")];
    for folder in &folders {
        fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let _locked = folders.each_ref().map(|folder| Locked::by_nobody(&env, folder));
    env.run("apply --no-reload").expect(0);

    assert_eq!(mode(&env.etc(LOCK)), 0o600);
    let mut other = Command::new("flock");
    let other = other.arg(env.etc(LOCK)).arg("true").uid(NOBODY).gid(NOBODY).stderr(Stdio::null()).status().unwrap();
    assert!(!other.success(), "another user cannot open the lock");
    // One that an administrator opened to all is closed again.
    fs::set_permissions(env.etc(LOCK), PermissionsExt::from_mode(0o666)).unwrap();
    env.run("apply --no-reload").expect(0);
    assert_eq!(mode(&env.etc(LOCK)), 0o600);
}

/// One lock for each configuration folder, whatever the state folder is and however the folder is named.
#[test]
fn two_state_folders_have_one_lock() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    let link = env.path("link");
    symlink(env.etc(""), &link).unwrap();
    env.set("RECONCILE_FAIL_POINT", "locked=stop");
    let mut first = env.command(&["apply", "--no-reload"]).stdout(Stdio::null()).spawn().unwrap();
    let state = || fs::read_to_string(format!("/proc/{}/stat", first.id())).unwrap_or_default();
    until("the first has the lock", || state().rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T')));
    env.unset("RECONCILE_FAIL_POINT");
    env.set("RECONCILE_STATE_DIR", env.path("another").to_str().unwrap());
    env.set("ASTERISK_CONFIG_DIR", link.to_str().unwrap());
    let said = env.run("apply --no-reload").expect(5).stderr;
    assert!(said.contains("another apply is running on the host"), "{said}");
    assert!(Command::new("kill").args(["-CONT", &first.id().to_string()]).status().unwrap().success());
    assert!(first.wait().unwrap().success());
    env.run("apply --no-reload").expect(0);
}

/// A user who owns Asterisk's folder applies where root applied before, and the other way round.
#[test]
fn root_and_the_owner_of_the_folder_share_the_lock() {
    if !is_root() {
        return;
    }
    let mut env = TestEnv::embedded();
    env.write("pbx.yaml", &desired(&[ANA]));
    std::os::unix::fs::chown(env.etc(""), Some(NOBODY), Some(NOBODY)).unwrap();
    fs::remove_dir_all(env.etc("pjsip.d")).unwrap_or_default();
    env.run("apply --no-reload").expect(0);
    let found = fs::metadata(env.etc(LOCK)).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o7777), (NOBODY, 0o600));
    let program = env.path("reconcile");
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_reconcile")).arg(&program).status().unwrap().success());
    for name in ["", "work"] {
        fs::set_permissions(env.path(name), PermissionsExt::from_mode(0o777)).unwrap();
    }
    env.set("RECONCILE_STATE_DIR", env.path("of-nobody").to_str().unwrap());
    let command = env.command(&["apply", "--no-reload"]);
    let mut other = Command::new(&program);
    other.args(["apply", "--no-reload"]).current_dir(env.path("work")).env_clear().uid(NOBODY).gid(NOBODY);
    other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    let outcome = env.outcome(other.output().unwrap());
    // Its own directory does not know the files; but the lock was no obstacle.
    assert_eq!(outcome.code, 3, "{}", outcome.text());
}

/// An apply closed the folder of its host, and left open those above and below it.
#[test]
fn an_apply_closes_every_state_folder_that_an_earlier_version_left_open() {
    let env = TestEnv::embedded();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply --no-reload").expect(0);
    let state = env.path("state");
    for name in ["serve", "calls/0"] {
        fs::create_dir_all(state.join(name)).unwrap();
    }
    let elsewhere = env.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, state.join("calls/link")).unwrap();
    let notes = ["hosts", "serve", "calls"].iter().flat_map(|name| tree(&state.join(name)));
    let folders: Vec<PathBuf> =
        notes.filter(|path| path.is_dir() && !path.is_symlink()).chain([state.clone()]).collect();
    assert!(folders.len() >= 7, "{folders:?}");
    for folder in folders.iter().chain([&elsewhere]) {
        fs::set_permissions(folder, PermissionsExt::from_mode(0o777)).unwrap();
    }
    env.run("apply --no-reload").expect(0);
    for folder in &folders {
        assert_eq!(mode(folder), 0o711, "{}", folder.display());
    }
    assert_eq!(mode(&elsewhere), 0o777, "no link is followed");
}

/// Under umask 000 every user could replace the last good files, which the next put-back makes live.
#[test]
fn the_umask_opens_nothing() {
    let env = TestEnv::embedded();
    env.write("pbx.yaml", &desired(&[ANA]));
    let apply = env.command(&["apply", "--no-reload"]);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 000; exec \"$@\"", "sh"]).arg(apply.get_program()).args(apply.get_args());
    command.env_clear().envs(apply.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let outcome = env.outcome(command.current_dir(env.path("work")).stdin(Stdio::null()).output().unwrap());
    outcome.expect(0);
    for path in tree(&env.path("state")) {
        assert_eq!(mode(&path) & 0o022, 0, "{} can be written by others", path.display());
    }
    for path in tree(&env.path("state/hosts")) {
        let most = if path.is_dir() { 0o711 } else { 0o600 };
        assert_eq!(mode(&path) & !most, 0, "{} is open: {:o}", path.display(), mode(&path));
    }
    for (path, wanted) in [
        ("pjsip.d/acme", 0o750),
        ("pjsip.d/acme/generated_endpoints.conf", 0o640),
        ("extensions.d/acme/generated_routing.conf", 0o640),
        (LOCK, 0o600),
    ] {
        assert_eq!(mode(&env.etc(path)), wanted, "{path}");
    }
}

#[track_caller]
fn refuses_the_link(outcome: Outcome, path: &str) {
    let said = outcome.expect(1).stderr;
    let wanted = format!("cannot open `[test]/asterisk/etc/{path}`: it is a symbolic link");
    assert!(said.contains(&wanted) && said.contains("\nhint: replace it by a folder"), "{said}");
}

/// Whoever may write in `pjsip.d` led root to any folder of the machine.
#[test]
fn root_follows_no_link_below_the_configuration_folder() {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    let elsewhere = env.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    for path in ["pjsip.d/acme", "extensions.d/acme", "extensions.d", "pjsip.d"] {
        let link = env.etc(path);
        let _ = fs::remove_dir_all(&link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&elsewhere, &link).unwrap();
        refuses_the_link(env.run("plan --no-asterisk"), path);
        refuses_the_link(env.run("apply --no-reload"), path);
        fs::remove_file(link).unwrap();
    }
    assert_eq!(tree(&elsewhere).len(), 1, "{:?}", tree(&elsewhere));

    // One that comes while an apply runs.
    env.set("RECONCILE_FAIL_POINT", "committed=stop");
    let mut apply = env.command(&["apply", "--no-reload"]).stdout(Stdio::null()).spawn().unwrap();
    let state = || fs::read_to_string(format!("/proc/{}/stat", apply.id())).unwrap_or_default();
    until("it is held up", || state().rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T')));
    env.unset("RECONCILE_FAIL_POINT");
    fs::rename(env.etc("pjsip.d/acme"), env.etc("pjsip.d/moved")).unwrap();
    symlink(&elsewhere, env.etc("pjsip.d/acme")).unwrap();
    assert!(Command::new("kill").args(["-CONT", &apply.id().to_string()]).status().unwrap().success());
    apply.wait().unwrap();
    assert_eq!(tree(&elsewhere).len(), 1, "{:?}", tree(&elsewhere));
    assert!(env.etc("pjsip.d/moved/generated_endpoints.conf").exists(), "it went on in the folder it had opened");
    fs::remove_file(env.etc("pjsip.d/acme")).unwrap();
    fs::rename(env.etc("pjsip.d/moved"), env.etc("pjsip.d/acme")).unwrap();

    // The operator may keep the configuration folder itself wherever it is liked.
    symlink(env.etc(""), env.path("link")).unwrap();
    env.set("ASTERISK_CONFIG_DIR", env.path("link").to_str().unwrap());
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply --no-reload").expect(0);
    assert!(env.endpoints("acme").contains("bo@example.com"));
}

#[test]
fn a_pipe_in_place_of_a_file_holds_no_command() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    let path = env.etc("pjsip.d/acme/generated_endpoints.conf");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let output = env.command(&["apply", "--no-reload"]).output().unwrap();
    // The test itself reads what is there.
    fs::remove_file(path).unwrap();
    let said = env.outcome(output).expect(1).stderr;
    let wanted = "cannot read `[test]/asterisk/etc/pjsip.d/acme/generated_endpoints.conf`: it is no regular file";
    assert!(said.contains(wanted), "{said}");
}

/// Asterisk reads whatever an include line finds, and so do we.
#[test]
fn a_pipe_among_included_files_holds_no_command() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    fs::create_dir_all(env.etc("more")).unwrap();
    let pjsip = env.etc("pjsip.conf");
    fs::write(&pjsip, fs::read_to_string(&pjsip).unwrap() + "\n#tryinclude more/*\n").unwrap();
    let path = env.etc("more/pipe.conf");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    for command in ["plan", "status", "doctor"] {
        let shown = env.run(command).expect(0).stdout;
        assert!(!shown.is_empty(), "{command}");
    }
}

/// The hint was to write there, or that Asterisk does not run.
#[test]
fn a_user_without_access_to_asterisk_or_its_folder_reads_who_has_it() {
    if !is_root() {
        return;
    }
    let mut env = TestEnv::new();
    env.start_asterisk_as("nobody");
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    // A user of the machine who is in no group of Asterisk's.
    let run = |args: &[&str]| {
        let mut command = env.command(args);
        command.uid(DAEMON).gid(DAEMON).env("RECONCILE_STATE_DIR", env.path("home/state"));
        env.outcome(command.output().unwrap())
    };
    let close = |path: &Path, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let whose = |path: &str| {
        format!(
            "hint: `[test]/asterisk/{path}` belongs to the user `nobody` and the group `nogroup`: join that group with "
        )
    };
    close(&env.path("home"), 0o777);
    for path in tree(&env.etc("")) {
        close(&path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    close(&env.path("asterisk/run"), 0o750);
    let said = run(&["apply"]).expect(1).stderr;
    let words = "error: the user who runs this command has no access to `[test]/asterisk/run/asterisk.ctl`, which Asterisk's CLI needs; nothing was changed\n";
    assert!(said.contains(words), "{said}");
    assert!(said.contains(&whose("run")) && said.contains("or run the same command with `sudo -u nobody`\n"), "{said}");
    let plan = run(&["plan"]).expect(0).stdout;
    let words = "the user who runs this command has no access to `[test]/asterisk/run/asterisk.ctl`, which Asterisk's CLI needs; \
                 `[test]/asterisk/run` belongs to the user `nobody`";
    assert!(plan.contains(&format!("unchecked: the running Asterisk: {words}")), "{plan}");
    let status = run(&["status"]).expect(0).stdout;
    assert!(status.contains(&format!("running     {words}")), "{status}");
    close(&env.path("asterisk/run"), 0o755);

    close(&env.etc("pjsip.d"), 0o750);
    for command in ["plan", "apply", "status"] {
        let said = run(&[command]).expect(1).stderr;
        assert!(said.contains("error: cannot open `[test]/asterisk/etc/pjsip.d`: Permission denied"), "{said}");
        assert!(said.contains(&whose("etc/pjsip.d")), "{said}");
    }
}

/// Asterisk silently removed every phone of files that its user could not read.
#[test]
fn files_that_asterisks_user_could_not_read_are_rejected_before_anything_moves() {
    if !is_root() {
        return;
    }
    let mut env = TestEnv::new();
    env.start_asterisk_as("nobody");
    env.write("pbx.yaml", &desired(&[ANA]));
    for folder in ["pjsip.d", "extensions.d"] {
        let done = Command::new("chown").args(["-R", "0:0"]).arg(env.etc(folder)).status().unwrap();
        assert!(done.success());
        fs::set_permissions(env.etc(folder), PermissionsExt::from_mode(0o755)).unwrap();
    }
    let plan = env.run("plan").expect(0);
    let rail = "error[rail-unreadable-files]: Asterisk runs as the user `nobody`";
    assert!(plan.text().contains(rail), "{}", plan.text());
    let said = env.run("apply").expect(3).stderr;
    let wanted = "error[rail-unreadable-files]: Asterisk runs as the user `nobody`, who would not be able to read \
                  `[test]/asterisk/etc/extensions.d/acme` and `[test]/asterisk/etc/pjsip.d/acme`";
    assert!(said.contains(wanted), "{said}");
    assert!(!env.etc("pjsip.d/acme").exists() && !env.etc("extensions.d/acme").exists());
    assert!(!env.ask("pjsip list endpoints").contains("1000"));
    // The hint is what helps.
    let hint = said.split("hint: let its group read: ").nth(1).unwrap().lines().next().unwrap();
    let hint = hint.replace("[test]", env.path("").to_str().unwrap().trim_end_matches('/'));
    assert!(Command::new("sh").args(["-ec", &hint]).status().unwrap().success(), "{hint}");
    env.run("apply").expect(0);
    assert!(env.ask("pjsip list endpoints").contains("1000"));

    // A folder that was closed since.
    std::os::unix::fs::chown(env.etc("pjsip.d/acme"), Some(0), Some(0)).unwrap();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    let said = env.run("apply").expect(3).stderr;
    let wanted = "who may not read `[test]/asterisk/etc/pjsip.d/acme`, and would silently remove every object in it";
    assert!(said.contains(wanted), "{said}");
    let hint = said.split("hint: let its group read: ").nth(1).unwrap().lines().next().unwrap();
    let hint = hint.replace("[test]", env.path("").to_str().unwrap().trim_end_matches('/'));
    assert!(Command::new("sh").args(["-ec", &hint]).status().unwrap().success(), "{hint}");
    env.run("apply").expect(0);
    assert!(env.ask("pjsip list endpoints").contains("1001"));
}
