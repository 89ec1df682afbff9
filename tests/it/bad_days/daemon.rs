//! An Asterisk that is not there, hangs, dies, restarts, boots, is busy or says nothing.

use std::{fs, os::unix::net::UnixStream, thread, time::Duration};

use reconcile::asterisk::PerFile;

use super::{
    Case, PUT_BACK, Stage, Stands, UNTOUCHED, case,
    day::{ANA, BO, CY, Day},
    live_through,
};
use crate::support::until;

const USERS: &[&str] = &[ANA, BO];
const MORE: &[&str] = &[ANA, BO, CY];

/// Nothing moved, and nobody can be asked.
const UNASKED: Stands = Stands { running: PerFile::all(Stage::Gone), ..UNTOUCHED };

/// Recorded and put back, but nobody can be asked.
const DEAD: Stands = Stands { running: PerFile::all(Stage::Gone), audit: Some("not_live"), ..PUT_BACK };

fn start_again(day: &mut Day) {
    day.ask_directly();
    day.env.start_asterisk_again();
}

/// Each file of 2,000 endpoints makes reloads and the boot take about a second longer.
fn be_slow(day: &Day) -> impl FnOnce(&mut Day) + use<> {
    let folder = day.env.etc("pjsip.d/zzz");
    fs::create_dir_all(&folder).expect("a folder");
    let endpoint = |n: u32| format!("[z{n}]\ntype = endpoint\nauth = z{n}\nallow = alaw\n");
    let text: String = (0..4000).map(endpoint).collect();
    fs::write(folder.join("generated_endpoints.conf"), text).expect("a file");
    |_: &mut Day| fs::remove_dir_all(folder).expect("a folder")
}

/// A client that lets the daemon be killed when it is asked for something.
fn killed_when_asked(day: &mut Day, command: &str, restarts: bool) {
    let wait = if restarts { "timeout 20 sh -c \"until [ -e $dir/again ]; do sleep 0.05; done\"" } else { ":" };
    day.ask_through(&format!(
        "if [ ! -e $dir/killed ]; then case $2 in *'{command}'*)
           kill -KILL \"$(cat $run/asterisk.pid)\"; : >$dir/killed; {wait};; esac; fi"
    ));
}

/// The same, and it is started again before the client goes on.
fn restarts_when_asked(command: &'static str) -> impl Fn(&mut Day) -> Box<dyn FnOnce(&mut Day)> {
    move |day| {
        killed_when_asked(day, command, true);
        let (killed, again) = (day.env.path("client.d/killed"), day.env.path("client.d/again"));
        let folder = day.env.path("asterisk");
        let restart = thread::spawn(move || {
            until("the daemon is killed", || killed.exists());
            let server = crate::support::Server::start_again("asterisk", &folder, &[]);
            fs::write(again, "").expect("a file");
            server
        });
        Box::new(move |day: &mut Day| {
            day.ask_directly();
            day.env.keep_asterisk(restart.join().expect("it restarts"));
        })
    }
}

fn dies(name: &str, command: &'static str) -> Case {
    case(name, USERS, MORE).goes_wrong(move |day| {
        killed_when_asked(day, command, false);
        start_again
    })
}

fn gone_or_going() -> Vec<Case> {
    vec![
        case("Asterisk is not installed", USERS, MORE)
            .goes_wrong(|day| {
                day.env.set("ASTERISK_COMMAND", "/nowhere/asterisk");
                |day: &mut Day| day.ask_directly()
            })
            .sees(1, &["error: cannot run `/nowhere/asterisk`: No such file or directory", "nothing was changed"])
            .stands(UNTOUCHED),
        case("Asterisk was killed and left its socket behind", USERS, MORE)
            .goes_wrong(|day| {
                day.signal_asterisk("-KILL");
                let socket = day.env.path("asterisk/run/asterisk.ctl");
                // A killed process of many threads takes its time to go.
                for _ in 0..500 {
                    if UnixStream::connect(&socket).is_err() {
                        break;
                    }
                    thread::sleep(Duration::from_millis(20));
                }
                assert!(socket.exists(), "a stale socket");
                start_again
            })
            .sees(
                1,
                &["error: Asterisk does not run here: Unable to connect to remote asterisk", "nothing was changed"],
            )
            .stands(UNASKED),
        case("Asterisk was stopped", USERS, MORE)
            .goes_wrong(|day| {
                day.env.stop_asterisk();
                start_again
            })
            .sees(1, &["error: Asterisk does not run here: ", "nothing was changed"])
            .stands(UNASKED),
        case("Asterisk hangs", USERS, MORE)
            .goes_wrong(|day| {
                day.signal_asterisk("-STOP");
                |day: &mut Day| day.signal_asterisk("-CONT")
            })
            .sees(1, &["error: Asterisk did not answer `core show version` within 10 s; nothing was changed"])
            .stands(UNASKED),
        case("Asterisk hangs after the reload", USERS, MORE)
            .goes_wrong(|day| {
                day.ask_through(
                    "case $2 in *\"reload res_pjsip\"*) \"$real\" \"$@\"; kill -STOP \"$(cat $run/asterisk.pid)\"; exit;; esac",
                );
                |day: &mut Day| {
                    day.signal_asterisk("-CONT");
                    day.ask_directly();
                }
            })
            .sees(6, &["error: Asterisk does not run the new files: Asterisk did not answer `", "rendered: the last good files"])
            .stands(DEAD),
        dies("Asterisk dies before the reload", "module reload res_pjsip")
            .sees(
                6,
                &[
                    "does not run the new files: Asterisk does not run here: ",
                    "running: unknown, Asterisk does not answer",
                    "hint: make sure that Asterisk runs, then",
                ],
            )
            .stands(DEAD),
        dies("Asterisk dies before the read-back", "pjsip show endpoint 1002")
            .sees(
                6,
                &[
                    "does not run the new files: Asterisk does not run here: ",
                    "running: unknown, Asterisk does not answer",
                    "hint: make sure that Asterisk runs, then",
                ],
            )
            .stands(DEAD),
        case("Asterisk restarts before the reload", USERS, MORE)
            .goes_wrong(restarts_when_asked("module reload res_pjsip")),
        case("Asterisk restarts before the read-back", USERS, MORE)
            .goes_wrong(restarts_when_asked("pjsip show endpoint 1002")),
    ]
}

fn slow_or_silent() -> Vec<Case> {
    vec![
        case("Asterisk still boots", USERS, MORE).goes_wrong(|day| {
            day.env.stop_asterisk();
            let fast = be_slow(day);
            let (folder, socket) = (day.env.path("asterisk"), day.env.path("asterisk/run/asterisk.ctl"));
            let boot = thread::spawn(move || crate::support::Server::start_again("asterisk", &folder, &[]));
            until("the socket is there", || socket.exists());
            move |day: &mut Day| {
                day.env.keep_asterisk(boot.join().expect("it boots"));
                fast(day);
            }
        }),
        case("another reload runs already", USERS, MORE).goes_wrong(|day| {
            let fast = be_slow(day);
            day.ask_through(
                "if [ \"$2\" = 'module reload res_pjsip.so' ]; then
                       [ -e $dir/busy ] || {
                         : >$dir/busy; \"$real\" \"$@\" >/dev/null &
                         for n in $(seq 100); do
                           case $(\"$real\" -rx 'module reload none.so') in *'in progress'*) break;; esac
                         done
                       }
                       \"$real\" \"$@\" | tee -a $dir/answers; exit
                     fi",
            );
            |day: &mut Day| {
                let answers = fs::read_to_string(day.env.path("client.d/answers")).expect("answers");
                assert!(answers.contains("already in progress"), "{answers}");
                day.ask_directly();
                fast(day);
            }
        }),
        case("a reload's answer is lost", USERS, MORE).goes_wrong(|day| {
            day.ask_through("case $2 in *reload*) \"$real\" \"$@\" >/dev/null; exit;; esac");
            |day: &mut Day| day.ask_directly()
        }),
        case("a reload says nothing while it goes on", USERS, MORE).goes_wrong(|day| {
            let fast = be_slow(day);
            // What the client does by itself after 60 s of silence.
            day.ask_through("case $2 in *'reload res_pjsip'*) \"$real\" \"$@\" >/dev/null & sleep 0.2; exit 0;; esac");
            |day: &mut Day| {
                day.ask_directly();
                fast(day);
            }
        }),
    ]
}

#[test]
fn a_daemon_that_is_not_itself() {
    let cases = [gone_or_going(), slow_or_silent()].into_iter().flatten().collect::<Vec<_>>();
    live_through("daemon", &mut Day::restartable(), &cases);
}
