//! Stage 2, recorded: the directory of tenants, users and extensions in PostgreSQL.
//!
//! Owns connections, the embedded cluster, migrations, reading, writing, sealing and the audit
//! log. What is to be written is decided by `plan`. Every statement is unnamed and no session
//! state is kept, so that a transaction pooler may stand between; the number of statements does
//! not grow with the number of users.

pub mod audit;
mod bundle;
mod calls;
mod changes;
mod connect;
mod credentials;
mod document;
mod earlier;
pub mod embedded;
mod error;
mod hints;
mod idempotency;
mod inbound;
mod live_routes;
mod objects;
mod options;
mod passfile;
mod probe;
mod read;
mod recorded_document;
mod remove;
mod reseal;
mod retention;
pub mod seal;
mod sql;
mod tokens;
mod types;
mod undo;
mod unreadable;
mod user_document;
mod users;
mod write;
mod writer;

use std::collections::BTreeMap;

use embedded::Embedded;
use postgres::{Client, types::Type};
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub(crate) use bundle::{Rows, TABLES};
pub use calls::{CallEntry, CallScope, CallStep, Written};
pub use changes::{NewSecret, NumberChanges, ObjectChanges, Row, RowChanges, SecretRow};
pub use connect::Url;
pub use credentials::PrepareError;
pub(crate) use credentials::{new_id, prints, random, seal_secret};
pub use error::DirectoryError;
pub(crate) use error::failed;
pub use idempotency::{EarlierAnswer, IdempotencyKey};
pub use inbound::MadeLive;
pub(crate) use objects::hint_of_taken;
pub(crate) use probe::Probe;
pub(crate) use recorded_document::{RecordedDocument, note_of_schema};
pub use reseal::{Resealed, Sealed, SealedPlace};
pub(crate) use retention::Retention;
pub(crate) use tokens::is_token;
pub use tokens::{BadToken, Bearer, Scope, TokenBytes, TokenEntry, TokenName, TokenText};
pub(crate) use types::FREED_DAYS;
pub use types::{EarlierRun, Hold, ManagedBy, Recorded, RecordedSecret, RecordedTenant, RecordedUser};
pub use undo::{BadGeneration, DesiredFiles, RunState};
pub use unreadable::{Place, UnreadableDocument};
pub use users::{NewUserContext, TenantCounts, User};
pub use write::Additions;
pub use writer::Writer;

use crate::model::Tenant;

/// Opens the directory, its schema brought up to date.
pub(crate) type Open = dyn Fn() -> anyhow::Result<Directory> + Send + Sync;

mod migrations {
    refinery::embed_migrations!("migrations");
}

/// An open connection to the directory.
pub struct Directory {
    // Declared before the cluster it talks to, so that it is closed first.
    client: Client,
    url: Url,
    cluster: Option<Embedded>,
    /// Read once: only a migration changes it.
    schema: Option<Schema>,
}

/// What a database holds of our schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Nothing yet.
    Absent,
    /// An earlier version.
    Older(i32),
    /// This program's version.
    Current,
}

impl Directory {
    /// Connects to a database by URL.
    ///
    /// # Errors
    /// When no server answers or accepts the login.
    pub fn connect(url: Url) -> Result<Self, DirectoryError> {
        Ok(Self { client: url.connect()?, url, cluster: None, schema: None })
    }

    /// Connects to the embedded cluster, which stops when its last user leaves.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn embedded(cluster: Embedded) -> Result<Self, DirectoryError> {
        let url = Url::socket(cluster.socket_dir(), cluster.user());
        Ok(Self { client: url.connect()?, url, cluster: Some(cluster), schema: None })
    }

    /// Names the database without any password.
    pub fn show(&self) -> String {
        if self.cluster.is_some() { "private".to_owned() } else { self.url.show() }
    }

    /// Tells whether the connection broke.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Makes sure that the database answers, and was not migrated since.
    ///
    /// # Errors
    /// When it does not answer, or its schema is not this program's.
    pub(crate) fn ping(&mut self) -> Result<(), DirectoryError> {
        self.schema = None;
        self.require_current()
    }

    /// Tells what the database holds of our schema.
    ///
    /// # Errors
    /// When it was written by a later version of this program, or cannot be asked.
    pub fn schema(&mut self) -> Result<Schema, DirectoryError> {
        if let Some(schema) = self.schema {
            return Ok(schema);
        }
        let schema = self.look_at_schema()?;
        self.schema = Some(schema);
        Ok(schema)
    }

    fn look_at_schema(&mut self) -> Result<Schema, DirectoryError> {
        let known = latest();
        let action = "tell its schema version";
        let table = self
            .client
            .query_typed_one("select to_regclass('refinery_schema_history')::text", &[])
            .map_err(failed(action))?;
        if table.get::<_, Option<String>>(0).is_none() {
            return Ok(Schema::Absent);
        }
        let row = self
            .client
            .query_typed_one("select coalesce(max(version), 0) from refinery_schema_history", &[])
            .map_err(failed(action))?;
        match row.get::<_, i32>(0) {
            0 => Ok(Schema::Absent),
            found if found > known => Err(DirectoryError::NewerSchema { found, known }),
            found if found < known => Ok(Schema::Older(found)),
            _ => Ok(Schema::Current),
        }
    }

    /// Brings the schema up to date, one process at a time; says which migrations ran.
    ///
    /// # Errors
    /// When a migration fails (none of them is kept), or the schema is a later one.
    pub fn migrate(&mut self) -> Result<Vec<String>, DirectoryError> {
        if self.schema()? == Schema::Current {
            return Ok(Vec::new());
        }
        self.schema = None;
        // The lock lives in a transaction on a connection of its own: no session state.
        let mut guard = self.url.connect()?;
        let mut guard = guard.transaction().map_err(failed("start a transaction"))?;
        guard.batch_execute(&lock("migrate")).map_err(failed(LOCK))?;
        let report = migrations::migrations::runner()
            .set_grouped(true)
            .run(&mut self.client)
            .map_err(|error| DirectoryError::Migrate(Box::new(error)))?;
        Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
    }

    /// Reads all that is recorded about a tenant, in one read-only snapshot.
    ///
    /// # Errors
    /// When the database fails or has a later schema, or if a document cannot be read.
    pub fn read(&mut self, tenant: &Tenant) -> Result<Recorded, DirectoryError> {
        self.read_readable(tenant)?.complete()
    }

    /// Reads what can be read about a tenant, in one read-only snapshot, for a command that does not need every
    /// document. [`Recorded::unreadable`] lists the others.
    ///
    /// # Errors
    /// When the database fails, or has a later schema.
    pub(crate) fn read_readable(&mut self, tenant: &Tenant) -> Result<Recorded, DirectoryError> {
        let schema = match self.schema()? {
            Schema::Absent => return Ok(Recorded::default()),
            Schema::Older(version) => version,
            Schema::Current => latest(),
        };
        let mut snapshot = self
            .client
            .build_transaction()
            .read_only(true)
            .isolation_level(postgres::IsolationLevel::RepeatableRead)
            .start()
            .map_err(failed("start a transaction"))?;
        let recorded = read::tenant(&mut snapshot, tenant, schema)?;
        snapshot.commit().map_err(failed("end a transaction"))?;
        Ok(recorded)
    }

    /// Says what the next command that writes makes of an earlier schema.
    ///
    /// # Errors
    /// When it was written by a later version of this program, or cannot be asked.
    pub(crate) fn schema_note(&mut self) -> Result<Option<String>, DirectoryError> {
        Ok(self.schema_version()?.and_then(note_of_schema))
    }

    /// Returns the version of the tables; `None` if there are none.
    ///
    /// # Errors
    /// When it was written by a later version of this program, or cannot be asked.
    pub(crate) fn schema_version(&mut self) -> Result<Option<i32>, DirectoryError> {
        Ok(match self.schema()? {
            Schema::Older(found) => Some(found),
            Schema::Current => Some(latest()),
            Schema::Absent => None,
        })
    }

    /// Makes sure that the schema is this program's.
    ///
    /// # Errors
    /// When it is another one, or the database fails.
    pub(crate) fn require_current(&mut self) -> Result<(), DirectoryError> {
        match self.schema()? {
            Schema::Current => Ok(()),
            Schema::Absent => Err(DirectoryError::Empty),
            Schema::Older(found) => Err(DirectoryError::OlderSchema { found, known: latest() }),
        }
    }

    /// Reads one user's sealed secret.
    ///
    /// # Errors
    /// When the database fails.
    pub fn sealed(&mut self, user: Uuid) -> Result<Option<Vec<u8>>, DirectoryError> {
        let row = self
            .client
            .query_typed_opt("select secret_sealed from users where id = $1", &[(&user, Type::UUID)])
            .map_err(failed("read a secret"))?;
        Ok(row.map(|row| row.get(0)))
    }

    /// Reads the sealed secrets of a tenant's users and objects, by their rows.
    ///
    /// # Errors
    /// When the database fails.
    pub fn sealed_of_tenant(&mut self, tenant: Uuid) -> Result<BTreeMap<Uuid, Vec<u8>>, DirectoryError> {
        read::sealed(&mut self.client, tenant)
    }

    /// Reads one object's sealed secret.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn sealed_of_object(&mut self, object: Uuid) -> Result<Option<Vec<u8>>, DirectoryError> {
        let row = self
            .client
            .query_typed_opt("select secret_sealed from secrets where object_id = $1", &[(&object, Type::UUID)])
            .map_err(failed("read a secret"))?;
        Ok(row.map(|row| row.get(0)))
    }

    /// Starts the one transaction in which a tenant's rows change; waits for other writers.
    ///
    /// # Errors
    /// When the database fails, or another writer keeps the lock for 30 seconds.
    pub fn write(&mut self, tenant: &Tenant) -> Result<Writer<'_>, DirectoryError> {
        let writer = Writer { client: &mut self.client, ended: false };
        // One round trip: it is paid for each user that is made.
        let begin = format!("begin; {}", lock(&format!("tenant {tenant}")));
        writer.client.batch_execute(&begin).map_err(failed(LOCK))?;
        Ok(writer)
    }

    /// Gives the audit log access to the connection.
    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// The latest schema version this program knows.
fn latest() -> i32 {
    migrations::migrations::runner().get_migrations().iter().map(refinery::Migration::version).max().unwrap_or(0)
}

const LOCK: &str = "take the lock of the only writer";

/// Writes the statements that take a lock, which ends with the transaction.
fn lock(name: &str) -> String {
    let hash = Sha256::digest(format!("reconcile {name}"));
    let key = i64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]]);
    format!("set local lock_timeout = '30s'; select pg_advisory_xact_lock({key})")
}
