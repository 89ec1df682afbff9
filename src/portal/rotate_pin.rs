//! A new PIN for one voicemail box: recorded at once, live with the next apply.

use std::collections::BTreeMap;

use super::{RotateError, Rotation, rotate::record};
use crate::{
    directory::{
        Directory, ObjectChanges, RowChanges, SecretRow, random,
        seal::{ObjectPrint, Owner, Salt},
        seal_secret,
    },
    model::{BoxNumber, Identity, tagged},
};

/// Records a new PIN for the box of a user, or for the shared one of that name; answers with its number and the audit
/// row.
///
/// # Errors
/// When there is no such box, or the directory fails.
pub(crate) fn rotate_pin(
    request: &Rotation<'_>,
    email: &Identity,
    directory: &mut Directory,
) -> Result<(BoxNumber, i64), RotateError> {
    let tenant = request.tenant;
    let mut writer = directory.write(tenant)?;
    let recorded = writer.read(tenant)?;
    let unknown = || RotateError::NoBox(email.clone());
    let row = recorded.tenant.as_ref().ok_or_else(unknown)?;
    let (object, number, generate) = recorded.routes.box_of(email).ok_or_else(unknown)?;
    let id = *recorded.object_rows.get(&object).ok_or_else(unknown)?;
    writer.require_keys(request.keys)?;
    let (pin, logins) = (tagged(&generate(&random()?), &random()?), recorded.routes.logins());
    let login = logins.get(&object).ok_or_else(unknown)?;
    let sealed = seal_secret(request.keys, &pin, Owner { tenant: row.id, user: id }, email)?;
    let print = ObjectPrint::new(object.0, &random::<{ size_of::<Salt>() }>()?, login, &pin);
    let diff = format!("~ {} {}  another PIN\n", object.0, object.1);
    let secrets = vec![SecretRow { object: object.clone(), row: id, sealed, print }];
    let objects = ObjectChanges { secrets, ..ObjectChanges::default() };
    writer.change(&RowChanges { objects, ..RowChanges::by_portal(row.id, tenant, request.now) })?;
    let run = record(writer, request, BTreeMap::new(), diff)?;
    Ok((number, run))
}
