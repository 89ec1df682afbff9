//! The audit log: who applied what, when, and how it ended. No secret ever stands in it.

use std::collections::BTreeMap;

use postgres::{GenericClient, types::Type};

use super::{Directory, DirectoryError, failed};
use crate::model::Tenant;

/// A run as it begins.
#[derive(Debug, Clone)]
pub struct Run {
    /// The tenant.
    pub tenant: Tenant,
    /// The Asterisk host.
    pub host: String,
    /// `sync` or `apply`.
    pub command: &'static str,
    /// Who started it.
    pub actor: String,
    /// The commit of the desired state, where it lies in a git work tree.
    pub git_commit: Option<String>,
    /// The plan that is applied.
    pub plan_id: Option<String>,
    /// Rows by kind of change.
    pub counts: BTreeMap<&'static str, usize>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Rows only, by `sync`.
    Recorded,
    /// Files written, Asterisk left alone (`--no-reload`).
    Rendered,
    /// Asterisk runs what the files say, read back.
    Live,
    /// Asterisk did not take it; the last good files are back and run.
    RolledBack,
    /// Asterisk did not take it, nor the last good files.
    NotLive,
}

impl Outcome {
    /// Returns the word in the table and in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Rendered => "rendered",
            Self::Live => "live",
            Self::RolledBack => "rolled_back",
            Self::NotLive => "not_live",
        }
    }
}

/// The end of a run.
#[derive(Debug, Clone)]
pub struct End {
    /// How it ended.
    pub outcome: Outcome,
    /// SHA-256 of each file as it now stands.
    pub files: BTreeMap<String, String>,
    /// Milliseconds of each phase.
    pub phases: BTreeMap<&'static str, u64>,
    /// What went wrong, scrubbed of secrets.
    pub message: Option<String>,
}

/// Opens an audit row; rows that a killed run left open become `interrupted`.
pub(super) fn open(db: &mut impl GenericClient, run: &Run) -> Result<i64, DirectoryError> {
    let action = "open the audit row";
    db.query_typed(
        "update apply_audit_log set outcome = 'interrupted', finished_at = now()
         where tenant = $1 and host = $2 and command = $3 and outcome = 'open'",
        &[(&run.tenant.as_str(), Type::TEXT), (&run.host, Type::TEXT), (&run.command, Type::TEXT)],
    )
    .map_err(failed(action))?;
    let counts = serde_json::to_string(&run.counts).unwrap_or_else(|_| "{}".to_owned());
    let row = db
        .query_typed_one(
            "insert into apply_audit_log (tenant, host, command, actor, git_commit, plan_id, counts, outcome)
             values ($1, $2, $3, $4, $5, $6, $7::jsonb, 'open') returning id",
            &[
                (&run.tenant.as_str(), Type::TEXT),
                (&run.host, Type::TEXT),
                (&run.command, Type::TEXT),
                (&run.actor, Type::TEXT),
                (&run.git_commit, Type::TEXT),
                (&run.plan_id, Type::TEXT),
                (&counts, Type::TEXT),
            ],
        )
        .map_err(failed(action))?;
    Ok(row.get(0))
}

impl Directory {
    /// Closes an audit row.
    ///
    /// # Errors
    /// When the database fails.
    pub fn close_audit(&mut self, id: i64, end: &End) -> Result<(), DirectoryError> {
        let files = serde_json::to_string(&end.files).unwrap_or_else(|_| "{}".to_owned());
        let phases = serde_json::to_string(&end.phases).unwrap_or_else(|_| "{}".to_owned());
        self.client()
            .query_typed(
                "update apply_audit_log
                 set outcome = $2, files = $3::jsonb, phases = $4::jsonb, message = $5, finished_at = now()
                 where id = $1",
                &[
                    (&id, Type::INT8),
                    (&end.outcome.word(), Type::TEXT),
                    (&files, Type::TEXT),
                    (&phases, Type::TEXT),
                    (&end.message, Type::TEXT),
                ],
            )
            .map_err(failed("close the audit row"))?;
        Ok(())
    }

    /// Names the run that is open for a host: who holds its lock, and since when.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open_run(&mut self, host: &str) -> Result<Option<String>, DirectoryError> {
        let row = self
            .client()
            .query_typed_opt(
                "select actor, command, to_char(started_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
                 from apply_audit_log where host = $1 and outcome = 'open' order by id desc limit 1",
                &[(&host, Type::TEXT)],
            )
            .map_err(failed("read the audit log"))?;
        Ok(row.map(|row| {
            let (actor, command, since): (String, String, String) = (row.get(0), row.get(1), row.get(2));
            format!("{actor} runs `{command}` on {host} since {since}")
        }))
    }
}
