//! Disks that are full or read-only, and folders that are missing, vanish or belong to others.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    Case, LIVE, PUT_BACK, UNTOUCHED, case,
    day::{ANA, BO, CY, Day},
    live_through, skipped,
};
use crate::support::{Server, TestEnv};

const USERS: &[&str] = &[ANA, BO];
const MORE: &[&str] = &[ANA, BO, CY];

/// What is hinted at where a disk is full.
const ROOM: &str = "hint: make room there, then run the same command again";

const ENDPOINTS: &str = "asterisk/etc/pjsip.d/acme";

/// A small disk mounted on a folder.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir_all(&path).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=128k,mode=750", "reconcile-test"]).arg(&path).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(path))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Uses up what is left of a disk.
fn fill(disk: &Path) {
    let _ = fs::write(disk.join("junk"), vec![0; 256 * 1024]);
}

fn full(name: &str, folder: &'static str) -> Case {
    case(name, USERS, MORE).goes_wrong(move |day| {
        fill(&day.env.path(folder));
        move |day: &mut Day| fs::remove_file(day.env.path(folder).join("junk")).expect("a file")
    })
}

/// The disk fills up when Asterisk is asked for the reload, so after COMMIT.
fn fills_up(name: &str, folder: &'static str) -> Case {
    case(name, USERS, MORE).goes_wrong(move |day| {
        let junk = day.env.path(folder).join("junk");
        day.ask_through(&format!(
            "case $2 in *'reload res_pjsip'*) head -c 262144 /dev/zero >{} 2>/dev/null;; esac",
            junk.display()
        ));
        |day: &mut Day| {
            fs::remove_file(junk).expect("a file");
            day.ask_directly();
        }
    })
}

fn read_only(name: &str, folder: &'static str) -> Case {
    let remount = |path: PathBuf, how: &str| {
        let done = Command::new("mount").args(["-o", how]).arg(path).status().expect("mount runs");
        assert!(done.success());
    };
    case(name, USERS, MORE).goes_wrong(move |day| {
        remount(day.env.path(folder), "remount,ro");
        move |day: &mut Day| remount(day.env.path(folder), "remount,rw")
    })
}

fn on_small_disks() -> Vec<Case> {
    vec![
        full("the disk of the files is full", ENDPOINTS)
            .sees(
                1,
                &[
                    "error: cannot write `[test]/asterisk/etc/pjsip.d/acme/generated_endpoints.conf`",
                    "No space left on device",
                    ROOM,
                ],
            )
            .stands(UNTOUCHED),
        full("the disk of the state is full", "state")
            .sees(1, &["error: cannot write `[test]/state/hosts/", "No space left on device", ROOM])
            .stands(UNTOUCHED),
        fills_up("the disk of the state fills up after COMMIT", "state")
            .sees(0, &["warning: cannot write `[test]/state/hosts/", "Live: 1 file written"])
            .stands(LIVE),
        fills_up("the disk of the files fills up after COMMIT, and the way back needs no room", ENDPOINTS)
            .runs(|day| {
                day.env.set("RECONCILE_FAIL_POINT", "read-back=error");
                let seen = day.run("apply");
                day.env.unset("RECONCILE_FAIL_POINT");
                seen
            })
            .sees(6, &["rendered: the last good files were put back", "running: Asterisk runs them, read back"])
            .stands(PUT_BACK),
        read_only("the disk of the files is read-only", ENDPOINTS)
            .sees(1, &["error: cannot write into `[test]/asterisk/etc/pjsip.d/acme`: Read-only file system"])
            .stands(UNTOUCHED),
        read_only("the disk of the state is read-only", "state")
            .sees(1, &["error: cannot write into `[test]/state/hosts/", "Read-only file system"])
            .stands(UNTOUCHED),
    ]
}

#[test]
fn small_disks() {
    let mut day = Day::new();
    let disks = [ENDPOINTS, "state"].map(|folder| Disk::mount(day.env.path(folder)));
    if disks.iter().any(Option::is_none) {
        return skipped("disk", 6, "a disk cannot be mounted here");
    }
    live_through("disk", &mut day, &on_small_disks());
}

/// Runs `reconcile` as a user who owns nothing but what is given to it.
fn as_nobody(day: &mut Day) -> crate::support::Outcome {
    let program = day.env.path("reconcile");
    if !program.exists() {
        // By a process of its own: a copy that this one writes could be busy in another test's child.
        assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_reconcile")).arg(&program).status().expect("cp").success());
    }
    let command = day.env.command(&["apply"]);
    let mut other = Command::new(&program);
    other.args(["apply"]).current_dir(day.env.path("work")).env_clear().uid(NOBODY).gid(NOBODY);
    other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let outcome = day.env.outcome(other.stdin(Stdio::null()).output().expect("reconcile runs"));
    day.hear(&outcome);
    outcome
}

const NOBODY: u32 = 65534;

fn give(day: &Day, path: &str, owner: &str) {
    let done = Command::new("chown").args(["-R", owner]).arg(day.env.path(path)).status().expect("chown runs");
    assert!(done.success());
}

/// Folders as a package leaves them to Asterisk's user, but for one.
fn given(name: &str, spoil: fn(&Day)) -> Case {
    case(name, USERS, MORE)
        .goes_wrong(move |day| {
            give(day, "state", "nobody");
            spoil(day);
            |day: &mut Day| {
                give(day, "asterisk/etc", "65534:65534");
                give(day, "state", "0:0");
            }
        })
        .runs(as_nobody)
}

fn as_an_ordinary_user() -> Vec<Case> {
    vec![
        given("an ordinary user in Asterisk's group applies", |_| {}),
        given("a folder is of a group that cannot be given", |day| give(day, ENDPOINTS, "65534:0"))
            .sees(
                1,
                &[
                    "error: cannot give the folder's group to a file in `[test]/asterisk/etc/pjsip.d/acme/",
                    "Operation not permitted",
                    "hint: run as root, or as a user who may write there and is in that folder's group",
                ],
            )
            .stands(UNTOUCHED),
        given("a folder is somebody else's", |day| {
            chown(day.env.path(ENDPOINTS), Some(0), Some(NOBODY)).expect("an owner");
        })
        .sees(
            1,
            &[
                "error: cannot write into `[test]/asterisk/etc/pjsip.d/acme`: Permission denied",
                "hint: run as root, or as a user who may write there",
            ],
        )
        .stands(UNTOUCHED),
        given("our file is closed to us", |day| {
            let file = day.env.path(ENDPOINTS).join("generated_endpoints.conf");
            chown(&file, Some(0), Some(0)).expect("an owner");
        })
        .sees(
            1,
            &[
                "error: cannot read `[test]/asterisk/etc/pjsip.d/acme/generated_endpoints.conf`: Permission denied",
                "hint: `[test]/asterisk/etc/pjsip.d/acme/generated_endpoints.conf` belongs to the user `root` and the group \
                 `root`: run the same command with `sudo`",
            ],
        )
        .stands(UNTOUCHED),
        given("the state folder is somebody else's", |day| give(day, "state", "0:0"))
            .sees(
                1,
                &[
                    "error: cannot ",
                    " `[test]/state/hosts/",
                    "Permission denied",
                    "belongs to the user `root` and the group `root`: run the same command with `sudo`",
                ],
            )
            .stands(UNTOUCHED),
    ]
}

#[test]
fn an_ordinary_user() {
    if fs::metadata("/proc/self").expect("a process").uid() != 0 {
        return skipped("ordinary user", 5, "only root can be somebody else");
    }
    let folder = tempfile::Builder::new().prefix("rc-pg-").tempdir_in("/tmp").expect("a folder").keep();
    let server = Server::start("postgres", &folder, &["--tcp"]);
    let mut env = TestEnv::new();
    env.database = Some(server.ready.clone());
    env.start_asterisk_as("nobody");
    fs::set_permissions(env.path("asterisk/etc"), PermissionsExt::from_mode(0o755)).expect("a mode");
    live_through("ordinary user", &mut Day::on(env), &as_an_ordinary_user());
}

fn folders() -> Vec<Case> {
    vec![
        case("there is no configuration folder", USERS, MORE)
            .goes_wrong(|day| {
                day.env.set("ASTERISK_CONFIG_DIR", "/nowhere/asterisk");
                |day: &mut Day| day.env.unset("ASTERISK_CONFIG_DIR")
            })
            .sees(
                1,
                &[
                    "error: there is no folder `/nowhere/asterisk`",
                    "hint: the running Asterisk reads another one: `--asterisk-config-dir [test]/asterisk/etc`",
                ],
            )
            .stands(UNTOUCHED),
        case("the folder vanishes between COMMIT and the rename", USERS, MORE)
            .runs(|day| {
                day.meanwhile("committed=stop", |day| {
                    fs::remove_dir_all(day.env.path(ENDPOINTS)).expect("a folder");
                })
            })
            .sees(6, &["cannot replace `[test]/asterisk/etc/pjsip.d/acme/generated_endpoints.conf`", "read back"])
            .stands(PUT_BACK),
        case("the last good files were lost", USERS, MORE)
            .goes_wrong(|day| {
                fs::remove_dir_all(day.env.path("state")).expect("a folder");
                day.env.set("RECONCILE_FAIL_POINT", "read-back=error");
                |day: &mut Day| day.env.unset("RECONCILE_FAIL_POINT")
            })
            .sees(6, &["rendered: the last good files were put back", "running: Asterisk runs them, read back"])
            .stands(PUT_BACK),
    ]
}

#[test]
fn folders_that_go() {
    live_through("folders", &mut Day::new(), &folders());
}
