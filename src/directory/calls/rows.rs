//! Events folded into rows, pure: whatever the order, and however often one comes, the same rows.
//!
//! Each field has a rule that knows no order: the earliest, the latest, the highest, or what belongs to
//! one of those. Where the fallback was asked, its decision is what the caller got, whatever came first. The statement that writes the rows merges with those that are there by the same rules.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use jiff::{SignedDuration, Timestamp, Unit};

use crate::calls::{Answer, Event, Outcome, Started, Status, What};

/// What is known about a call.
#[derive(Debug, Default)]
pub(super) struct CallRow {
    pub(super) tenant: Option<String>,
    pub(super) first_event_at: Timestamp,
    pub(super) status: &'static str,
    rank: Option<Status>,
    /// The earliest request.
    pub(super) answer: Option<AnswerRow>,
    /// What the caller got: the fallback's decision that begins last, otherwise the earliest request's.
    pub(super) decision: Option<DecisionRow>,
    /// When each request came.
    pub(super) asked_at: BTreeSet<Timestamp>,
    pub(super) answered_at: Option<Timestamp>,
    pub(super) duration: Option<i32>,
}

/// What a request said.
#[derive(Debug, Clone)]
pub(super) struct AnswerRow {
    pub(super) received_at: Timestamp,
    pub(super) response_ms: f64,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) direction: String,
    pub(super) caller_class: &'static str,
}

/// What was decided.
#[derive(Debug, Clone)]
pub(super) struct DecisionRow {
    /// Where its chain begins, and when the request was there; both where it is the fallback's.
    pub(super) fallback: Option<(i32, Timestamp)>,
    pub(super) routed_at: Timestamp,
    pub(super) rule: Option<String>,
    pub(super) reason: String,
    pub(super) targets: String,
    pub(super) degraded: Option<String>,
}

/// What is known about a step of a call.
#[derive(Debug, Default)]
pub(super) struct StepRow {
    /// When it began, and who is dialled.
    pub(super) began: Option<(Timestamp, String)>,
    /// When and how it ended.
    pub(super) ended: Option<(Timestamp, &'static str)>,
    pub(super) duration: Option<i32>,
    pub(super) sip_code: Option<i32>,
}

/// The rows of some events, in order, so that two writers never wait for each other in a circle.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) calls: BTreeMap<String, CallRow>,
    pub(super) steps: BTreeMap<(String, i32), StepRow>,
}

impl Rows {
    pub(super) fn of(events: &[Event]) -> Self {
        let mut rows = Self::default();
        for event in events {
            rows.add(event);
        }
        rows
    }

    fn add(&mut self, event: &Event) {
        let (sid, at) = (clean(&event.call_sid), moment(event.at));
        let call = self.calls.entry(sid.clone()).or_insert_with(|| CallRow {
            first_event_at: at,
            status: Status::Received.word(),
            ..CallRow::default()
        });
        call.first_event_at = call.first_event_at.min(at);
        let tenant = event.tenant.as_ref().map(|tenant| tenant.as_str().to_owned());
        call.tenant = earliest(call.tenant.take(), tenant);
        match &event.what {
            What::Answered(answer) => {
                call.asked(answer);
                call.rise(if answer.first.is_some() { Status::Routed } else { Status::Received });
                if let Some(first) = &answer.first {
                    self.step(&sid, first.step).began(at, first);
                }
            }
            What::Step { step, outcome, duration, sip_code, next } => {
                call.rise(status(*outcome, next.is_some()));
                if *outcome == Outcome::Answered {
                    let talk = SignedDuration::from_secs(duration.unwrap_or(0).into());
                    call.somebody_answered(moment(at.saturating_sub(talk).unwrap_or(at)));
                }
                let row = self.step(&sid, *step);
                let ended = (at, outcome.word());
                if row.ended.is_none_or(|known| ended < known) {
                    row.ended = Some(ended);
                    row.duration = duration.map(small);
                    row.sip_code = sip_code.map(i32::from);
                }
                if let Some(next) = next {
                    self.step(&sid, next.step).began(at, next);
                }
            }
            What::Status { status, duration } => {
                call.rise(*status);
                call.duration = call.duration.max(duration.map(small));
                if *status == Status::InProgress {
                    call.somebody_answered(at);
                }
            }
        }
    }

    fn step(&mut self, sid: &str, step: u32) -> &mut StepRow {
        self.steps.entry((sid.to_owned(), small(step))).or_default()
    }
}

impl CallRow {
    fn rise(&mut self, status: Status) {
        self.rank = self.rank.max(Some(status));
        self.status = self.rank.unwrap_or(status).word();
    }

    fn somebody_answered(&mut self, at: Timestamp) {
        self.answered_at = earliest(self.answered_at, Some(at));
    }

    fn asked(&mut self, answer: &Answer) {
        let received_at = moment(answer.received_at);
        self.first_event_at = self.first_event_at.min(received_at);
        self.asked_at.insert(received_at);
        let key = (received_at, answer.response_ms);
        let is_first = self.answer.as_ref().is_none_or(|known| key < (known.received_at, known.response_ms));
        let fallback = answer.fallback.map(|step| (small(step), received_at));
        let routed_at = moment(answer.routed_at);
        let decides = match (fallback, self.decision.as_ref().map(|known| (known.fallback, known.routed_at))) {
            (_, None) | (Some(_), Some((None, _))) => true,
            (None, Some((None, _))) => is_first,
            (None, Some((Some(_), _))) => false,
            (Some((step, at)), Some((Some((known, known_at)), known_routed_at))) => {
                (Reverse(step), at, routed_at) < (Reverse(known), known_at, known_routed_at)
            }
        };
        if is_first {
            self.answer = Some(AnswerRow {
                received_at,
                response_ms: answer.response_ms,
                from: clean(&answer.from),
                to: clean(&answer.to),
                direction: clean(&answer.direction),
                caller_class: answer.caller_class.word(),
            });
        }
        if decides {
            self.decision = Some(DecisionRow::of(answer, fallback));
        }
    }
}

impl DecisionRow {
    fn of(answer: &Answer, fallback: Option<(i32, Timestamp)>) -> Self {
        let targets: Vec<String> = answer.targets.iter().map(|target| clean(target)).collect();
        Self {
            fallback,
            routed_at: moment(answer.routed_at),
            rule: answer.rule.as_deref().map(clean),
            reason: clean(&answer.reason),
            targets: serde_json::Value::from(targets).to_string(),
            degraded: answer.degraded.as_deref().map(clean),
        }
    }
}

impl StepRow {
    fn began(&mut self, at: Timestamp, started: &Started) {
        self.began = earliest(self.began.take(), Some((at, clean(&started.target))));
    }
}

/// How a call stands when a step of it ended.
fn status(outcome: Outcome, goes_on: bool) -> Status {
    match outcome {
        Outcome::Answered => Status::Completed,
        Outcome::Canceled => Status::Canceled,
        _ if goes_on => Status::Routed,
        Outcome::Busy => Status::Busy,
        Outcome::NoAnswer => Status::NoAnswer,
        Outcome::Failed => Status::Failed,
    }
}

/// The earlier of two, where both are known.
fn earliest<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// A text as PostgreSQL takes it: it has no zero bytes.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A moment as PostgreSQL has it, in microseconds; whatever a clock says, it takes it.
fn moment(at: Timestamp) -> Timestamp {
    at.round(Unit::Microsecond).unwrap_or(at).max(Timestamp::UNIX_EPOCH)
}

fn small(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
