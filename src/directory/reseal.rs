//! All that is sealed in the directory, of every tenant: with which keys, and sealed anew so that a key can be retired.

use postgres::{Client, types::Type};
use uuid::Uuid;

use super::{Directory, DirectoryError, LOCK, Schema, Writer, earlier, failed, lock, objects, seal::Keyring, undo};

/// A sealed value and where it is recorded.
#[derive(Debug)]
pub struct Sealed {
    /// The tenant's slug.
    pub tenant: String,
    /// The tenant's row.
    pub tenant_id: Uuid,
    /// Where in the tenant.
    pub place: SealedPlace,
    /// The sealed bytes.
    pub bytes: Vec<u8>,
}

/// Which value of a tenant is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealedPlace {
    /// The secret of the user with this row.
    User(Uuid),
    /// The secret of the object with this row.
    Object(Uuid),
    /// The secret of a deleted user who had this row.
    Former(Uuid),
    /// The answer that is kept for a client of the portal API, by token and idempotency key.
    Answer(i64, String),
}

/// The tables that hold sealed secrets of users and objects.
fn sealed_tables(schema: Schema) -> &'static [&'static str] {
    match schema {
        Schema::Absent => &[],
        Schema::Older(version) if version < earlier::INBOUND_SINCE => &["users"],
        Schema::Older(version) if version < objects::SINCE => &["users", "trunk_secrets"],
        Schema::Older(version) if version < undo::SINCE => &["users", "secrets"],
        _ => &["users", "secrets", "former_secrets"],
    }
}

/// A value that was sealed anew.
pub type Resealed = (SealedPlace, Uuid, Vec<u8>);

impl Directory {
    /// Tells whether any secret is sealed here.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn holds_secrets(&mut self) -> Result<bool, DirectoryError> {
        let tables = sealed_tables(self.schema()?);
        if tables.is_empty() {
            return Ok(false);
        }
        let any: Vec<String> = tables.iter().map(|table| format!("exists (select from {table})")).collect();
        let row = self
            .client
            .query_typed_one(&format!("select {}", any.join(" or ")), &[])
            .map_err(failed("look for secrets"))?;
        Ok(row.get(0))
    }

    /// Lists the ids of the keys that secrets were sealed with.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn key_ids(&mut self) -> Result<Vec<Vec<u8>>, DirectoryError> {
        let schema = self.schema()?;
        list_key_ids(&mut self.client, sealed_tables(schema))
    }

    /// Starts a transaction in which everything sealed may change; waits for the writers of all tenants.
    ///
    /// # Errors
    /// When the database fails, or another writer keeps a lock for 30 seconds.
    pub fn write_all(&mut self) -> Result<Writer<'_>, DirectoryError> {
        self.require_current()?;
        let writer = Writer { client: &mut self.client, ended: false };
        writer.client.batch_execute("begin").map_err(failed("start a transaction"))?;
        let rows = writer.client.query_typed("select slug from tenants order by slug collate \"C\"", &[]);
        // In one order, so that two runs wait for each other; other writers hold one lock only.
        let slugs = rows.map_err(failed("list the tenants"))?;
        let locks: Vec<String> = slugs.iter().map(|row| lock(&format!("tenant {}", row.get::<_, &str>(0)))).collect();
        writer.client.batch_execute(&locks.join("; ")).map_err(failed(LOCK))?;
        Ok(writer)
    }
}

fn list_key_ids(client: &mut Client, tables: &[&str]) -> Result<Vec<Vec<u8>>, DirectoryError> {
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let of = |table: &&str| format!("select substring(secret_sealed from 2 for 8) as key from {table}");
    let all: Vec<String> = tables.iter().map(of).collect();
    let statement = format!("select distinct key from ({}) as sealed", all.join(" union all "));
    let rows = client.query_typed(&statement, &[]).map_err(failed("look for the keys of secrets"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Writes the SQL expression that tells whether a secret of the directory is sealed with one of the keys whose ids are
/// listed in this parameter.
pub(super) fn is_sealed_with(ids: &str) -> String {
    format!(
        "(exists (select from users where substring(secret_sealed from 2 for 8) = any({ids}))
          or exists (select from secrets where substring(secret_sealed from 2 for 8) = any({ids})))"
    )
}

impl Writer<'_> {
    /// Makes sure, before anything is sealed, that the keys open some of the directory's secrets if it has any: one that
    /// is sealed with a key of another directory would block all that opens those of its tenant.
    ///
    /// # Errors
    /// When they open none, or the database fails.
    pub(crate) fn require_keys(&mut self, keys: &Keyring) -> Result<(), DirectoryError> {
        let statement = format!("select {}", is_sealed_with("$1"));
        let given: Vec<&[u8]> = keys.ids().collect();
        let row = self.client.query_typed_one(&statement, &[(&given, Type::BYTEA_ARRAY)]);
        if row.map_err(failed("look for the keys of secrets"))?.get(0) {
            return Ok(());
        }
        Ok(keys.open_some(&list_key_ids(self.client, sealed_tables(Schema::Current))?)?)
    }

    /// Reads all that was sealed with another key than this one, by tenants. Answers that are kept no longer are
    /// deleted.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn sealed_otherwise(&mut self, key: &[u8]) -> Result<Vec<Sealed>, DirectoryError> {
        let action = "read what is sealed";
        self.client
            .batch_execute("delete from idempotency_keys where created_at <= now() - interval '24 hours'")
            .map_err(failed(action))?;
        let rows = self
            .client
            .query_typed(
                "select t.slug, t.id, 1, u.id, null::bigint, null, u.secret_sealed
                 from users u join tenants t on t.id = u.tenant_id where substring(u.secret_sealed from 2 for 8) <> $1
                 union all
                 select t.slug, t.id, 2, o.id, null, null, s.secret_sealed
                 from secrets s join objects o on o.id = s.object_id join tenants t on t.id = o.tenant_id
                 where substring(s.secret_sealed from 2 for 8) <> $1
                 union all
                 select t.slug, t.id, 4, f.user_id, null, null, f.secret_sealed
                 from former_secrets f join tenants t on t.id = f.tenant_id
                 where substring(f.secret_sealed from 2 for 8) <> $1
                 union all
                 select t.slug, t.id, 3, null, k.token, k.key, k.answer
                 from idempotency_keys k join tenants t on t.id = k.tenant_id
                 where substring(k.answer from 2 for 8) <> $1
                 order by 1",
                &[(&key, Type::BYTEA)],
            )
            .map_err(failed(action))?;
        let sealed = |row: &postgres::Row| Sealed {
            tenant: row.get(0),
            tenant_id: row.get(1),
            place: match row.get(2) {
                1 => SealedPlace::User(row.get(3)),
                2 => SealedPlace::Object(row.get(3)),
                4 => SealedPlace::Former(row.get(3)),
                _ => SealedPlace::Answer(row.get(4), row.get(5)),
            },
            bytes: row.get(6),
        };
        Ok(rows.iter().map(sealed).collect())
    }

    /// Writes what was sealed anew; four statements, however much it is. Rows do not count as changed: what they say is
    /// the same.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn write_sealed(&mut self, resealed: &[Resealed]) -> Result<(), DirectoryError> {
        let action = "write what was sealed anew";
        let by_row = |wanted: fn(&SealedPlace) -> Option<Uuid>| -> (Vec<Uuid>, Vec<&[u8]>) {
            resealed.iter().filter_map(|(place, _, bytes)| Some((wanted(place)?, bytes.as_slice()))).unzip()
        };
        let users = by_row(|place| if let SealedPlace::User(id) = place { Some(*id) } else { None });
        let objects = by_row(|place| if let SealedPlace::Object(id) = place { Some(*id) } else { None });
        let former = by_row(|place| if let SealedPlace::Former(id) = place { Some(*id) } else { None });
        for (table, key, (ids, bytes)) in
            [("users", "id", users), ("secrets", "object_id", objects), ("former_secrets", "user_id", former)]
        {
            let statement = format!(
                "update {table} set secret_sealed = n.sealed from unnest($1, $2) as n (id, sealed)
                 where {table}.{key} = n.id"
            );
            self.client
                .query_typed(&statement, &[(&ids, Type::UUID_ARRAY), (&bytes, Type::BYTEA_ARRAY)])
                .map_err(failed(action))?;
        }
        let (mut tenants, mut tokens, mut keys, mut answers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (place, tenant, bytes) in resealed {
            if let SealedPlace::Answer(token, key) = place {
                tenants.push(*tenant);
                tokens.push(*token);
                keys.push(key.as_str());
                answers.push(bytes.as_slice());
            }
        }
        self.client
            .query_typed(
                "update idempotency_keys k set answer = n.answer
                 from unnest($1, $2, $3, $4) as n (tenant_id, token, key, answer)
                 where k.tenant_id = n.tenant_id and k.token = n.token and k.key = n.key",
                &[
                    (&tenants, Type::UUID_ARRAY),
                    (&tokens, Type::INT8_ARRAY),
                    (&keys, Type::TEXT_ARRAY),
                    (&answers, Type::BYTEA_ARRAY),
                ],
            )
            .map_err(failed(action))?;
        Ok(())
    }
}
