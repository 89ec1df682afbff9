//! What an apply is asked to do.

use std::collections::BTreeMap;

use super::{Comparison, Policy, Survey};
use crate::{
    directory::{DesiredFiles, Recorded, seal::Keyring},
    model::{Secret, Tenant, UserKey},
    objects::ObjectId,
};

/// What is to be applied, and in whose name.
pub struct Request<'a> {
    /// The tenant.
    pub tenant: &'a Tenant,
    /// The declared secrets.
    pub secrets: &'a BTreeMap<UserKey, Result<Secret, String>>,
    /// Those of objects.
    pub object_secrets: &'a BTreeMap<ObjectId, Result<Secret, String>>,
    /// The keys of the directory.
    pub keys: &'a Keyring,
    /// Makes the plan from what is recorded. It is called again under the tenant's lock if the rows moved, so it only
    /// computes.
    pub compare: &'a Compare<'a>,
    /// Shows a plan, or refuses to go on (rails, `--expect`). Nothing is locked meanwhile.
    pub show: &'a Show<'a>,
    /// What the rails let pass, where names are declared, and the present.
    pub policy: Policy<'a>,
    /// The id of the plan it is held to, or `None` if it is held to none.
    pub expect: Option<&'a str>,
    /// Whether a generation that was put back may be made live again.
    pub again: bool,
    /// What the file says, for the audit log; empty if there is none.
    pub desired: DesiredFiles,
    /// Who runs it, for the audit log.
    pub actor: String,
    /// The commit of the desired state.
    pub git_commit: Option<String>,
}

/// Compares all stages, given what is recorded and what was found on the host.
pub type Compare<'a> = dyn Fn(&Recorded, &Survey) -> anyhow::Result<Comparison> + 'a;

/// Shows a plan, or refuses to go on.
pub type Show<'a> = dyn Fn(&mut Comparison) -> anyhow::Result<()> + 'a;
