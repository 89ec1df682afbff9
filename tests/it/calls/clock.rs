//! Clocks that jump: a call stays one row, and nothing lasts less than no time.

use reconcile::recorder::spool::{Spool, encode};

use super::{
    super::{
        serve::server::{Serve, token},
        support::{desired, until},
    },
    *,
};

/// A call during which the clock was set back by an hour and put right again.
fn jumping(sid: &str) -> Vec<Event> {
    let mut again = answered(sid, -3600);
    if let What::Answered(answer) = &mut again.what {
        answer.retry = true;
    }
    vec![
        answered(sid, 0),
        again,
        step(sid, -3590, 0, Outcome::Busy, Some(started(1, "zendesk_talk"))),
        status(sid, 20, Status::InProgress, None),
        step(sid, -3000, 1, Outcome::Answered, None),
        status(sid, -7200, Status::Completed, Some(51)),
    ]
}

#[test]
fn a_call_during_which_the_clock_jumps_is_one_row_in_which_nothing_is_negative() {
    let env = TestEnv::new();
    let mut directory = directory(&env);
    let mut sql = env.sql();
    let events = jumping("CA1");
    let mut shown = Vec::new();
    for order in [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [2, 5, 1, 0, 4, 3]] {
        sql.batch_execute("truncate calls cascade").unwrap();
        for index in order {
            directory.record_calls(&events[index..=index]).unwrap();
        }
        let negative = "select (select count(*) from calls), (select count(*) from call_steps),
                               (select count(*) from calls where duration_seconds < 0 or response_ms < 0 or retries <> 1)
                               + (select count(*) from call_steps where duration_seconds < 0)";
        let row = sql.query_one(negative, &[]).unwrap();
        let counts: (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        assert_eq!(counts, (1, 2, 0), "{order:?}");
        shown.push(env.run("calls CA1").expect(0).stdout);
    }
    assert!(shown.iter().all(|text| *text == shown[0]));
    insta::assert_snapshot!(shown[0], @r"
    call      CA1
    tenant    acme
    status    completed
    from      +4930123456 (e164)
    to        +15559876543 (inbound)
    received  2026-11-21T09:00:00.247Z
    routed    2026-11-21T09:00:00.249Z  to +15559876543 when office
    because   `office` is open
    targets   dialfire, then zendesk_talk
    response  2026-11-21T09:00:00.249Z  in 2.8 ms
    step 1    2026-11-21T09:00:00.250Z  dialfire dialled
              2026-11-21T09:00:10.250Z  busy, SIP 486
    step 2    2026-11-21T09:00:10.250Z  zendesk_talk dialled
              2026-11-21T09:10:00.250Z  answered, 35 s
    answered  2026-11-21T09:09:25.250Z
    duration  51 s
    retries   1
    ");
}

/// What was written down before the clock was set back waits since the future.
#[test]
fn what_waits_since_the_future_has_waited_no_time_and_is_recorded_once() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    env.run("sync").expect(0);
    let ahead = Timestamp::now() + SignedDuration::from_hours(1);
    let spool = Spool::claim(&env.path("state/calls")).unwrap();
    for mut event in whole_call("CA1") {
        event.at = ahead;
        spool.append(&encode(&event).unwrap()).unwrap();
    }
    drop(spool);
    let mut sql = env.sql();
    sql.batch_execute("alter table calls rename to calls_elsewhere").unwrap();
    let serve = Serve::start(&env, "");
    let client = serve.client(&token(&env, "monitor", "read"));
    let metric = |name: &str| {
        let text = client.get("/metrics").expect(200).text;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
    };
    until("it waits", || metric("reconcile_call_batches_failed_total") != "0");
    until("it is seen that it waits", || metric("reconcile_call_spool_bytes") != "0");
    assert_eq!(metric("reconcile_call_oldest_unsent_seconds"), "0.0");
    sql.batch_execute("alter table calls_elsewhere rename to calls").unwrap();
    until("nothing waits", || metric("reconcile_call_spool_bytes") == "0");
    let row = sql.query_one("select count(*), max(duration_seconds), max(retries) from calls", &[]).unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i32>(1), row.get::<_, i32>(2)), (1, 51, 0));
}
