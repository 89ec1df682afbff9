//! Users one by one, for the portal API: what must be known to make some, pages, single rows.
//!
//! Bounded statements whatever the number of users. Which number somebody gets is decided by
//! `plan`.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use jiff::Timestamp;
use postgres::{
    GenericClient, Row,
    types::{ToSql, Type},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Directory, DirectoryError, Writer, failed,
    read::{bad_row, json, number},
    types::{Hold, ManagedBy, RecordedTenant},
    write::{self, Row as NewRow},
};
use crate::model::{DisplayName, Email, EmailKey, Extension, ExtensionRange, Settings, Tenant};

/// A user as the portal shows one: no secret, and nothing that tells about one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The row's identity.
    pub id: Uuid,
    /// The address as written.
    pub email: Email,
    /// The display name.
    pub name: DisplayName,
    /// The number.
    pub extension: Extension,
    /// Who changes the row.
    pub managed_by: ManagedBy,
    /// Whether deletion and renumbering are refused.
    pub protected: bool,
    /// Since when the user is recorded.
    pub created_at: Timestamp,
}

/// What newcomers meet: the tenant, and who of them is there already.
#[derive(Debug)]
pub struct Meeting {
    /// The tenant's row.
    pub tenant: RecordedTenant,
    /// Those of the addresses that are users.
    pub present: BTreeSet<EmailKey>,
    /// The time at which all rows of this transaction are made.
    pub now: Timestamp,
}

/// How many users a tenant has, and what is left for others.
#[derive(Debug)]
pub struct Standing {
    /// What its users share.
    pub settings: Settings,
    /// Users of the file.
    pub file_users: u32,
    /// Users of the API.
    pub api_users: u32,
    /// Users whose number is in the range.
    pub in_range: u32,
    /// Reserved numbers of the range that somebody has all the same.
    pub reserved_in_use: u32,
    /// Numbers on hold.
    pub holds: BTreeMap<Extension, Hold>,
}

const COLUMNS: &str = "u.id, u.email, u.name, e.number, u.managed_by = 'api', u.protected, u.created_at";

fn user(row: &Row) -> Result<User, DirectoryError> {
    Ok(User {
        id: row.get(0),
        email: row.get::<_, &str>(1).parse().map_err(bad_row("e-mail"))?,
        name: row.get::<_, &str>(2).parse().map_err(bad_row("name"))?,
        extension: number(row.get(3))?,
        managed_by: if row.get(4) { ManagedBy::Api } else { ManagedBy::File },
        protected: row.get(5),
        created_at: row.get(6),
    })
}

fn one(db: &mut impl GenericClient, tenant: &Tenant, id: Uuid) -> Result<Option<User>, DirectoryError> {
    let statement = format!(
        "select {COLUMNS} from tenants t join users u on u.tenant_id = t.id join extensions e on e.user_id = u.id
         where t.slug = $1 and u.id = $2"
    );
    let parameters: &[(&(dyn ToSql + Sync), Type)] = &[(&tenant.as_str(), Type::TEXT), (&id, Type::UUID)];
    db.query_typed_opt(&statement, parameters).map_err(failed("read a user"))?.as_ref().map(user).transpose()
}

impl Directory {
    /// Lists a tenant's users by extension, a page at a time: those after a number, so many at most.
    ///
    /// # Errors
    /// When the database fails.
    pub fn users(
        &mut self,
        tenant: &Tenant,
        after: Option<Extension>,
        limit: Option<u32>,
    ) -> Result<Vec<User>, DirectoryError> {
        let statement = format!(
            "select {COLUMNS} from tenants t join extensions e on e.tenant_id = t.id join users u on u.id = e.user_id
             where t.slug = $1 and e.number > $2 order by e.number limit $3"
        );
        let after = after.map_or(0, int);
        let rows = self
            .client()
            .query_typed(
                &statement,
                &[(&tenant.as_str(), Type::TEXT), (&after, Type::INT4), (&limit.map(i64::from), Type::INT8)],
            )
            .map_err(failed("list the users"))?;
        rows.iter().map(user).collect()
    }

    /// Reads one user of a tenant.
    ///
    /// # Errors
    /// When the database fails.
    pub fn user(&mut self, tenant: &Tenant, id: Uuid) -> Result<Option<User>, DirectoryError> {
        one(self.client(), tenant, id)
    }

    /// Counts a tenant's users and the numbers they have, without reading them all; none before the
    /// first sync.
    ///
    /// # Errors
    /// When the database fails.
    pub fn standing(&mut self, tenant: &Tenant) -> Result<Option<Standing>, DirectoryError> {
        let action = "count the users";
        let row = self
            .client()
            .query_typed_opt(
                "select id, settings::text from tenants where slug = $1",
                &[(&tenant.as_str(), Type::TEXT)],
            )
            .map_err(failed(action))?;
        let Some(row) = row else { return Ok(None) };
        let (id, settings): (Uuid, Settings) = (row.get(0), json("settings", row.get(1))?);
        let reserved: Vec<i32> =
            settings.reserved.iter().filter(|number| settings.range.contains(**number)).copied().map(int).collect();
        let counts = self
            .client()
            .query_typed_one(
                "select count(*) filter (where u.managed_by = 'file'), count(*) filter (where u.managed_by = 'api'),
                        count(*) filter (where e.number between $2 and $3),
                        count(*) filter (where e.number = any ($4))
                 from extensions e join users u on u.id = e.user_id where e.tenant_id = $1",
                &[
                    (&id, Type::UUID),
                    (&int(settings.range.first()), Type::INT4),
                    (&int(settings.range.last()), Type::INT4),
                    (&reserved, Type::INT4_ARRAY),
                ],
            )
            .map_err(failed(action))?;
        let rows = self
            .client()
            .query_typed(
                "select number, held_for, freed_at from extensions where tenant_id = $1 and user_id is null",
                &[(&id, Type::UUID)],
            )
            .map_err(failed(action))?;
        let hold = |row: &Row| {
            let hold = Hold { email: EmailKey::of(row.get(1)), freed_at: row.get(2) };
            Ok((number(row.get(0))?, hold))
        };
        let count = |column: usize| u32::try_from(counts.get::<_, i64>(column)).unwrap_or(u32::MAX);
        Ok(Some(Standing {
            settings,
            file_users: count(0),
            api_users: count(1),
            in_range: count(2),
            reserved_in_use: count(3),
            holds: rows.iter().map(hold).collect::<Result<_, DirectoryError>>()?,
        }))
    }
}

impl Writer<'_> {
    /// Reads one user of a tenant, whom nobody else can change now.
    ///
    /// # Errors
    /// When the database fails.
    pub fn user(&mut self, tenant: &Tenant, id: Uuid) -> Result<Option<User>, DirectoryError> {
        one(self.client, tenant, id)
    }

    /// Finds the tenant and those of the addresses that are users; none before the first sync.
    ///
    /// # Errors
    /// When the database fails.
    pub fn meet<'a>(
        &mut self,
        tenant: &Tenant,
        emails: impl Iterator<Item = &'a EmailKey>,
    ) -> Result<Option<Meeting>, DirectoryError> {
        let emails: Vec<&str> = emails.map(EmailKey::as_str).collect();
        let row = self
            .client
            .query_typed_opt(
                "select t.id, t.settings::text, now(),
                        array(select u.email_key from users u where u.tenant_id = t.id and u.email_key = any ($2))
                 from tenants t where t.slug = $1",
                &[(&tenant.as_str(), Type::TEXT), (&emails, Type::TEXT_ARRAY)],
            )
            .map_err(failed("read the tenant"))?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Meeting {
            tenant: RecordedTenant { id: row.get(0), settings: json("settings", row.get(1))? },
            now: row.get(2),
            present: row.get::<_, Vec<&str>>(3).into_iter().map(EmailKey::of).collect(),
        }))
    }

    /// Reads the numbers on hold, and those of the wanted ones that are taken.
    ///
    /// # Errors
    /// When the database fails.
    pub fn kept_numbers(
        &mut self,
        tenant: Uuid,
        wanted: &[Extension],
    ) -> Result<(BTreeMap<Extension, Hold>, BTreeSet<Extension>), DirectoryError> {
        let wanted: Vec<i32> = wanted.iter().copied().map(int).collect();
        let rows = self
            .client
            .query_typed(
                "select number, held_for, freed_at from extensions where tenant_id = $1 and user_id is null
                 union all
                 select number, null, null from extensions
                 where tenant_id = $1 and user_id is not null and number = any ($2)",
                &[(&tenant, Type::UUID), (&wanted, Type::INT4_ARRAY)],
            )
            .map_err(failed("read the extensions"))?;
        let (mut holds, mut taken) = (BTreeMap::new(), BTreeSet::new());
        for row in rows {
            let number = number(row.get(0))?;
            match row.get::<_, Option<&str>>(1) {
                Some(email) => drop(holds.insert(number, Hold { email: EmailKey::of(email), freed_at: row.get(2) })),
                None => drop(taken.insert(number)),
            }
        }
        Ok((holds, taken))
    }

    /// Finds the lowest gaps between the users' numbers, so many at most, in order: the numbers of
    /// a range that are nobody's, some of which may be on hold or reserved.
    ///
    /// # Errors
    /// When the database fails.
    pub fn gaps(
        &mut self,
        tenant: Uuid,
        range: ExtensionRange,
        limit: usize,
    ) -> Result<Vec<RangeInclusive<u32>>, DirectoryError> {
        // The numbers are walked in order of their index, no further than the last gap asked for;
        // not at all where counting them, which is cheaper, tells that there is none.
        let rows = self
            .client
            .query_typed(
                "with taken as not materialized (
                    select number from extensions
                    where tenant_id = $1 and user_id is not null and number between $2 and $3
                 ), whole as materialized (
                    select count(*) as count, coalesce(max(number), $2 - 1) as last from taken
                 )
                 (select before + 1, number - 1
                  from (select number, lag(number, 1, $2 - 1) over (order by number) as before from taken) as steps
                  where number > before + 1 and (select count <= last - $2 from whole) order by number limit $4)
                 union all
                 select last + 1, $3 from whole",
                &[
                    (&tenant, Type::UUID),
                    (&int(range.first()), Type::INT4),
                    (&int(range.last()), Type::INT4),
                    (&i64::try_from(limit).unwrap_or(i64::MAX), Type::INT8),
                ],
            )
            .map_err(failed("look for free extensions"))?;
        let plain = |number: i32| u32::try_from(number).unwrap_or_default();
        let mut gaps: Vec<_> = rows.iter().map(|row| plain(row.get(0))..=plain(row.get(1))).collect();
        gaps.sort_by_key(|gap| *gap.start());
        Ok(gaps)
    }

    /// Adds new users, whose addresses and numbers are nobody's; `held` if any number is on hold.
    ///
    /// # Errors
    /// When the database fails or refuses a row; then nobody is added.
    pub fn add(&mut self, tenant: Uuid, rows: &[NewRow], held: bool) -> Result<(), DirectoryError> {
        if held {
            write::release(self.client, tenant, rows)?;
        }
        write::record(self.client, tenant, rows)
    }
}

fn int(extension: Extension) -> i32 {
    i32::try_from(extension.number()).unwrap_or(i32::MAX)
}
