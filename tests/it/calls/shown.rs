//! Calls as `reconcile calls` and `GET /calls` show them.

use reconcile::{calls::What, model::CallerClass};

use super::{
    super::{
        serve::server::{Serve, token},
        support::desired,
    },
    *,
};

/// A call that ended, one that nobody takes, and one of another tenant.
fn three_calls(env: &TestEnv) {
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    let mut events = whole_call("CA11111111111111111111111111111111");
    let mut nobodys = answered("CA22222222222222222222222222222222", 60);
    nobodys.tenant = None;
    if let What::Answered(answer) = &mut nobodys.what {
        "\u{1b}[31manonymous".clone_into(&mut answer.from);
        answer.caller_class = CallerClass::Irregular;
        (answer.rule, answer.first, answer.targets) = (None, None, Vec::new());
        "no route is applied".clone_into(&mut answer.reason);
        answer.degraded = Some("there is no snapshot of what was applied".to_owned());
    }
    let mut other = answered("CA33333333333333333333333333333333", 120);
    other.tenant = Some("other".parse().unwrap());
    events.extend([nobodys, other, answered("CA11111111111111111111111111111111", 1)]);
    directory(env).record_calls(&events).unwrap();
}

#[test]
fn the_command_lists_calls_and_shows_a_chain() {
    let env = TestEnv::new();
    three_calls(&env);
    insta::assert_snapshot!(env.run("calls").expect(0).stdout, @r"
    RECEIVED                  CALL SID                            FROM                 TO            DIALER        STATUS     RESPONSE
    2026-11-21T10:01:00.247Z  CA22222222222222222222222222222222  \u{1b}[31manonymous  +15559876543  -             received   2.8 ms
    2026-11-21T10:00:00.247Z  CA11111111111111111111111111111111  +4930123456          +15559876543  zendesk_talk  completed  2.8 ms
    ");
    insta::assert_snapshot!(env.run("calls CA11111111111111111111111111111111").expect(0).stdout, @r"
    call      CA11111111111111111111111111111111
    tenant    acme
    status    completed
    from      +4930123456 (e164)
    to        +15559876543 (inbound)
    received  2026-11-21T10:00:00.247Z
    routed    2026-11-21T10:00:00.249Z  to +15559876543 when office
    because   `office` is open
    targets   dialfire, then zendesk_talk
    response  2026-11-21T10:00:00.249Z  in 2.8 ms
    step 1    2026-11-21T10:00:00.250Z  dialfire dialled
              2026-11-21T10:00:04.250Z  busy, SIP 486
    step 2    2026-11-21T10:00:04.250Z  zendesk_talk dialled
              2026-11-21T10:00:50.250Z  answered, 35 s
    answered  2026-11-21T10:00:15.250Z
    duration  51 s
    retries   1
    ");
    insta::assert_snapshot!(env.run("calls CA22222222222222222222222222222222").expect(0).stdout, @r"
    call      CA22222222222222222222222222222222
    tenant    -
    status    received
    from      \u{1b}[31manonymous (irregular)
    to        +15559876543 (inbound)
    received  2026-11-21T10:01:00.247Z
    degraded  there is no snapshot of what was applied
    routed    2026-11-21T10:01:00.249Z  default route
    because   no route is applied
    targets   -
    response  2026-11-21T10:01:00.249Z  in 2.8 ms
    ");
    let list: serde_json::Value =
        serde_json::from_str(&env.run("calls --limit 1 --format json --tenant other").expect(0).stdout).unwrap();
    assert_eq!(list["calls"].as_array().unwrap().len(), 1);
    assert_eq!(list["calls"][0]["call_sid"], "CA33333333333333333333333333333333");
    let whole = env.run("calls CA11111111111111111111111111111111 --format json").expect(0).stdout;
    let whole: serde_json::Value = serde_json::from_str(&whole).unwrap();
    assert_eq!((&whole["call"]["response_ms"], &whole["steps"][1]["dialer"]), (&2.75.into(), &"zendesk_talk".into()));
    insta::assert_snapshot!(env.run("calls CA9").expect(1).stderr, @r"
    error: no call `CA9` is recorded
    hint: `reconcile calls` lists the newest calls; a call appears once a server has recorded it
    ");
}

/// Whatever a caller made up: the list stays one that people read, and the call itself is shown whole.
#[test]
fn a_caller_that_fills_pages_is_cut_in_the_list_alone() {
    let env = TestEnv::new();
    three_calls(&env);
    let mut hostile = answered("CA44444444444444444444444444444444", 180);
    let from = "\u{1}".repeat(20_000) + "ü";
    if let What::Answered(answer) = &mut hostile.what {
        answer.from.clone_from(&from);
    }
    directory(&env).record_calls(&[hostile]).unwrap();
    let list = env.run("calls").expect(0).stdout;
    let rows: Vec<&str> = list.lines().collect();
    assert_eq!(rows.len(), 4, "{list}");
    let shown = "\\u{1}".repeat(26)[..127].to_owned() + "…";
    assert!(
        rows[1].contains(&format!("  CA44444444444444444444444444444444  {shown}  +15559876543  dialfire  ")),
        "{list}"
    );
    let columns = |row: &str| row.find("+15559876543").map(|at| row[..at].chars().count());
    assert_eq!((columns(rows[2]), columns(rows[3])), (Some(128), Some(128)), "the others stay in line\n{list}");

    let whole = env.run("calls CA44444444444444444444444444444444").expect(0).stdout;
    assert!(whole.contains(&format!("\nfrom      {}ü (e164)\n", "\\u{1}".repeat(20_000))));
    let list: serde_json::Value = serde_json::from_str(&env.run("calls --format json").expect(0).stdout).unwrap();
    assert_eq!(list["calls"][0]["from"], from);
}

/// An earlier version wrote down whatever step a URL named.
#[test]
fn a_step_of_any_number_is_shown() {
    let env = TestEnv::new();
    let largest = u32::try_from(i32::MAX).unwrap();
    let sid = "CA55555555555555555555555555555555";
    let mut lost = step(sid, 4, largest, Outcome::Busy, None);
    if let What::Step { next, .. } = &mut lost.what {
        *next = Some(started(largest - 1, "dialfire"));
    }
    directory(&env).record_calls(&[answered(sid, 0), lost]).unwrap();
    let shown = env.run(&format!("calls {sid}")).expect(0).stdout;
    assert!(shown.contains("\nstep 2147483648 ") && shown.contains("\nstep 2147483647 "), "{shown}");
}

#[test]
fn the_api_lists_calls_and_shows_a_chain_to_tokens_with_the_scope() {
    let env = TestEnv::new();
    three_calls(&env);
    let serve = Serve::start(&env, "");
    let client = serve.client(&token(&env, "monitor", "calls"));
    let call = client.get("/calls/CA11111111111111111111111111111111").expect(200).json();
    insta::assert_snapshot!(serde_json::to_string_pretty(&call).unwrap(), @r#"
    {
      "answered_at": "2026-11-21T10:00:15.25Z",
      "call_sid": "CA11111111111111111111111111111111",
      "caller_class": "e164",
      "degraded": null,
      "direction": "inbound",
      "duration": 51,
      "fallback_at": null,
      "fallback_step": null,
      "from": "+4930123456",
      "reason": "`office` is open",
      "received_at": "2026-11-21T10:00:00.247Z",
      "response_ms": 2.75,
      "retries": 1,
      "routed_at": "2026-11-21T10:00:00.249Z",
      "routed_dialer": "zendesk_talk",
      "rule": "to +15559876543 when office",
      "status": "completed",
      "steps": [
        {
          "dialer": "dialfire",
          "duration": null,
          "ended_at": "2026-11-21T10:00:04.25Z",
          "outcome": "busy",
          "sip_code": 486,
          "started_at": "2026-11-21T10:00:00.25Z",
          "step": 0
        },
        {
          "dialer": "zendesk_talk",
          "duration": 35,
          "ended_at": "2026-11-21T10:00:50.25Z",
          "outcome": "answered",
          "sip_code": null,
          "started_at": "2026-11-21T10:00:04.25Z",
          "step": 1
        }
      ],
      "targets": [
        "dialfire",
        "zendesk_talk"
      ],
      "tenant": "acme",
      "to": "+15559876543"
    }
    "#);
    assert_eq!(client.get("/calls/CA33333333333333333333333333333333").expect(404).error(), "NotFound");
    assert_eq!(client.get("/calls/CA%0a").expect(422).error(), "ValidationError");

    let more: Vec<_> = (0..5).map(|number| answered(&sid(number), 200 + i64::try_from(number).unwrap())).collect();
    directory(&env).record_calls(&more).unwrap();
    let (mut seen, mut path) = (Vec::new(), "/calls?limit=2".to_owned());
    loop {
        let page = client.get(&path).expect(200).json();
        let calls = page["calls"].as_array().unwrap();
        assert!(calls.len() <= 2);
        seen.extend(calls.iter().map(|call| call["call_sid"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/calls?limit=2&after={next}");
    }
    let newest: Vec<String> = (0..5).rev().map(sid).chain(["CA11111111111111111111111111111111".to_owned()]).collect();
    assert_eq!(seen, newest, "the newest first, each once, of the tenant only");
    assert_eq!(client.get("/calls?after=CA33333333333333333333333333333333").expect(404).error(), "NotFound");
    for wrong in ["limit=0", "limit=1001", "after=", "before=x"] {
        assert_eq!(client.get(&format!("/calls?{wrong}")).expect(422).error(), "ValidationError", "{wrong}");
    }
    let others = serve.client(&token(&env, "portal", "read write apply"));
    for path in ["/calls", "/calls/CA11111111111111111111111111111111"] {
        assert_eq!(others.get(path).expect(403).error(), "Forbidden");
        assert_eq!(serve.client("").get(path).expect(401).error(), "Unauthorized");
    }
    client.get("/users").expect(403);
}
