//! Opening hours as they are declared.

use std::collections::BTreeMap;

use super::{super::check::named, Hours, file};
use crate::model::{At, Diagnostic, Named, ObjectName, values};

/// Reads the hours of which nothing was refused.
pub(in crate::objects) fn read(
    keys: Option<At<Named<file::OpeningHours>>>,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<ObjectName, Hours> {
    let mut hours = BTreeMap::new();
    for (_, name, opening, _) in named(keys, problems) {
        let whole = opening.open.whole && opening.closed.as_ref().is_none_or(|closed| closed.whole);
        let Some(timezone) = opening.timezone.value.filter(|_| whole) else { continue };
        let closed = values(opening.closed).into_iter().map(|date| date.0).collect();
        hours.insert(name, Hours { timezone, open: values(Some(opening.open)), closed });
    }
    hours
}
