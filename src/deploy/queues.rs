//! Whether Asterisk runs the queues of a file, by its own list of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    asterisk::{Asterisk, AsteriskError},
    mismatch::Mismatch,
};
use crate::render::Parsed;

/// Names the queues of a file that do not run, and those that other members have: of queues with one name Asterisk takes the
/// first, and says so only in its log.
pub(super) fn differing(asterisk: &Asterisk, file: &Parsed) -> Result<Vec<Mismatch>, AsteriskError> {
    if file.queues.is_empty() {
        return Ok(Vec::new());
    }
    let answer = asterisk.ask("queue show")?;
    let running = listed(answer.raw());
    let (mut missing, mut others) = (Vec::new(), Vec::new());
    for (name, members) in &file.queues {
        match running.get(name.as_str()) {
            None => missing.push(name.clone()),
            Some(found) if !found.iter().copied().eq(members.iter().map(String::as_str)) => {
                others.push(Mismatch::Value { name: name.clone(), key: "member" });
            }
            Some(_) => {}
        }
    }
    if !missing.is_empty() {
        others.push(Mismatch::Missing { kind: "queue", names: missing });
    }
    Ok(others)
}

/// Reads the list of queues: who takes the calls of each. A queue begins its line, and its members are indented.
fn listed(answer: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut queues: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut queue = "";
    for line in answer.lines() {
        if let Some((name, _)) = line.split_once(" has ").filter(|_| !line.starts_with(' ')) {
            queue = name;
            queues.insert(name, BTreeSet::new());
        } else if let Some((_, rest)) = line.split_once(" (").filter(|_| line.starts_with("      "))
            && let Some((member, _)) = rest.split_once(" from ")
        {
            queues.entry(queue).or_default().insert(member);
        }
    }
    queues
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Asterisk 22 answers.
    #[test]
    fn the_members_of_each_queue_are_listed() {
        let answer = "acme-gen-6d43 has 0 calls (max unlimited) in 'ringall' strategy (0s holdtime, 0s talktime), W:0, C:0, A:0, \
                      SL:0.0%, SL2:0.0% within 0s\n   No Members\n   No Callers\n\n\
                      acme_support has 1 calls (max 20) in 'rrmemory' strategy (0s holdtime, 0s talktime), W:0, C:0, A:0, \
                      SL:0.0%, SL2:0.0% within 0s\n   Members: \n      \
                      1001 (Local/1001@acme-members/n from hint:1001@acme-internal) (ringinuse disabled) (Not in use) has taken no \
                      calls yet (login was 2 secs ago)\n      \
                      1002 (Local/1002@acme-members/n from hint:1002@acme-internal) (ringinuse disabled) (In use) (in call) has \
                      taken 1 calls (last was 3 secs ago) (login was 2 secs ago)\n   Callers: \n      \
                      1. PJSIP/acme-1003-00000001 (wait: 0:02, prio: 0)\n\n";
        let expected = [
            ("acme-gen-6d43", BTreeSet::new()),
            ("acme_support", BTreeSet::from(["Local/1001@acme-members/n", "Local/1002@acme-members/n"])),
        ];
        assert_eq!(listed(answer), expected.into());
    }
}
