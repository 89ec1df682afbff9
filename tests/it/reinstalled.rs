//! A reinstalled host: the operator's files are back, the generated ones are not. With `#include`
//! Asterisk then rejects the operator's whole files when it starts, 112 included.

use std::fs;

use super::{
    sipp::Phone,
    support::{TestEnv, desired},
};

const FILE: &str =
    "extensions: { range: 1000-1099 }\ndialplan: { include: [outbound] }\nphones: { transport: transport-udp }\n";

/// A host that was applied once, and starts again without the generated files.
fn reinstalled(line: &str) -> TestEnv {
    let mut env = TestEnv::new();
    env.start_asterisk_again();
    env.write("pbx.yaml", &(desired(&["email: ana@example.com, name: Ana"]) + FILE));
    env.run("apply").expect(0);
    for file in ["pjsip.conf", "extensions.conf"] {
        let text = fs::read_to_string(env.etc(file)).unwrap();
        fs::write(env.etc(file), text.replace("#tryinclude", line)).unwrap();
    }
    env.stop_asterisk();
    for folder in ["pjsip.d", "extensions.d"] {
        fs::remove_dir_all(env.etc(folder)).unwrap();
    }
    fs::remove_dir_all(env.path("state")).unwrap();
    env.start_asterisk_whatever_it_loads();
    env
}

#[track_caller]
fn can_dial_112(env: &TestEnv) {
    let ana = Phone::of(env, "ana@example.com");
    ana.registers();
    ana.reaches("112");
    env.run("status --detailed-exitcode").expect(0);
}

#[test]
fn one_apply_heals_a_host_whose_includes_found_no_files() {
    let env = reinstalled("#include");
    assert!(env.ask("dialplan reload").contains("No such command"), "Asterisk rejected extensions.conf");
    assert!(env.ask("dialplan show 112@outbound").contains("no existence"));
    let plan = env.run("plan --detailed-exitcode").expect(2).stdout;
    for words in [
        "unchecked: whether the context `outbound` exists: Asterisk has not loaded pbx_config; `reconcile apply` \
         loads it\n",
        "unchecked: whether the transport `transport-udp` exists: Asterisk rejects the whole of pjsip.conf, because \
         `#include pjsip.d/*/generated_endpoints.conf` in pjsip.conf:6 matches no file\n",
    ] {
        assert!(plan.contains(words), "{plan}");
    }
    let applied = env.run("apply").expect(0);
    assert!(applied.stdout.contains("Live: 2 files written"), "{}", applied.text());
    let told = "Asterisk had not loaded pbx_config: loaded now, including the operator's own configuration";
    assert!(applied.stderr.contains(&format!("warning: {told}\n")), "{}", applied.text());
    let history = env.run("history 2").expect(0).stdout;
    assert!(history.contains(told), "{history}");
    can_dial_112(&env);
    // Nothing is left to do.
    let again = env.run("apply").expect(0);
    assert!(again.stdout.contains("nothing reloaded") && again.stderr.is_empty(), "{}", again.text());
}

#[test]
fn one_apply_heals_a_host_whose_tryincludes_found_no_files() {
    let env = reinstalled("#tryinclude");
    // The operator's own numbers work meanwhile.
    assert!(env.ask("dialplan show 112@outbound").contains("'112'"));
    let applied = env.run("apply").expect(0);
    assert!(applied.stdout.contains("Live: 2 files written") && applied.stderr.is_empty(), "{}", applied.text());
    can_dial_112(&env);
}

/// A name that could not be checked before, because Asterisk had not loaded its dialplan, is checked
/// once it has.
#[test]
fn a_missing_name_is_reported_once_the_dialplan_is_loaded() {
    let env = reinstalled("#include");
    env.write("pbx.yaml", &fs::read_to_string(env.path("work/pbx.yaml")).unwrap().replace("[outbound]", "[outbond]"));
    let applied = env.run("apply").expect(0);
    assert!(
        applied
            .stderr
            .contains("warning: Asterisk does not have the context `outbond`, which `dialplan.include` names"),
        "{}",
        applied.text()
    );
    env.run("status --detailed-exitcode").expect(2);
    env.run("apply").expect(3);
}

/// A host whose Asterisk rejected the operator's dialplan when it started, and that dialplan without the mistake.
fn broken_dialplan() -> (TestEnv, String) {
    let mut env = TestEnv::new();
    env.start_asterisk_again();
    env.stop_asterisk();
    let conf = env.etc("extensions.conf");
    let operators = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, operators.clone() + "#include nosuch.conf\n").unwrap();
    env.start_asterisk_whatever_it_loads();
    (env, operators)
}

/// Such a host after the mistake was mended.
fn mended_dialplan() -> TestEnv {
    let (env, operators) = broken_dialplan();
    fs::write(env.etc("extensions.conf"), operators).unwrap();
    env
}

fn has_a_dialplan(env: &TestEnv) -> bool {
    env.ask("dialplan show outbound").contains("'112'")
}

/// The module was loaded first, with the operator's own part of it, and then a rail stopped the apply.
#[test]
fn an_apply_that_is_stopped_loads_nothing() {
    let env = mended_dialplan();
    env.write("pbx.yaml", &(desired(&["email: ana@example.com, name: Ana"]) + FILE));
    assert!(!has_a_dialplan(&env));
    env.run("apply --expect p1-0000000000000000").expect(4);
    assert!(!has_a_dialplan(&env));
    // A rail that only an apply asks about, under its lock.
    fs::create_dir_all(env.etc("pjsip.d/other")).unwrap();
    fs::write(env.etc("pjsip.d/other/generated_endpoints.conf"), "[1000]\ntype = aor\n").unwrap();
    let stopped = env.run("apply").expect(3).stderr;
    assert!(stopped.starts_with("error[rail-taken-names]: the endpoint `1000` is already"), "{stopped}");
    assert!(!has_a_dialplan(&env));
    // Of the plan itself.
    fs::remove_dir_all(env.etc("pjsip.d/other")).unwrap();
    env.write("pbx.yaml", &(desired(&["email: ana@example.com, name: Ana, protected: true"])));
    env.run("sync").expect(0);
    env.write("pbx.yaml", &desired(&["email: bo@example.com, name: Bo"]));
    let stopped = env.run("apply").expect(3).stderr;
    assert!(stopped.contains("error[rail-protected]"), "{stopped}");
    assert!(!has_a_dialplan(&env));

    env.write("pbx.yaml", &(desired(&["email: ana@example.com, name: Ana"]) + FILE));
    let applied = env.run("apply").expect(0).stderr;
    assert!(applied.contains("warning: Asterisk had not loaded pbx_config: loaded now"), "{applied}");
    assert!(has_a_dialplan(&env));
    env.run("status --detailed-exitcode").expect(0);
}

/// What can only be asked once the module is loaded still stops the apply before a row or file moves.
#[test]
fn a_name_that_is_missing_once_the_module_is_loaded_is_a_rail() {
    let env = mended_dialplan();
    env.write("pbx.yaml", &(desired(&["email: ana@example.com, name: Ana"]) + "dialplan: { include: [outbond] }\n"));
    env.run("migrate").expect(0);
    let before = (env.dump(), env.files());
    let stopped = env.run("apply").expect(3).stderr;
    assert!(stopped.contains("WARN") && stopped.contains("pbx_config was not loaded: loaded now\n"), "{stopped}");
    assert!(stopped.contains("\nerror[rail-missing-names]: Asterisk does not have the context `outbond`"), "{stopped}");
    assert!(stopped.contains("did you mean `outbound`?"), "{stopped}");
    assert!((env.dump(), env.files()) == before, "something moved");
    env.run("apply --allow missing-names=1").expect(0);
}

/// The operator's own file is at fault: what Asterisk says stands in the message, and no stub is called
/// a last good file.
#[test]
fn a_module_that_cannot_be_loaded_is_named_with_what_its_log_says() {
    let (env, operators) = broken_dialplan();
    let conf = env.etc("extensions.conf");
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana"]));
    let refused = env.run("apply").expect(6).stderr;
    for words in [
        "Asterisk answered `module load pbx_config.so` with: Unable to load module pbx_config.so",
        "its log: config.c: The file 'nosuch.conf' was listed as a #include but it does not exist",
        "rendered: there were no files before; files without users are in place",
    ] {
        assert!(refused.contains(words), "{words}: {refused}");
    }
    assert!(!refused.contains("last good"), "{refused}");
    // Once it is mended, an apply loads the module.
    fs::write(&conf, operators).unwrap();
    let healed = env.run("apply --again").expect(0);
    assert!(healed.stderr.contains("warning: Asterisk had not loaded pbx_config"), "{}", healed.text());
    env.run("status --detailed-exitcode").expect(0);
}
