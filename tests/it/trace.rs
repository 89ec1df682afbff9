//! Inbound calls in the file: what `check` says about them, and how `trace` explains a decision.

use super::support::{Outcome, TestEnv};

/// A file with inbound calls.
const FILE: &str = r#"version: 1
tenant: acme
public_sip_host: sip.example.com
users:
  - { email: bo.li@example.com, name: Bo Li }
trunks:
  carrier: { host: 198.51.100.7, identify: [203.0.113.0/28], username: acme, secret: { env: CARRIER_SECRET } }
dialers:
  dialfire: { number: { env: DIALFIRE_PHONE_NUMBER }, caller_id: called, ring: 30s, trunk: carrier }
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
  - to: "+15559876543"
    when: office
    route: [zendesk_talk]
  - to: default
    route: [dialfire, busy]
expect:
  - { call: { to: "+15559876543", from: "+4930123456", at: "2026-12-24T22:00+01:00" }, reaches: bo.li@example.com }
"#;

/// Checks the file with one text in place of another.
fn check(old: &str, new: &str) -> Outcome {
    assert!(FILE.contains(old), "{old}");
    let env = TestEnv::embedded();
    env.write("pbx.yaml", &FILE.replacen(old, new, 1));
    env.run("check --color never")
}

#[test]
fn a_file_with_inbound_calls_is_valid_wherever_its_numbers_come_from() {
    assert_eq!(check("x", "x").expect(0).stdout, "pbx.yaml: valid, 1 user\n");
}

/// Names and addresses of both kinds, with and without a port.
#[test]
fn a_host_may_be_written_in_every_usual_form() {
    for host in ["sip.example.com:5080", "192.0.2.7:5080", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:5080"] {
        check("host: 198.51.100.7", &format!("host: \"{host}\"")).expect(0);
        check("talk.example", host).expect(0);
    }
    check("host: 198.51.100.7", "host: \"[2001:db8::1]:0\"").expect(65);
}

/// What is changed, and the place and the words of the only error or warning.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "to: \"+15559876543\"\n    from",
        "to: \"5559876543\"\n    from",
        "error[invalid-number]: `5559876543` is not a public number\n  --> pbx.yaml:14:9",
    ),
    (
        "+49*\"",
        "0049*\"",
        "error[invalid-prefix]: `0049*` is not the beginning of callers' numbers\n  --> pbx.yaml:15:12",
    ),
    ("when: office", "when: offices", "error[unknown-reference]: no such hours: `offices`\n  --> pbx.yaml:16:11"),
    (
        "route: [dialfire, zendesk",
        "route: [dailfire, zendesk",
        "error[unknown-reference]: no such dialer: `dailfire`\n  --> pbx.yaml:17:13",
    ),
    (
        "trunk: carrier }\n  zen",
        "trunk: carriers }\n  zen",
        "error[unknown-reference]: no such trunk: `carriers`\n  --> pbx.yaml:9:92",
    ),
    (
        "otherwise: [bo.li@example.com]",
        "otherwise: [bo@example.com]",
        "error[unknown-reference]: no such user: `bo@example.com`\n  --> pbx.yaml:18:17",
    ),
    (
        "[dialfire, busy]",
        "[busy, dialfire]",
        "error[unreachable-route]: nothing behind `busy` is ever tried\n  --> pbx.yaml:24:13",
    ),
    (
        "[dialfire, busy]",
        "[dialfire, dialfire]",
        "error[duplicate-target]: `dialfire` is tried twice\n  --> pbx.yaml:24:23",
    ),
    ("[dialfire, busy]", "[]", "error[empty-route]: nobody gets these calls\n  --> pbx.yaml:24:12"),
    (
        "to: default",
        "to: \"+15559876543\"\n    from: [withheld]",
        "error[unreachable-route]: another rule decides about calls to +15559876543 from withheld at all times, by its `otherwise`\n  --> pbx.yaml:23:5",
    ),
    (
        "to: default\n",
        "to: \"+15559876543\"\n    when: office\n",
        "error[overlapping-routes]: another rule decides about calls to +15559876543 in some of the same hours\n  --> pbx.yaml:23:5",
    ),
    (
        "{ env: DIALFIRE_PHONE_NUMBER }",
        "\"+15559876543\"",
        "error[route-loop]: the dialer `dialfire` dials +15559876543, which comes back to this rule\n",
    ),
    (
        "sip:acme@talk.example",
        "sip:+15559876543@SIP.example.com:5060",
        "error[route-loop]: the dialer `zendesk_talk` dials sip:+15559876543@SIP.example.com:5060, which comes back to this rule\n  --> pbx.yaml:14:5",
    ),
    (
        "{ env: DIALFIRE_PHONE_NUMBER }",
        "{ file: x }",
        "error[invalid-number]: this does not say where the number comes from\n  --> pbx.yaml:9:23",
    ),
    (
        "sip: \"sip:acme@talk.example\"",
        "sip: talk.example",
        "error[invalid-sip]: `talk.example` is not a SIP address\n  --> pbx.yaml:10:24",
    ),
    (
        "sip: \"sip:acme@talk.example\", ",
        "",
        "error[incomplete-dialer]: the dialer `zendesk_talk` needs either a number or a SIP address\n  --> pbx.yaml:10:3",
    ),
    ("zendesk_talk: {", "dialfire: {", "error[duplicate-key]: the key `dialfire` is given twice\n  --> pbx.yaml:10:3"),
    ("ring: 30s", "ring: 30", "error[invalid-ring]: `30` is not a time to ring\n  --> pbx.yaml:9:80"),
    ("ring: 30s", "ring: 3s", "error[invalid-ring]: `3s` is not a time to ring\n  --> pbx.yaml:9:80"),
    (
        "Europe/Berlin",
        "Europe/Berlim",
        "error[unknown-timezone]: `Europe/Berlim` is not a time zone\n  --> pbx.yaml:12:23",
    ),
    (
        "mon-fri 09:00-18:00",
        "mon-fri 9-18",
        "error[invalid-hours]: `mon-fri 9-18` is not a weekly range\n  --> pbx.yaml:12:45",
    ),
    ("\"2026-12-25\"", "\"25.12.2026\"", "error[invalid-date]: `25.12.2026` is not a date\n  --> pbx.yaml:12:78"),
    (
        "host: 198.51.100.7",
        "host: \"not a host\"",
        "error[invalid-host]: `not a host` is not a host\n  --> pbx.yaml:7:20",
    ),
    (
        "username: acme, ",
        "register: true, ",
        "error[incomplete-trunk]: the trunk `carrier` registers, but has no `username`\n  --> pbx.yaml:7:3",
    ),
    (
        "username: acme, ",
        "",
        "error[incomplete-trunk]: the trunk `carrier` has a user name or a secret, but not both\n  --> pbx.yaml:7:3",
    ),
    (
        "  carrier: {",
        "  carrier-whose-name-is-longer-than-forty-ch: {",
        "error[invalid-object-name]: the name of the trunk `carrier-whose-name-is-longer-than-forty-ch` is 42 characters long\n  --> pbx.yaml:7:3",
    ),
    (
        "reaches: bo.li@example.com",
        "reaches: dialfire",
        "error[failed-expectation]: this call reaches `bo.li@example.com`, not `dialfire`\n  --> pbx.yaml:26:5",
    ),
    ("22:00+01:00", "22:00", "error[invalid-time]: `2026-12-24T22:00` is not a moment\n  --> pbx.yaml:26:60"),
    (
        "[203.0.113.0/28]",
        "[0.0.0.0/0]",
        "error[identify-everybody]: `0.0.0.0/0` takes strangers and phones for the trunk `carrier`\n  --> pbx.yaml:7:45",
    ),
    (
        "[203.0.113.0/28]",
        "[203.0.113.0/28, \"2001:db8::/0\"]",
        "error[identify-everybody]: `2001:db8::/0` takes strangers and phones for the trunk `carrier`\n  --> pbx.yaml:7:61",
    ),
    (
        "[203.0.113.0/28]",
        "[\"0.0.0.0/1\", \"128.0.0.0/1\"]",
        "error[identify-everybody]: `128.0.0.0/1` takes strangers and phones for the trunk `carrier`\n  --> pbx.yaml:7:58",
    ),
    (
        "[203.0.113.0/28]",
        "[\"8000::/1\"]",
        "error[identify-everybody]: `8000::/1` takes strangers and phones for the trunk `carrier`\n  --> pbx.yaml:7:45",
    ),
    (
        "[203.0.113.0/28]",
        "[\"::ffff:0:0/96\"]",
        "error[identify-everybody]: `::ffff:0:0/96` takes strangers and phones for the trunk `carrier`\n  --> pbx.yaml:7:45",
    ),
    (
        "[203.0.113.0/28]",
        "[\"::/64\"]",
        "error[identify-everybody]: `::/64` takes strangers and phones for the trunk `carrier`\n  --> pbx.yaml:7:45",
    ),
    (
        "[203.0.113.0/28]",
        "[21.0.0.0/8, 203.0.113.7, 20.0.0.0/8]",
        "error[identify-everybody]: `20.0.0.0/7` takes strangers and phones for the trunk `carrier`\n  --> pbx.yaml:7:45",
    ),
    (
        "dialers:\n",
        "  backup: { host: 198.51.100.7, identify: [192.0.2.1, 203.0.113.9] }\ndialers:\n",
        "error[overlapping-trunks]: calls from `203.0.113.9` are those of the trunk `carrier` already\n  --> pbx.yaml:8:55",
    ),
    (
        "trunks:\n",
        "trunks:\n  wide: { host: sip.example.com, identify: [203.0.0.0/16] }\n",
        "error[overlapping-trunks]: calls from `203.0.113.0/28` are those of the trunk `wide` already\n  --> pbx.yaml:8:45",
    ),
    (
        "dialers:\n",
        "  backup: { host: \"203.0.113.7:5080\" }\ndialers:\n",
        "error[overlapping-trunks]: calls from `203.0.113.7` are those of the trunk `carrier` already\n  --> pbx.yaml:8:19",
    ),
    (
        "host: 198.51.100.7, identify: [203.0.113.0/28]",
        "host: sip.carrier.example",
        "warning[silent-trunk]: no call that comes from the trunk `carrier` is ever taken\n  --> pbx.yaml:7:20",
    ),
    (
        "[\"mon-fri 09:00-18:00\"]",
        "[]",
        "warning[never-open]: `office` is never open: nobody of `route` gets a call; also at one other place\n  --> pbx.yaml:16:11",
    ),
    (
        "expect:",
        "default_route: [zendesk_talk]\nexpect:",
        "warning[unreachable-route]: no call takes the default route: a rule decides about all of them\n  --> pbx.yaml:25:16",
    ),
    (
        "20s, trunk: carrier",
        "20s",
        "warning[unreachable-dialer]: a call that comes over a trunk reaches nobody here: none of these dialers has a trunk\n  --> pbx.yaml:22:12",
    ),
];

#[test]
fn every_mistake_has_its_place() {
    for (old, new, words) in MISTAKES {
        let outcome = check(old, new);
        let valid = words.starts_with("warning");
        assert_eq!(outcome.code == 0, valid, "{}", outcome.text());
        // The place stands below the words, in a column of its own.
        let said: Vec<&str> = outcome.stderr.lines().map(str::trim_start).collect();
        let words: Vec<&str> = words.lines().map(str::trim_start).collect();
        assert!(said.windows(words.len()).any(|said| said == words), "{words:?}\n{}", outcome.stderr);
    }
}

/// What is changed, the code of the only problem, and what its hint says.
const ALONE: &[(&str, &str, &str, &str)] = &[
    ("Europe/Berlin", "Europe/Berlim", "unknown-timezone", "IANA name"),
    ("mon-fri 09:00-18:00", "mon-fri 9-18", "invalid-hours", "write days and times"),
    ("\"2026-12-25\", ", "\"25.12.2026\", ", "invalid-date", "year, month and day"),
    ("host: 198.51.100.7", "host: \"not a host\"", "invalid-host", "a name or an address"),
    ("host: 198.51.100.7, ", "", "missing-key", "add `host:`"),
    (
        "sip: \"sip:acme@talk.example\"",
        "sip: \"sip:acme@talk.example\", number: \"+4930123456\"",
        "incomplete-dialer",
        "`number:` or `sip:`",
    ),
    ("caller_id: called", "caller_ids: called", "unknown-key", "did you mean `caller_id`?"),
    ("route: [dialfire, zendesk", "route: [dailfire, zendesk", "unknown-reference", "did you mean `dialfire`?"),
    ("from: [\"+49*\", withheld]", "from: [\"+49*\", \"+49*\"]", "duplicate-caller", "keep one of them"),
    ("from: [\"+49*\", withheld]", "from: [\"0049*\"]", "invalid-prefix", "write `+`"),
    ("from: [\"+49*\", withheld]", "from: [Withheld]", "invalid-prefix", "did you mean `withheld`?"),
    (
        "    when: office\n    route: [dialfire",
        "    whem: office\n    route: [dialfire",
        "unknown-key",
        "did you mean `when`?",
    ),
    ("to: default", "to: Default", "invalid-number", "did you mean `default`?"),
    ("to: \"+15559876543\"\n    from", "to: \"5559876543\"\n    from", "invalid-number", "E.164"),
    ("ring: 30s", "ring: 30", "invalid-ring", "write it with its unit: `30s`"),
    ("ring: 30s", "ring: \"700\"", "invalid-ring", "from `5s` to `600s`"),
    ("inbound:", "inbond:", "unknown-key", "did you mean `inbound`?"),
    (", name: Bo Li", "", "missing-key", "add `name:`"),
    (
        "reaches: bo.li@example.com",
        "reaches: bo.lee@example.com",
        "unknown-reference",
        "did you mean `bo.li@example.com`?",
    ),
    ("{ env: DIALFIRE_PHONE_NUMBER }", "\"+15559876543\"", "route-loop", "the number of the service"),
];

/// What is declared but broken is declared, and what cannot be told without it is not told.
#[test]
fn one_mistake_is_one_problem() {
    for (old, new, code, hint) in ALONE {
        assert!(FILE.contains(old), "{old}");
        let env = TestEnv::embedded();
        env.write("pbx.yaml", &FILE.replacen(old, new, 1));
        let outcome = env.run("check --format json");
        let document: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        let problems = document["problems"].as_array().unwrap();
        let codes: Vec<&str> = problems.iter().map(|problem| problem["code"].as_str().unwrap()).collect();
        assert_eq!(codes, [*code], "{new}\n{}", outcome.stdout);
        assert!(problems[0]["hint"].as_str().unwrap().contains(hint), "{new}\n{}", outcome.stdout);
    }
}

/// An expectation that fails is told beside mistakes that have nothing to do with it.
#[test]
fn expectations_are_run_where_only_other_things_are_wrong() {
    let env = TestEnv::embedded();
    let text = FILE.replace("reaches: bo.li@example.com", "reaches: dialfire");
    env.write("pbx.yaml", &text.replace("tenant: acme", "tenant: Acme"));
    let said = env.run("check").expect(65).stderr;
    assert!(said.contains("error[invalid-tenant]") && said.contains("error[failed-expectation]"), "{said}");
}

fn trace(args: &str) -> String {
    let env = TestEnv::embedded();
    env.write("pbx.yaml", FILE);
    env.run(&format!("trace {args}")).expect(0).stdout
}

#[test]
fn a_trace_tells_the_rules_it_passed_and_the_one_that_decides() {
    let traced = [
        "--to +15559876543 --from +4930123456 --at 2026-12-24T22:00+01:00",
        "--to +15559876543 --from anonymous --at 2026-12-23T12:00+01:00",
        "--to +15559876543 --from +15551234567 --at 2026-12-25T12:00+01:00",
        "--to +15550000000 --at 2026-12-25T12:00+01:00",
    ];
    insta::assert_snapshot!(traced.map(trace).join("\n"));
}

/// `check` sends whoever wrote a wrong expectation here.
#[test]
fn a_trace_explains_an_expectation_that_fails_and_no_other_error() {
    let env = TestEnv::embedded();
    let failing = FILE.replace("reaches: bo.li@example.com", "reaches: dialfire");
    env.write("pbx.yaml", &failing);
    let hint = "`reconcile trace` with the same numbers and time says why";
    assert!(env.run("check").expect(65).stderr.contains(hint));
    let call = "--to +15559876543 --from +4930123456 --at 2026-12-24T22:00+01:00";
    let traced = env.run(&format!("trace {call}")).expect(0);
    assert_eq!(traced.stdout, trace(call));
    let warning = "warning[failed-expectation]: this call reaches `bo.li@example.com`, not `dialfire`\n";
    assert!(traced.stderr.starts_with(warning), "{}", traced.text());
    env.write("pbx.yaml", &failing.replace("when: office", "when: offices"));
    env.run(&format!("trace {call}")).expect(65);
}

#[test]
fn a_trace_for_programs() {
    insta::assert_snapshot!(trace("--to +15559876543 --from +4930123456 --at 2026-12-24T22:00+01:00 --format json"));
}

#[test]
fn what_is_no_number_or_moment_is_refused() {
    let env = TestEnv::embedded();
    env.write("pbx.yaml", FILE);
    env.run("trace --to 15559876543").expect(64);
    let said = env.run("trace --to +15559876543 --at tomorrow").expect(64).stderr;
    assert_eq!(
        said,
        "error: `tomorrow` is not a moment\nhint: write date, time and offset, such as `2026-12-24T22:00+01:00`\n"
    );
}
