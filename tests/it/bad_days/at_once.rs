//! More than one command at once on one host: one apply works, the others are told who does, and
//! who only reads or records is not kept waiting.

use std::{fs, thread};

use super::{
    Case, LIVE, Stands, UNTOUCHED, case,
    day::{ANA, BO, CY, Day, desired},
    live_through,
};
use crate::support::Outcome;

const USERS: &[&str] = &[ANA, BO];
const MORE: &[&str] = &[ANA, BO, CY];

/// Runs a command several times at once.
fn at_once(day: &mut Day, times: usize, args: impl Fn(usize) -> String + Sync) -> Vec<Outcome> {
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let (env, args) = (&day.env, &args);
        let runs: Vec<_> = (0..times).map(|n| scope.spawn(move || env.run(&args(n)))).collect();
        runs.into_iter().map(|run| run.join().expect("it ends")).collect()
    });
    for outcome in &outcomes {
        day.hear(outcome);
    }
    outcomes
}

/// A client that writes down when each reload begins and ends.
fn note_reloads(day: &mut Day) -> impl FnOnce(&mut Day) + use<> {
    day.ask_through(
        "case $2 in *reload*) echo \"begin $$\" >>$dir/reloads; \"$real\" \"$@\"; echo \"end $$\" >>$dir/reloads; exit;; esac",
    );
    |day: &mut Day| {
        day.ask_directly();
        let notes = fs::read_to_string(day.env.path("client.d/reloads")).expect("notes");
        let notes: Vec<&str> = notes.lines().collect();
        for pair in notes.chunks(2) {
            let who = pair[0].strip_prefix("begin ").expect("a reload begins");
            assert_eq!(pair.get(1).copied(), Some(format!("end {who}").as_str()), "reloads interleave: {notes:?}");
        }
    }
}

fn cases() -> Vec<Case> {
    vec![
        case("eight applies at once", USERS, MORE).goes_wrong(note_reloads).runs(|day| {
            let outcomes = at_once(day, 8, |_| "apply".to_owned());
            let (done, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|outcome| outcome.code == 0);
            for outcome in refused {
                let words = "error: another apply is running on the host `pbx-test`";
                assert!(outcome.expect(5).stderr.starts_with(words));
            }
            done.into_iter().next().expect("one apply works")
        }),
        case("eight applies at once, each of another file", USERS, MORE).goes_wrong(note_reloads).runs(|day| {
            for n in 0..8 {
                day.env.write(&format!("file{n}.yaml"), &desired(if n % 2 == 0 { USERS } else { MORE }));
            }
            for outcome in at_once(day, 8, |n| format!("apply -f file{n}.yaml")) {
                // One that has shown its plan before another one moved is stale.
                assert!([0, 4, 5].contains(&outcome.code), "{}", outcome.text());
            }
            day.run("apply")
        }),
        case("a plan and a status while an apply works", USERS, MORE).runs(|day| {
            day.meanwhile("staged=stop", |day| {
                day.run("plan --detailed-exitcode").expect(2);
                day.run("status").expect(0);
            })
        }),
        case("a sync while an apply reloads", USERS, MORE)
            .runs(|day| {
                day.meanwhile("written=stop", |day| {
                    let synced = day.run("sync").expect(0);
                    assert!(synced.stdout.contains("Recorded: "), "{}", synced.text());
                })
            })
            .stands(Stands { audit: Some("recorded"), ..LIVE }),
        case("an apply that hangs is killed", USERS, MORE)
            .runs(|day| {
                day.meanwhile("staged=stop", |day| {
                    let refused = day.run("apply").expect(5);
                    assert!(
                        refused.stderr.contains(": tester runs `apply` on pbx-test since 20"),
                        "{}",
                        refused.text()
                    );
                    let processes = fs::read_dir("/proc").expect("processes").flatten();
                    let ours = day.env.path("work");
                    let hanging = processes.filter(|process| {
                        fs::read_link(process.path().join("cwd")).is_ok_and(|folder| folder == ours)
                            && fs::read_link(process.path().join("exe")).is_ok_and(|exe| exe.ends_with("reconcile"))
                    });
                    for process in hanging {
                        let pid = process.file_name();
                        std::process::Command::new("kill").arg("-KILL").arg(pid).status().expect("kill runs");
                    }
                })
            })
            .sees(137, &[])
            .stands(UNTOUCHED),
        case("somebody with another state folder", USERS, MORE).runs(|day| {
            day.meanwhile("committed=stop", |day| {
                day.env.set("RECONCILE_STATE_DIR", "/nowhere/state");
                let refused = day.run("apply").expect(5);
                day.env.unset("RECONCILE_STATE_DIR");
                // The note of the holder is out of reach, the audit log is not.
                assert!(refused.stderr.contains(": tester runs `apply` on pbx-test since 20"), "{}", refused.text());
            })
        }),
    ]
}

#[test]
fn several_commands_at_once() {
    live_through("at once", &mut Day::new(), &cases());
}
