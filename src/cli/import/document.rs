//! `reconcile import --format json`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    import::{Imported, LeftOut, Rank},
    model::Tenant,
    report::json,
};

/// The version of the document: raised when a reader of the old one would misunderstand it.
const FORMAT_VERSION: u32 = 1;

/// What an import made.
#[derive(Debug, Serialize, JsonSchema)]
struct ImportDocument<'a> {
    /// The version of this document: 1.
    format_version: u32,
    /// The tenant's slug.
    tenant: &'a str,
    /// How many users the desired state declares.
    users: usize,
    /// How many of them have a secret that can be carried over.
    secrets: usize,
    /// The desired-state file. Null if `-o` has it.
    desired_state: Option<&'a str>,
    /// What is not carried over, the most dangerous first.
    not_carried_over: Vec<NotCarriedOver<'a>>,
}

/// Something that is not carried over.
#[derive(Debug, Serialize, JsonSchema)]
struct NotCarriedOver<'a> {
    /// How dangerous it is to overlook: a `restriction` that is lost, `open` to strangers, who may `dial` what, a `phone`
    /// or person, a `feature`, a `setting` that changes, or something `small`.
    rank: &'static str,
    /// Where it is, such as `pjsip.conf:12 1101`.
    place: &'a str,
    /// What it is.
    what: &'a str,
}

/// Writes the document.
pub(super) fn json(tenant: &Tenant, imported: &Imported, with_state: bool) -> Result<String> {
    let Imported { desired, users, secrets, left_out, .. } = imported;
    let mut left_out: Vec<&LeftOut> = left_out.iter().collect();
    left_out.sort_by_key(|left_out| left_out.rank);
    let not_carried_over = left_out.into_iter().map(|LeftOut { rank, place, what, .. }| {
        let rank = match rank {
            Rank::Restriction => "restriction",
            Rank::Open => "open",
            Rank::Dialling => "dial",
            Rank::Phone => "phone",
            Rank::Feature => "feature",
            Rank::Setting => "setting",
            Rank::Small => "small",
        };
        NotCarriedOver { rank, place, what }
    });
    json::pretty(&ImportDocument {
        format_version: FORMAT_VERSION,
        tenant: tenant.as_str(),
        users: *users,
        secrets: secrets.len(),
        desired_state: with_state.then_some(desired.as_str()),
        not_carried_over: not_carried_over.collect(),
    })
}

/// Writes the JSON schema of the document.
pub(in crate::cli) fn schema() -> Result<String> {
    json::pretty(&schemars::schema_for!(ImportDocument<'static>))
}
