//! Documents in rows, read and written.

use super::{DirectoryError, Place, UnreadableDocument};
use crate::model::{Document, document};

/// Reads a document of a row.
pub(super) fn read<D: Document>(text: &str, place: impl FnOnce() -> Place) -> Result<D, UnreadableDocument> {
    document::read(text).map_err(|reason| UnreadableDocument { place: place(), reason })
}

/// Writes a document for a row. An empty text or `null` in its place would be recorded as if it had been declared.
pub(super) fn write<D: Document>(action: &'static str, value: &D) -> Result<String, DirectoryError> {
    document::write(value).map_err(|source| DirectoryError::Unwritable { action, source })
}

#[cfg(test)]
mod tests {
    use crate::model::document::Map;

    /// It became `null` or an empty text, and was recorded.
    #[test]
    fn a_value_that_cannot_be_written_as_json_is_an_error() {
        let odd = Map([(vec![1], 2)].into());
        let error = super::write("record it", &odd).unwrap_err();
        assert_eq!(error.to_string(), "cannot record it: a value cannot be written as JSON");
    }
}
