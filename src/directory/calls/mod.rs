//! Calls in the database: events are written in any order and any number of times, and give the same
//! rows; calls and their chains are read.

mod read;
mod rows;

use std::sync::LazyLock;

use postgres::types::{ToSql, Type};
use sha2::{Digest, Sha256};

pub use read::{CallEntry, CallScope, CallStep};

use super::{Directory, DirectoryError, document, failed};
use crate::calls::Event;
use rows::{AnswerRow, CallRow, DecisionRow, Rows, StepRow};

/// What became of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// How many stand in the tables.
    pub written: usize,
    /// How many the tables refused, and were put aside.
    pub refused: usize,
}

/// What the first request of a call said: all of it is the earliest one's.
const ANSWER: [&str; 6] = ["received_at", "response_ms", "from_number", "to_number", "direction", "caller_class"];

/// What was decided: all of it is the fallback's that begins last, otherwise the earliest request's.
const DECISION: [&str; 7] = ["routed_at", "rule", "reason", "targets", "degraded", "fallback_step", "fallback_at"];

/// Writes calls and steps, merging them with what is there by rules that know no order.
static WRITE: LazyLock<String> = LazyLock::new(|| {
    // Rows of the same kind are compared by their requests; a fallback's is of the other kind.
    let is_first = "c.received_at is null
                 or (excluded.received_at, excluded.response_ms) < (c.received_at, c.response_ms)";
    let decides = format!(
        "case when c.fallback_step is null then excluded.fallback_step is not null or {is_first}
              else (-excluded.fallback_step, excluded.fallback_at, excluded.routed_at)
                   < (-c.fallback_step, c.fallback_at, c.routed_at) end"
    );
    let taken = |columns: &[&str], condition: &str| {
        let column =
            |column: &&str| format!("{column} = case when {condition} then excluded.{column} else c.{column} end");
        columns.iter().map(column).collect::<Vec<_>>().join(", ")
    };
    let (answer, decision) = (taken(&ANSWER, is_first), taken(&DECISION, &decides));
    let ended = |column: &str| {
        format!(
            "{column} = case when s.ended_at is null
                 or (excluded.ended_at, excluded.outcome) < (s.ended_at, s.outcome)
             then excluded.{column} else s.{column} end"
        )
    };
    let ended = ["ended_at", "outcome", "duration_seconds", "sip_code"].map(ended).join(", ");
    format!(
        "with steps as (
             insert into call_steps as s
                    (call_sid, step, dialer, started_at, ended_at, outcome, duration_seconds, sip_code)
             select * from unnest($18, $19, $20, $21, $22, $23, $24, $25)
             on conflict (call_sid, step) do update set
                 dialer = case when s.started_at is null
                     or (excluded.started_at, excluded.dialer) < (s.started_at, s.dialer)
                 then excluded.dialer else s.dialer end,
                 started_at = least(s.started_at, excluded.started_at), {ended}
             returning s.call_sid, s.step, s.dialer
         ), dialled as (
             select distinct on (call_sid) call_sid, step, dialer from steps where dialer is not null
             order by call_sid, step desc
         )
         insert into calls as c
                (call_sid, tenant, first_event_at, status, from_number, to_number, direction, caller_class, received_at,
                 routed_at, response_ms, rule, reason, targets, degraded, asked_at, answered_at, duration_seconds,
                 fallback_step, fallback_at, routed_step, routed_dialer)
         select n.call_sid, n.tenant, n.first_event_at, n.status::call_status, n.from_number, n.to_number, n.direction,
                n.caller_class, n.received_at, n.routed_at, n.response_ms, n.rule, n.reason, n.targets::jsonb,
                n.degraded, n.asked_at::timestamptz[], n.answered_at, n.duration_seconds,
                n.fallback_step, n.fallback_at, d.step, d.dialer
         from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $26, $27, $28)
              as n (call_sid, tenant, first_event_at, status, from_number, to_number, direction, caller_class,
                    received_at, routed_at, response_ms, rule, reason, targets, degraded, asked_at, answered_at,
                    duration_seconds, fallback_step, fallback_at)
         left join dialled d using (call_sid)
         order by n.call_sid
         on conflict (call_sid) do update set
             tenant = least(c.tenant, excluded.tenant),
             first_event_at = least(c.first_event_at, excluded.first_event_at),
             status = greatest(c.status, excluded.status),
             {answer}, {decision},
             asked_at = (select coalesce(array_agg(distinct at order by at), '{{}}')
                         from unnest(c.asked_at || excluded.asked_at) as t (at)),
             answered_at = least(c.answered_at, excluded.answered_at),
             duration_seconds = greatest(c.duration_seconds, excluded.duration_seconds),
             routed_dialer = case when excluded.routed_step >= coalesce(c.routed_step, -1)
                             then excluded.routed_dialer else c.routed_dialer end,
             routed_step = greatest(c.routed_step, excluded.routed_step)"
    )
});

impl Directory {
    /// Writes down what became known about calls. What is there already changes nothing; an event that
    /// the tables refuse is put aside among the dead letters, and the others are written.
    ///
    /// # Errors
    /// When the database fails: then some of it may be written, and all of it can be written again.
    pub fn record_calls(&mut self, events: &[Event]) -> Result<Written, DirectoryError> {
        if events.is_empty() {
            return Ok(Written::default());
        }
        match self.write_calls(&Rows::of(events)) {
            Ok(()) => Ok(Written { written: events.len(), refused: 0 }),
            Err(error) if !refuses(&error) => Err(failed("write down calls")(error)),
            Err(error) => {
                if let [event] = events {
                    self.put_aside(event, &error)?;
                    return Ok(Written { written: 0, refused: 1 });
                }
                let (first, second) = events.split_at(events.len() / 2);
                let (first, second) = (self.record_calls(first)?, self.record_calls(second)?);
                Ok(Written { written: first.written + second.written, refused: first.refused + second.refused })
            }
        }
    }

    fn write_calls(&mut self, rows: &Rows) -> Result<(), postgres::Error> {
        let calls: Vec<(&String, &CallRow)> = rows.calls.iter().collect();
        let steps: Vec<(&(String, i32), &StepRow)> = rows.steps.iter().collect();
        let sids: Vec<&str> = calls.iter().map(|(sid, _)| sid.as_str()).collect();
        let asked: Vec<String> = calls.iter().map(|(_, call)| array(call)).collect();
        let step_sids: Vec<&str> = steps.iter().map(|((sid, _), _)| sid.as_str()).collect();
        let numbers: Vec<i32> = steps.iter().map(|((_, number), _)| *number).collect();
        let (c, s) = (Columns(&calls), Columns(&steps));
        let values: [(Box<dyn ToSql + Sync + '_>, Type); 28] = [
            (Box::new(sids), Type::TEXT_ARRAY),
            c.column(Type::TEXT_ARRAY, |call| call.tenant.as_deref()),
            c.column(Type::TIMESTAMPTZ_ARRAY, |call| Some(call.first_event_at)),
            c.column(Type::TEXT_ARRAY, |call| Some(call.status)),
            c.answer(Type::TEXT_ARRAY, |answer| Some(answer.from.as_str())),
            c.answer(Type::TEXT_ARRAY, |answer| Some(answer.to.as_str())),
            c.answer(Type::TEXT_ARRAY, |answer| Some(answer.direction.as_str())),
            c.answer(Type::TEXT_ARRAY, |answer| Some(answer.caller_class)),
            c.answer(Type::TIMESTAMPTZ_ARRAY, |answer| Some(answer.received_at)),
            c.decision(Type::TIMESTAMPTZ_ARRAY, |decision| Some(decision.routed_at)),
            c.answer(Type::FLOAT8_ARRAY, |answer| Some(answer.response_ms)),
            c.decision(Type::TEXT_ARRAY, |decision| decision.rule.as_deref()),
            c.decision(Type::TEXT_ARRAY, |decision| Some(decision.reason.as_str())),
            c.decision(Type::TEXT_ARRAY, |decision| Some(decision.targets.as_str())),
            c.decision(Type::TEXT_ARRAY, |decision| decision.degraded.as_deref()),
            (Box::new(asked), Type::TEXT_ARRAY),
            c.column(Type::TIMESTAMPTZ_ARRAY, |call| call.answered_at),
            (Box::new(step_sids), Type::TEXT_ARRAY),
            (Box::new(numbers), Type::INT4_ARRAY),
            s.column(Type::TEXT_ARRAY, |step| step.began.as_ref().map(|(_, dialer)| dialer.as_str())),
            s.column(Type::TIMESTAMPTZ_ARRAY, |step| step.began.as_ref().map(|(at, _)| *at)),
            s.column(Type::TIMESTAMPTZ_ARRAY, |step| step.ended.map(|(at, _)| at)),
            s.column(Type::TEXT_ARRAY, |step| step.ended.map(|(_, outcome)| outcome)),
            s.column(Type::INT4_ARRAY, |step| step.duration),
            s.column(Type::INT4_ARRAY, |step| step.sip_code),
            c.column(Type::INT4_ARRAY, |call| call.duration),
            c.decision(Type::INT4_ARRAY, |decision| decision.fallback.map(|(step, _)| step)),
            c.decision(Type::TIMESTAMPTZ_ARRAY, |decision| decision.fallback.map(|(_, at)| at)),
        ];
        let values: Vec<(&(dyn ToSql + Sync), Type)> =
            values.iter().map(|(value, kind)| (&**value, kind.clone())).collect();
        self.client.query_typed(WRITE.as_str(), &values).map(drop)
    }

    /// Puts an event aside that the tables refuse, once.
    fn put_aside(&mut self, event: &Event, error: &postgres::Error) -> Result<(), DirectoryError> {
        let action = "put a refused event aside";
        let text = document::write(action, event)?;
        let digest: [u8; 32] = Sha256::digest(&text).into();
        let error = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
        self.client
            .query_typed(
                "insert into call_dead_letters (digest, event, error) values ($1, $2, $3) on conflict do nothing",
                &[(&digest.as_slice(), Type::BYTEA), (&text, Type::TEXT), (&error, Type::TEXT)],
            )
            .map_err(failed(action))?;
        Ok(())
    }
}

/// Tells whether the tables refuse a value, for good: data, constraints, limits, triggers. What is
/// wrong with the statement or the schema is the same for every event, and is waited for.
fn refuses(error: &postgres::Error) -> bool {
    let class = error.code().map(|state| state.code().get(..2).unwrap_or_default());
    class.is_some_and(|class| ["21", "22", "23", "54", "P0"].contains(&class))
}

/// Rows, to be written column by column.
struct Columns<'a, K, V>(&'a [(K, V)]);

impl<'a, K, V> Columns<'a, K, &'a V> {
    fn column<T: ToSql + Sync + 'a>(
        &self,
        kind: Type,
        field: impl Fn(&'a V) -> Option<T>,
    ) -> (Box<dyn ToSql + Sync + 'a>, Type) {
        (Box::new(self.0.iter().map(|(_, row)| field(row)).collect::<Vec<_>>()), kind)
    }
}

impl<'a, K> Columns<'a, K, &'a CallRow> {
    fn answer<T: ToSql + Sync + 'a>(
        &self,
        kind: Type,
        field: impl Fn(&'a AnswerRow) -> Option<T>,
    ) -> (Box<dyn ToSql + Sync + 'a>, Type) {
        self.column(kind, |call| field(call.answer.as_ref()?))
    }

    fn decision<T: ToSql + Sync + 'a>(
        &self,
        kind: Type,
        field: impl Fn(&'a DecisionRow) -> Option<T>,
    ) -> (Box<dyn ToSql + Sync + 'a>, Type) {
        self.column(kind, |call| field(call.decision.as_ref()?))
    }
}

/// Writes moments as PostgreSQL writes an array: it takes no arrays of arrays of different lengths.
fn array(call: &CallRow) -> String {
    let moments: Vec<String> = call.asked_at.iter().map(|at| format!("\"{at}\"")).collect();
    format!("{{{}}}", moments.join(","))
}
