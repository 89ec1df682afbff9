//! `reconcile watch`: a plan at each save, however the file is saved, and nothing is ever applied.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::{fs::symlink, process::ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use wait_timeout::ChildExt;

use super::support::{TestEnv, desired};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";
const CLEO: &str = "email: cleo@example.com, name: Cleo";

const LONG: Duration = Duration::from_mins(1);
/// The last line of a plan that changes something.
const END: &str = "Apply exactly this";

/// A running `reconcile watch`.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(env: &TestEnv, args: &str) -> Self {
        let args: Vec<&str> = ["watch"].into_iter().chain(args.split_whitespace()).collect();
        // Who runs the tests in the background has Ctrl-C ignored, for all that is started by them.
        let mut starter = Command::new("env");
        starter.arg("--default-signal=INT");
        let mut command = through(starter, &env.command(&args));
        command.env("RECONCILE_LOG", "reconcile=debug").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        pass_on(child.stdout.take().unwrap(), sender.clone());
        pass_on(child.stderr.take().unwrap(), sender);
        Self { child, lines }
    }

    /// Takes what it says until a line with this word.
    #[track_caller]
    fn says(&self, word: &str) -> String {
        let until = Instant::now() + LONG;
        let mut text = String::new();
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            text = text + &line + "\n";
            if line.contains(word) {
                return text;
            }
        }
        panic!("never said `{word}`, but:\n{text}");
    }

    /// Takes what it says within a time.
    fn says_within(&self, time: Duration) -> String {
        let until = Instant::now() + time;
        let mut text = String::new();
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            text = text + &line + "\n";
        }
        text
    }

    fn signal(&mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.child.wait_timeout(LONG).unwrap().expect("it ends")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets another program start a command, in the environment made for it.
fn through(mut starter: Command, command: &Command) -> Command {
    starter.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    starter.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    command.get_current_dir().map(|folder| starter.current_dir(folder));
    starter
}

fn pass_on(from: impl Read + Send + 'static, to: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let _ = to.send(line);
        }
    });
}

fn plans(text: &str) -> usize {
    text.matches("Plan: ").count() + text.matches("No changes").count()
}

/// Saves as vim and `sed -i` do: a new file is renamed onto the old one.
fn replace(env: &TestEnv, name: &str, text: &str) {
    env.write(".new", text);
    fs::rename(env.path("work/.new"), env.path("work").join(name)).unwrap();
}

#[test]
fn each_save_is_planned_and_nothing_is_applied() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply --no-reload").expect(0);
    let (dump, files) = (env.dump(), env.files());
    let mut watch = Watch::start(&env, "--no-asterisk");
    let text = watch.says("No changes");
    assert!(text.contains("watching pbx.yaml; nothing is applied"), "{text}");
    // The document is that of `plan`.
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    let text = watch.says(END);
    assert!(text.contains("  pbx.yaml saved\n"), "{text}");
    for line in env.run("plan --no-asterisk").expect(0).stdout.lines() {
        assert!(text.contains(line), "{line} in {text}");
    }
    // Replaced by rename, twice, since the file watched first is gone by then.
    for (users, word) in [([ANA, CLEO], "+ cleo@"), ([BO, CLEO], "- ana@")] {
        replace(&env, "pbx.yaml", &desired(&users));
        let text = watch.says(END);
        assert!(text.contains(word) && plans(&text) == 1, "{text}");
    }
    // Saved without a change, touched, and something else saved beside it: no plan.
    env.write("pbx.yaml", &desired(&[BO, CLEO]));
    env.write("pbx.yaml~", "x");
    watch.says("looked at 1 files");
    env.write("pbx.yaml", &desired(&[ANA, CLEO]));
    let text = watch.says(END);
    assert!(text.contains("+ cleo@") && plans(&text) == 1, "{text}");
    assert_eq!(env.dump(), dump);
    assert_eq!(env.files(), files);
    assert_eq!(watch.signal(Signal::INT).signal(), Some(2));
}

#[test]
fn a_broken_file_is_reported_and_the_next_save_planned() {
    let env = TestEnv::new();
    env.write("pbx.yaml", "version: 1\ntenant: acme\nusers: [\n");
    let mut watch = Watch::start(&env, "");
    let text = watch.says("error: `pbx.yaml` has");
    assert!(text.contains("pbx.yaml:3"), "{text}");
    env.write("pbx.yaml", &desired(&[ANA]));
    watch.says(END);
    env.write("pbx.yaml", "version: 1\ntenant: acme\nusers: [{ email: x }]\n");
    watch.says("error: `pbx.yaml` has");
    // Back to what was there before the mistake: that is news, too.
    env.write("pbx.yaml", &desired(&[ANA]));
    let text = watch.says(END);
    assert!(text.contains("+ ana@"), "{text}");
    assert_eq!(watch.signal(Signal::TERM).signal(), Some(15));
}

#[test]
fn a_file_that_comes_and_goes_with_its_folder_is_followed() {
    let env = TestEnv::new();
    let watch = Watch::start(&env, "-f a/b/pbx.yaml");
    watch.says("error: `a/b/pbx.yaml` has 1 error");
    for user in [ANA, BO] {
        // The folders appear one after the other, the file last.
        env.write("a/b/pbx.yaml", &desired(&[user]));
        let text = watch.says(END);
        assert!(text.contains("a/b/pbx.yaml is new") && text.contains(&user[7..10]), "{text}");
        fs::remove_file(env.path("work/a/b/pbx.yaml")).unwrap();
        let text = watch.says("error: `a/b/pbx.yaml` has 1 error");
        assert!(text.contains("a/b/pbx.yaml is gone"), "{text}");
        fs::remove_dir_all(env.path("work/a")).unwrap();
    }
    // The whole tree is made elsewhere and moved to its place; then another one takes it.
    for (name, user) in [("x", ANA), ("y", CLEO)] {
        env.write(&format!("{name}/b/pbx.yaml"), &desired(&[user]));
        fs::rename(env.path("work/a"), env.path("work/old")).unwrap_or_default();
        fs::rename(env.path("work").join(name), env.path("work/a")).unwrap();
        let text = watch.says(END);
        assert!(text.contains(&user[7..10]), "{text}");
    }
}

#[test]
fn a_folder_is_followed_with_the_folders_that_appear_in_it() {
    let env = TestEnv::new();
    let users = |users: &[&str]| desired(users).replace("version: 1\ntenant: acme\n", "");
    env.write("pbx/base.yaml", "version: 1\ntenant: acme\nusers: []\n");
    let watch = Watch::start(&env, "-f pbx");
    watch.says(END);
    env.write("pbx/a.yaml", &users(&[ANA]));
    let text = watch.says(END);
    assert!(text.contains("pbx/a.yaml is new") && text.contains("+ ana@"), "{text}");
    env.write("pbx/sales/north/b.yml", &users(&[BO]));
    let text = watch.says(END);
    assert!(text.contains("+ ana@") && text.contains("+ bo@"), "{text}");
    // In the folder that appeared, and in one that is moved in as a whole.
    env.write("pbx/sales/north/b.yml", &users(&[CLEO]));
    let text = watch.says(END);
    assert!(text.contains("+ cleo@") && !text.contains("+ bo@"), "{text}");
    env.write("elsewhere/b.yml", &users(&[BO]));
    fs::rename(env.path("work/elsewhere"), env.path("work/pbx/south")).unwrap();
    let text = watch.says(END);
    assert!(text.contains("pbx/south/b.yml is new") && text.contains("+ bo@"), "{text}");
    fs::remove_dir_all(env.path("work/pbx/sales")).unwrap();
    let text = watch.says(END);
    assert!(text.contains("pbx/sales/north/b.yml is gone") && !text.contains("+ cleo@"), "{text}");
    // A key given twice is told; the folder empty is never "delete all".
    env.write("pbx/twice.yaml", &users(&[ANA]));
    watch.says("error: `pbx` has");
    fs::remove_dir_all(env.path("work/pbx")).unwrap();
    watch.says("there is no file `pbx`");
}

/// As git-sync swaps a link to the work tree, and Kubernetes the link `..data` behind each file.
#[test]
fn a_swapped_link_is_a_save() {
    let env = TestEnv::new();
    let swap = |target: &str, link: &str| {
        symlink(target, env.path("work/tmp-link")).unwrap();
        fs::rename(env.path("work/tmp-link"), env.path("work").join(link)).unwrap();
    };
    for (name, user) in [("one", ANA), ("two", BO), ("three", CLEO)] {
        env.write(&format!("trees/{name}/pbx.yaml"), &desired(&[user]));
        env.write(&format!("config/..{name}/pbx.yaml"), &desired(&[user]));
    }
    symlink("trees/one", env.path("work/current")).unwrap();
    symlink("..one", env.path("work/config/..data")).unwrap();
    symlink("..data/pbx.yaml", env.path("work/config/pbx.yaml")).unwrap();
    let watches = ["current/pbx.yaml", "current", "config/pbx.yaml", "config"];
    let watches = watches.map(|path| Watch::start(&env, &format!("-f {path}")));
    for watch in &watches {
        assert!(watch.says(END).contains("+ ana@"));
    }
    for (name, word) in [("two", "+ bo@"), ("three", "+ cleo@")] {
        swap(&format!("trees/{name}"), "current");
        swap(&format!("..{name}"), "config/..data");
        for watch in &watches {
            let text = watch.says(END);
            assert!(text.contains(word) && plans(&text) == 1, "{text}");
        }
    }
    // A save in the tree that the link leads to.
    env.write("trees/three/pbx.yaml", &desired(&[ANA]));
    for watch in &watches[..2] {
        assert!(watch.says(END).contains("+ ana@"));
    }
}

#[test]
fn a_burst_of_saves_is_one_and_rest_is_rest() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    let watch = Watch::start(&env, "");
    watch.says(END);
    for number in 0..20 {
        let user = format!("email: u{number}@example.com, name: U");
        replace(&env, "pbx.yaml", &desired(&[&user, ANA]));
    }
    // What comes last is planned, and few of those before.
    let mut text = watch.says("+ u19@");
    text += &watch.says(END);
    assert!(plans(&text) <= 3, "{} plans of 20 saves", plans(&text));
    // Our own reading is no save: having nothing to do, it does nothing.
    watch.says_within(Duration::from_millis(500));
    let idle = watch.says_within(Duration::from_millis(1500));
    assert_eq!(idle, "");
    // Saves without end are looked at all the same.
    let (until, mut number) = (Instant::now() + LONG, 100);
    loop {
        let user = format!("email: v{number}@example.com, name: V");
        replace(&env, "pbx.yaml", &desired(&[&user, ANA]));
        if watch.says_within(Duration::from_millis(50)).contains("+ v") {
            break;
        }
        assert!(Instant::now() < until, "it waits for quiet");
        number += 1;
    }
}

#[test]
fn a_missing_stage_is_reported_and_the_next_save_tries_again() {
    let mut env = TestEnv::new();
    let url = env.database.clone().unwrap();
    let mut admin = env.sql();
    env.database = Some(url.replace("/t", "/later_t"));
    let name = env.database.as_ref().unwrap().split('/').find(|part| part.starts_with("later_t")).unwrap();
    let name = name.split('?').next().unwrap().to_owned();
    env.write("pbx.yaml", &desired(&[ANA]));
    let watch = Watch::start(&env, "");
    watch.says("hint: check the database's name in DATABASE_URL");
    admin.batch_execute(&format!("create database {name}")).unwrap();
    // Not a byte differs: the save counts, because the last one gave no plan.
    env.write("pbx.yaml", &desired(&[ANA]));
    let text = watch.says(END);
    assert!(text.contains("+ ana@") && text.contains("unchecked: the running Asterisk: "), "{text}");
    env.write("pbx.yaml", &desired(&[ANA]));
    watch.says("unchecked: the running Asterisk: ");
}

#[test]
fn the_private_database_runs_only_while_a_plan_is_made() {
    let env = TestEnv::embedded();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("sync").expect(0);
    let watch = Watch::start(&env, "");
    watch.says(END);
    for user in [BO, CLEO] {
        let until = Instant::now() + LONG;
        while env.path("state/postgres/data/postmaster.pid").exists() {
            assert!(Instant::now() < until, "the private database still runs");
            thread::sleep(Duration::from_millis(20));
        }
        env.write("pbx.yaml", &desired(&[ANA, user]));
        watch.says(END);
    }
}

#[test]
fn it_ends_when_its_output_is_closed() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    let mut command = env.command(&["watch", "--no-asterisk"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !lines.next().unwrap().unwrap().contains(END) {}
    drop(lines);
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    let status = child.wait_timeout(LONG).unwrap();
    let _ = child.kill();
    assert_eq!(status.and_then(|status| status.code()), Some(0));
}
