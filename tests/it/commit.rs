//! The commit that an audit row names: what is asked of git, and what a commit must not make git do.

use std::fs;

use crate::support::{TestEnv, desired};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";

#[test]
fn the_audit_row_names_the_commit_of_the_file() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    let git = |args: &[&str]| -> String {
        let output = std::process::Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(args)
            .current_dir(env.path("work"))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "phones"]);
    let commit = git(&["rev-parse", "HEAD"]);
    let recorded = || -> Option<String> {
        let row = env.sql().query_one("select git_commit from apply_audit_log order by id desc limit 1", &[]);
        row.unwrap().get(0)
    };
    env.run("sync").expect(0);
    assert_eq!(recorded(), Some(commit.clone()));
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("sync").expect(0);
    assert_eq!(recorded(), Some(format!("{commit}-dirty")));
    let back = env.run("rollback 1 --no-asterisk").expect(0).stderr;
    assert!(
        back.contains("\nRun 2 applied changes that were not committed: there is no commit to revert.\n"),
        "{back}"
    );
    git(&["commit", "-qam", "bo"]);
    let commit = git(&["rev-parse", "HEAD"]);
    env.write("pbx.yaml", &desired(&[BO]));
    git(&["commit", "-qam", "no ana"]);
    let last = git(&["rev-parse", "HEAD"]);
    env.run("sync").expect(0);
    let back = env.run("rollback 2 --no-asterisk").expect(0).stderr;
    assert!(back.contains(&format!("\nTo revert in git: {last} (run 3)\n")) && !back.contains(&commit), "{back}");
}

/// Files of a commit can look like a bare repository, whose configuration names a program. Git runs it for whoever
/// asks about the repository.
#[test]
fn a_commit_that_looks_like_a_repository_makes_git_run_nothing() {
    let env = TestEnv::new();
    let work = env.path("work");
    let git = |args: &[&str]| {
        let status = std::process::Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(args)
            .current_dir(&work)
            .status();
        assert!(status.unwrap().success(), "{args:?}");
    };
    let ran = env.path("ran");
    let hostile = |folder: &str, worktree: &str| {
        let folder = work.join(folder);
        for name in ["objects", "refs"] {
            fs::create_dir_all(folder.join(name)).unwrap();
            fs::write(folder.join(name).join(".keep"), "").unwrap();
        }
        fs::write(folder.join("HEAD"), format!("{}\n", "a".repeat(40))).unwrap();
        let monitor = format!("sh -c 'touch {}' #", ran.display());
        let config = format!(
            "[core]\nrepositoryformatversion = 0\nbare = false\nworktree = {worktree}\nfsmonitor = \"{monitor}\"\n"
        );
        fs::write(folder.join("config"), config).unwrap();
    };
    hostile("desired", ".");
    hostile("desired/0", "..");
    fs::write(work.join("desired/0/pbx.yaml"), desired(&[ANA, BO])).unwrap();
    let recorded = || -> Option<String> {
        let row = env.sql().query_one("select git_commit from apply_audit_log order by id desc limit 1", &[]);
        row.unwrap().get(0)
    };
    let unrestricted = ["-c", "safe.bareRepository=all", "-C", "desired/0", "status", "--porcelain"];
    std::process::Command::new("git").args(unrestricted).current_dir(&work).output().unwrap();
    assert!(ran.exists(), "git itself does what the configuration says");
    fs::remove_file(&ran).unwrap();

    env.run("sync -f desired/0/pbx.yaml").expect(0);
    assert_eq!((recorded(), ran.exists()), (None, false), "there is no checkout");

    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "phones"]);
    let head = fs::read_to_string(work.join(".git/HEAD")).unwrap();
    let reference = head.strip_prefix("ref: ").unwrap().trim();
    let commit = fs::read_to_string(work.join(".git").join(reference)).unwrap();
    fs::write(work.join("desired/0/pbx.yaml"), desired(&[ANA])).unwrap();
    for file in ["desired/0/pbx.yaml", "desired"] {
        env.run(&format!("sync -f {file} --allow deletes=1")).expect(0);
        env.run(&format!("sync -f {file} --expect p1-0000000000000000")).expect(4);
        assert!(!ran.exists(), "{file}: git ran what a commit names");
    }
    assert_eq!(recorded(), Some(format!("{}-dirty", commit.trim())));
}
