//! All rows of the directory as plain JSON, for a backup, and back into an empty database.
//!
//! PostgreSQL writes and reads the rows itself, so that nothing here knows a column. Secrets stay sealed. A bundle of an
//! earlier schema is written into tables of that schema, which are then migrated like any other.

use std::mem;

use postgres::{
    GenericClient,
    fallible_iterator::FallibleIterator,
    types::{ToSql, Type},
};
use refinery::Target;
use serde_json::Value;

use super::{Directory, DirectoryError, LOCK, Schema, failed, latest, lock, migrations};

/// The tables, those first whose rows are named by rows of the others.
pub(crate) const TABLES: [&str; 18] = [
    "directory",
    "tenants",
    "users",
    "objects",
    "secrets",
    "former_secrets",
    "extensions",
    "former_users",
    "freed_numbers",
    "public_numbers",
    "applied_routes",
    "api_tokens",
    "idempotency_keys",
    "desired_states",
    "apply_audit_log",
    "calls",
    "call_steps",
    "call_dead_letters",
];

/// How many rows a line of a bundle has at most.
const AT_ONCE: usize = 1000;

const READ: &str = "read all rows";

/// Rows of one table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rows {
    /// The table.
    pub(crate) table: String,
    /// The rows, as PostgreSQL writes them.
    pub(crate) rows: Vec<Value>,
}

impl Directory {
    /// Reads all rows in one snapshot, a part at a time.
    ///
    /// # Errors
    /// When the database fails, its schema is another one, or `take` fails.
    pub(crate) fn dump(&mut self, take: &mut dyn FnMut(Rows) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.require_current()?;
        let mut snapshot = self
            .client()
            .build_transaction()
            .read_only(true)
            .isolation_level(postgres::IsolationLevel::RepeatableRead)
            .start()
            .map_err(failed("start a transaction"))?;
        for table in TABLES {
            rows(&mut snapshot, table, take)?;
        }
        snapshot.commit().map_err(failed("end a transaction"))?;
        Ok(())
    }

    /// Tells whether nothing was ever recorded here.
    ///
    /// # Errors
    /// When the database fails, or a later version of this program wrote it.
    pub(crate) fn is_unused(&mut self) -> Result<bool, DirectoryError> {
        if self.schema()? == Schema::Absent {
            return Ok(true);
        }
        let row = self
            .client()
            .query_typed_one(
                "select not exists (select from tenants) and not exists (select from apply_audit_log)",
                &[],
            )
            .map_err(failed("look for rows"))?;
        Ok(row.get(0))
    }

    /// Returns the latest version of the schema.
    pub(crate) fn latest_schema() -> i32 {
        latest()
    }

    /// Writes the rows of a bundle into an unused database, in one transaction, and migrates them. Reads them again before
    /// it commits: what is recorded is what the bundle holds.
    ///
    /// # Errors
    /// When the database holds rows, or a row does not fit. Nothing is recorded then.
    pub(crate) fn load(&mut self, schema: i32, bundle: &[Rows]) -> anyhow::Result<()> {
        let action = "write the rows of the bundle";
        if self.schema()? == Schema::Absent {
            self.schema = None;
            migrations::migrations::runner()
                .set_grouped(true)
                .set_target(Target::Version(schema))
                .run(&mut self.client)
                .map_err(|error| DirectoryError::Migrate(Box::new(error)))?;
        }
        let mut writer = self.client.transaction().map_err(failed("start a transaction"))?;
        writer.batch_execute(&lock("migrate")).map_err(failed(LOCK))?;
        writer.batch_execute("delete from directory").map_err(failed(action))?;
        for Rows { table, rows } in bundle {
            let Some(table) = TABLES.into_iter().find(|known| known == table) else {
                return Err(DirectoryError::BadRow { what: "table of the bundle", reason: table.clone() }.into());
            };
            let columns = columns(&mut writer, table)?;
            let statement = format!(
                "insert into {table} ({columns}) overriding system value
                 select {columns} from jsonb_populate_recordset(null::{table}, $1::jsonb)"
            );
            let text = serde_json::to_string(rows).map_err(|source| DirectoryError::Unwritable { action, source })?;
            writer.query_typed(&statement, &[(&text, Type::TEXT)]).map_err(failed(action))?;
        }
        writer
            .batch_execute(
                "select setval(pg_get_serial_sequence('apply_audit_log', 'id'),
                               greatest(1, (select coalesce(max(id), 0) from apply_audit_log)),
                               exists (select from apply_audit_log))",
            )
            .map_err(failed(action))?;
        verify(&mut writer, bundle)?;
        writer.commit().map_err(failed("commit the rows of the bundle"))?;
        self.schema = None;
        self.migrate()?;
        Ok(())
    }
}

/// Reads the rows of a table, a part at a time, in the order of their own text: two dumps of the same rows are the same.
fn rows(
    db: &mut impl GenericClient,
    table: &str,
    take: &mut dyn FnMut(Rows) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let statement = format!("select to_jsonb(t)::text from {table} t order by 1");
    let none: [(&(dyn ToSql + Sync), Type); 0] = [];
    let mut rows = db.query_typed_raw(&statement, none).map_err(failed(READ))?;
    let mut part = Vec::new();
    while let Some(row) = rows.next().map_err(failed(READ))? {
        part.push(serde_json::from_str(row.get(0))?);
        if part.len() == AT_ONCE {
            take(Rows { table: table.to_owned(), rows: mem::take(&mut part) })?;
        }
    }
    if part.is_empty() { Ok(()) } else { take(Rows { table: table.to_owned(), rows: part }) }
}

/// Makes sure that the rows in the database are those of a bundle, no column more or less.
fn verify(db: &mut impl GenericClient, bundle: &[Rows]) -> anyhow::Result<()> {
    let differs = |table: &str| DirectoryError::BadRow {
        what: "bundle",
        reason: format!("PostgreSQL does not take its rows of `{table}` as they are"),
    };
    let mut parts = bundle.iter();
    let mut tables: Vec<&str> = bundle.iter().map(|part| part.table.as_str()).collect();
    tables.dedup();
    for table in tables {
        rows(db, table, &mut |part| match parts.next() {
            Some(wanted) if *wanted == part => Ok(()),
            _ => Err(differs(table).into()),
        })?;
    }
    match parts.next() {
        Some(more) => Err(differs(&more.table).into()),
        None => Ok(()),
    }
}

/// Lists the columns of a table that are not computed from others.
fn columns(db: &mut impl GenericClient, table: &str) -> Result<String, DirectoryError> {
    let row = db
        .query_typed_one(
            "select string_agg(quote_ident(column_name), ', ' order by ordinal_position)
             from information_schema.columns
             where table_schema = current_schema() and table_name = $1 and is_generated = 'NEVER'",
            &[(&table, Type::TEXT)],
        )
        .map_err(failed("list the columns"))?;
    Ok(row.get::<_, Option<String>>(0).unwrap_or_default())
}
