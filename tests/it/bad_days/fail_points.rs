//! Killed, failed or held up between any two phases of an apply, in each kind of change.

use reconcile::asterisk::{ConfigFile::Endpoints, PerFile};

use super::{
    Case, LIVE, PUT_BACK, Stage, Stands, UNTOUCHED, case,
    day::{ANA, ANA_CHANGED, BO, BO_RENAMED, CY, Day},
    live_through_each,
};
use crate::support::Outcome;

/// The points, in the order in which an apply passes them.
const POINTS: &[&str] = &[
    "locked",
    "checked",
    "recording",
    "rendered",
    "staged",
    "committed",
    "renamed",
    "written",
    "reloaded",
    "read-back",
    "proven",
    "let-go",
    "closing",
    "put-back",
];

/// What a run that was killed at a point leaves behind, where both files change.
fn killed_at(point: &str) -> Stands {
    let open = Stands { audit: Some("open"), rows: Stage::After, ..UNTOUCHED };
    match point {
        "committed" => open,
        "renamed" => Stands { files: PerFile::all(Stage::Before).with(Endpoints, Stage::After), ..open },
        "written" => Stands { files: PerFile::all(Stage::After), ..open },
        "reloaded" => Stands {
            files: PerFile::all(Stage::After),
            running: PerFile::all(Stage::Before).with(Endpoints, Stage::After),
            ..open
        },
        "read-back" | "proven" | "let-go" | "closing" | "put-back" => Stands { audit: Some("open"), ..LIVE },
        _ => UNTOUCHED,
    }
}

/// What an apply that was put back says.
const LATER_PUT_BACK: [&str; 5] = put_back_says("rendered: the last good files were put back");

/// The same of a first apply.
const FIRST_PUT_BACK: [&str; 5] =
    put_back_says("rendered: there were no files before; files without users are in place");

const fn put_back_says(rendered: &'static str) -> [&'static str; 5] {
    [
        "error: Asterisk does not run the new files: ",
        "asked to fail here",
        "recorded: the rows are as declared",
        rendered,
        "running: Asterisk runs them, read back",
    ]
}

/// What a run that failed at a point leaves behind, and says.
fn failed_at(point: &str, first: bool) -> (i32, &'static [&'static str], Stands) {
    let put_back = if first {
        Stands { files: PerFile::all(Stage::Stub), running: PerFile::all(Stage::Stub), ..PUT_BACK }
    } else {
        PUT_BACK
    };
    match point {
        "locked" | "checked" | "recording" | "rendered" | "staged" => (1, &["asked to fail here"], UNTOUCHED),
        "proven" | "let-go" => (0, &["warning: ", "asked to fail here", "Live: "], LIVE),
        "closing" => (0, &["stays open: ", "Live: "], Stands { audit: Some("open"), ..LIVE }),
        // A stub is no good file.
        _ if first => (6, &FIRST_PUT_BACK, put_back),
        _ => (6, &LATER_PUT_BACK, put_back),
    }
}

/// Every point, with each of the three things that can happen there.
fn cases(
    before: &'static [&'static str],
    declared: &'static [&'static str],
    kept: &'static [&'static str],
) -> Vec<Case> {
    let first = before.is_empty();
    let mut cases = Vec::new();
    for point in POINTS {
        // To get to the way back, something must fail first.
        let ahead = if *point == "put-back" { "read-back=error," } else { "" };
        let (code, says, stands) = failed_at(point, first);
        let row = |what: &str| {
            let mut row = case(format!("{point}={what}"), before, declared);
            if first {
                row.before = None;
            }
            let fails = format!("{ahead}{point}={what}");
            row.registered = Some(kept);
            row.goes_wrong(move |day| {
                for phone in if first { &[][..] } else { &["1000", "1001"] } {
                    day.register(phone);
                }
                day.env.set("RECONCILE_FAIL_POINT", &fails);
                |day: &mut Day| day.env.unset("RECONCILE_FAIL_POINT")
            })
        };
        cases.push(row("kill").sees(137, &[]).stands(killed_at(point)));
        cases.push(row("error").sees(code, says).stands(stands));
        let held_up = row("stop").runs(another_apply_meanwhile);
        cases.push(match *point {
            "put-back" => held_up.sees(code, says).stands(stands),
            _ => held_up.sees(0, &["Live: "]).stands(LIVE),
        });
    }
    cases
}

/// Runs an apply that is held up, and another one beside it, which is told who holds the host.
fn another_apply_meanwhile(day: &mut Day) -> Outcome {
    day.held_up(|day| {
        day.env.unset("RECONCILE_FAIL_POINT");
        let refused = day.run("apply").expect(5);
        let words = "error: another apply is running on the host `pbx-test`: tester runs `apply` on pbx-test since 20";
        assert!(refused.stderr.starts_with(words), "{}", refused.text());
    })
}

#[test]
fn a_first_apply() {
    let mut day = Day::new();
    live_through_each("fail points: first apply", &cases(&[], &[ANA, BO], &[]), |case| {
        day.forget_everything();
        case.live_through(&mut day);
    });
}

/// Ana's secret changes, and with it goes the registration of her phone.
#[test]
fn a_change() {
    let mut day = Day::new();
    let cases = cases(&[ANA, BO, CY], &[ANA_CHANGED, BO, CY], &["1001"]);
    live_through_each("fail points: change", &cases, |case| case.live_through(&mut day));
}

#[test]
fn a_delete() {
    let mut day = Day::new();
    let cases = cases(&[ANA, BO, CY], &[ANA, CY], &["1000"]);
    live_through_each("fail points: delete", &cases, |case| case.live_through(&mut day));
}

/// Whoever is renamed keeps the registration with the number and the secret.
#[test]
fn a_rename() {
    let mut day = Day::new();
    let cases = cases(&[ANA, BO, CY], &[ANA, BO_RENAMED, CY], &["1000", "1001"]);
    live_through_each("fail points: rename", &cases, |case| case.live_through(&mut day));
}
