//! Inbound calls from the file to what callers reach: shown in the plan like users, recorded with
//! their numbers, and moved by the end of an apply alone.

use std::time::SystemTime;

use serde_json::Value;

use super::{
    objects::recorded,
    serve::server::{Serve, token},
    support::{Outcome, TestEnv, body, desired},
};

const FILE: &str = r#"version: 1
tenant: acme
public_sip_host: sip.example.com
users:
  - { email: bo.li@example.com, name: Bo Li }
trunks:
  carrier: { host: 198.51.100.7, identify: [203.0.113.0/28], username: acme, secret: { env: CARRIER_SECRET }, realm: carrier.example }
dialers:
  dialfire: { number: { env: DIALFIRE_PHONE_NUMBER }, ring: 30s, trunk: carrier }
  zendesk_talk: { sip: "sip:acme@talk.example", ring: 20s, trunk: carrier }
hours:
  office: { timezone: Europe/Berlin, open: ["mon-fri 09:00-18:00"], closed: ["2026-12-25", "2026-12-26"] }
inbound:
  - to: "+15559876543"
    from: ["+49*", withheld]
    when: office
    route: [dialfire, zendesk_talk]
    otherwise: [bo.li@example.com]
    protected: true
  - to: default
    route: [dialfire, busy]
default_route: [dialfire]
"#;

const SECRET: &str = "canary-of-the-carrier";

/// A tenant whose file is not applied yet.
fn declared() -> TestEnv {
    with_values(TestEnv::new())
}

fn with_values(mut env: TestEnv) -> TestEnv {
    env.set("CARRIER_SECRET", SECRET);
    env.set("DIALFIRE_PHONE_NUMBER", "+4930123456");
    env.write("pbx.yaml", FILE);
    env
}

/// The rows of one plan about inbound calls.
fn rows(plan: &Outcome) -> String {
    let about = ["trunk", "dialer", "hours", "route", "default_route", "public_sip_host", "caller_id"];
    let is_row = |line: &&str| about.iter().any(|word| line.get(4..).is_some_and(|rest| rest.starts_with(word)));
    plan.stdout.lines().filter(is_row).map(|line| line.to_owned() + "\n").collect()
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{}", outcome.text()))
}

/// What callers reach: the run, and all of it.
fn applied(env: &TestEnv) -> Option<(i64, Value)> {
    let row =
        env.sql().query_opt("select run, applied::text from applied_routes where tenant = 'acme'", &[]).unwrap()?;
    Some((row.get(0), body(serde_json::from_str(row.get(1)).unwrap())))
}

/// A company without an Asterisk of its own runs only the webhook.
#[test]
fn an_apply_without_reload_records_numbers_and_reaches_callers() {
    let env = declared();
    env.run("apply --no-reload").expect(0);
    let routes = recorded(&env);
    assert_eq!(routes["dialers"]["dialfire"]["target"]["number"]["given"], "+4930123456");
    let (run, reached) = applied(&env).unwrap();
    assert_eq!((reached["run"].as_i64(), &reached["tenant"], &reached["routes"]), (Some(run), &"acme".into(), &routes));
    assert_eq!(reached["users"], serde_json::json!({ "bo.li@example.com": "1000" }));

    // Nothing to do is nothing done.
    let plan = env.run("plan --no-asterisk --detailed-exitcode").expect(0);
    assert!(plan.stdout.contains("\nNo changes in what was checked.\n"), "{}", plan.text());
    let (rows, files) = (recorded_rows(&env), env.files());
    env.run("apply --no-reload").expect(0);
    assert_eq!(recorded_rows(&env), rows);
    assert_eq!(env.files(), files);
    assert_eq!(applied(&env).unwrap().1["routes"], routes);
}

/// The tenant's row and those of its trunks, with what is sealed in them.
fn recorded_rows(env: &TestEnv) -> (Value, SystemTime, Vec<Vec<u8>>) {
    let updated = env.sql().query_one("select updated_at from tenants", &[]).unwrap().get(0);
    let sealed = env.sql().query("select secret_sealed from secrets order by object_id", &[]).unwrap();
    (recorded(env), updated, sealed.iter().map(|row| row.get(0)).collect())
}

#[test]
fn the_secret_of_a_trunk_is_sealed_renewed_and_forgotten() {
    let mut env = declared();
    env.run("sync").expect(0);
    let first = recorded_rows(&env).2;
    assert_eq!(first.len(), 1);
    assert!(!env.dump().contains(SECRET));
    // A plan needs no key to tell that it is the same one.
    env.set("RECONCILE_SECRET_KEY", "");
    assert_eq!(rows(&env.run("plan --no-asterisk").expect(0)), "");
    env.unset("RECONCILE_SECRET_KEY");

    env.set("CARRIER_SECRET", "another-canary-of-it");
    assert_eq!(rows(&env.run("sync").expect(0)), "  ~ trunk carrier  secret changed  pbx.yaml:7\n");
    let second = recorded_rows(&env).2;
    assert!(second.len() == 1 && second != first);

    // The same secret logs in at another realm.
    env.write("pbx.yaml", &FILE.replace("realm: carrier.example", "realm: other.example"));
    let realm = "  ~ trunk carrier  realm carrier.example -> other.example  pbx.yaml:7\n";
    assert_eq!(rows(&env.run("sync").expect(0)), realm);
    assert_eq!(rows(&env.run("plan --no-asterisk").expect(0)), "");
    env.write("pbx.yaml", FILE);
    env.run("sync").expect(0);

    env.write(
        "pbx.yaml",
        &FILE.replace(", username: acme, secret: { env: CARRIER_SECRET }, realm: carrier.example", ""),
    );
    let login = "username acme -> (none); secret (sensitive) -> (none); realm carrier.example -> (none)";
    assert_eq!(rows(&env.run("sync").expect(0)), format!("  ~ trunk carrier  {login}  pbx.yaml:7\n"));
    assert_eq!(recorded_rows(&env).2, Vec::<Vec<u8>>::new());

    // One that cannot be had stops, like a user's.
    env.write("pbx.yaml", FILE);
    env.unset("CARRIER_SECRET");
    let stopped = env.run("sync").expect(1).stderr;
    assert!(stopped.contains("the secret of the trunk `carrier`: the variable CARRIER_SECRET is not set"), "{stopped}");
}

/// The files tell nothing of calls that Twilio brings, nor does a count.
#[test]
fn history_lists_what_changed_about_inbound_calls() {
    let mut env = declared();
    env.run("sync").expect(0);
    let first = env.run("history 1").expect(0).stdout;
    let created = "+ dialer dialfire  number +4930123456; ring 30s; trunk carrier\n";
    assert!(first.contains(created) && first.contains("+ default_route  -> dialfire\n"), "{first}");
    assert!(first.contains("calls    8 inbound\n"), "{first}");
    env.run("apply --no-reload").expect(0);
    env.set("CARRIER_SECRET", "another-canary-of-it");
    env.write("pbx.yaml", &FILE.replace("route: [dialfire, busy]", "route: [zendesk_talk]"));
    env.run("apply --no-reload").expect(0);
    let last = json(&env.run("history 3 --format json").expect(0));
    let changed = "~ trunk carrier  secret changed\n~ route to default  route dialfire, then busy -> zendesk_talk\n";
    let diff = last["run"]["diff"].as_str().unwrap();
    let file = "--- pjsip.d/acme/generated_endpoints.conf\n";
    assert!(diff.starts_with(&format!("{changed}{file}")), "{diff}");
}

#[test]
fn a_number_that_cannot_be_had_gives_no_id_and_no_apply() {
    let mut env = declared();
    env.unset("DIALFIRE_PHONE_NUMBER");
    let words = "the number of the dialer `dialfire`: the variable DIALFIRE_PHONE_NUMBER is not set (pbx.yaml:9)";
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains(&format!("unchecked: {words}\n")), "{plan}");
    assert!(plan.ends_with("This plan has no id: a declared secret or number cannot be read here.\n"), "{plan}");
    let stopped = env.run("apply --no-reload").expect(1).stderr;
    let told = format!("error: declared secrets or numbers cannot be read; nothing was changed\n  {words}\nhint: ");
    assert!(stopped.contains(&told), "{stopped}");
    assert!(applied(&env).is_none());

    // A wrong one is not quoted: a pull request may have named anything.
    env.set("DIALFIRE_PHONE_NUMBER", "canary-no-number");
    env.plant("canary-no-number");
    let stopped = env.run("apply --no-reload").expect(1).stderr;
    let form = "the variable DIALFIRE_PHONE_NUMBER does not hold a public number in E.164 form";
    assert!(stopped.contains(form), "{stopped}");
    env.write("pbx.yaml", &FILE.replace("DIALFIRE_PHONE_NUMBER", "DATABASE_URL"));
    let stopped = env.run("apply --no-reload").expect(1).stderr;
    assert!(
        stopped.contains("`dialfire`: the name of its variable matches none of the patterns of `--allow-env`"),
        "{stopped}"
    );
}

#[test]
fn the_default_caller_id_comes_from_the_environment() {
    let mut env = declared();
    env.set("TWILIO_PHONE_NUMBER", "+15550001111");
    let planned = rows(&env.run("apply --no-reload").expect(0));
    assert!(
        planned.lines().any(|line| line.starts_with("  + caller_id ") && line.ends_with("TWILIO_PHONE_NUMBER")),
        "{planned}"
    );
    assert_eq!(applied(&env).unwrap().1["routes"]["caller_id"], "+15550001111");
    env.unset("TWILIO_PHONE_NUMBER");
    env.set("TWILIO_PHONE_NUMBER", "canary-no-number");
    env.plant("canary-no-number");
    let stopped = env.run("apply --no-reload").expect(1).stderr;
    let words = "the variable TWILIO_PHONE_NUMBER does not hold a public number in E.164 form, such as +15559876543";
    assert!(stopped.contains(words), "{stopped}");
    env.unset("TWILIO_PHONE_NUMBER");
    assert_eq!(rows(&env.run("apply --no-reload").expect(0)), "  - caller_id  was +15550001111  TWILIO_PHONE_NUMBER\n");
    assert_eq!(applied(&env).unwrap().1["routes"]["caller_id"], Value::Null);
}

/// `sync` moves rows; callers reach them when an apply ends, and `status` says so until then.
#[test]
fn callers_reach_what_was_applied_not_what_is_recorded() {
    let env = declared();
    env.run("apply --no-reload").expect(0);
    let first = applied(&env).unwrap();
    env.write("pbx.yaml", &FILE.replace("default_route: [dialfire]", "default_route: [zendesk_talk]"));
    env.run("sync").expect(0);
    assert_eq!(applied(&env).unwrap(), first);
    assert_ne!(recorded(&env), first.1["routes"]);
    let behind = format!("calls still use the routes of run {}", first.0);
    let plan = env.run("plan --no-asterisk --detailed-exitcode").expect(2).stdout;
    let note = format!("note: inbound {behind}, not the recorded ones; the next apply changes that\n");
    assert!(plan.contains(&note) && !plan.contains("No changes"), "{plan}");
    let status = env.run("status --no-asterisk --detailed-exitcode").expect(2).stdout;
    let line = format!(
        "inbound     2 routes, 0 queues, 0 menus, 0 rooms, 0 groups, 2 dialers, 1 trunk: {behind}; run `reconcile apply`\n"
    );
    assert!(status.contains(&line), "{status}");
    let document = json(&env.run("status --no-asterisk --format json").expect(0));
    assert_eq!(document["inbound"]["in_step"], false);

    env.run("apply --no-reload").expect(0);
    let (run, reached) = applied(&env).unwrap();
    assert!(run > first.0 && reached["routes"] == recorded(&env));
    let status = env.run("status --no-asterisk").expect(0).stdout;
    assert!(
        status.contains(
            "inbound     2 routes, 0 queues, 0 menus, 0 rooms, 0 groups, 2 dialers, 1 trunk: calls use the recorded routes\n"
        ),
        "{status}"
    );

    // Nothing is declared any more: callers reach nothing.
    env.write("pbx.yaml", &FILE.replace("protected: true", "protected: false"));
    env.run("apply --no-reload").expect(0);
    env.write("pbx.yaml", &desired(&["email: bo.li@example.com, name: Bo Li"]));
    env.run("apply --no-reload").expect(0);
    assert_eq!((recorded(&env), &applied(&env).unwrap().1["users"]), (Value::Null, &serde_json::json!({})));
    assert_eq!(rows(&env.run("plan --no-asterisk --detailed-exitcode").expect(0)), "");
}

/// The portal applies what is recorded, and callers reach that: not what the file says by now.
#[test]
fn an_apply_through_the_api_reaches_callers() {
    let env = with_values(TestEnv::with_asterisk());
    env.run("sync").expect(0);
    let token = token(&env, "portal", "apply");
    let serve = Serve::start(&env, "");
    let client = serve.client(&token);
    env.write("pbx.yaml", &FILE.replace("default_route: [dialfire]", "default_route: [zendesk_talk]"));
    let planned = json(&env.run("plan --format json").expect(0))["id"].clone();
    let plan = client.apply("?dry_run=true").expect(200).json();
    assert!(plan["changes"] == serde_json::json!([]) && plan["id"] != planned, "{plan:#}");
    assert!(applied(&env).is_none());
    let run = client.apply("").expect(200).json();
    let (number, reached) = applied(&env).unwrap();
    assert_eq!((&run["run"], &reached["routes"]), (&number.into(), &recorded(&env)));
    assert_eq!(reached["routes"]["default_route"][0]["dialer"], "dialfire");
}

/// Asterisk did not take it, so callers do not reach it either, wherever they come from.
#[test]
fn what_was_put_back_reaches_no_caller() {
    let mut env = with_values(TestEnv::with_asterisk());
    env.run("apply").expect(0);
    let first = applied(&env).unwrap();
    env.write(
        "pbx.yaml",
        &FILE.replace("default_route: [dialfire]", "default_route: [zendesk_talk]").replace("Bo Li", "Bo"),
    );
    env.set("RECONCILE_FAIL_POINT", "read-back=error");
    env.run("apply").expect(6);
    assert_eq!(applied(&env).unwrap(), first);
    // The audit row that cannot be closed is told; what is live stays live, and the next one heals.
    env.set("RECONCILE_FAIL_POINT", "closing=error");
    let live = env.run("apply --again").expect(0).stderr;
    assert!(live.contains("stays open, and inbound calls keep the previous routes until the next apply: "), "{live}");
    assert_eq!(applied(&env).unwrap(), first);
    env.set("RECONCILE_FAIL_POINT", "");
    env.run("apply --again").expect(0);
    assert_eq!(applied(&env).unwrap().1["routes"], recorded(&env));
}

/// Two applies end in another order than they were recorded: the later one stays.
#[test]
fn an_earlier_apply_never_replaces_a_later_one() {
    let env = declared();
    env.run("apply --no-reload").expect(0);
    env.sql().execute("update applied_routes set run = 1000", &[]).unwrap();
    let later = applied(&env).unwrap();
    env.write("pbx.yaml", &FILE.replace("default_route: [dialfire]", "default_route: [zendesk_talk]"));
    env.run("apply --no-reload").expect(0);
    assert_eq!(applied(&env).unwrap(), later);
}

/// Approved was one plan; another number in the environment makes another one.
#[test]
fn another_number_is_another_plan() {
    let mut env = declared();
    env.write("plan.json", &env.run("plan --no-asterisk --format json").expect(0).stdout);
    env.set("DIALFIRE_PHONE_NUMBER", "+4930999999");
    let stale = env.run("apply --no-reload --expect plan.json").expect(4).stderr;
    let words = "expected: + dialer dialfire, number (none) -> +4930123456, ring (none) -> 30s, \
                 trunk (none) -> carrier; now: + dialer dialfire, number (none) -> +4930999999";
    assert!(stale.contains(words), "{stale}");
    env.set("DIALFIRE_PHONE_NUMBER", "+4930123456");
    env.run("apply --no-reload --expect plan.json").expect(0);
}

/// The value is not quoted; what is wrong with it is said.
#[test]
fn a_trunks_secret_that_cannot_be_used_says_which_rule_it_breaks() {
    let mut env = declared();
    let long = "canary".repeat(22);
    for (value, rule) in [
        ("", "it is empty"),
        ("canary of-the-carrier", "it holds a space or a line break"),
        ("canary-für-alle", "it holds a character that is not printable ASCII"),
        (&long, "it is longer than 128 characters"),
    ] {
        env.set("CARRIER_SECRET", value);
        let plan = env.run("plan --no-asterisk").expect(0);
        let words = "unchecked: the secret of the trunk `carrier`: the variable CARRIER_SECRET: the value is not usable as a \
                     SIP secret: ";
        assert!(plan.stdout.contains(&format!("{words}{rule} (pbx.yaml:7)\n")), "{}", plan.text());
        assert!(!plan.text().contains("canary"), "{}", plan.text());
    }
}

/// A number from the environment makes calls come back as one in the file does; it is not told.
#[test]
fn a_dialer_whose_variable_holds_one_of_our_numbers_is_a_loop() {
    let mut env = declared();
    env.write("pbx.yaml", &FILE.replace("to: \"+15559876543\"", "to: \"+15559876543\"  # ours"));
    env.set("DIALFIRE_PHONE_NUMBER", "+15559876543");
    let words = "error[route-loop]: the dialer `dialfire` dials the number in DIALFIRE_PHONE_NUMBER, whose calls are routed back to this rule\n  --> pbx.yaml:14:5\n";
    for command in ["plan --no-asterisk", "apply --no-reload", "sync"] {
        let outcome = env.run(&format!("{command} --color never")).expect(1);
        let said = outcome.stderr.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
        assert!(said.contains(&words.replace("  -->", "-->")), "{}", outcome.text());
        // The rule itself is shown as it stands in the file.
        let told = outcome.stderr.replace("- to: \"+15559876543\"", "");
        assert!(!told.contains("5559876543"), "{}", outcome.text());
    }
    assert_eq!(applied(&env), None);
    env.set("DIALFIRE_PHONE_NUMBER", "+15559876544");
    env.run("apply --no-reload").expect(0);
}

/// A database of an earlier version has no column for it: a plan says what would come, an apply migrates.
#[test]
fn an_earlier_schema_is_planned_from_and_migrated() {
    let env = declared();
    env.go_back_to_schema(5);
    let plan = env.run("plan --no-asterisk").expect(0);
    assert_eq!(rows(&plan).lines().count(), 8, "{}", plan.text());
    env.run("apply --no-reload").expect(0);
    assert!(applied(&env).is_some());
}
