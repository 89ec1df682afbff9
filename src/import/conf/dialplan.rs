//! What `extensions.conf` says about numbers: which extension runs what, and which context includes which.
//!
//! The dialplan is not imported. It tells which number rings which phone, and which numbers something else answers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Config, Section};
use crate::import::answers::Context;

/// Reads the contexts.
pub(crate) fn dialplan(config: &Config) -> BTreeMap<String, Context> {
    let globals: HashMap<&str, &str> = config
        .real()
        .filter(|section| section.name == "globals")
        .flat_map(|section| &section.entries)
        .map(|(key, value, _)| (key.as_str(), value.as_str()))
        .collect();
    let mut contexts: BTreeMap<String, Context> = BTreeMap::new();
    for section in config.real().filter(|section| !["general", "globals"].contains(&section.name.as_str())) {
        let context = contexts.entry(section.name.clone()).or_default();
        for (key, value) in entries(config, section) {
            match key {
                "exten" => {
                    let Some((name, rest)) = value.split_once(',') else { continue };
                    let name = name.split('/').next().unwrap_or(name);
                    // Asterisk passes over both in a number.
                    context.extensions.push((name.replace([' ', '-'], ""), Vec::new()));
                    step(context, rest, &globals);
                }
                "same" => step(context, value, &globals),
                // What follows is the time in which it holds.
                "include" => context.includes.extend(value.split([',', '|']).next().map(|name| name.trim().to_owned())),
                "switch" | "lswitch" | "eswitch" => context.has_switch = true,
                _ => {}
            }
        }
    }
    contexts
}

/// Lists the lines of a section, those of its templates before its own.
fn entries<'a>(config: &'a Config, section: &'a Section) -> Vec<(&'a str, &'a str)> {
    let mut sections = Vec::new();
    let mut seen = BTreeSet::new();
    collect(config, section, &mut seen, &mut sections);
    let lines = sections.into_iter().flat_map(|section| &section.entries);
    lines.map(|(key, value, _)| (key.as_str(), value.as_str())).collect()
}

fn collect<'a>(config: &'a Config, section: &'a Section, seen: &mut BTreeSet<usize>, sections: &mut Vec<&'a Section>) {
    for base in &section.bases {
        if seen.insert(*base) {
            collect(config, &config.sections[*base], seen, sections);
        }
    }
    sections.push(section);
}

/// Adds a step to the last extension: what follows its priority.
fn step(context: &mut Context, rest: &str, globals: &HashMap<&str, &str>) {
    let Some((priority, application)) = rest.split_once(',') else { return };
    if let (Some((_, steps)), false) = (context.extensions.last_mut(), priority.trim() == "hint") {
        steps.push(with_globals(application.trim(), globals));
    }
}

/// Replaces each `${NAME}` of a global variable by its value, once.
fn with_globals(text: &str, globals: &HashMap<&str, &str>) -> String {
    let mut parts = text.split("${");
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let value = part
            .split_once('}')
            .and_then(|(name, rest)| Some((globals.get(name.to_ascii_lowercase().as_str())?, rest)));
        match value {
            Some((value, rest)) => replaced.extend([*value, rest]),
            None => replaced.extend(["${", part]),
        }
    }
    replaced
}
