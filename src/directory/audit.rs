//! The audit log: who applied what, when, and how it ended. It never holds a secret.

use std::collections::BTreeMap;

use jiff::Timestamp;
use postgres::{
    GenericClient, Row,
    types::{ToSql, Type},
};
use serde::Serialize;

use super::{DesiredFiles, Directory, DirectoryError, EarlierRun, Place, Writer, document, failed, undo};
use crate::model::{Document, Tenant, document::Map};

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
    /// The commit of the desired state, if it is in a git work tree.
    pub(crate) git_commit: Option<String>,
    /// The plan that is applied.
    pub(crate) plan_id: Option<String>,
    /// Rows by kind of change.
    pub counts: BTreeMap<&'static str, usize>,
    /// What changes in the files, secrets masked.
    pub(crate) diff: String,
    /// The hash of everything that the run records and renders, or `None` if it renders nothing.
    pub target: Option<String>,
    /// What the file says; empty if there is none.
    pub desired: DesiredFiles,
    /// The hash of the rendered files, secrets and marks masked, or `None` if the run renders nothing.
    pub generation: Option<String>,
}

/// A run as the log has it.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Its number.
    pub run: i64,
    /// The Asterisk host.
    pub host: String,
    /// `sync`, `apply`, `secret rotate`; through the API also `create user` and `delete user`.
    pub command: String,
    /// Who started it.
    pub actor: String,
    /// The commit of the desired state; null where it lay in no git work tree.
    pub(crate) git_commit: Option<String>,
    /// The plan that was applied; null where there was none.
    pub(crate) plan_id: Option<String>,
    /// Rows by kind of change.
    pub counts: BTreeMap<String, u64>,
    /// SHA-256 of each file as it stood in the end.
    pub files: BTreeMap<String, String>,
    /// Milliseconds of each phase.
    pub phases: BTreeMap<String, u64>,
    /// `recorded`, `rendered`, `live`, `rolled_back`, `not_live`, `interrupted`, or `open`: still running, or killed.
    pub outcome: String,
    /// What went wrong.
    pub message: Option<String>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended; null where it did not.
    pub finished_at: Option<Timestamp>,
    /// What it changed in the files, secrets masked, or which row it changed; null in lists.
    pub(crate) diff: Option<String>,
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

/// Opens an audit row; rows that a killed apply left open become `interrupted`, by the next apply,
/// which holds the host. Other runs open and close theirs in one transaction.
pub(super) fn open(db: &mut impl GenericClient, run: &Run) -> Result<i64, DirectoryError> {
    let action = "open the audit row";
    db.query_typed(
        "update apply_audit_log set outcome = 'interrupted', finished_at = now()
         where tenant = $1 and host = $2 and $3 = 'apply' and outcome = 'open'",
        &[(&run.tenant.as_str(), Type::TEXT), (&run.host, Type::TEXT), (&run.command, Type::TEXT)],
    )
    .map_err(failed(action))?;
    let counts = run.counts.iter().map(|(kind, count)| ((*kind).to_owned(), *count as u64));
    let counts = document::write(action, &Map(counts.collect::<BTreeMap<_, _>>()))?;
    let desired = undo::keep_desired(db, &run.tenant, &run.desired)?;
    let row = db
        .query_typed_one(
            "insert into apply_audit_log
                (tenant, host, command, actor, git_commit, plan_id, counts, diff, target, desired, generation, outcome)
             values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9, $10, $11, 'open') returning id",
            &[
                (&run.tenant.as_str(), Type::TEXT),
                (&run.host, Type::TEXT),
                (&run.command, Type::TEXT),
                (&run.actor, Type::TEXT),
                (&run.git_commit, Type::TEXT),
                (&run.plan_id, Type::TEXT),
                (&counts, Type::TEXT),
                (&run.diff, Type::TEXT),
                (&run.target, Type::TEXT),
                (&desired, Type::BYTEA),
                (&run.generation, Type::TEXT),
            ],
        )
        .map_err(failed(action))?;
    Ok(row.get(0))
}

/// Reads which runs applied a plan, the latest run of each target.
pub(super) fn runs_of_plan(
    db: &mut impl GenericClient,
    tenant: &Tenant,
    plan_id: &str,
) -> Result<Vec<EarlierRun>, DirectoryError> {
    let rows = db
        .query_typed(
            "select distinct on (target) id, host, target from apply_audit_log
             where tenant = $1 and plan_id = $2 and target is not null order by target, id desc",
            &[(&tenant.as_str(), Type::TEXT), (&plan_id, Type::TEXT)],
        )
        .map_err(failed(READ))?;
    Ok(rows.iter().map(|row| EarlierRun { run: row.get(0), host: row.get(1), target: row.get(2) }).collect())
}

/// Closes an audit row.
pub(super) fn close(db: &mut impl GenericClient, id: i64, end: &End) -> Result<(), DirectoryError> {
    let action = "close the audit row";
    let phases = end.phases.iter().map(|(phase, time)| ((*phase).to_owned(), *time));
    let phases = document::write(action, &Map(phases.collect::<BTreeMap<_, _>>()))?;
    let files = document::write(action, &Map(end.files.clone()))?;
    db.query_typed(
        "update apply_audit_log
         set outcome = $2, files = $3::jsonb, phases = $4::jsonb, message = $5, finished_at = clock_timestamp(),
             is_bad = $6
         where id = $1",
        &[
            (&id, Type::INT8),
            (&end.outcome.word(), Type::TEXT),
            (&files, Type::TEXT),
            (&phases, Type::TEXT),
            (&end.message, Type::TEXT),
            (&[Outcome::RolledBack, Outcome::NotLive].contains(&end.outcome), Type::BOOL),
        ],
    )
    .map_err(failed(action))?;
    Ok(())
}

/// One change of a user's row that was not made by an apply.
#[derive(Debug)]
pub(crate) struct AuditEntry<'a> {
    /// Who did it.
    pub actor: &'a str,
    /// The row, as a line of a diff.
    pub change: String,
}

/// Adds a closed audit row for each entry: rows changed, files and Asterisk were left alone.
pub(super) fn add_entries(
    db: &mut impl GenericClient,
    tenant: &Tenant,
    host: &str,
    (command, kind): (&'static str, &'static str),
    entries: &[AuditEntry<'_>],
) -> Result<(), DirectoryError> {
    let actors: Vec<&str> = entries.iter().map(|entry| entry.actor).collect();
    let changes: Vec<&str> = entries.iter().map(|entry| entry.change.as_str()).collect();
    let counts = document::write("write the audit log", &Map(BTreeMap::from([(kind.to_owned(), 1_u64)])))?;
    db.query_typed(
        "insert into apply_audit_log (tenant, host, command, actor, counts, diff, outcome, finished_at)
         select $1, $2, $3, n.actor, $4::jsonb, n.change, $7, now()
         from unnest($5, $6) as n (actor, change)",
        &[
            (&tenant.as_str(), Type::TEXT),
            (&host, Type::TEXT),
            (&command, Type::TEXT),
            (&counts, Type::TEXT),
            (&actors, Type::TEXT_ARRAY),
            (&changes, Type::TEXT_ARRAY),
            (&Outcome::Recorded.word(), Type::TEXT),
        ],
    )
    .map_err(failed("write the audit log"))?;
    Ok(())
}

const READ: &str = "read the audit log";

/// The columns of an entry but the diff.
const COLUMNS: &str = "id, host, command, actor, git_commit, plan_id, counts::text, files::text, phases::text,
    outcome, message, started_at, finished_at";

/// Reads an entry. A column that cannot be read is empty, and the message says so: the others are read all the same.
fn entry(row: &Row) -> Entry {
    let run = row.get(0);
    let mut messages: Vec<String> = row.get::<_, Option<String>>(10).into_iter().collect();
    let (counts, files, phases) = (
        readable(row.get(6), run, "counts", &mut messages),
        readable(row.get(7), run, "files", &mut messages),
        readable(row.get(8), run, "phases", &mut messages),
    );
    Entry {
        run,
        host: row.get(1),
        command: row.get(2),
        actor: row.get(3),
        git_commit: row.get(4),
        plan_id: row.get(5),
        counts,
        files,
        phases,
        outcome: row.get(9),
        message: (!messages.is_empty()).then(|| messages.join("; ")),
        started_at: row.get(11),
        finished_at: row.get(12),
        diff: None,
    }
}

fn readable<V>(text: &str, run: i64, column: &'static str, messages: &mut Vec<String>) -> BTreeMap<String, V>
where
    Map<String, V>: Document,
{
    document::read(text, || Place::Run(run, column)).map_or_else(
        |unreadable| {
            messages.push(unreadable.to_string());
            BTreeMap::new()
        },
        |Map(map)| map,
    )
}

impl Writer<'_> {
    /// Reads which runs applied a plan, the latest run of each target.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn runs_of_plan(&mut self, tenant: &Tenant, plan_id: &str) -> Result<Vec<EarlierRun>, DirectoryError> {
        runs_of_plan(self.client, tenant, plan_id)
    }

    /// Opens an audit row.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn open_audit(&mut self, run: &Run) -> Result<i64, DirectoryError> {
        open(self.client, run)
    }

    /// Closes an audit row that the same transaction opened: a run that only records is never open.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn close_audit(&mut self, run: i64, end: &End) -> Result<(), DirectoryError> {
        close(self.client, run, end)
    }

    /// Adds a closed audit row for each entry. `command` is the command and the kind of change.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn add_audit_entries(
        &mut self,
        tenant: &Tenant,
        host: &str,
        command: (&'static str, &'static str),
        entries: &[AuditEntry<'_>],
    ) -> Result<(), DirectoryError> {
        add_entries(self.client, tenant, host, command, entries)
    }
}

impl Directory {
    /// Reads which runs applied a plan, the latest run of each target.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn runs_of_plan(&mut self, tenant: &Tenant, plan_id: &str) -> Result<Vec<EarlierRun>, DirectoryError> {
        runs_of_plan(self.client(), tenant, plan_id)
    }

    /// Closes an audit row.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn close_audit(&mut self, id: i64, end: &End) -> Result<(), DirectoryError> {
        close(self.client(), id, end)
    }

    /// Lists a tenant's latest runs, the last one first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn history(&mut self, tenant: &Tenant, limit: u32) -> Result<Vec<Entry>, DirectoryError> {
        let statement = format!("select {COLUMNS} from apply_audit_log where tenant = $1 order by id desc limit $2");
        let parameters: &[(&(dyn ToSql + Sync), Type)] =
            &[(&tenant.as_str(), Type::TEXT), (&i64::from(limit), Type::INT8)];
        let rows = self.client().query_typed(&statement, parameters).map_err(failed(READ))?;
        Ok(rows.iter().map(entry).collect())
    }

    /// Reads one run of a tenant, with its diff.
    ///
    /// # Errors
    /// When the database fails.
    pub fn run(&mut self, tenant: &Tenant, run: i64) -> Result<Option<Entry>, DirectoryError> {
        let statement = format!("select {COLUMNS}, diff from apply_audit_log where tenant = $1 and id = $2");
        let parameters: &[(&(dyn ToSql + Sync), Type)] = &[(&tenant.as_str(), Type::TEXT), (&run, Type::INT8)];
        let row = self.client().query_typed_opt(&statement, parameters).map_err(failed(READ))?;
        Ok(row.map(|row| Entry { diff: Some(row.get(13)), ..entry(&row) }))
    }

    /// Reads the last apply on each host of a tenant, and when its rows last changed.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn last_applies(&mut self, tenant: &Tenant) -> Result<(Vec<Entry>, Option<Timestamp>), DirectoryError> {
        let statement = format!(
            "select distinct on (host) {COLUMNS} from apply_audit_log
             where tenant = $1 and command = 'apply' order by host, id desc"
        );
        let parameters: &[(&(dyn ToSql + Sync), Type)] = &[(&tenant.as_str(), Type::TEXT)];
        let rows = self.client().query_typed(&statement, parameters).map_err(failed(READ))?;
        let changed = self
            .client()
            .query_typed_one(
                "select greatest(t.updated_at, (select max(u.updated_at) from users u where u.tenant_id = t.id),
                                 (select max(f.left_at) from former_users f where f.tenant_id = t.id))
                 from (select $1::text as slug) as asked left join tenants t using (slug)",
                parameters,
            )
            .map_err(failed(READ))?;
        Ok((rows.iter().map(entry).collect(), changed.get(0)))
    }

    /// Names the run that is open for a host: who holds its lock, and since when.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn open_run(&mut self, host: &str) -> Result<Option<String>, DirectoryError> {
        let row = self
            .client()
            .query_typed_opt(
                "select actor, command, to_char(started_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
                 from apply_audit_log where host = $1 and outcome = 'open' order by id desc limit 1",
                &[(&host, Type::TEXT)],
            )
            .map_err(failed(READ))?;
        Ok(row.map(|row| {
            let (actor, command, since): (String, String, String) = (row.get(0), row.get(1), row.get(2));
            format!("{actor} runs `{command}` on {host} since {since}")
        }))
    }
}
