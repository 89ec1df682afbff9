//! What another routing file changes: which public numbers' calls go another way, and whether phones can dial something
//! else. A file in place may be of another program or edited by hand, so that both are read as text: a call goes the same
//! way if the steps are the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{contexts::Contexts, parse};
use crate::{
    asterisk::{BadValue, lines},
    model::{E164, Tenant},
};

/// Finds the public numbers whose arrival, rules, hours, targets, dialers, groups or phones differ between two routing
/// files.
///
/// # Errors
/// For tenants whose names cannot stand in a configuration line; none that was checked is one.
pub(crate) fn numbers_between(tenant: &Tenant, before: &str, after: &str) -> Result<BTreeSet<E164>, BadValue> {
    let contexts = Contexts::of(tenant)?;
    let [before, after] = [before, after].map(uncommented);
    let [before, after] = [&before, &after].map(|text| Steps::read(text, &contexts).ways());
    let all: BTreeSet<&E164> = before.keys().chain(after.keys()).collect();
    Ok(all.into_iter().filter(|number| before.get(*number) != after.get(*number)).cloned().collect())
}

/// Tells whether phones can dial something else by another routing file.
///
/// # Errors
/// As [`numbers_between`].
pub(crate) fn dialing_differs(tenant: &Tenant, before: &str, after: &str) -> Result<bool, BadValue> {
    let contexts = Contexts::of(tenant)?;
    let [before, after] = [before, after].map(uncommented);
    let [before, after] = [&before, &after].map(|text| Steps::read(text, &contexts));
    let Contexts { internal, count, ring, leg, .. } = contexts;
    let [internal, count, ring, leg] = [internal, count, ring, leg].map(|context| context.to_string());
    let differs = |context: &String| !before.context(context).eq(after.context(context));
    // Which phone rings is the first step: what becomes of a call that nobody answers is not what phones can dial.
    let first = |(extension, steps)| -> (&str, &[&str]) {
        let steps: &Vec<&str> = steps;
        (extension, if extension.is_empty() { steps } else { &steps[..1] })
    };
    let rings = before.context(&ring).map(first).eq(after.context(&ring).map(first));
    Ok(!rings || [internal, count, leg].iter().any(differs))
}

/// A place of the dialplan: context and extension. What a context has beside extensions stands at an empty one.
type At<'a> = (&'a str, &'a str);

/// The steps of a routing file.
struct Steps<'a> {
    extensions: BTreeMap<At<'a>, Vec<&'a str>>,
    contexts: BTreeSet<&'a str>,
    /// The context where calls arrive, that of the rules, and that of the targets which these return.
    arrival: String,
    decision: String,
    targets: String,
}

/// More than the longest way that is ever written: arrival, caller, rules, those for other numbers, targets, a group, the
/// list of its members, a member, its devices.
const LONGEST: usize = 12;

impl<'a> Steps<'a> {
    fn read(text: &'a str, Contexts { arrival, decision, targets, .. }: &Contexts) -> Self {
        let mut steps: BTreeMap<At<'a>, Vec<&'a str>> = BTreeMap::new();
        let (mut context, mut extension) = ("", "");
        for line in text.lines() {
            if let Some((name, options)) = parse::section(line) {
                // A template is no context.
                let is_template = options.split(',').any(|option| option.trim() == "!");
                (context, extension) = (if is_template { "" } else { name }, "");
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
                steps.entry((context, "")).or_default().push(line);
                continue;
            };
            let value = value.strip_prefix('>').unwrap_or(value).trim();
            match (key.trim(), value.split_once(',')) {
                ("exten", Some((name, step))) => {
                    extension = name.trim();
                    steps.entry((context, extension)).or_default().push(step.trim());
                }
                ("same", _) => steps.entry((context, extension)).or_default().push(value),
                _ => steps.entry((context, "")).or_default().push(value),
            }
        }
        let contexts = steps.keys().map(|(context, _)| *context).collect();
        let [arrival, decision, targets] = [arrival, decision, targets].map(ToString::to_string);
        Self { extensions: steps, contexts, arrival, decision, targets }
    }

    /// Lists what stands in a context.
    fn context<'b>(&'b self, context: &'b str) -> impl Iterator<Item = (&'a str, &'b Vec<&'a str>)> {
        let from = self.extensions.range((context, "")..);
        from.take_while(move |((at, _), _)| *at == context).map(|((_, extension), steps)| (*extension, steps))
    }

    /// Hashes the way of each number: how its calls arrive, in whatever form a carrier writes it, and what decides
    /// about them.
    fn ways(&self) -> BTreeMap<E164, u64> {
        let (arrival, decision) = (self.arrival.as_str(), self.decision.as_str());
        let mut forms: BTreeMap<&str, DefaultHasher> = BTreeMap::new();
        for (extension, steps) in self.context(arrival) {
            let led_to = steps.iter().find_map(|step| self.led_to((arrival, extension), step));
            if let Some((_, (context, number))) = led_to
                && context == arrival
            {
                (extension, steps).hash(forms.entry(number).or_default());
            }
        }
        let mut known = BTreeMap::new();
        let called = self.context(decision).filter_map(|(extension, _)| Some((extension, extension.parse().ok()?)));
        let way = |(extension, number)| {
            let mut hasher = forms.get(extension).cloned().unwrap_or_default();
            for context in [arrival, decision] {
                self.extensions.get(&(context, "")).hash(&mut hasher);
                self.way((context, extension), &mut known, 0).hash(&mut hasher);
            }
            (number, hasher.finish())
        };
        called.map(way).collect()
    }

    /// Hashes the steps of an extension, with what they lead to in place of its name.
    fn way<'b>(&'b self, at: At<'b>, known: &mut BTreeMap<At<'b>, u64>, depth: usize) -> u64 {
        if let Some(way) = known.get(&at) {
            return *way;
        }
        // Somebody may have made a circle.
        known.insert(at, 0);
        let mut hasher = DefaultHasher::new();
        let mut is_reached = true;
        for step in self.extensions.get(&at).into_iter().flatten().filter(|_| depth < LONGEST) {
            // Behind a jump only a label is reached.
            is_reached |= step.starts_with("n(");
            if !is_reached {
                continue;
            }
            if let Some((words, next)) = self.led_to(at, step) {
                words.hash(&mut hasher);
                self.way(next, known, depth + 1).hash(&mut hasher);
            } else {
                step.hash(&mut hasher);
                for context in self.named(step) {
                    self.patterns(context, known, depth + 1).hash(&mut hasher);
                }
            }
            is_reached = ![",Goto(", ",Return("].iter().any(|end| step.contains(end));
        }
        let way = hasher.finish();
        known.insert(at, way);
        way
    }

    /// Finds the place that a step leads to, and the words before it.
    fn led_to<'b>(&'b self, (context, _): At<'b>, step: &'b str) -> Option<(&'b str, At<'b>)> {
        // A member outside is called by a channel of the dialplan.
        if let Some((words, channel)) = step.split_once("&Local/") {
            let (extension, context) = channel.trim_end_matches("/n)").split_once('@')?;
            return self.place(words, (context, extension));
        }
        if context == self.decision
            && let Some((words, target)) = step.split_once("Return(")
        {
            return self.place(words, (&self.targets, target.trim_end_matches(')')));
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
    fn place<'b>(&self, words: &'b str, next: At<'b>) -> Option<(&'b str, At<'b>)> {
        self.extensions.contains_key(&next).then_some((words, next))
    }

    /// Hashes what a step may lead to that names a context with an extension which is only known in the call: its patterns,
    /// and the numbers that somebody added by hand.
    fn patterns<'b>(&'b self, context: &'b str, known: &mut BTreeMap<At<'b>, u64>, depth: usize) -> u64 {
        if let Some(way) = known.get(&(context, PATTERNS)) {
            return *way;
        }
        known.insert((context, PATTERNS), 0);
        let mut hasher = DefaultHasher::new();
        let matches = |extension: &str| extension.starts_with('_') || extension.bytes().all(|b| b.is_ascii_digit());
        for (extension, _) in self.context(context).filter(|(extension, _)| matches(extension)) {
            extension.hash(&mut hasher);
            self.way((context, extension), known, depth).hash(&mut hasher);
        }
        let way = hasher.finish();
        known.insert((context, PATTERNS), way);
        way
    }

    /// Lists the contexts that a step names.
    fn named<'b>(&'b self, step: &'b str) -> impl Iterator<Item = &'b str> {
        let words = step.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
        words.filter(|word| self.contexts.contains(word))
    }
}

/// Stands for all patterns of a context; no extension is called so.
const PATTERNS: &str = "\n";

/// Returns a file without its comments.
fn uncommented(text: &str) -> String {
    lines(text).flat_map(|(_, line)| [line, "\n".into()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"[acme-internal]
exten => _1XXX,hint,PJSIP/${EXTEN}
exten => _1XXX,1,Goto(acme-ring,${EXTEN},1)
include => outbound

[acme-ring]
exten => _X!,1,Gosub(acme-leg,${EXTEN},1(,600))

; All devices of a number.
[acme-leg]
exten => _X!,1,Dial(PJSIP/${EXTEN},${ARG2},i${ARG1})

[acme-inbound]
exten => +4930111,1,Goto(acme-caller,+4930111,1)
exten => 4930111,1,Goto(+4930111,1)
exten => _+4930111\;!,1,Goto(+4930111,1)
exten => +4930222,1,Goto(acme-caller,+4930222,1)

[acme-caller]
exten => _[+dp].,1,Set(CALLER=${FILTER(+0-9,${CALLERID(num)})})
 same => n,Goto(decide)
 same => n(decide),Gosub(acme-rules,${EXTEN},1)
 same => n,Goto(acme-targets,${GOSUB_RETVAL},1)

[acme-phones]
exten => _X!,1,Gosub(acme-leg,${EXTEN},1(I,30))
 same => n,Return()

[acme-rules]
exten => +4930111,1,Gosub(acme-hours,1,1)
 same => n,ExecIf($[${GOSUB_RETVAL} = 1]?Return(r1))
 same => n,Goto(default,1)
exten => +4930222,1,Return(r2)
 same => n,Goto(default,1)
exten => +4930333,1,ExecIf($["${CALLER:0:3}" = "+49"]?Return(r2))
 same => n,Goto(default,1)
exten => +4930444,1,Return(r3)
 same => n,Goto(default,1)
exten => default,1,Return(default)

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

[acme-member]
exten => _X!,1,Set(LINE=${LINE}&Local/${EXTEN}@acme-members/n)

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
    fn a_number_is_listed_if_anything_on_its_way_differs() {
        assert_eq!(told("UTC?", "Asia/Tokyo?"), ["+4930111"]);
        assert_eq!(told("acme-phones,1001", "acme-phones,1002"), ["+4930111"]);
        assert_eq!(told("+4930999", "+4930998"), ["+4930222", "+4930333"]);
        assert_eq!(told("= \"+49", "= \"+43"), ["+4930333"]);
        assert_eq!(told("CAUSE=20", "CAUSE=17"), ["+4930111", "+4930333"], "what every caller of a rule gets hides it");
        assert_eq!(told("exten => +4930222,", "exten => +4930224,"), ["+4930222", "+4930224"]);
    }

    /// What no number has for itself is asked by those that come by.
    #[test]
    fn numbers_are_listed_if_how_they_arrive_or_ring_differs() {
        let all = ["+4930111", "+4930222", "+4930333", "+4930444"];
        assert_eq!(told("exten => 4930111,1", "exten => 04930111,1"), ["+4930111"]);
        assert_eq!(told("exten => _+4930111", "exten => _+04930111"), ["+4930111"]);
        assert_eq!(told("acme-caller,+4930222", "acme-caller,+4930111"), ["+4930222"]);
        assert_eq!(told("Set(CALLER=", "Set(CALLED="), all[..2], "the others do not arrive by name");
        assert_eq!(told("n(decide),Gosub(acme-rules", "n(decide),Gosub(acme-lost"), all[..2], "a label behind a jump");
        assert_eq!(told("1(I,30)", "1(I,60)"), ["+4930111"]);
        assert_eq!(told("},i${ARG1}", "},I${ARG1}"), ["+4930111", "+4930444"]);
    }

    #[test]
    fn phones_dial_something_else_if_anything_that_they_reach_differs() {
        let dials = |text: &str, other: &str| {
            assert!(FILE.contains(text), "{text}");
            dialing_differs(&"acme".parse().unwrap(), FILE, &FILE.replace(text, other)).unwrap()
        };
        for (text, other) in [
            ("=> outbound", "=> outbond"),
            ("include => outbound\n", ""),
            ("_1XXX,1,", "_10XX,1,"),
            ("_1XXX,hint,", "_10XX,hint,"),
            ("1(,600)", "1(,60)"),
            ("},i${ARG1}", "},I${ARG1}"),
            ("[acme-ring]\n", "[acme-ring]\nexten => 112,1,Hangup()\n"),
            ("[acme-ring]\n", "[acme-ring]\n#include more.conf\n"),
            ("[acme-ring]\n", "[acme-ring](!)\n"),
            ("[acme-ring]\n", "[acme-ring]\n;--\n"),
        ] {
            assert!(dials(text, other), "{text} -> {other}");
        }
        for (text, other) in [
            ("include => ", "include = "),
            ("exten => ", "exten="),
            ("; All devices of a number.\n", ""),
            ("_1XXX,1,Goto(acme-ring,${EXTEN},1)", "_1XXX,1,Goto(acme-ring,${EXTEN},1) ; rings"),
            ("1(I,30)", "1(I,60)"),
            ("1(,600))\n", "1(,600))\n same => n,Hangup(20)\n"),
        ] {
            assert!(!dials(text, other), "{text} -> {other}");
        }
    }

    #[test]
    fn a_number_is_listed_if_the_members_of_its_group_differ() {
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
        assert_eq!(told("exten => ", "exten = "), [""; 0]);
        assert_eq!(told("exten => r1,1", "; to +4930111\nexten => r1,1"), [""; 0]);
    }

    #[test]
    fn a_circle_made_by_hand_ends() {
        let circle = "[acme-rules]\nexten => +4930111,1,Goto(+4930111,1)\n";
        assert!(numbers_between(&"acme".parse().unwrap(), circle, circle).unwrap().is_empty());
    }
}
