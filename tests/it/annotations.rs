//! What the example for GitHub Actions writes on the page of a run: annotations in words of its own, which say what
//! happened and where to look.

use std::fs;

use super::{
    ci::{host, log},
    github::{GitHub, REPOSITORY},
    sipp::Phone,
    support::{desired, until},
};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";

/// The annotations of a log, without what stands between the marks that stop commands.
fn annotations(log: &str) -> Vec<&str> {
    let mut stopped: Option<String> = None;
    let mut found = Vec::new();
    for line in log.lines() {
        match &stopped {
            Some(word) if *line == format!("::{word}::") => stopped = None,
            Some(_) => {}
            None => match line.strip_prefix("::stop-commands::") {
                Some(word) => stopped = Some(word.to_owned()),
                None => found.extend(line.strip_prefix("::error::")),
            },
        }
    }
    found
}

/// A carrier's refusal was called drift, and the files were searched for a change that nobody had made.
#[test]
fn the_nightly_check_distinguishes_a_rejected_trunk_from_drift() {
    let mut env = host();
    env.set("CARRIER_SECRET", "canary-of-the-carrier");
    let carrier = Phone::at(&env, "127.0.0.1");
    let trunk = format!(
        "trunks:\n  carrier: {{ host: \"{}\", identify: [203.0.113.9], username: acme, \
         secret: {{ env: CARRIER_SECRET }}, realm: carrier.example, register: true }}\n\
         default_route: [ana@example.com]\n",
        carrier.address()
    );
    let text = desired(&[ANA]) + &trunk;
    env.write("pbx.yaml", &text);
    let _refuses = carrier.refuses_registrations();
    env.run("apply").expect(0);
    let rejected = "trunk `carrier` is Rejected";
    until("the carrier has refused", || env.run("status").expect(0).stdout.contains(rejected));

    let mut github = GitHub::new(&env);
    github.commit("main", &text);
    let jobs = github.night();
    let said = log(&jobs, "status", 2);
    let trunk = "every stage is in step, but inbound calls do not arrive as declared: the log names the trunk, or says \
                 what callers reach";
    assert_eq!(annotations(said), [trunk], "{said}");
    assert!(said.contains(rejected), "{said}");

    // A hand in the files is drift, whatever the carrier does.
    fs::write(env.etc("pjsip.d/acme/generated_endpoints.conf"), env.endpoints("acme").replace("Ana", "Eve")).unwrap();
    let jobs = github.night();
    let said = log(&jobs, "status", 2);
    assert_eq!(annotations(said), ["what runs is not what was applied: the log says where"], "{said}");
}

#[test]
fn an_apply_that_fails_names_its_exit_code_and_one_that_works_nothing() {
    let env = host();
    let mut github = GitHub::new(&env);
    github.commit("main", &desired(&[ANA]));
    github.commit("phones", &desired(&[ANA, BO]));
    log(&github.pull_request(7, "phones", REPOSITORY), "plan", 0);
    let lock = fs::File::open(env.etc("pjsip.d/.reconcile.lock")).unwrap();
    lock.lock().unwrap();
    let jobs = github.merge(7, "phones", REPOSITORY);
    let said = log(&jobs, "apply", 5);
    assert!(said.contains("another apply is running on the host `pbx-test`"), "{said}");
    assert_eq!(
        annotations(said),
        ["reconcile apply ended with exit code 5: the log says why, and what to do"],
        "{said}"
    );
    drop(lock);
    // The job is run again.
    let jobs = github.push();
    let said = log(&jobs, "apply", 0);
    assert_eq!(annotations(said), Vec::<&str>::new(), "{said}");
    assert!(said.contains("\nLive: 1 file written"), "{said}");
}
