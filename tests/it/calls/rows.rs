//! Events in any order, any batches and any number of times give the same rows; what the tables refuse
//! is put aside.

use std::cell::RefCell;

use proptest::{prelude::*, test_runner::TestRunner};
use reconcile::{
    calls::{Event, Outcome, Status, What},
    directory::{CallScope, Written},
};

use super::*;

/// All rows, as text.
fn rows(sql: &mut postgres::Client) -> String {
    let mut text = String::new();
    for table in ["calls", "call_steps"] {
        for row in sql.query(&format!("select t::text from {table} t order by 1"), &[]).unwrap() {
            text.push_str(row.get(0));
            text.push('\n');
        }
    }
    text
}

#[test]
fn a_call_becomes_a_row_with_its_steps() {
    let env = TestEnv::new();
    let written = directory(&env).record_calls(&whole_call(&sid(1))).unwrap();
    assert_eq!(written, Written { written: 4, refused: 0 });
    let mut sql = env.sql();
    sql.batch_execute("set timezone = 'UTC'").unwrap();
    insta::assert_snapshot!(rows(&mut sql), @r#"
    (CA00000000000000000000000000000001,acme,"2026-11-21 10:00:00.247+00",completed,+4930123456,+15559876543,inbound,e164,"2026-11-21 10:00:00.247+00","2026-11-21 10:00:00.249+00",2.75,"to +15559876543 when office","`office` is open","[""dialfire"", ""zendesk_talk""]",,"{""2026-11-21 10:00:00.247+00""}",0,"2026-11-21 10:00:15.25+00",51,1,zendesk_talk,,)
    (CA00000000000000000000000000000001,0,dialfire,"2026-11-21 10:00:00.25+00","2026-11-21 10:00:04.25+00",busy,,486)
    (CA00000000000000000000000000000001,1,zendesk_talk,"2026-11-21 10:00:04.25+00","2026-11-21 10:00:50.25+00",answered,35,)
    "#);
}

/// What may become known about a few calls; clocks go back and forth.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let outcome = prop::sample::select(vec![
        Outcome::Answered,
        Outcome::Busy,
        Outcome::NoAnswer,
        Outcome::Failed,
        Outcome::Canceled,
    ]);
    let call_status = prop::sample::select(vec![
        Status::Ringing,
        Status::InProgress,
        Status::Canceled,
        Status::NoAnswer,
        Status::Completed,
    ]);
    let fallback = prop::option::weighted(0.4, 1..4_u32);
    let seed = (0..3_usize, 0..3_u8, 0..3_u32, outcome, call_status, prop::option::of("[a-c]"), fallback, -9..9_i64);
    prop::collection::vec(seed, 1..24).prop_map(|seeds| {
        let event = |(index, seed): (usize, (_, _, _, _, _, _, _, _))| {
            let (call, kind, number, outcome, call_status, target, fallback, seconds) = seed;
            let (sid, own) = (sid(call), u32::try_from(index).unwrap());
            let target: Option<String> = target;
            match kind {
                0 => {
                    let mut event = answered(&sid, seconds);
                    if let What::Answered(answer) = &mut event.what {
                        answer.first = target.as_deref().map(|target| started(number, target));
                        // No two requests are answered in the same microsecond.
                        answer.response_ms = own.into();
                        answer.routed_at += SignedDuration::from_micros(own.into());
                        answer.reason = format!("because of {index}");
                        answer.retry = index % 2 == 0;
                        answer.fallback = fallback;
                    }
                    event
                }
                1 => step(&sid, seconds, number, outcome, target.as_deref().map(|target| started(number + 1, target))),
                _ => status(&sid, seconds, call_status, Some(number)),
            }
        };
        seeds.into_iter().enumerate().map(event).collect()
    })
}

#[test]
fn any_order_any_batches_and_any_repetition_give_the_same_rows() {
    let env = TestEnv::new();
    let database = RefCell::new((directory(&env), env.sql()));
    let record = |batches: &[&[Event]]| {
        let (directory, sql) = &mut *database.borrow_mut();
        sql.batch_execute("truncate calls cascade").unwrap();
        for batch in batches {
            assert_eq!(directory.record_calls(batch).unwrap().refused, 0);
        }
        rows(sql)
    };
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    let shuffled = events().prop_flat_map(|events| {
        // Half of it comes twice.
        let again = events.iter().step_by(2).cloned();
        let mixed: Vec<Event> = events.iter().cloned().chain(again).collect();
        (Just(events), Just(mixed).prop_shuffle(), 1..6_usize)
    });
    let result = TestRunner::new(config).run(&shuffled, |(events, mixed, size)| {
        let expected = record(&[&events]);
        let batches: Vec<&[Event]> = mixed.chunks(size).collect();
        prop_assert_eq!(record(&batches), expected);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn two_writers_at_once_give_the_same_rows() {
    let env = TestEnv::new();
    directory(&env).record_calls(&[]).unwrap();
    let events: Vec<Event> = (0..200).flat_map(|number| whole_call(&sid(number))).collect();
    directory(&env).record_calls(&events).unwrap();
    let expected = rows(&mut env.sql());
    env.sql().batch_execute("truncate calls cascade").unwrap();
    // One has them forwards, the other one backwards, piece by piece.
    let write = |mut events: Vec<Event>, backwards: bool| {
        let mut directory = directory(&env);
        if backwards {
            events.reverse();
        }
        for batch in events.chunks(7) {
            while let Err(error) = directory.record_calls(batch) {
                assert!(format!("{error:?}").contains("deadlock"), "{error:?}");
            }
        }
    };
    std::thread::scope(|scope| {
        for backwards in [false, true] {
            scope.spawn({
                let (write, events) = (&write, events.clone());
                move || write(events, backwards)
            });
        }
    });
    assert_eq!(rows(&mut env.sql()), expected);
}

#[test]
fn a_request_that_came_again_is_a_retry_once() {
    let env = TestEnv::new();
    let mut directory = directory(&env);
    let again = |seconds| {
        let mut event = answered("CA1", seconds);
        if let What::Answered(answer) = &mut event.what {
            answer.retry = true;
            answer.response_ms = 9.5;
        }
        event
    };
    for events in [vec![again(2)], vec![again(2), answered("CA1", 0)], vec![again(1)], vec![again(1), again(2)]] {
        directory.record_calls(&events).unwrap();
    }
    let row = env.sql().query_one("select retries, response_ms, routed_dialer from calls", &[]).unwrap();
    let row: (i32, f64, String) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(row, (2, 2.75, "dialfire".to_owned()));
}

/// A row kept the decision of the answer that was lost, and the dialer that never rang.
#[test]
fn what_the_caller_got_is_the_fallbacks_whatever_comes_first() {
    let env = TestEnv::new();
    let mut directory = directory(&env);
    let fallback = |seconds, begins: u32| {
        let mut event = answered("CA1", seconds);
        if let What::Answered(answer) = &mut event.what {
            (answer.rule, answer.fallback) = (None, Some(begins));
            answer.reason = format!("fallback {begins}");
            answer.degraded = Some(format!("lost {}", begins - 1));
            answer.first = Some(started(begins, &format!("desk {begins}")));
        }
        event
    };
    let ended = step("CA1", 20, 1, Outcome::Busy, Some(started(2, "never rang")));
    let events = [answered("CA1", 0), fallback(15, 1), fallback(16, 1), ended, fallback(40, 3)];
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 1, 3], [3, 0, 4, 2, 1]] {
        env.sql().batch_execute("truncate calls cascade").unwrap();
        for index in order {
            directory.record_calls(&events[index..=index]).unwrap();
        }
        let (call, steps) = directory.call(&CallScope::All, "CA1").unwrap().unwrap();
        assert_eq!((call.received_at, call.response_ms), (Some(at(0) - SignedDuration::from_millis(3)), Some(2.75)));
        assert_eq!((call.rule, call.reason.as_deref()), (None, Some("fallback 3")), "{order:?}");
        assert_eq!((call.degraded.as_deref(), call.routed_dialer.as_deref()), (Some("lost 2"), Some("desk 3")));
        assert_eq!(call.routed_at, Some(at(40) - SignedDuration::from_millis(1)));
        assert_eq!((call.fallback_step, call.retries), (Some(3), 3));
        let dialers: Vec<_> = steps.iter().filter_map(|step| step.dialer.as_deref()).collect();
        assert_eq!(dialers, ["dialfire", "desk 1", "never rang", "desk 3"]);
    }

    // A fallback that dials nobody: whom the lost answer named was not dialled either.
    let mut refused = fallback(15, 1);
    if let What::Answered(answer) = &mut refused.what {
        answer.first = None;
    }
    for (sid, lost) in [("CA2", vec![answered("CA2", 0)]), ("CA3", whole_call("CA3")[..2].to_vec())] {
        let begins = u32::try_from(lost.len()).unwrap();
        let mut refused = refused.clone();
        sid.clone_into(&mut refused.call_sid);
        if let What::Answered(answer) = &mut refused.what {
            answer.fallback = Some(begins);
        }
        directory.record_calls(&[lost, vec![refused]].concat()).unwrap();
        let routed = directory.call(&CallScope::All, sid).unwrap().unwrap().0.routed_dialer;
        assert_eq!(routed.as_deref(), (begins == 2).then_some("dialfire"), "{sid}");
    }
}

/// A line that a version without fallbacks' steps had spooled.
#[test]
fn what_an_earlier_version_wrote_down_is_read() {
    let mut line = serde_json::to_value(answered("CA1", 0)).unwrap();
    assert_eq!(line["what"]["answered"].as_object_mut().unwrap().remove("fallback"), None, "it is not written either");
    assert_eq!(serde_json::from_value::<Event>(line).unwrap(), answered("CA1", 0));
}

#[test]
fn what_the_tables_refuse_is_put_aside_and_the_rest_is_written() {
    let env = TestEnv::new();
    let mut directory = directory(&env);
    env.sql().batch_execute("alter table calls add check (from_number <> 'nobody likes me')").unwrap();
    let with_from = |number: usize, from: &str| {
        let mut event = answered(&sid(number), 0);
        if let What::Answered(answer) = &mut event.what {
            from.clone_into(&mut answer.from);
        }
        event
    };
    let mut events: Vec<Event> = (0..500).map(|number| answered(&sid(number), 0)).collect();
    events[7] = with_from(7, "nobody likes me");
    events[8] = with_from(8, "a zero byte \0 is nothing");
    events[9] = with_from(9, &"\u{1f4de}".repeat(20_000));
    // Longer than an index takes, and not to be compressed.
    let mut random = 1_u32;
    events[400].call_sid = (0..5000)
        .map(|_| {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            char::from(b'!' + u8::try_from(random % 93).unwrap())
        })
        .collect();
    for _ in 0..2 {
        assert_eq!(directory.record_calls(&events).unwrap(), Written { written: 498, refused: 2 });
    }
    let mut sql = env.sql();
    let count = |sql: &mut postgres::Client, table: &str| -> i64 {
        sql.query_one(&format!("select count(*) from {table}"), &[]).unwrap().get(0)
    };
    assert_eq!((count(&mut sql, "calls"), count(&mut sql, "call_dead_letters")), (498, 2));
    let letter = sql.query_one("select event, error from call_dead_letters where event like '%likes%'", &[]).unwrap();
    let event: Event = serde_json::from_str(letter.get(0)).unwrap();
    assert_eq!(event, events[7], "it can be written once the reason is gone");
    assert!(letter.get::<_, &str>(1).contains("violates check constraint"));
    let from: String = sql.query_one("select from_number from calls where call_sid = $1", &[&sid(8)]).unwrap().get(0);
    assert_eq!(from, "a zero byte \u{fffd} is nothing");

    // What is wrong with the schema is wrong with no event: all of it waits.
    sql.batch_execute("alter table calls rename column reason to why").unwrap();
    directory.record_calls(&events).unwrap_err();
    assert_eq!(count(&mut sql, "call_dead_letters"), 2);
}
