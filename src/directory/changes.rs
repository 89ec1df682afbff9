//! What is to be written about a tenant: plain values without a connection behind them.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use uuid::Uuid;

use super::{seal::ObjectPrint, types::ManagedBy};
use crate::{
    model::{DisplayName, E164, Extension, Identity, PhoneOverride, Prints, Settings, Tenant, UserKey},
    objects::{NumberOwner, ObjectId, ObjectRow, TargetsOfRow},
};

/// All that a sync or apply writes about one tenant.
#[derive(Debug)]
pub struct RowChanges {
    /// The tenant's row; made where it is missing.
    pub tenant: Uuid,
    /// The tenant's slug.
    pub slug: Tenant,
    /// The settings to record, if they changed.
    pub settings: Option<Settings>,
    /// Who asks for the changes.
    pub by: ManagedBy,
    /// Users to delete.
    pub deletes: Vec<Uuid>,
    /// Numbers that users and objects leave, each with the former owner.
    pub freed: Vec<(Extension, NumberOwner)>,
    /// Whether these are kept for their former owners.
    pub hold: bool,
    /// Users to create.
    pub created: Vec<Row>,
    /// Users to change: whole rows.
    pub changed: Vec<Row>,
    /// What changes about objects.
    pub objects: ObjectChanges,
    /// The time of the run: freed numbers are held from then on.
    pub now: Timestamp,
}

impl RowChanges {
    /// Makes what the portal writes about a recorded tenant: nothing yet.
    pub(crate) fn by_portal(tenant: Uuid, slug: &Tenant, now: Timestamp) -> Self {
        Self {
            tenant,
            slug: slug.clone(),
            settings: None,
            by: ManagedBy::Api,
            deletes: Vec::new(),
            freed: Vec::new(),
            hold: false,
            created: Vec::new(),
            changed: Vec::new(),
            objects: ObjectChanges::default(),
            now,
        }
    }

    /// Lists the users to change and to create.
    pub fn users(&self) -> impl Iterator<Item = &Row> {
        self.changed.iter().chain(&self.created)
    }
}

/// A user's row as it shall be.
#[derive(Debug)]
pub struct Row {
    /// The row's identity.
    pub id: Uuid,
    /// The address or the id.
    pub email: Identity,
    /// The display name.
    pub name: DisplayName,
    /// Who changes the row.
    pub managed_by: ManagedBy,
    /// Whether deletion and renumbering are refused.
    pub protected: bool,
    /// What this user's phone has differently.
    pub phone: Arc<PhoneOverride>,
    /// Whether the file pins the number.
    pub pinned: bool,
    /// Who gets unanswered calls, if the user says so.
    pub no_answer: Option<TargetsOfRow>,
    /// The number.
    pub extension: Extension,
    /// Whether the secret is a declared one.
    pub secret_declared: bool,
    /// A new secret, or `None` to keep the recorded one.
    pub sealed: Option<NewSecret>,
    /// The fingerprints that belong to the row's secret, number and realm.
    pub prints: Prints,
    /// The `previously` that makes the row what it is. `None` leaves the recorded one.
    pub(crate) previous: Option<UserKey>,
}

/// A sealed secret on its way into a row.
pub type NewSecret = Vec<u8>;

/// What a sync or apply writes about a tenant's objects.
#[derive(Debug, Default)]
pub struct ObjectChanges {
    /// The rows of objects that are no more; their secrets go with them.
    pub gone: Vec<Uuid>,
    /// Objects that are new, or whose document changed, each with its row.
    pub rows: Vec<(Uuid, ObjectRow)>,
    /// Rows of objects that stay without a secret.
    pub(crate) forgotten: Vec<Uuid>,
    /// New secrets and secrets with a new login: whole rows.
    pub secrets: Vec<SecretRow>,
    /// The public numbers, if they change.
    pub numbers: Option<NumberChanges>,
    /// The internal numbers that change, each by the object's row. `None` if the object has none any more.
    pub extensions: Vec<(Uuid, Option<Extension>)>,
}

impl ObjectChanges {
    /// Tells whether nothing changes.
    pub(super) fn is_empty(&self) -> bool {
        let Self { gone, rows, forgotten, secrets, numbers, extensions } = self;
        gone.is_empty()
            && rows.is_empty()
            && forgotten.is_empty()
            && secrets.is_empty()
            && numbers.is_none()
            && extensions.is_empty()
    }
}

/// The public numbers of a tenant as they shall be recorded.
#[derive(Debug)]
pub struct NumberChanges {
    /// All of them.
    pub all: BTreeSet<E164>,
    /// Those that the tenant did not have before. No other tenant may have one of them.
    pub new: BTreeSet<E164>,
}

/// The row of an object's secret as it shall be.
#[derive(Debug)]
pub struct SecretRow {
    /// The object.
    pub object: ObjectId,
    /// Its row.
    pub row: Uuid,
    /// The secret.
    pub sealed: NewSecret,
    /// Its fingerprint.
    pub print: ObjectPrint,
}
