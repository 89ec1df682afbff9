//! What was applied last about a tenant's inbound calls: all that an answer to a call is made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    model::{Document, Tenant, UserKey},
    objects::Routes,
};

/// What callers of a tenant reach, complete in itself: it is written when an apply ends, and kept by
/// each server so that it survives the loss of the database. No key has a default: callers stay with what they
/// reached before, rather than reach what was guessed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveRoutes {
    /// The tenant.
    pub tenant: Tenant,
    /// The apply that wrote it, by its number in the audit log: later ones are higher.
    pub run: i64,
    /// The routes, with every number resolved.
    pub routes: Routes,
    /// The SIP user names of the users who may get a call.
    pub users: BTreeMap<UserKey, String>,
}

impl Document for LiveRoutes {}
