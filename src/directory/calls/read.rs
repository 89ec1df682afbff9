//! Calls as they are listed and shown.

use jiff::Timestamp;
use postgres::{Row, types::Type};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    directory::{Directory, DirectoryError, failed},
    model::Tenant,
};

/// A call.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CallEntry {
    /// The provider's id.
    pub call_sid: String,
    /// Whose call it is; null where no tenant takes it.
    pub tenant: Option<String>,
    /// How it stands: `received`, `routed`, `ringing`, `in-progress`, `canceled`, `no-answer`, `busy`,
    /// `failed` or `completed`.
    pub status: String,
    /// Whoever called, as sent, in full. This and what follows is null until it is known.
    pub from: Option<String>,
    /// The number that was called, as sent.
    pub to: Option<String>,
    /// The direction, as sent.
    pub direction: Option<String>,
    /// What kind of caller it was: `e164`, `withheld`, `client`, `sip` or `irregular`.
    pub caller_class: Option<String>,
    /// When the first request was there.
    pub received_at: Option<Timestamp>,
    /// When the fallback was asked, as an answer did not arrive: what was decided is then the fallback's.
    pub fallback_at: Option<Timestamp>,
    /// The step at which the fallback's chain begins; the one before is what the lost answer would have
    /// begun.
    pub fallback_step: Option<i32>,
    /// When it was decided.
    pub routed_at: Option<Timestamp>,
    /// From the first request's arrival to its answer, in milliseconds.
    pub response_ms: Option<f64>,
    /// The rule that decided; null for the default route.
    pub rule: Option<String>,
    /// Why, in words.
    pub reason: Option<String>,
    /// Who was to get the call, tried in turn.
    pub targets: Vec<String>,
    /// Who was dialled last, the lost answer's step left out; where somebody answered, that is who.
    pub routed_dialer: Option<String>,
    /// When somebody answered.
    pub answered_at: Option<Timestamp>,
    /// How long the call took, in seconds.
    pub duration: Option<i32>,
    /// How often the provider asked again.
    pub retries: i32,
    /// What was not as it should be, where the call was answered all the same.
    pub degraded: Option<String>,
}

/// A step of a call's chain.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CallStep {
    /// Which step, from 0.
    pub step: i32,
    /// Who was dialled: a dialer, a user's e-mail, or a phone's id; null until it is known.
    pub dialer: Option<String>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended: `answered`, `busy`, `no-answer`, `failed` or `canceled`.
    pub outcome: Option<String>,
    /// How long the two talked, in seconds.
    pub duration: Option<i32>,
    /// The SIP answer.
    pub sip_code: Option<i32>,
}

/// Which calls are read.
#[derive(Debug, Clone)]
pub enum CallScope {
    /// Those of a tenant.
    Tenant(Tenant),
    /// Those of a tenant, and those of no tenant.
    TenantOrUnassigned(Tenant),
    /// All.
    All,
}

impl CallScope {
    fn tenant(&self) -> Option<&str> {
        match self {
            Self::Tenant(tenant) | Self::TenantOrUnassigned(tenant) => Some(tenant.as_str()),
            Self::All => None,
        }
    }

    /// The condition, with the tenant as the first value.
    fn condition(&self) -> &'static str {
        match self {
            Self::Tenant(_) => "tenant = $1",
            Self::TenantOrUnassigned(_) => "(tenant = $1 or tenant is null)",
            Self::All => "$1::text is null",
        }
    }
}

const COLUMNS: &str = "call_sid, tenant, status::text, from_number, to_number, direction, caller_class, received_at,
    routed_at, response_ms, rule, reason,
    array(select jsonb_array_elements_text(case jsonb_typeof(targets) when 'array' then targets else '[]' end)),
    case when routed_step = fallback_step - 1
         then (select dialer from call_steps as s
               where s.call_sid = calls.call_sid and step < routed_step and dialer is not null
               order by step desc limit 1)
         else routed_dialer end,
    answered_at, duration_seconds, retries, degraded, fallback_at, fallback_step";

fn entry(row: &Row) -> CallEntry {
    CallEntry {
        call_sid: row.get(0),
        tenant: row.get(1),
        status: row.get(2),
        from: row.get(3),
        to: row.get(4),
        direction: row.get(5),
        caller_class: row.get(6),
        received_at: row.get(7),
        routed_at: row.get(8),
        response_ms: row.get(9),
        rule: row.get(10),
        reason: row.get(11),
        targets: row.get(12),
        routed_dialer: row.get(13),
        answered_at: row.get(14),
        duration: row.get(15),
        retries: row.get(16),
        degraded: row.get(17),
        fallback_at: row.get(18),
        fallback_step: row.get(19),
    }
}

impl Directory {
    /// Lists calls, the newest first, from behind `after` where it is given.
    ///
    /// # Errors
    /// When the database fails.
    pub fn calls(
        &mut self,
        scope: &CallScope,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<CallEntry>, DirectoryError> {
        let rows = self
            .client()
            .query_typed(
                &format!(
                    "select {COLUMNS} from calls
                     where {} and ($2::text is null or (first_event_at, call_sid)
                                   < (select first_event_at, call_sid from calls where call_sid = $2))
                     order by first_event_at desc, call_sid desc limit $3",
                    scope.condition()
                ),
                &[(&scope.tenant(), Type::TEXT), (&after, Type::TEXT), (&i64::from(limit), Type::INT8)],
            )
            .map_err(failed("list the calls"))?;
        Ok(rows.iter().map(entry).collect())
    }

    /// Finds a call, with the steps of its chain.
    ///
    /// # Errors
    /// When the database fails.
    pub fn call(&mut self, scope: &CallScope, sid: &str) -> Result<Option<(CallEntry, Vec<CallStep>)>, DirectoryError> {
        let values = [(&scope.tenant() as &(dyn postgres::types::ToSql + Sync), Type::TEXT), (&sid, Type::TEXT)];
        let condition = scope.condition();
        let row = self
            .client()
            .query_typed_opt(&format!("select {COLUMNS} from calls where {condition} and call_sid = $2"), &values)
            .map_err(failed("look up a call"))?;
        let Some(row) = row else { return Ok(None) };
        let steps = self
            .client()
            .query_typed(
                "select step, dialer, started_at, ended_at, outcome, duration_seconds, sip_code from call_steps
                 where call_sid = $1 order by step",
                &[(&sid, Type::TEXT)],
            )
            .map_err(failed("read the steps of a call"))?;
        let step = |row: &Row| CallStep {
            step: row.get(0),
            dialer: row.get(1),
            started_at: row.get(2),
            ended_at: row.get(3),
            outcome: row.get(4),
            duration: row.get(5),
            sip_code: row.get(6),
        };
        Ok(Some((entry(&row), steps.iter().map(step).collect())))
    }
}
