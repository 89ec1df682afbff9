//! The test lab itself: what it does on the day the distribution has another Asterisk.

use std::{path::Path, process::Command};

/// What the lab says to what `asterisk -V` prints, if it takes that Asterisk.
fn judged(version: &str) -> Option<String> {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/lib.sh");
    let script = r#"set -eu; . "$0"; judge_asterisk "$1""#;
    let judged = Command::new("bash").args(["-c", script]).arg(lib).arg(version).output().expect("bash runs");
    judged.status.success().then(|| String::from_utf8(judged.stderr).expect("UTF-8"))
}

/// The tests ended on the day on which Debian moved on from Asterisk 22.
#[test]
fn a_later_major_version_of_asterisk_is_used_and_reported() {
    assert_eq!(judged("Asterisk 22.10.1+dfsg+~cs6.17.60671434-1").as_deref(), Some(""));
    for later in ["Asterisk 23.0.0~dfsg+~cs6.15.60671435-1", "Asterisk 24", "Asterisk 100.1.0"] {
        let said = format!("lab: uses {later}: the tests are written for Asterisk 22\n");
        assert_eq!(judged(later), Some(said));
    }
    for none in ["Asterisk 20.9.3", "Asterisk 2.2", "Asterisk GIT-master", "bash: asterisk: not found", ""] {
        assert_eq!(judged(none), None, "{none}");
    }
}
