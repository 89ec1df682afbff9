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
    Directory, DirectoryError, Place, Writer, document, failed,
    read::{bad_row, number},
    types::{Hold, ManagedBy, RecordedTenant},
};
use crate::{
    model::{DisplayName, Extension, ExtensionRange, Identity, Settings, Tenant, UserKey},
    objects::NumberOwner,
};

/// A user as the portal shows one: no secret, and nothing that tells about one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The row's identity.
    pub id: Uuid,
    /// The address or the id as written.
    pub email: Identity,
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

/// What newcomers meet: the tenant, who of them is there already, and which numbers are kept.
#[derive(Debug)]
pub struct Meeting {
    /// The tenant's row.
    pub tenant: RecordedTenant,
    /// Those of the addresses that are users.
    pub present: BTreeSet<UserKey>,
    /// Those of the wanted numbers that a user or an object has.
    pub taken: BTreeSet<Extension>,
    /// Numbers on hold.
    pub holds: BTreeMap<Extension, Hold>,
    /// The time at which all rows of this transaction are made.
    pub now: Timestamp,
    /// The lowest numbers, as far as they are known.
    pub numbers: Numbers,
    /// Changes with the tenant's row.
    pub(super) version: String,
}

/// The lowest numbers of a tenant's ranges, in use, on hold or neither, as far as they are known.
#[derive(Debug)]
pub struct Numbers {
    /// All numbers of the ranges below it are in use, on hold, or given by pins only.
    first: u32,
    /// The lowest number that is not known.
    end: u32,
    /// In use or on hold.
    recorded: BTreeSet<u32>,
}

impl Numbers {
    /// Lists those that are neither in use nor on hold, as gaps between the others, in the order of
    /// allocation, up to the first range that is not known to its end. Some may be given by pins only.
    pub fn gaps(&self, settings: &Settings) -> Vec<RangeInclusive<u32>> {
        let mut gaps = Vec::new();
        for range in settings.range.in_order() {
            gaps.extend(self.gaps_of(*range));
            if range.last().number() >= self.end {
                break;
            }
        }
        gaps
    }

    /// Lists the gaps of one range, as far as it is known.
    fn gaps_of(&self, range: ExtensionRange) -> impl Iterator<Item = RangeInclusive<u32>> {
        let first = self.first.max(range.first().number());
        let end = self.end.min(range.last().number() + 1).max(first);
        let recorded = self.recorded.range(first..end).copied();
        let starts = std::iter::once(first).chain(recorded.clone().map(|number| number + 1));
        let ends = recorded.chain([end]);
        starts.zip(ends).filter(|(start, end)| start < end).map(|(start, end)| start..=end - 1)
    }

    /// Finds the number below which none of the ranges can be given any more, once these are.
    pub fn taken_below(&self, settings: &Settings, given: &BTreeSet<u32>) -> u32 {
        let pinned_only = plain(settings);
        let gaps = settings.range.in_order().iter().flat_map(|range| self.gaps_of(*range));
        let left =
            gaps.filter_map(|mut gap| gap.find(|number| !given.contains(number) && !pinned_only.contains(number)));
        left.min().unwrap_or(self.end)
    }

    /// Tells whether so many can be given to anybody, or all of the ranges are known.
    fn suffice(&self, settings: &Settings, count: usize) -> bool {
        let pinned_only = plain(settings);
        let free = self.gaps(settings).into_iter().flatten().filter(|number| !pinned_only.contains(number));
        self.end > settings.range.highest() || free.take(count).count() == count
    }

    /// Learns the next ones in use or on hold, so many at most were asked for.
    fn learn(&mut self, settings: &Settings, next: &[i32], asked: usize) {
        let next: Vec<u32> = next.iter().filter_map(|number| u32::try_from(*number).ok()).collect();
        let behind = settings.range.highest() + 1;
        let end = if next.len() < asked { behind } else { next.last().map_or(behind, |last| last + 1) };
        self.recorded.extend(next.into_iter().filter(|number| (self.first..behind).contains(number)));
        self.end = end.clamp(self.first, behind);
    }
}

/// Returns the numbers that are given by pins only.
fn plain(settings: &Settings) -> BTreeSet<u32> {
    settings.pinned_only().into_iter().map(Extension::number).collect()
}

/// How many numbers are read at first; each further time eight times as many.
const PAGE: usize = 256;

/// How many users a tenant has, and what is left for others.
#[derive(Debug)]
pub struct Standing {
    /// What its users share.
    pub settings: Settings,
    /// Users of the file.
    pub file_users: u32,
    /// Users of the API.
    pub api_users: u32,
    /// Users and objects whose number is in one of the ranges.
    pub in_range: u32,
    /// Reserved and emergency numbers of the ranges that a user or an object has all the same.
    pub reserved_in_use: u32,
    /// Numbers on hold.
    pub holds: BTreeMap<Extension, Hold>,
}

const COLUMNS: &str = "u.id, u.email, u.name, e.number, u.managed_by = 'api', u.protected, u.created_at";

fn user(row: &Row) -> Result<User, DirectoryError> {
    Ok(User {
        id: row.get(0),
        email: row.get::<_, &str>(1).parse().map_err(bad_row("e-mail"))?,
        name: DisplayName::recorded(row.get(2)).map_err(bad_row("name"))?,
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
        let id: Uuid = row.get(0);
        let settings: Settings = document::read(row.get(1), || Place::Settings(tenant.clone()))?;
        let reserved: Vec<i32> =
            settings.pinned_only().into_iter().filter(|number| settings.range.contains(*number)).map(int).collect();
        let within: Vec<String> = settings
            .range
            .in_order()
            .iter()
            .map(|range| format!("e.number between {} and {}", range.first(), range.last()))
            .collect();
        let counts = self
            .client()
            .query_typed_one(
                &format!(
                    "select count(*) filter (where u.managed_by = 'file'), count(*) filter (where u.managed_by = 'api'),
                            count(*) filter (where {}),
                            count(*) filter (where e.number = any ($2))
                     from extensions e left join users u on u.id = e.user_id
                     where e.tenant_id = $1 and e.held_for is null",
                    within.join(" or ")
                ),
                &[(&id, Type::UUID), (&reserved, Type::INT4_ARRAY)],
            )
            .map_err(failed(action))?;
        let rows = self
            .client()
            .query_typed(
                "select number, held_for, freed_at from extensions where tenant_id = $1 and held_for is not null",
                &[(&id, Type::UUID)],
            )
            .map_err(failed(action))?;
        let hold = |row: &Row| {
            let hold = Hold { owner: NumberOwner::of(row.get(1)), freed_at: row.get(2) };
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

    /// Finds the tenant, those of the addresses that are users, the numbers on hold, and those of
    /// the wanted ones that are taken; none before the first sync.
    ///
    /// # Errors
    /// When the database fails.
    pub fn meet<'a>(
        &mut self,
        tenant: &Tenant,
        emails: impl Iterator<Item = &'a UserKey>,
        wanted: &[Extension],
    ) -> Result<Option<Meeting>, DirectoryError> {
        let emails: Vec<&str> = emails.map(UserKey::as_str).collect();
        let wanted: Vec<i32> = wanted.iter().copied().map(int).collect();
        let row = self
            .client
            .query_typed_opt(
                "select * from meet_users($1, $2, $3, $4)",
                &[
                    (&tenant.as_str(), Type::TEXT),
                    (&emails, Type::TEXT_ARRAY),
                    (&wanted, Type::INT4_ARRAY),
                    (&limit(PAGE), Type::INT8),
                ],
            )
            .map_err(failed("read the tenant"))?;
        row.as_ref().map(|row| meeting(tenant, row)).transpose()
    }

    /// Learns as many of the lowest numbers as it takes to give one to each of so many newcomers.
    ///
    /// # Errors
    /// When the database fails.
    pub fn look_for(&mut self, newcomers: usize, meeting: &mut Meeting) -> Result<(), DirectoryError> {
        let Meeting { tenant, numbers, .. } = meeting;
        let mut asked = PAGE;
        while !numbers.suffice(&tenant.settings, newcomers) {
            asked *= 8;
            let rows = self
                .client
                .query_typed(
                    "select number from extensions where tenant_id = $1 and number >= $2 order by number limit $3",
                    &[
                        (&tenant.id, Type::UUID),
                        (&i32::try_from(numbers.end).unwrap_or(i32::MAX), Type::INT4),
                        (&limit(asked), Type::INT8),
                    ],
                )
                .map_err(failed("look for free extensions"))?;
            let next: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
            numbers.learn(&tenant.settings, &next, asked);
        }
        Ok(())
    }
}

fn meeting(tenant: &Tenant, row: &Row) -> Result<Meeting, DirectoryError> {
    let settings: Settings = document::read(row.get(1), || Place::Settings(tenant.clone()))?;
    let (lowest, behind) = (settings.range.lowest(), settings.range.highest() + 1);
    let first = u32::try_from(row.get::<_, i32>(3)).unwrap_or_default().clamp(lowest, behind);
    let mut numbers = Numbers { first, end: first, recorded: BTreeSet::new() };
    numbers.learn(&settings, &row.get::<_, Vec<i32>>(10), PAGE);
    let (held, owners, times): (Vec<i32>, Vec<&str>, Vec<Timestamp>) = (row.get(7), row.get(8), row.get(9));
    let holds = held.into_iter().zip(owners).zip(times);
    Ok(Meeting {
        tenant: RecordedTenant { id: row.get(0), settings },
        now: row.get(2),
        version: row.get(4),
        present: row.get::<_, Vec<&str>>(5).into_iter().map(UserKey::of).collect(),
        taken: row.get::<_, Vec<i32>>(6).into_iter().map(number).collect::<Result<_, _>>()?,
        holds: holds
            .map(|((held, owner), freed_at)| Ok((number(held)?, Hold { owner: NumberOwner::of(owner), freed_at })))
            .collect::<Result<_, DirectoryError>>()?,
        numbers,
    })
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Writes a number as a row has it.
pub(super) fn int(extension: Extension) -> i32 {
    i32::try_from(extension.number()).unwrap_or(i32::MAX)
}
