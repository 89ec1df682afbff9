//! The systemd unit in `examples/serve`.

use std::{fs, path::Path, process::Command};

use crate::support::{TestEnv, say};

fn example(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/serve").join(name)).unwrap()
}

/// The unit ran as Asterisk's own user, which could read the key that seals all secrets.
#[test]
fn the_unit_has_a_user_and_a_key_of_its_own_and_bounds() {
    let unit = example("reconcile-serve.service");
    let values = |name: &str| -> Vec<&str> {
        unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect()
    };
    assert_eq!((values("User"), values("Group")), (vec!["reconcile"], vec!["reconcile"]));
    assert_eq!(values("SupplementaryGroups"), ["asterisk"]);
    for bound in ["LimitNOFILE", "MemoryMax", "TasksMax"] {
        assert_eq!(values(bound).len(), 1, "{bound}");
    }
    assert_eq!(
        values("ReadWritePaths"),
        ["/etc/asterisk/pjsip.d /etc/asterisk/extensions.d -/etc/asterisk/voicemail.d -/etc/asterisk/queues.d"]
    );
    let environment = example("reconcile-serve.env");
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/service.md")).unwrap();
    for variable in ["RECONCILE_SECRET_KEY_FILE", "TWILIO_AUTH_TOKEN_FILE"] {
        let path = environment.lines().find_map(|line| line.strip_prefix(variable)?.strip_prefix('=')).unwrap();
        assert!(page.contains(&format!("install -m 0600 -o reconcile /dev/null {path}")), "{path}");
    }
}

#[test]
fn systemd_takes_the_unit_and_finds_it_hardened() {
    let env = TestEnv::new();
    let unit = example("reconcile-serve.service");
    // systemd looks for the program.
    env.write("reconcile-serve.service", &unit.replace("/usr/local/bin/reconcile", env!("CARGO_BIN_EXE_reconcile")));
    let path = env.path("work/reconcile-serve.service");
    let analyze = |args: &[&str]| {
        let output = Command::new("systemd-analyze").args(args).arg(&path).output().ok()?;
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        Some((output.status.success(), said))
    };
    let Some((valid, said)) = analyze(&["verify"]) else {
        say("skipped: there is no systemd-analyze here");
        return;
    };
    assert!(valid && said.is_empty(), "{said}");
    // From 0 to 100; a unit without any hardening has 96.
    let (hardened, said) = analyze(&["security", "--offline=true", "--threshold=20", "--no-pager"]).unwrap();
    assert!(hardened, "{said}");
}
