//! What is recorded, as the planner sees it: plain values without a connection behind them.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fmt,
    sync::Arc,
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DirectoryError, Place, UnreadableDocument, seal::ObjectPrint};
use crate::{
    calls::LiveRoutes,
    model::{DisplayName, E164, Extension, Identity, PhoneOverride, Prints, Secret, Settings, Tenant, UserKey},
    objects::{Login, NumberOwner, ObjectId, Routes, Target, TargetsOfRow, UserOfRow, with_users},
};

/// Who creates, changes and deletes a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ManagedBy {
    /// The desired-state file.
    File,
    /// The portal API.
    Api,
}

impl fmt::Display for ManagedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Api => "api",
        })
    }
}

/// How many days the last owner of a freed number is remembered.
pub(crate) const FREED_DAYS: u32 = 30;

/// Everything recorded about one tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The directory's identity; none before the first migration.
    pub directory: Option<Uuid>,
    /// The tenant's row; none before its first sync.
    pub tenant: Option<RecordedTenant>,
    /// The users by identity.
    pub users: BTreeMap<UserKey, RecordedUser>,
    /// Freed numbers that are kept for their former owner.
    pub holds: BTreeMap<Extension, Hold>,
    /// Addresses that were a user's once, with who let them go: the file all at once, or the API one by one.
    pub former: BTreeMap<UserKey, ManagedBy>,
    /// Deleted users whose secret is kept, each with the row that it is sealed for.
    pub former_secrets: BTreeMap<UserKey, Uuid>,
    /// Who had a number before it was freed last, in the last [`FREED_DAYS`] days.
    pub freed: BTreeMap<Extension, Hold>,
    /// The inbound calls, with every number resolved.
    pub routes: Routes,
    pub(crate) object_rows: BTreeMap<ObjectId, Uuid>,
    /// The secrets of its objects.
    pub secrets: BTreeMap<ObjectId, RecordedSecret>,
    /// What callers reach; none before the first apply.
    pub applied: Option<LiveRoutes>,
    /// The public numbers that are kept for this tenant because its rules are recorded. By an earlier version, another
    /// tenant may own one of them.
    pub(crate) own_numbers: BTreeSet<E164>,
    /// Public numbers that another tenant owns, and which one. `None` if the reader may not know it.
    pub(crate) numbers_elsewhere: BTreeMap<E164, Option<Tenant>>,
    /// The runs that applied the plan an apply is held to. Empty unless the caller looked them up.
    pub(crate) expected_runs: Vec<EarlierRun>,
    /// Documents that cannot be read. In their place stand defaults, or `None`.
    pub unreadable: Vec<UnreadableDocument>,
}

impl Recorded {
    /// Returns what is recorded if every document of it can be read.
    pub(super) fn complete(self) -> Result<Self, DirectoryError> {
        self.require(|_| true)?;
        Ok(self)
    }

    /// Makes sure that the documents in some places can be read.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub(crate) fn require(&self, needed: impl Fn(&Place) -> bool) -> Result<(), DirectoryError> {
        let mut unreadable = self.unreadable.iter().filter(|document| needed(&document.place));
        let Some(first) = unreadable.next() else { return Ok(()) };
        Err(DirectoryError::Document { document: Box::new(first.clone()), more: unreadable.count() })
    }

    /// Lists the tenant's public numbers, recorded or applied.
    pub fn numbers(&self) -> BTreeSet<&E164> {
        let applied = self.applied.as_ref().map(|applied| &applied.routes);
        [Some(&self.routes), applied].into_iter().flatten().flat_map(Routes::numbers).collect()
    }
}

/// A run of the audit log, as far as a later run is compared with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierRun {
    /// Its number.
    pub run: i64,
    /// The Asterisk host it ran on.
    pub host: String,
    /// The hash of everything it recorded and rendered.
    pub target: String,
}

/// The row of an object's secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedSecret {
    /// The object's row, to which the seal is bound.
    pub id: Uuid,
    /// What tells another secret apart. `None` for a PIN without a tag, which any fingerprint would give away.
    pub print: Option<ObjectPrint>,
    /// The fingerprint of the secret that the last apply made live, or `None` before the first one.
    pub applied: Option<Vec<u8>>,
}

impl RecordedSecret {
    /// Tells whether a secret is the recorded one of an object with this login.
    pub(crate) fn is_secret(&self, login: &Login<'_>, secret: &Secret) -> bool {
        self.print.as_ref().is_some_and(|print| print.is_secret(login, secret))
    }

    /// Returns whether the last apply made another secret live than the recorded one.
    pub(crate) fn is_behind(&self) -> bool {
        self.applied.as_ref().zip(self.print.as_ref()).is_some_and(|(applied, print)| *applied != print.shown)
    }
}

/// The tenant's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedTenant {
    /// The row's identity.
    pub id: Uuid,
    /// What all its users share, as last synced.
    pub settings: Settings,
}

/// A user's row, with the number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedUser {
    /// The row's identity.
    pub id: Uuid,
    /// The address or the id as written.
    pub email: Identity,
    /// The display name.
    pub name: DisplayName,
    /// Who changes the row.
    pub managed_by: ManagedBy,
    /// Whether deletion and renumbering are refused.
    pub protected: bool,
    /// What this user's phone has differently.
    pub phone: Arc<PhoneOverride>,
    /// Whether the file pinned the number when the row was written last.
    pub pinned: bool,
    /// Who gets the calls that nobody answers, tried in turn. `None` for the user's own voicemail box, if there is one.
    pub no_answer: Option<Box<[Target]>>,
    /// The number.
    pub extension: Extension,
    /// Whether the secret comes from where the file says, or was generated.
    pub secret_declared: bool,
    /// What tells another secret or digest apart.
    pub prints: Arc<Prints>,
    /// The fingerprint of the digest that the last apply made live, or `None` before the first one.
    pub applied: Option<Vec<u8>>,
    /// The `previously` that was declared when the user was created or renamed last.
    pub(crate) previous: Option<UserKey>,
}

impl RecordedUser {
    /// Writes who gets the calls that nobody answers, as the user's row holds it. `recorded` has the users whom it names.
    pub(crate) fn no_answer_of_row(&self, recorded: &Recorded) -> Option<TargetsOfRow> {
        let row = |user: UserKey| match recorded.users.get(&user) {
            Some(named) => Ok::<_, Infallible>(UserOfRow::Row(named.id)),
            None => Ok(UserOfRow::Former { former: user }),
        };
        let Ok(targets) = with_users(self.no_answer.as_ref()?.to_vec(), &row);
        Some(targets)
    }

    /// Returns whether the last apply made another digest live than the recorded one.
    pub(crate) fn is_behind(&self) -> bool {
        self.applied.as_ref().is_some_and(|applied| *applied != self.prints.digest)
    }
}

/// A freed number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Whose it was.
    pub owner: NumberOwner,
    /// Since when it is free.
    pub freed_at: Timestamp,
}
