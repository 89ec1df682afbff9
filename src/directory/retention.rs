//! What the directory forgets by itself: personal data has an end.

use std::str::FromStr;

use postgres::types::{ToSql, Type};

use super::{Directory, DirectoryError, failed};

/// How long calls, what runs changed and the secrets of deleted users are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retention {
    /// So many days.
    Days(u16),
    /// For ever.
    Forever,
}

impl FromStr for Retention {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "forever" {
            return Ok(Self::Forever);
        }
        let days = text.strip_suffix('d').and_then(|days| days.parse::<u16>().ok()).filter(|days| *days > 0);
        days.map(Self::Days).ok_or_else(|| "write a number of days from 1 on, such as `90d`, or `forever`".to_owned())
    }
}

/// Forgets in one statement. `$1` is the number of days. A run keeps its row: who applied when, and how it ended.
const FORGET: &str = "with until as (select now() - make_interval(days => $1) as at),
     of_calls as (delete from calls using until where first_event_at < until.at),
     of_letters as (delete from call_dead_letters using until where refused_at < until.at),
     of_users as (delete from former_secrets using until where left_at < until.at),
     of_states as (
        delete from desired_states s using until
        where stored_at < until.at and not exists (
            select from apply_audit_log a
            where a.tenant = s.tenant and a.desired = s.digest and a.started_at >= until.at))
     update apply_audit_log set diff = '', desired = null from until
     where started_at < until.at and (diff <> '' or desired is not null)";

impl Directory {
    /// Forgets what is older than the retention, of all tenants.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn forget(&mut self, retention: Retention) -> Result<(), DirectoryError> {
        let Retention::Days(days) = retention else { return Ok(()) };
        self.require_current()?;
        let days: &(dyn ToSql + Sync) = &i32::from(days);
        self.client()
            .query_typed(FORGET, &[(days, Type::INT4)])
            .map_err(failed("forget what is older than the retention"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_is_days_or_forever() {
        assert_eq!("90d".parse(), Ok(Retention::Days(90)));
        assert_eq!("forever".parse(), Ok(Retention::Forever));
        for text in ["", "0d", "90", "-1d", "d", "70000d", "never"] {
            assert!(text.parse::<Retention>().is_err(), "{text}");
        }
    }
}
