//! Which menus there are.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::{
    super::{
        check::{Names, named},
        destination,
        namespace::{misread, reserved},
    },
    DEFAULT_TRIES, DEFAULT_WAIT, Menu, file,
};
use crate::{
    model::{At, Code, Diagnostic, HostName, MenuKey, Named, ObjectName},
    objects::{ObjectKind, Places, Routes, Target},
};

/// How often a prompt may be played.
const TRIES: RangeInclusive<u32> = 1..=10;

/// Reads the menus.
pub(in crate::objects) fn check(
    keys: Option<At<Named<file::Menu>>>,
    names: &Names<'_>,
    places: &mut Places,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<ObjectName, Menu> {
    let mut menus = BTreeMap::new();
    for (place, name, menu, _) in named(keys, problems) {
        problems.extend(reserved("menu", name.as_str(), place).or_else(|| misread("menu", &name, place, "")));
        if let Some(at) = &menu.extension {
            places.extensions.insert((ObjectKind::Menu, name.to_string()), at.place);
        }
        let tries = menu.tries.and_then(|at| Some((at.place, at.value?)));
        if let Some((place, tries)) = tries.filter(|(_, tries)| !TRIES.contains(tries)) {
            let message = format!("a prompt is not played {tries} times");
            let hint = format!("`tries` goes from {} to {}", TRIES.start(), TRIES.end());
            problems.push(Diagnostic::error(Code::OutOfBounds, message, place).hint(hint));
        }
        let prompt = menu.prompt.value;
        if let Some(prompt) = &prompt {
            names.note_host_name(HostName::Prompt(prompt.clone()), menu.prompt.place);
        }
        let digits = digits(&name, menu.digits, names, problems);
        let otherwise = menu.otherwise.and_then(|at| at.value);
        let otherwise = otherwise.map(|list| destination::check::read_at_asterisk("menu", &list, names, problems));
        let Some(prompt) = prompt else { continue };
        menus.insert(
            name,
            Menu {
                extension: menu.extension.and_then(|at| at.value).map(|key| key.0),
                prompt,
                digits,
                wait: menu.wait.and_then(|at| at.value).map_or(DEFAULT_WAIT, |wait| wait.0),
                tries: tries.map_or(DEFAULT_TRIES, |(_, tries)| tries),
                otherwise: otherwise.unwrap_or_default(),
            },
        );
    }
    menus
}

/// Reads who gets the call of a caller who presses a key.
fn digits(
    menu: &ObjectName,
    keys: At<Named<Vec<At<destination::file::TargetName>>>>,
    names: &Names<'_>,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<MenuKey, Vec<Target>> {
    let Some(Named(pairs)) = keys.value else { return BTreeMap::new() };
    if pairs.is_empty() {
        let hint = "list at least one, such as `1: [sales]`";
        problems.push(
            Diagnostic::error(Code::EmptyRoute, format!("the menu `{menu}` has no digits"), keys.place).hint(hint),
        );
    }
    let mut digits = BTreeMap::new();
    for (place, key, list) in pairs {
        let key = key.parse::<MenuKey>().map_err(|invalid| problems.push(Diagnostic::invalid(invalid, place)));
        let Some(items) = list.value else { continue };
        if items.is_empty() {
            let hint = "name at least one destination; `[hangup]` ends the call";
            problems.push(Diagnostic::error(Code::EmptyRoute, "the list of targets is empty", list.place).hint(hint));
        }
        let targets = destination::check::read_at_asterisk("menu", &items, names, problems);
        if let Ok(key) = key {
            digits.insert(key, targets);
        }
    }
    digits
}

/// Finds menus to which a call comes back although the caller chose nothing, and chains that are too long.
pub(in crate::objects) fn loops(routes: &Routes, places: &Places, problems: &mut Vec<Diagnostic>) {
    for (name, menu) in &routes.menus {
        let Some(place) = places.get(&(ObjectKind::Menu, name.to_string())).copied() else { continue };
        if destination::check::comes_back(routes, name) {
            let message = format!("a call to the menu `{name}` comes back to it although the caller presses nothing");
            let hint =
                "change `otherwise`, or `no_answer` of the group that it leads to, so that it does not lead back";
            problems.push(Diagnostic::error(Code::MenuLoop, message, place).hint(hint));
        }
        problems.extend(menu.targets().find_map(|targets| destination::check::too_long(routes, targets, place)));
    }
}
