//! The record of calls: what becomes known about a call ends up in the database, once, whatever
//! happens on the way, and is shown.

mod clock;
mod recorder;
mod rows;
mod shown;

use jiff::{SignedDuration, Timestamp};
use reconcile::{
    calls::{Answer, Event, Outcome, Started, Status, What},
    directory::{Directory, Url},
    model::CallerClass,
};

use super::support::TestEnv;

/// When it all begins.
fn at(seconds: i64) -> Timestamp {
    "2026-11-21T10:00:00.25Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn event(sid: &str, seconds: i64, what: What) -> Event {
    Event { call_sid: sid.to_owned(), tenant: Some("acme".parse().unwrap()), at: at(seconds), what }
}

fn started(step: u32, target: &str) -> Started {
    Started { step, target: target.to_owned() }
}

/// A call came in and is sent to the first of two.
fn answered(sid: &str, seconds: i64) -> Event {
    let answer = Answer {
        from: "+4930123456".to_owned(),
        to: "+15559876543".to_owned(),
        direction: "inbound".to_owned(),
        caller_class: CallerClass::E164,
        received_at: at(seconds) - SignedDuration::from_millis(3),
        routed_at: at(seconds) - SignedDuration::from_millis(1),
        response_ms: 2.75,
        rule: Some("to +15559876543 when office".to_owned()),
        reason: "`office` is open".to_owned(),
        targets: vec!["dialfire".to_owned(), "zendesk_talk".to_owned()],
        first: Some(started(0, "dialfire")),
        retry: false,
        degraded: None,
        fallback: None,
    };
    event(sid, seconds, What::Answered(Box::new(answer)))
}

fn step(sid: &str, seconds: i64, number: u32, outcome: Outcome, next: Option<Started>) -> Event {
    let duration = (outcome == Outcome::Answered).then_some(35);
    let sip_code = (outcome == Outcome::Busy).then_some(486);
    event(sid, seconds, What::Step { step: number, outcome, duration, sip_code, next })
}

fn status(sid: &str, seconds: i64, status: Status, duration: Option<u32>) -> Event {
    event(sid, seconds, What::Status { status, duration })
}

/// A call whose first dialer is busy, and whose second one answers.
fn whole_call(sid: &str) -> Vec<Event> {
    vec![
        answered(sid, 0),
        step(sid, 4, 0, Outcome::Busy, Some(started(1, "zendesk_talk"))),
        step(sid, 50, 1, Outcome::Answered, None),
        status(sid, 51, Status::Completed, Some(51)),
    ]
}

fn directory(env: &TestEnv) -> Directory {
    let mut directory = Directory::connect(Url::parse(env.database.as_ref().unwrap()).unwrap()).unwrap();
    directory.migrate().unwrap();
    directory
}

fn sid(number: usize) -> String {
    format!("CA{number:032x}")
}
