//! The voicemail file: the boxes of a tenant, and the mark.

use std::{collections::BTreeMap, fmt::Write};

use super::{Digests, GENERATION, MASKED_HIGHEST, MASKED_MARK, Phone, Phonebook, head, mark, parse::HIGHEST_BOX};
use crate::{
    asterisk::{BadValue, Name, Value, box_context, mark_context},
    model::UserKey,
    objects::BoxEntry,
};

/// Renders the file.
pub(super) fn render(book: &Phonebook<'_>, digests: Digests<'_>) -> Result<String, BadValue> {
    let boxes = if book.routes.have_boxes() { book.parts(digests)?.boxes } else { Vec::new() };
    let mut text = head(book, digests);
    if let Some(highest) = book.routes.highest_box() {
        // It outlives the boxes: no directory gives these numbers again.
        let highest = match digests {
            Digests::Masked => MASKED_HIGHEST.to_owned(),
            Digests::Real { .. } => highest.to_string(),
        };
        let _ = writeln!(text, "; {HIGHEST_BOX}{highest}");
    }
    if !boxes.is_empty() {
        let phones: BTreeMap<UserKey, &Phone<'_>> =
            book.phones.iter().map(|phone| (phone.email.key(), phone)).collect();
        let _ = write!(text, "\n[{}]\n", Name::new(box_context(book.tenant))?);
        for entry in &boxes {
            line(&mut text, entry, entry.user.and_then(|user| phones.get(user).copied()))?;
        }
    }
    text.push('\n');
    let mark = match digests {
        Digests::Masked => MASKED_MARK.to_owned(),
        Digests::Real { .. } => mark(&text),
    };
    text.push_str(GENERATION);
    // No PIN: nothing leads to a box of this context.
    let _ = write!(text, "[{}]\n{mark} => -,\n", Name::new(mark_context(book.tenant))?);
    Ok(text)
}

/// Writes a box: `17 => -27182,Ana Silva,ana@example.com,,attach=yes|minsecs=1|maxsecs=180 ; TAG`. Asterisk does not read
/// the tag of the PIN: it is a comment.
fn line(text: &mut String, entry: &BoxEntry<'_>, phone: Option<&Phone<'_>>) -> Result<(), BadValue> {
    let BoxEntry { number, pin, tag, title, address, mails_user, deletes, options, .. } = entry;
    let name = field(phone.map_or(*title, |phone| phone.name.shown()));
    let own = phone.filter(|_| *mails_user).and_then(|phone| phone.email.email());
    // `|` would begin a second address.
    let address = address.or(own).filter(|address| !address.contains('|')).unwrap_or_default();
    let delete = if *deletes && !address.is_empty() { "delete=yes|" } else { "" };
    let value = Value::new("voicemail", &format!("{pin},{name},{address},,{delete}{options}"))?;
    let _ = writeln!(text, "{number} => {value} ; {tag}");
    Ok(())
}

/// Writes a name, without what ends a field.
fn field(name: &str) -> String {
    let name = name.replace([',', '|', ';', '"', '\\', '$'], " ");
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_field() {
        assert_eq!(field("Silva, Ana; \"A\" \\ | ${X}"), "Silva Ana A {X}");
    }
}
