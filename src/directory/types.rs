//! What is recorded, as the planner sees it: plain values without a connection behind them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::seal::{Prints, TrunkPrint};
use crate::{
    calls::{Applied, E164, Routes},
    model::{DisplayName, Email, EmailKey, Extension, ObjectName, PhoneOverride, Settings, Tenant},
};

/// Who creates, changes and deletes a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// Everything recorded about one tenant.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// The directory's identity; none before the first migration.
    pub directory: Option<Uuid>,
    /// The tenant's row; none before its first sync.
    pub tenant: Option<RecordedTenant>,
    /// The users by identity.
    pub users: BTreeMap<EmailKey, RecordedUser>,
    /// Freed numbers that are kept for their former user.
    pub holds: BTreeMap<Extension, Hold>,
    /// Addresses that were a user's once.
    pub former: BTreeSet<EmailKey>,
    /// The inbound calls, with every number resolved.
    pub routes: Routes,
    /// The secrets of their trunks.
    pub trunk_secrets: BTreeMap<ObjectName, RecordedSecret>,
    /// What callers reach; none before the first apply.
    pub applied: Option<Applied>,
    /// Public numbers that another tenant has, and which one.
    pub numbers_elsewhere: BTreeMap<E164, Tenant>,
}

impl Recorded {
    /// Lists the tenant's public numbers, recorded or applied.
    pub fn numbers(&self) -> BTreeSet<&E164> {
        let applied = self.applied.as_ref().map(|applied| &applied.routes);
        [Some(&self.routes), applied].into_iter().flatten().flat_map(Routes::numbers).collect()
    }
}

/// The row of a trunk's secret.
#[derive(Debug, Clone)]
pub struct RecordedSecret {
    /// The row's identity.
    pub id: Uuid,
    /// What tells another secret apart.
    pub print: TrunkPrint,
}

/// The tenant's row.
#[derive(Debug, Clone)]
pub struct RecordedTenant {
    /// The row's identity.
    pub id: Uuid,
    /// What all its users share, as last synced.
    pub settings: Settings,
}

/// A user's row, with the number.
#[derive(Debug, Clone)]
pub struct RecordedUser {
    /// The row's identity.
    pub id: Uuid,
    /// The address as written.
    pub email: Email,
    /// The display name.
    pub name: DisplayName,
    /// Who changes the row.
    pub managed_by: ManagedBy,
    /// Whether deletion and renumbering are refused.
    pub protected: bool,
    /// What this user's phone has differently.
    pub phone: PhoneOverride,
    /// The number.
    pub extension: Extension,
    /// Whether the secret comes from where the file says, or was generated.
    pub secret_declared: bool,
    /// What tells another secret or digest apart.
    pub prints: Prints,
}

/// A freed number.
#[derive(Debug, Clone)]
pub struct Hold {
    /// Whose it was.
    pub email: EmailKey,
    /// Since when it is free.
    pub freed_at: Timestamp,
}
