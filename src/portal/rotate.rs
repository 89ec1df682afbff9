//! A new secret for one phone: recorded at once, live with the next apply.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    directory::{
        DesiredFiles, Directory, DirectoryError, PrepareError, Recorded, RecordedUser, Row, RowChanges, Writer,
        audit::{End, Outcome, Run},
        prints, random,
        seal::{Keyring, Owner, generate},
        seal_secret,
    },
    model::{Extension, Ha1, Hints, Identity, Tenant},
    plan::RailStop,
    render::endpoint_name,
};

/// In whose name a secret is rotated.
#[derive(Debug)]
pub struct Rotation<'a> {
    /// The tenant.
    pub tenant: &'a Tenant,
    /// The keys of the directory.
    pub keys: &'a Keyring,
    /// The host it is run on, for the audit log.
    pub host: &'a str,
    /// Who runs it, for the audit log.
    pub actor: String,
    /// The present.
    pub now: Timestamp,
}

/// A secret was not rotated; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// No user has this address.
    #[error("`{0}` is not recorded")]
    Unknown(Identity),
    /// It is a shared voicemail box.
    #[error("`{0}` is a shared voicemail box: it has a PIN, and no SIP secret")]
    SharedBox(Identity),
    /// The user has no voicemail box, and there is no shared one of this name.
    #[error("`{0}` has no voicemail box")]
    NoBox(Identity),
    /// The file says where the secret comes from.
    #[error("the secret of `{0}` is declared in the desired state; nothing was changed")]
    Declared(Identity),
    /// More phones would have to log in again than the rail allows.
    #[error("{0}")]
    Rail(RailStop),
    /// The directory failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The new secret could not be made or sealed.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
}

impl Hints for RotateError {
    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Unknown(_) => "`reconcile users` lists who is recorded",
            Self::SharedBox(name) => return vec![format!("`reconcile secret rotate {name} --pin` gives it a new PIN")],
            Self::NoBox(_) => "name a user who has one, or a shared box that was recorded",
            Self::Declared(_) => "change it where the file says that it comes from, then `reconcile apply`",
            Self::Directory(error) => return error.hints(),
            // A rail says its own.
            Self::Prepare(_) | Self::Rail(_) => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

/// Records a new secret; answers with the number of the phone and the audit row.
///
/// # Errors
/// When the user is unknown or has a declared secret, or the directory fails.
pub fn rotate(
    request: &Rotation<'_>,
    email: &Identity,
    directory: &mut Directory,
) -> Result<(Extension, i64), RotateError> {
    let tenant = request.tenant;
    let mut writer = directory.write(tenant)?;
    let recorded = writer.read(tenant)?;
    let unknown = || RotateError::Unknown(email.clone());
    let row = recorded.tenant.as_ref().ok_or_else(unknown)?;
    let other =
        || if recorded.routes.box_of(email).is_some() { RotateError::SharedBox(email.clone()) } else { unknown() };
    let user = recorded.users.get(&email.key()).ok_or_else(other)?;
    if user.secret_declared {
        return Err(RotateError::Declared(user.email.clone()));
    }
    writer.require_keys(request.keys)?;
    let changed = renewed(request, &recorded, user)?;
    writer.change(&RowChanges { changed: vec![changed], ..RowChanges::by_portal(row.id, tenant, request.now) })?;
    let change = format!("~ {}  extension {}; another secret\n", user.email, user.extension);
    let run = record(writer, request, BTreeMap::from([("update", 1)]), change)?;
    Ok((user.extension, run))
}

/// Writes the row of a user with a new secret.
pub(super) fn renewed(request: &Rotation<'_>, recorded: &Recorded, user: &RecordedUser) -> Result<Row, RotateError> {
    let row = recorded.tenant.as_ref().ok_or_else(|| RotateError::Unknown(user.email.clone()))?;
    let secret = generate(&random()?);
    let owner = Owner { tenant: row.id, user: user.id };
    let sealed = seal_secret(request.keys, &secret, owner, &user.email)?;
    let name = endpoint_name(request.tenant, row.settings.endpoint_names, user.extension);
    let digest = Ha1::of_phone(&row.settings, &user.phone, &name, &secret);
    Ok(Row {
        id: user.id,
        email: user.email.clone(),
        name: user.name.clone(),
        managed_by: user.managed_by,
        protected: user.protected,
        phone: user.phone.clone(),
        pinned: user.pinned,
        no_answer: user.no_answer_of_row(recorded),
        extension: user.extension,
        secret_declared: false,
        sealed: Some(sealed),
        prints: prints(&secret, &digest)?,
        previous: None,
    })
}

/// Commits a rotation, with its row in the audit log; returns the number of that.
pub(super) fn record(
    mut writer: Writer<'_>,
    request: &Rotation<'_>,
    counts: BTreeMap<&'static str, usize>,
    diff: String,
) -> Result<i64, DirectoryError> {
    let run = writer.open_audit(&Run {
        tenant: request.tenant.clone(),
        host: request.host.to_owned(),
        command: "secret rotate",
        actor: request.actor.clone(),
        git_commit: None,
        plan_id: None,
        counts,
        diff,
        desired: DesiredFiles::new(),
        generation: None,
        target: None,
    })?;
    let end = End { outcome: Outcome::Recorded, files: BTreeMap::new(), phases: BTreeMap::new(), message: None };
    writer.close_audit(run, &end)?;
    writer.commit()?;
    Ok(run)
}
