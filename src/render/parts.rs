//! What objects bring to the files.

use std::{collections::BTreeMap, fmt::Write};

use super::{Digests, ParsedObject, Phonebook, parse};
use crate::{
    asterisk::BadValue,
    objects::{Block, Parts, RenderContext},
};

impl Phonebook<'_> {
    /// Collects what the objects bring.
    pub(super) fn parts(&self, digests: Digests<'_>) -> Result<Parts<'_>, BadValue> {
        let secrets = match digests {
            Digests::Masked => None,
            Digests::Real { secrets, .. } => Some(secrets),
        };
        self.routes.parts(&RenderContext { tenant: self.tenant, phones: &self.settings.phones, secrets })
    }

    /// Lists what the endpoint file has of objects, by the names of their sections.
    ///
    /// # Errors
    /// When a value cannot stand in a configuration line.
    pub fn objects(&self) -> Result<BTreeMap<String, ParsedObject>, BadValue> {
        let mut text = String::new();
        render(&mut text, self, Digests::Masked)?;
        Ok(parse(&text).objects)
    }
}

/// Renders the blocks of the endpoint file.
pub(super) fn render(text: &mut String, book: &Phonebook<'_>, digests: Digests<'_>) -> Result<(), BadValue> {
    for Block { kind, name, remark, sections } in book.parts(digests)?.blocks {
        text.push('\n');
        if let Some(remark) = remark {
            let _ = writeln!(text, "; {remark}");
        }
        let _ = writeln!(text, "; {kind} {name}");
        for section in sections {
            section.print(text);
        }
    }
    Ok(())
}
