//! What an apply is asked to do.

use std::collections::BTreeMap;

use super::{Comparison, Policy, Survey};
use crate::{
    directory::{DesiredFiles, Recorded, seal::Keyring},
    model::{Secret, Tenant, UserKey},
    objects::ObjectId,
};

/// What is to be applied, and in whose name.
pub(crate) struct Request<'a> {
    pub(crate) tenant: &'a Tenant,
    /// The declared secrets.
    pub(crate) secrets: &'a BTreeMap<UserKey, Result<Secret, String>>,
    /// Those of objects.
    pub(crate) object_secrets: &'a BTreeMap<ObjectId, Result<Secret, String>>,
    /// The keys of the directory.
    pub(crate) keys: &'a Keyring,
    /// Makes the plan from what is recorded. It is called again under the tenant's lock if the rows moved, so it only
    /// computes.
    pub(crate) compare: &'a Compare<'a>,
    /// Shows a plan, or refuses to go on (rails, `--expect`). Nothing is locked meanwhile.
    pub(crate) show: &'a Show<'a>,
    /// What the rails let pass, where names are declared, and the present.
    pub(crate) policy: Policy<'a>,
    /// The id of the plan it is held to, or `None` if it is held to none.
    pub(crate) expect: Option<&'a str>,
    /// Whether a generation that was put back may be made live again.
    pub(crate) again: bool,
    /// What the file says, for the audit log; empty if there is none.
    pub(crate) desired: DesiredFiles,
    /// Who runs it, for the audit log.
    pub(crate) actor: String,
    /// The commit of the desired state.
    pub(crate) git_commit: Option<String>,
}

/// Compares all stages, given what is recorded and what was found on the host.
pub(crate) type Compare<'a> = dyn Fn(&Recorded, &Survey) -> anyhow::Result<Comparison> + 'a;

/// Shows a plan, or refuses to go on.
pub(crate) type Show<'a> = dyn Fn(&mut Comparison) -> anyhow::Result<()> + 'a;
