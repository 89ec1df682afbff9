//! `--expect`: only the reviewed plan is applied, and what differs is said.

use super::support::{TestEnv, desired};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";
const CLEO: &str = "email: cleo@example.com, name: Cleo";

fn id(json: &str) -> String {
    let document: serde_json::Value = serde_json::from_str(json).unwrap();
    document["id"].as_str().unwrap().to_owned()
}

/// Two pull requests, planned from the same state, both see 1001 free.
#[test]
fn the_second_of_two_plans_with_the_same_number_is_stale() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    env.write("first.yaml", &desired(&[ANA, CLEO]));
    env.write("second.yaml", &desired(&[ANA, BO]));
    env.write("first.json", &env.run("plan --no-asterisk --format json -f first.yaml").expect(0).stdout);
    env.write("second.json", &env.run("plan --no-asterisk --format json -f second.yaml").expect(0).stdout);
    env.run("apply -f first.yaml --expect first.json").expect(0);
    // What is merged second is merged with the first.
    env.write("second.yaml", &desired(&[ANA, BO, CLEO]));
    let (dump, files) = (env.dump(), env.files());
    let outcome = env.run("apply -f second.yaml --expect second.json").expect(4);
    insta::with_settings!({ filters => vec![("p1-[0-9a-f]{16}", "p1-[id]")] }, {
        insta::assert_snapshot!(outcome.stderr);
    });
    assert_eq!(env.dump(), dump);
    assert_eq!(env.files(), files);
    // With the id alone the difference cannot be known; the way to it is said.
    let known = id(&std::fs::read_to_string(env.path("work/second.json")).unwrap());
    let outcome = env.run(&format!("apply -f second.yaml --expect {known}")).expect(4);
    insta::with_settings!({ filters => vec![("p1-[0-9a-f]{16}", "p1-[id]")] }, {
        insta::assert_snapshot!(outcome.stderr);
    });
    assert!(outcome.stdout.contains("+ bo@example.com  extension 1002 (lowest free)"), "{}", outcome.text());
    assert_eq!(env.files(), files);
}

/// A runner has the file and the database, but neither the folder nor Asterisk.
#[test]
fn a_plan_made_on_a_runner_is_the_one_that_the_host_computes() {
    let env = TestEnv::with_asterisk();
    let mut runner = TestEnv::new();
    runner.database.clone_from(&env.database);
    runner.set("ASTERISK_CONFIG_DIR", "/nowhere/at/all");
    runner.set("ASTERISK_COMMAND", "/nowhere/asterisk");
    for users in [vec![ANA, BO], vec![ANA, CLEO], vec![ANA, BO, CLEO]] {
        for env in [&env, &runner] {
            env.write("pbx.yaml", &desired(&users));
        }
        let planned = runner.run("plan --no-asterisk --format json").expect(0).stdout;
        assert_eq!(id(&env.run("plan --format json").expect(0).stdout), id(&planned));
        env.write("plan.json", &planned);
        env.run("apply --expect plan.json").expect(0);
    }
    // What is recorded stands for the files it cannot see: an unchanged state is no change to it,
    assert!(runner.run("plan --no-asterisk --detailed-exitcode").expect(0).stdout.contains("in what was checked"));
    // and a small change is a small diff, the one that the host sees.
    for env in [&env, &runner] {
        env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Anna", BO, CLEO]));
    }
    let diff = |env: &TestEnv, args: &str| {
        let document: serde_json::Value = serde_json::from_str(&env.run(args).expect(0).stdout).unwrap();
        document["files"].clone()
    };
    let seen = diff(&runner, "plan --no-asterisk --format json");
    assert_eq!(seen, diff(&env, "plan --format json"));
    assert_eq!((seen[0]["added"].as_u64(), seen[1]["changed"].as_bool()), (Some(1), Some(false)));
}

#[test]
fn what_is_no_plan_is_refused() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    let plan = env.run("plan --no-asterisk --format json").expect(0).stdout;
    env.write("truncated.json", &plan[..plan.len() / 2]);
    env.write("newer.json", &plan.replace("\"format_version\": 1", "\"format_version\": 2"));
    env.write("other.json", "{ \"id\": \"p1-0000000000000000\" }\n");
    env.write("check.json", &env.run("check --format json").expect(0).stdout);
    env.write("no-id.json", &plan.replacen(&format!("\"{}\"", id(&plan)), "null", 1));
    let mut said = String::new();
    for name in ["missing.json", "truncated.json", "newer.json", "other.json", "check.json", "no-id.json"] {
        said += &env.run(&format!("apply --no-reload --expect {name}")).expect(1).stderr;
    }
    insta::assert_snapshot!(said);
    assert!(env.files().iter().all(|(path, ..)| !path.ends_with("generated_endpoints.conf")));
}
