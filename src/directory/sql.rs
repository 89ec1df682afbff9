//! What all statements share: how one is run, and how numbers and texts of a row are read and written.

use postgres::{
    GenericClient,
    types::{ToSql, Type},
};

use super::{DirectoryError, failed};
use crate::model::Extension;

/// Runs a statement. `action` says what it is for.
pub(super) fn execute(
    db: &mut impl GenericClient,
    action: &'static str,
    statement: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<(), DirectoryError> {
    db.query_typed(statement, parameters).map_err(failed(action))?;
    Ok(())
}

/// A text in a row that no version of this program writes.
pub(super) fn bad_row<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> DirectoryError {
    move |error| DirectoryError::BadRow { what, reason: error.to_string() }
}

/// Reads a number of a row.
pub(super) fn number(number: i32) -> Result<Extension, DirectoryError> {
    u32::try_from(number)
        .ok()
        .and_then(|number| Extension::try_from(number).ok())
        .ok_or_else(|| DirectoryError::BadRow { what: "extension", reason: number.to_string() })
}

/// Writes a number as a row has it.
pub(super) fn int(extension: Extension) -> i32 {
    i32::try_from(extension.number()).unwrap_or(i32::MAX)
}
