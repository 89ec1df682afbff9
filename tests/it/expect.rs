//! `--expect`: only the reviewed plan is applied, and what differs is said.

use super::support::{TestEnv, desired};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";
const CLEO: &str = "email: cleo@example.com, name: Cleo";

fn id(json: &str) -> String {
    let document: serde_json::Value = serde_json::from_str(json).unwrap();
    document["id"].as_str().unwrap().to_owned()
}

/// A runner has the file and the database, but neither the folder nor Asterisk.
#[test]
fn a_plan_made_on_a_runner_is_the_one_that_the_host_computes() {
    let env = TestEnv::with_asterisk();
    let runner = runner_of(&env);
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
fn what_is_no_plan_is_rejected() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[ANA]));
    let plan = env.run("plan --no-asterisk --format json").expect(0).stdout;
    env.write("truncated.json", &plan[..plan.len() / 2]);
    env.write("newer.json", &plan.replace("\"format_version\": 2", "\"format_version\": 3"));
    env.write("other.json", "{ \"id\": \"p1-0000000000000000\" }\n");
    env.write("check.json", &env.run("check --format json").expect(0).stdout);
    env.write("no-id.json", &plan.replacen(&format!("\"{}\"", id(&plan)), "null", 1));
    let mut said = String::new();
    for name in ["missing.json", "truncated.json", "newer.json", "other.json", "check.json", "no-id.json"] {
        said += &env.run(&format!("apply --no-reload --expect {name}")).expect(1).stderr;
    }
    // Where the JSON ends depends on how long the plan is.
    let filters = vec![(r"parsing an? \w+", "parsing [..]"), (r"line \d+ column \d+", "line [n] column [n]")];
    insta::with_settings!({ filters => filters }, {
        insta::assert_snapshot!(said);
    });
    assert!(env.files().iter().all(|(path, ..)| !path.ends_with("generated_endpoints.conf")));
}

/// The difference said that the changes are the same, because the plan did not carry what only the rows hold.
#[test]
fn what_only_the_rows_hold_is_in_the_difference() {
    let env = TestEnv::new();
    let written = |settings: &str, user: &str| {
        env.write("pbx.yaml", &desired(&[user]).replace("users:", &format!("{settings}users:")));
    };
    written("", ANA);
    env.write("plan.json", &env.run("plan --no-asterisk --format json").expect(0).stdout);
    let user = "+ ana@example.com extension 1000";
    for (settings, line, words) in [
        ("", "email: ana@example.com, name: Anna", format!("expected: {user}, name Ana; now: {user}, name Anna")),
        ("", "email: ana@example.com, name: Ana, protected: true", format!("now: {user}, name Ana, protected")),
        ("extensions: { hold: 30d }\n", ANA, "expected: extensions.hold (none) -> 0d; now: ".to_owned()),
        ("extensions: { range: 1000-1998 }\n", ANA, "now: extensions.range (none) -> 1000-1998".to_owned()),
    ] {
        written(settings, line);
        let stale = env.run("sync --expect plan.json").expect(4).stderr;
        assert!(stale.contains(&words), "{words}: {stale}");
    }
}

/// Only the secret changes, of which neither rows nor files show anything.
#[test]
fn a_rotated_secret_gives_the_plan_an_id_of_its_own() {
    let env = TestEnv::with_asterisk();
    let runner = runner_of(&env);
    for env in [&env, &runner] {
        env.write("pbx.yaml", &desired(&[ANA, BO]));
    }
    env.run("apply").expect(0);
    let unchanged = id(&env.run("plan --format json").expect(0).stdout);
    env.run("secret rotate bo@example.com").expect(0);
    let planned: serde_json::Value =
        serde_json::from_str(&env.run("plan --format json --detailed-exitcode").expect(2).stdout).unwrap();
    assert_ne!(planned["id"], unchanged);
    assert_eq!(planned["counts"]["relogin"], 1);
    assert_eq!(planned["relogins"], serde_json::json!([{ "email": "bo@example.com", "extension": 1001 }]));
    let seen: serde_json::Value =
        serde_json::from_str(&runner.run("plan --no-asterisk --format json --detailed-exitcode").expect(2).stdout)
            .unwrap();
    for key in ["id", "counts", "relogins"] {
        assert_eq!(seen[key], planned[key], "the runner sees neither files nor Asterisk");
    }
    let stale = env.run(&format!("apply --expect {unchanged}")).expect(4);
    assert!(
        stale.stdout.contains("bo@example.com  extension 1001; Asterisk gets the recorded login"),
        "{}",
        stale.text()
    );
    env.run(&format!("apply --expect {}", planned["id"].as_str().unwrap())).expect(0);
    for env in [&env, &runner] {
        assert_eq!(id(&env.run("plan --no-asterisk --format json").expect(0).stdout), unchanged);
    }
}

/// A job that is run again, as after a lost connection to the runner.
#[test]
fn an_apply_that_is_done_may_run_again_with_its_id() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    let planned = env.run("plan --no-asterisk --format json").expect(0).stdout;
    env.write("plan.json", &planned);
    let id = id(&planned);
    env.run("apply --expect plan.json").expect(0);
    let files = env.files();
    for expect in ["plan.json", &id] {
        let again = env.run(&format!("apply --expect {expect}")).expect(0);
        assert!(again.stdout.contains("\nLive: no file changed; nothing reloaded; "), "{}", again.text());
        let words = format!("plan {id} is already recorded by run 2 on pbx-test, and nothing has changed since\n");
        assert_eq!(again.stderr, words);
        assert_eq!(env.files(), files);
    }
    // Neither another file, nor another secret, nor rows that somebody changed are what that run recorded.
    env.write("other.yaml", &desired(&[ANA, BO, CLEO]));
    env.run(&format!("apply -f other.yaml --expect {id}")).expect(4);
    env.run("secret rotate bo@example.com").expect(0);
    env.run(&format!("apply --expect {id}")).expect(4);
    env.run("apply").expect(0);
    env.run(&format!("apply --expect {id}")).expect(4);
}

/// Rows that were recorded and not made live are the reviewed ones: the next try needs no other id.
#[test]
fn an_apply_that_asterisk_did_not_take_may_be_tried_again_with_its_id() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    let id = id(&env.run("plan --no-asterisk --format json").expect(0).stdout);
    let conf = env.etc("pjsip.conf");
    let operators = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, format!("{operators}\n[twice]\ntype = endpoint\n[twice]\ntype = endpoint\n")).unwrap();
    env.run(&format!("apply --expect {id}")).expect(6);
    std::fs::write(&conf, operators).unwrap();
    env.run(&format!("apply --expect {id}")).expect(3);
    let again = env.run(&format!("apply --again --expect {id}")).expect(0);
    let words = format!(
        "run 2 on pbx-test recorded plan {id}, and the database has not changed since: applying it on this host\n"
    );
    assert_eq!(again.stderr, words);
    assert!(env.ask("pjsip list endpoints").contains("1001/1001"));
}

/// A machine with the file and the database of another one, without files in place and Asterisk.
fn runner_of(env: &TestEnv) -> TestEnv {
    let mut runner = TestEnv::new();
    runner.database.clone_from(&env.database);
    runner.set("ASTERISK_CONFIG_DIR", "/nowhere/at/all");
    runner.set("ASTERISK_COMMAND", "/nowhere/asterisk");
    runner
}
