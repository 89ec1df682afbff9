//! Whether phones are registered from an address that becomes a trunk's. Asterisk goes by the address first: it would take
//! all that these phones send for the trunk's, so that none of them could call or register, of whichever tenant.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{ApplyError, Asterisk, contacts, few::first_few, sections};
use crate::render::ParsedObject;

/// The part of a registration that says where it came from.
#[derive(Deserialize)]
struct Source {
    #[serde(default)]
    via_addr: String,
}

/// Makes sure that no phone is registered from an address that only the new objects have.
///
/// # Errors
/// The rail, or that Asterisk does not answer.
pub(super) fn check(
    asterisk: &Asterisk,
    new: &BTreeMap<String, ParsedObject>,
    old: Option<&BTreeMap<String, ParsedObject>>,
) -> Result<(), ApplyError> {
    let known: BTreeSet<&str> = old.into_iter().flat_map(BTreeMap::values).flat_map(ParsedObject::addresses).collect();
    let all = new.values().flat_map(|object| object.addresses().map(move |address| (object, address)));
    let added: Vec<_> = all.filter(|(_, address)| !known.contains(address)).collect();
    if added.is_empty() {
        return Ok(());
    }
    let registered = contacts::all(asterisk)?;
    let sources: Vec<(String, &str)> = registered
        .iter()
        .filter_map(|contact| Some((serde_json::from_str::<Source>(contact.value()).ok()?.via_addr, contact.aor())))
        .collect();
    for (object, address) in added {
        let there = sources.iter().filter(|(source, _)| sections::overlap(address, source));
        let phones: BTreeSet<&str> = there.map(|(_, aor)| *aor).collect();
        if !phones.is_empty() {
            let ParsedObject { kind, name, .. } = object;
            let count = phones.len();
            let phones = first_few(phones.into_iter().map(str::to_owned));
            let are = if count == 1 { "1 phone is" } else { &format!("{count} phones are") };
            return Err(ApplyError::taken_name(
                format!(
                    "`{address}` would belong to the {kind} `{name}`, and {are} registered from there: {phones}; Asterisk \
                     would take their calls for the {kind}'s"
                ),
                "list only the carrier's own addresses in `identify`",
            ));
        }
    }
    Ok(())
}
