//! The recipe for GitLab: its scripts run as they stand, with a package registry of our own.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    support::{TestEnv, desired},
    transcript,
};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";

/// A checkout with the recipe in the working folder of a test.
fn checkout() -> TestEnv {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("init --tenant acme --ci gitlab").expect(0);
    env
}

fn run(env: &TestEnv, command: &str) -> (i32, String) {
    let printed = transcript::run(env, &[command.to_owned()], &[env.path("fake")]).remove(0);
    (printed.status, printed.text)
}

#[test]
fn a_plan_is_left_for_the_reviewer_and_the_apply_is_held_to_it() {
    let env = checkout();
    let (code, said) = run(&env, ".gitlab/reconcile/plan.sh plan");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("ana@example.com"), "{said}");
    let plan: Value = serde_json::from_str(&fs::read_to_string(env.path("work/plan/plan.json")).unwrap()).unwrap();
    assert!(plan["id"].as_str().unwrap().starts_with("p1-"));
    // Another merge was faster.
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    let (code, said) = run(&env, ".gitlab/reconcile/apply.sh plan");
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("run its job `plan` again"), "{said}");
    env.write("pbx.yaml", &desired(&[ANA]));
    let (code, said) = run(&env, ".gitlab/reconcile/apply.sh plan");
    assert_eq!(code, 0, "{said}");
    assert_eq!(run(&env, ".gitlab/reconcile/status.sh").0, 0);
    fs::remove_file(env.etc("pjsip.d/acme/generated_endpoints.conf")).unwrap();
    let (code, said) = run(&env, ".gitlab/reconcile/status.sh");
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("what runs is not what was applied"), "{said}");
}

#[test]
fn a_plan_that_a_rail_stops_fails_and_is_left() {
    let env = checkout();
    let many: Vec<String> = (0..9).map(|n| format!("email: u{n}@example.com, name: U")).collect();
    env.write("pbx.yaml", &desired(&many.iter().map(String::as_str).collect::<Vec<_>>()));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &desired(&[ANA]));
    let (code, said) = run(&env, ".gitlab/reconcile/plan.sh plan");
    assert_eq!(code, 3, "{said}");
    assert!(env.path("work/plan/plan.md").exists());
}

/// Hosted runners do not reach the database: the branch that the PBX host pushes stands for it.
#[test]
fn without_a_way_to_the_database_a_plan_is_made_against_the_branch_of_the_host() {
    let env = checkout();
    let git = |command: &str| {
        let (code, said) = run(&env, &format!("git -c user.name=t -c user.email=t@example.com {command}"));
        assert_eq!(code, 0, "{command}: {said}");
        said
    };
    git("init -q --bare ../remote.git");
    git("init -q -b main");
    git("remote add origin ../remote.git");
    let plan = |name: &str| {
        let runner =
            "DATABASE_URL=postgres://nobody@127.0.0.1:1/x ASTERISK_CONFIG_DIR=/nowhere RECONCILE_RECORDED=true";
        run(&env, &format!("{runner} .gitlab/reconcile/plan.sh {name}"))
    };
    let (code, said) = plan("nothing");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("the PBX host has left nothing to plan against"), "{said}");
    let record = || {
        let (code, said) = run(&env, ".gitlab/reconcile/recorded.sh $PWD/../remote.git");
        assert_eq!(code, 0, "{said}");
    };
    record();
    let (code, said) = plan("first");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("+ ana@example.com") && said.contains("Planned against what was recorded at "), "{said}");
    let (code, said) = run(&env, ".gitlab/reconcile/apply.sh first");
    assert_eq!(code, 0, "{said}");
    // What was pushed before is stale, and what is pushed now replaces it, without a history.
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    assert_eq!(plan("stale").0, 0);
    let (code, said) = run(&env, ".gitlab/reconcile/apply.sh stale");
    assert_eq!(code, 4, "{said}");
    record();
    assert_eq!(git("--git-dir=../remote.git rev-list --count reconcile-recorded"), "1\n");
    env.hear("export --recorded", &git("--git-dir=../remote.git show reconcile-recorded:recorded.json"));
    assert_eq!(plan("second").0, 0);
    assert_eq!(run(&env, ".gitlab/reconcile/apply.sh second").0, 0);
}

/// The registry gives out another program than the one that was reviewed.
#[test]
fn only_the_program_with_the_right_hash_is_installed() {
    let env = checkout();
    let program = "#!/bin/sh\necho installed\n";
    fs::create_dir_all(env.path("fake")).unwrap();
    fs::write(env.path("fake/program"), program).unwrap();
    let curl = format!(
        "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ \"$1\" = --output ] && out=$2; shift; done\n\
         [ \"$1\" = https://gitlab.example/api/v4/projects/7/packages/generic/reconcile/0.1.0/reconcile ] || exit 22\n\
         cp '{}' \"$out\"\n",
        env.path("fake/program").display()
    );
    let path: PathBuf = env.path("fake/curl");
    fs::write(&path, curl).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let install = format!(
        "export CI_API_V4_URL=https://gitlab.example/api/v4 CI_PROJECT_ID=7 CI_JOB_TOKEN=t CI_PROJECT_DIR=$PWD \
         PATH={}:$PATH; (. .gitlab/reconcile/install.sh; reconcile)",
        env.path("fake").display()
    );
    let (code, said) = run(&env, &install);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("is not the one that .gitlab/reconcile/release stands for"), "{said}");
    let digest = Sha256::digest(program);
    let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    env.write(".gitlab/reconcile/release", &format!("0.1.0 {digest}\n"));
    assert_eq!(run(&env, &install), (0, "installed\n".to_owned()));
}

/// What a job may do depends on these lines alone.
#[test]
fn the_pipeline_applies_by_hand_on_main_and_never_for_a_merge_request() {
    let text = fs::read_to_string(format!("{}/examples/ci/.gitlab-ci.yml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let pipeline: Value = serde_yaml::from_str(&text).unwrap();
    let apply = &pipeline["apply"];
    assert_eq!(apply["rules"].as_array().unwrap().len(), 1);
    assert_eq!(apply["rules"][0]["when"], "manual");
    assert!(apply["rules"][0]["if"].as_str().unwrap().contains("$CI_DEFAULT_BRANCH"));
    assert_eq!(apply["resource_group"], "reconcile");
    // What is recorded is pushed from the default branch only, and only if that is asked for.
    let rules = pipeline["recorded"]["rules"].as_array().unwrap();
    assert_eq!((&rules[0]["if"], &rules[0]["when"]), (&"$RECONCILE_RECORDED != \"true\"".into(), &"never".into()));
    assert!(rules[1..].iter().all(|rule| !rule["if"].as_str().unwrap().contains("merge_request")));
    for job in ["check", "plan"] {
        assert!(pipeline[job].get("tags").is_none(), "{job} must not run on the PBX host");
    }
}
