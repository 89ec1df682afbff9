//! Names of endpoints that another file on the host has: an apply takes none of them over.

use std::fs;

use super::{
    sipp::Phone,
    support::{TestEnv, desired},
};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";

#[test]
fn names_of_others_are_taken() {
    let env = TestEnv::with_asterisk();
    fs::create_dir_all(env.etc("pjsip.d/other")).unwrap();
    fs::write(env.etc("pjsip.d/other/generated_endpoints.conf"), "[1000]\ntype = aor\n").unwrap();
    env.write("pbx.yaml", &desired(&[ANA]));
    for args in ["plan", "plan --no-asterisk"] {
        let seen = env.run(args).expect(0).stderr;
        let words =
            "error[rail-taken-names]: the endpoint `1000` is already in the file of the tenant `other` on this host\n";
        assert!(seen.starts_with(words), "{seen}");
    }
    let words = "error[rail-taken-names]: the endpoint `1000` is already in the file of the tenant `other` on this host\nhint: ";
    for args in ["apply", "apply --dry-run"] {
        let refused = env.run(args).expect(3);
        assert!(refused.stderr.starts_with(words), "{}", refused.text());
    }
    fs::remove_dir_all(env.etc("pjsip.d/other")).unwrap();

    let conf = env.etc("pjsip.conf");
    let operators = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{operators}\n[1000]\ntype = endpoint\ncontext = none\nallow = ulaw\n")).unwrap();
    env.ask("module reload res_pjsip.so");
    let seen = env.run("plan --format json").expect(0).stdout;
    assert!(seen.contains(r#""rail": "taken-names""#) && seen.contains("`1000` already runs in Asterisk"), "{seen}");
    let refused = env.run("apply").expect(3);
    assert!(
        refused
            .stderr
            .contains("the endpoint `1000` already runs in Asterisk, from a file that reconcile did not generate"),
        "{}",
        refused.text()
    );
    assert!(env.sql().query("select 1 from users", &[]).unwrap().is_empty());
    let text = desired(&[ANA]).replace("users:", "endpoint_names: tenant-extension\nusers:");
    env.write("pbx.yaml", &text);
    env.run("apply").expect(0);
    assert!(env.ask("pjsip list endpoints").contains("acme-1000/1000"));
}

/// Names that Asterisk still runs from an earlier file of ours are ours.
#[test]
fn our_own_names_never_count_as_taken() {
    let env = TestEnv::with_asterisk();
    for (users, reload) in
        [(&[ANA][..], true), (&[ANA, BO], false), (&[ANA, BO], true), (&[ANA], false), (&[ANA, BO], true)]
    {
        env.write("pbx.yaml", &desired(users));
        env.run(if reload { "apply" } else { "apply --no-reload" }).expect(0);
    }
}

#[test]
fn names_of_others_are_taken_also_when_the_rows_came_first() {
    let env = TestEnv::with_asterisk();
    let conf = env.etc("pjsip.conf");
    let operators = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{operators}\n[1000]\ntype = endpoint\ncontext = none\nallow = ulaw\n")).unwrap();
    env.ask("module reload res_pjsip.so");
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("sync").expect(0);
    let files = env.files();
    env.run("apply").expect(3);
    assert_eq!(env.files(), files);
}

/// A generation of ours that runs is no excuse for a name that somebody else took meanwhile.
#[test]
fn names_of_others_are_taken_also_while_our_files_run() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    let conf = env.etc("pjsip.conf");
    let operators = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{operators}\n[1001]\ntype = endpoint\ncontext = none\nallow = ulaw\n")).unwrap();
    env.ask("module reload res_pjsip.so");
    let files = env.files();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    let refused = env.run("apply").expect(3);
    assert!(refused.stderr.contains("the endpoint `1001` already runs in Asterisk"), "{}", refused.text());
    assert!(env.files() == files, "something moved");
}

/// A network of a trunk that phones are in cut off all of them, of every tenant, and the plan said that they are unaffected.
#[test]
fn an_address_from_which_phones_are_registered_is_taken() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    let ana = Phone::of(&env, "ana@example.com");
    ana.registers();
    let with_trunk = |networks: &str| {
        let trunk = format!("trunks: {{ carrier: {{ host: 198.51.100.9, identify: [{networks}] }} }}\n");
        env.write("pbx.yaml", &(desired(&[ANA, BO]) + &trunk));
    };
    with_trunk("198.51.100.9, 127.0.0.0/8");
    let words = "error[rail-taken-names]: `127.0.0.0/8` would belong to the trunk `carrier`, and 1 phone is registered from \
                 there: 1000; Asterisk would take their calls for the trunk's\n\
                 hint: list only the carrier's own addresses in `identify`\n";
    for args in ["plan", "apply"] {
        let stopped = env.run(args).expect(if args == "plan" { 0 } else { 3 }).stderr;
        assert_eq!(stopped, words);
    }
    ana.registers();
    with_trunk("198.51.100.9");
    env.run("apply").expect(0);
    ana.registers();
}
