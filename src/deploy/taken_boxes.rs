//! Numbers of voicemail boxes that the file in place has for other boxes than the directory, as after the restore of an
//! older dump. Messages and greetings belong to the number: the new owner would hear those of the former one.

use super::{InPlace, few::first_few};
use crate::{
    asterisk::{BadValue, ConfigFile, PerFile},
    model::printable,
    plan::{Allowance, RailStop},
    render::{File, ParsedBox, SameDigest, parse},
};

/// The rail at numbers of boxes that pass to others.
const RAIL: &str = "taken-boxes";

/// Finds the boxes in place whose number another box would get. `is_same` knows the secrets that stay, by the place of a
/// box, and `before` renders what is recorded: a user may get another name.
pub(super) fn stop(
    in_place: &InPlace,
    target: &PerFile<File>,
    is_same: &SameDigest<'_>,
    before: &dyn Fn() -> Result<Option<PerFile<File>>, BadValue>,
    allowance: &Allowance,
) -> Result<Option<RailStop>, BadValue> {
    let Some(present) = &in_place[ConfigFile::Voicemail] else { return Ok(None) };
    let found = |text: &str| parse(text).boxes;
    let after = found(&target[ConfigFile::Voicemail].text);
    let all = present.parsed.boxes.iter();
    let all = all.flat_map(|(context, boxes)| boxes.iter().map(move |(number, one)| (context, number, one)));
    let mut others: Vec<_> = all
        .filter_map(|(context, number, one)| Some((context, number, one, after.get(context)?.get(number)?)))
        .filter(|(context, number, one, new)| {
            !is_same(&format!("{context} {number}"), &one.secret) && !is_alike(one, new)
        })
        .collect();
    if !others.is_empty() {
        let before = before()?.map(|files| found(&files[ConfigFile::Voicemail].text)).unwrap_or_default();
        let recorded = |context: &String, number: &String| before.get(context)?.get(number);
        others.retain(|(context, number, one, _)| !recorded(context, number).is_some_and(|row| is_alike(one, row)));
    }
    let count = others.len();
    if count <= allowance.get(RAIL).copied().unwrap_or(0) {
        return Ok(None);
    }
    let names = others
        .iter()
        .map(|(_, number, one, new)| format!("{number} of `{}` would be that of `{}`", shown(one), shown(new)));
    let what = if count == 1 {
        "the number of 1 voicemail box".to_owned()
    } else {
        format!("the numbers of {count} voicemail boxes")
    };
    let contexts = others.first().map(|(context, ..)| context.as_str()).unwrap_or_default();
    Ok(Some(RailStop {
        rail: RAIL,
        message: format!("{what} of the file in place would pass to others: {}", first_few(names)),
        hint: format!(
            "restore a newer dump of the database; or move the folders of these numbers out of `voicemail/{contexts}` below \
             the spool folder of Asterisk, so that nobody hears the messages of others: --allow {RAIL}={count}"
        ),
        allow: Some(count),
    }))
}

/// Tells whether two boxes may be one: one of name and address is the same.
fn is_alike(one: &ParsedBox, other: &ParsedBox) -> bool {
    one.name == other.name || !one.mail.is_empty() && one.mail.eq_ignore_ascii_case(&other.mail)
}

/// Names a box to people.
fn shown(one: &ParsedBox) -> String {
    printable(if one.mail.is_empty() { &one.name } else { &one.mail })
}
