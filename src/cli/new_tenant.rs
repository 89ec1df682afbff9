//! A file whose `tenant:` is not recorded: perhaps the slug is misspelt, and a recorded tenant is meant.

use anyhow::Result;

use crate::{
    deploy::Comparison,
    desired::Declared,
    directory::Directory,
    model::{UserKey, nearest},
};

/// The most users that are looked for in other tenants.
const LOOKED_FOR: usize = 1_000;

/// Says which recorded tenant is probably meant, or `None` if the tenant is recorded or looks like a new one.
pub(crate) fn perhaps_misspelt(directory: &mut Directory, declared: &Declared) -> Result<Option<String>> {
    let slug = &declared.tenant;
    let users: Vec<&str> = declared.users.keys().take(LOOKED_FOR).map(UserKey::as_str).collect();
    let others = directory.other_tenants(slug, &users)?;
    let owner = others.iter().filter(|(_, users)| *users > 0).max_by_key(|(_, users)| *users);
    let (other, why) = match owner {
        Some((other, users)) => {
            let noun = if *users == 1 { "user" } else { "users" };
            (other.as_str(), format!("`{other}` has {users} {noun} of this file"))
        }
        None => match nearest(slug.as_str(), others.iter().map(|(other, _)| other.as_str())) {
            Some(other) => (other, format!("`{other}` is recorded")),
            None => return Ok(None),
        },
    };
    Ok(Some(format!(
        "`{slug}` is a new tenant, and {why}: if that one is meant, write `tenant: {other}`; a new tenant has phones, numbers \
         and secrets of its own"
    )))
}

/// Says so first in a plan of the tenant, and in the hints of its rails, which lead away from that.
pub(crate) fn say(words: Option<&String>, comparison: &mut Comparison) {
    let Some(words) = words.filter(|_| comparison.plan.is_new) else { return };
    comparison.notes.insert(0, words.clone());
    for stop in comparison.stops.iter_mut().filter(|stop| ["taken-names", "foreign-files"].contains(&stop.rail)) {
        stop.hint = format!("{words}; otherwise {}", stop.hint);
    }
}
