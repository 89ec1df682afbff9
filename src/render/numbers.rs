//! Which public numbers' calls go another way with another routing file. A file in place may be of another program or
//! edited by hand, so that both are read as text: a number's calls go the same way if the steps are the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{inbound::Contexts, parse};
use crate::{
    asterisk::BadValue,
    model::{E164, Tenant},
};

/// Finds the public numbers whose rules, hours, targets, dialers or groups differ between two routing files.
///
/// # Errors
/// For tenants whose names cannot stand in a configuration line; none that was checked is one.
pub fn numbers_between(tenant: &Tenant, before: &str, after: &str) -> Result<BTreeSet<E164>, BadValue> {
    let contexts = Contexts::of(tenant)?;
    let [before, after] = [before, after].map(|text| Steps::read(&contexts, text).ways());
    let all: BTreeSet<&E164> = before.keys().chain(after.keys()).collect();
    Ok(all.into_iter().filter(|number| before.get(*number) != after.get(*number)).cloned().collect())
}

/// A place of the dialplan: context and extension.
type At<'a> = (&'a str, &'a str);

/// The steps of the contexts that decide about calls. What rings phones is the same for all numbers.
struct Steps<'a> {
    decision: String,
    steps: BTreeMap<At<'a>, Vec<&'a str>>,
}

/// More than the longest way that is ever written: rules, those for other numbers, targets, a group, the list of its
/// members, a member.
const LONGEST: usize = 8;

impl<'a> Steps<'a> {
    fn read(contexts: &Contexts, text: &'a str) -> Self {
        let Contexts { decision, conditions, targets, outside, together, members, .. } = contexts;
        let read = [decision, conditions, targets, outside, together, members].map(ToString::to_string);
        let mut steps: BTreeMap<At<'a>, Vec<&'a str>> = BTreeMap::new();
        let (mut context, mut extension) = (None, "");
        for line in text.lines().map(str::trim) {
            if let Some((name, _)) = parse::section(line) {
                context = read.iter().any(|known| known == name).then_some(name);
            } else if let (Some(context), Some((kind @ ("exten" | "same"), mut step))) =
                (context, line.split_once(" => "))
            {
                if kind == "exten" {
                    (extension, step) = step.split_once(',').unwrap_or((step, ""));
                }
                steps.entry((context, extension)).or_default().push(step);
            }
        }
        Self { decision: decision.to_string(), steps }
    }

    /// Hashes the way of each number.
    fn ways(&self) -> BTreeMap<E164, u64> {
        let mut known = BTreeMap::new();
        let called = self.steps.keys().filter(|(context, _)| *context == self.decision);
        let called = called.filter_map(|at| Some((*at, at.1.parse().ok()?)));
        called.map(|(at, number)| (number, self.way(at, &mut known, 0))).collect()
    }

    /// Hashes the steps of an extension, with what they lead to in place of its name.
    fn way(&self, at: At<'a>, known: &mut BTreeMap<At<'a>, u64>, depth: usize) -> u64 {
        if let Some(way) = known.get(&at) {
            return *way;
        }
        // Somebody may have made a circle.
        known.insert(at, 0);
        let mut hasher = DefaultHasher::new();
        for step in self.steps.get(&at).into_iter().flatten().filter(|_| depth < LONGEST) {
            if let Some((words, next)) = self.led_to(at, step) {
                words.hash(&mut hasher);
                self.way(next, known, depth + 1).hash(&mut hasher);
            } else {
                step.hash(&mut hasher);
            }
            // Nothing behind it is reached.
            if step.contains(",Goto(") {
                break;
            }
        }
        let way = hasher.finish();
        known.insert(at, way);
        way
    }

    /// Finds the place that a step leads to, and the words before it.
    fn led_to(&self, (context, _): At<'a>, step: &'a str) -> Option<(&'a str, At<'a>)> {
        // A member outside is called by a channel of the dialplan.
        if let Some((words, channel)) = step.split_once("&Local/") {
            let (extension, context) = channel.trim_end_matches("/n)").split_once('@')?;
            return self.place(words, (context, extension));
        }
        let (words, place) = step.split_at(step.rfind(['(', '?'])? + 1);
        let mut parts = place.trim_end_matches(')').split(',');
        let next = match (parts.next()?, parts.next()?, parts.next()) {
            (extension, "1", None) => (context, extension),
            (context, extension, Some("1")) => (context, extension),
            _ => return None,
        };
        self.place(words, next)
    }

    /// Returns a place with the words before it, or `None` if the file has no steps there.
    fn place(&self, words: &'a str, next: At<'a>) -> Option<(&'a str, At<'a>)> {
        self.steps.contains_key(&next).then_some((words, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"[acme-rules]
exten => +4930111,1,Gosub(acme-hours,1,1)
 same => n,GotoIf($[${GOSUB_RETVAL} = 1]?acme-targets,r1,1)
 same => n,Goto(default,1)
exten => +4930222,1,Goto(acme-targets,r2,1)
 same => n,Goto(default,1)
exten => +4930333,1,GotoIf($["${CALLER:0:3}" = "+49"]?acme-targets,r2,1)
 same => n,Goto(default,1)
exten => +4930444,1,Goto(acme-targets,r3,1)
 same => n,Goto(default,1)
exten => default,1,Goto(acme-targets,default,1)

[acme-hours]
exten => 1,1,GotoIfTime(09:00-17:59,mon,*,*,UTC?open)
 same => n,Return(0)
 same => n(open),Return(1)

[acme-targets]
exten => r1,1,Gosub(acme-phones,1001,1)
 same => n,Hangup(17)
exten => r2,1,Gosub(acme-dialers,d1,1)
 same => n,Hangup(${CAUSE})
exten => r3,1,Gosub(acme-groups,g1,1)
 same => n,Hangup(${CAUSE})
exten => default,1,Set(CAUSE=20)
 same => n,Hangup(${CAUSE})

[acme-dialers]
exten => d1,1,Dial(PJSIP/+4930999@acme-trunk-carrier,30,iI)

[acme-groups]
; sales
exten => g1,1,Set(LINE=)
 same => n,Gosub(acme-groups,l1,1)
 same => n,Dial(${LINE:1},20,iI)
 same => n,Goto(acme-next,s,1)
exten => l1,1,Gosub(acme-member,1003,1)
 same => n,Set(LINE=${LINE}&Local/m1@acme-members/n)
 same => n,Return()

[acme-members]
exten => _X!,1,Gosub(acme-leg,${EXTEN},1(I,600))
exten => m1,1,Dial(PJSIP/+4930998@acme-trunk-carrier,20,iIU(acme-confirm^s^1))
 same => n,Hangup(19)
"#;

    /// Changes a text of the file, and tells whose calls go another way.
    fn told(text: &str, other: &str) -> Vec<String> {
        assert!(FILE.contains(text), "{text}");
        let numbers = numbers_between(&"acme".parse().unwrap(), FILE, &FILE.replace(text, other)).unwrap();
        numbers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_number_is_told_if_anything_on_its_way_differs() {
        assert_eq!(told("UTC?", "Asia/Tokyo?"), ["+4930111"]);
        assert_eq!(told("acme-phones,1001", "acme-phones,1002"), ["+4930111"]);
        assert_eq!(told("+4930999", "+4930998"), ["+4930222", "+4930333"]);
        assert_eq!(told("= \"+49", "= \"+43"), ["+4930333"]);
        assert_eq!(told("CAUSE=20", "CAUSE=17"), ["+4930111", "+4930333"], "what every caller of a rule gets hides it");
        assert_eq!(told("exten => +4930222,", "exten => +4930224,"), ["+4930222", "+4930224"]);
    }

    #[test]
    fn a_number_is_told_if_who_rings_in_its_group_differs() {
        assert_eq!(told("acme-member,1003", "acme-member,1004"), ["+4930444"]);
        assert_eq!(told(" same => n,Set(LINE=${LINE}&Local/m1@acme-members/n)\n", ""), ["+4930444"]);
        assert_eq!(told("PJSIP/+4930998", "PJSIP/+4930997"), ["+4930444"]);
        assert_eq!(told("},20,iI)", "},25,iI)"), ["+4930444"]);
        assert_eq!(told("@acme-trunk-carrier,20", "@acme-trunk-other,20"), ["+4930444"]);
    }

    #[test]
    fn another_name_or_order_is_the_same_way() {
        assert_eq!(told("d1,1", "d2,1"), [""; 0]);
        assert_eq!(told("1,1,GotoIfTime", "7,1,GotoIfTime").len(), 1, "hours that are gone");
        assert_eq!(told("; sales", "; support"), [""; 0]);
        assert_eq!(told("exten => r1,1", "; to +4930111\nexten => r1,1"), [""; 0]);
    }

    #[test]
    fn a_circle_made_by_hand_ends() {
        let circle = "[acme-rules]\nexten => +4930111,1,Goto(+4930111,1)\n";
        assert!(numbers_between(&"acme".parse().unwrap(), circle, circle).unwrap().is_empty());
    }
}
