//! Inbound calls in the routing file: the same decision as [`crate::calls::decide`], as a dialplan.
//!
//! A call arrives in a context of its own that knows our numbers and nothing else, so a trunk never
//! gets to dial out. Who calls is classified once, rules are tried in the order of
//! [`Routes::entries`], the first that is for the call jumps to its targets, and those are tried in
//! turn. Text that callers control stays in variables: it is matched as data, and never stands in
//! an expression or an argument list.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write},
};

use sha2::{Digest, Sha256};

use super::{BadValue, Digests, Name, Phonebook, Value, inbound_context};
use crate::{
    calls::{Called, CallerMatch, Entry, Hours, OpenRange, Routes, WITHHELD},
    directory::seal::hex,
};

/// Names the days as Asterisk does, from Monday on.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// What begins the names of steps that ring one phone.
pub(super) const PHONE: char = 'p';

/// Blanks around a caller's number, as [`crate::calls::Caller`] drops them.
const BLANKS: &str = "[[:space:]]*";

/// What the rules for calls to other numbers than ours are called.
pub(super) const DEFAULT: &str = "default";

/// The contexts, each with the tenant before it.
pub(super) struct Contexts {
    arrival: Name,
    caller: Name,
    rules: Name,
    hours: Name,
    pub(super) targets: Name,
    pub(super) dialers: Name,
    pub(super) phones: Name,
    pub(super) next: Name,
}

/// What the contexts are made of.
pub(super) struct Inbound<'a> {
    pub(super) book: &'a Phonebook<'a>,
    pub(super) routes: &'a Routes,
    pub(super) contexts: Contexts,
    entries: Vec<Entry<'a>>,
    /// Names for the rules, the same for as long as a rule is for the same calls: a call that rings goes
    /// on where it is when another rule comes or goes.
    pub(super) names: BTreeMap<usize, String>,
    /// Whether numbers that are not known yet may be shown as such.
    pub(super) masked: bool,
}

/// Tells whether there is anything to render.
pub(super) fn is_declared(routes: &Routes) -> bool {
    routes.take_calls() || !routes.trunks.is_empty()
}

/// Renders the contexts for inbound calls; nothing where none are declared.
pub(super) fn render(text: &mut String, book: &Phonebook<'_>, digests: Digests<'_>) -> Result<(), BadValue> {
    let routes = book.routes;
    if !is_declared(routes) {
        return Ok(());
    }
    let context = |kind: &str| Name::new(format!("{}-{kind}", book.tenant));
    let contexts = Contexts {
        arrival: Name::new(inbound_context(book.tenant))?,
        caller: context("caller")?,
        rules: context("rules")?,
        hours: context("hours")?,
        targets: context("targets")?,
        dialers: context("dialers")?,
        phones: context("phones")?,
        next: context("next")?,
    };
    let entries = routes.entries();
    let mut names: BTreeMap<usize, String> = BTreeMap::new();
    for entry in &entries {
        let name = stable(&entry.rule().to_string());
        let others = names.iter().filter(|(index, known)| **index != entry.index && known.starts_with(&name)).count();
        // Rules may say the same where their hours never overlap.
        names.entry(entry.index).or_insert_with(|| if others == 0 { name } else { format!("{name}x{others}") });
    }
    let masked = matches!(digests, Digests::Masked);
    let inbound = Inbound { book, routes, contexts, entries, names, masked };
    inbound.arrival(text);
    inbound.rules(text);
    inbound.hours(text)?;
    inbound.targets(text);
    inbound.dialers(text)?;
    inbound.phones(text);
    Ok(())
}

/// Names an extension after a text: the same text gives the same name, in hex.
pub(super) fn stable(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes())[..6])
}

/// Writes the pattern of a number or name with parameters behind it. `x`, `z` and `n` stand for digits in one.
fn with_parameters(name: &str) -> String {
    let mut pattern = String::from("_");
    for sign in name.chars() {
        if matches!(sign, 'x' | 'z' | 'n') {
            pattern.extend(['[', sign, ']']);
        } else {
            pattern.push(sign);
        }
    }
    pattern + "\\;!"
}

/// One extension of a context: the first line names it, the others follow.
pub(super) struct Steps<'a> {
    text: &'a mut String,
    extension: String,
    begun: bool,
}

impl<'a> Steps<'a> {
    pub(super) fn new(text: &'a mut String, extension: impl fmt::Display) -> Self {
        Self { text, extension: extension.to_string(), begun: false }
    }

    pub(super) fn step(&mut self, application: impl fmt::Display) {
        self.write("", &application);
    }

    pub(super) fn labelled(&mut self, label: &str, application: impl fmt::Display) {
        self.write(&format!("({label})"), &application);
    }

    fn write(&mut self, label: &str, application: &dyn fmt::Display) {
        let _ = if self.begun {
            writeln!(self.text, " same => n{label},{application}")
        } else {
            writeln!(self.text, "exten => {},1{label},{application}", self.extension)
        };
        self.begun = true;
    }
}

impl Inbound<'_> {
    /// Which number was called, who calls, and when: noted once, so that all that follows agrees.
    fn arrival(&self, text: &mut String) {
        let Contexts { arrival, caller, rules, .. } = &self.contexts;
        let _ = write!(
            text,
            "; Calls from trunks arrive here; they lead to the targets below and nowhere else.\n[{arrival}]\n"
        );
        for number in self.routes.numbers() {
            let mut steps = Steps::new(text, number);
            steps.step(format!("Set(CALLED={number})"));
            steps.step(format!("Goto({caller},{number},1)"));
            let digits = number.as_str().trim_start_matches('+');
            let _ = writeln!(text, "exten => {digits},1,Goto({number},1)");
            // Parameters behind a number, such as `;npdi=yes`, are none of it.
            for spelling in [number.as_str(), digits] {
                let _ = writeln!(text, "exten => {},1,Goto({number},1)", with_parameters(spelling));
            }
        }
        for (name, phone) in self.phones_by_name() {
            for spelling in [name.clone(), with_parameters(&name)] {
                let _ = writeln!(text, "exten => {spelling},1,Goto({caller},{PHONE}{},1)", phone.extension);
            }
        }
        // Anything of two characters and more; a pattern for fewer would catch Asterisk's own `h` and `t`.
        for pattern in ["_[!-~].", "_[0-9+*#]", "s"] {
            let mut steps = Steps::new(text, pattern);
            steps.step("Set(CALLED=${FILTER(+0-9,${CUT(EXTEN,\\;,1)})})");
            steps.step(format!("Goto({caller},{DEFAULT},1)"));
        }
        let withheld = WITHHELD.join("|");
        let _ =
            write!(text, "\n; Who calls: a number in E.164 form, `withheld`, or nothing of the kind.\n[{caller}]\n");
        let mut steps = Steps::new(text, format!("_[+d{PHONE}]."));
        // `TESTTIME` is Asterisk's own variable for the time that rules go by; no caller can set it.
        steps.step("ExecIf($[\"${TESTTIME}\" = \"\"]?Set(TESTTIME=${EPOCH}))");
        steps.step("Set(FROM_NUMBER=${CALLERID(num)})");
        steps.step("Set(FROM_NAME=${CALLERID(name)})");
        steps.step("Set(FROM_SHOWN=${CALLERID(pres)})");
        steps.step("Set(CALLER=)");
        steps.step(format!(
            "GotoIf(${{REGEX(\"^{BLANKS}([+]*({withheld}))?{BLANKS}$\" ${{TOLOWER(${{FROM_NUMBER}})}})}}?withheld)"
        ));
        steps.step(format!(
            "GotoIf(${{REGEX(\"^{BLANKS}[+][1-9][0-9]{{1,14}}{BLANKS}$\" ${{FROM_NUMBER}})}}?number:decide)"
        ));
        steps.labelled("number", "Set(CALLER=${FILTER(+0-9,${FROM_NUMBER})})");
        steps.step("Goto(decide)");
        steps.labelled("withheld", "Set(CALLER=withheld)");
        steps.labelled("decide", format!("Goto({rules},${{EXTEN}},1)"));
    }

    /// The rules for each called number, the most specific first.
    fn rules(&self, text: &mut String) {
        let _ = write!(text, "\n; The first rule that is for the call decides.\n[{}]\n", self.contexts.rules);
        for number in self.routes.numbers() {
            let mut steps = Steps::new(text, number);
            let to = Called::Did(number.clone());
            for entry in self.entries.iter().filter(|entry| entry.rule().to == to) {
                self.rule(&mut steps, entry);
            }
            steps.step(format!("Goto({DEFAULT},1)"));
        }
        let mut steps = Steps::new(text, DEFAULT);
        for entry in self.entries.iter().filter(|entry| entry.rule().to == Called::Default) {
            self.rule(&mut steps, entry);
        }
        let targets = &self.contexts.targets;
        steps.step(format!("Goto({targets},{DEFAULT},1)"));
        if !self.phones_by_name().is_empty() {
            let _ = writeln!(text, "exten => _{PHONE}.,1,Goto({targets},${{EXTEN}},1)");
        }
    }

    fn rule(&self, steps: &mut Steps<'_>, entry: &Entry<'_>) {
        let Contexts { hours, targets, .. } = &self.contexts;
        let rule = entry.rule();
        let name = &self.names[&entry.index];
        let from = entry.from.map(|from| match from {
            CallerMatch::Withheld => "\"${CALLER}\" = \"withheld\"".to_owned(),
            CallerMatch::Prefix(prefix) => {
                let start = prefix.start();
                format!("\"${{CALLER:0:{}}}\" = \"{start}\"", start.len())
            }
        });
        let when = rule.when.as_ref().and_then(|when| self.routes.hours.keys().position(|name| name == when));
        let Some(when) = when else {
            let to = format!("{targets},r{name},1");
            return steps.step(from.map_or_else(|| format!("Goto({to})"), |from| format!("GotoIf($[{from}]?{to})")));
        };
        steps.step(format!("Gosub({hours},{},1)", when + 1));
        let from = from.map(|from| format!("{from} & ")).unwrap_or_default();
        let mut jump = |condition: &str, to: &str| {
            steps.step(format!("GotoIf($[{from}{condition}]?{targets},{to}{name},1)"));
        };
        jump("${GOSUB_RETVAL} = 1", "r");
        if rule.otherwise.is_some() {
            jump("${GOSUB_RETVAL} = 0", "o");
        }
    }

    /// Whether it is open, by the hours' own clock.
    fn hours(&self, text: &mut String) -> Result<(), BadValue> {
        if self.routes.hours.is_empty() {
            return Ok(());
        }
        let _ = write!(
            text,
            "\n; Opening hours; a range ends with the minute that is named last.\n[{}]\n",
            self.contexts.hours
        );
        for (index, (name, hours)) in self.routes.hours.iter().enumerate() {
            let _ = writeln!(text, "; {name}");
            let zone = Value::dialplan("timezone", hours.timezone.name())?;
            let mut steps = Steps::new(text, index + 1);
            steps.step(format!("Set(TODAY=${{STRFTIME(${{TESTTIME}},{zone},%Y-%m-%d)}})"));
            for date in &hours.closed {
                steps.step(format!("GotoIf($[\"${{TODAY}}\" = \"{date}\"]?closed)"));
            }
            for ((from, to), days) in weekly(hours) {
                steps.step(format!("GotoIfTime({}-{},{days},*,*,{zone}?open)", clock(from), clock(to - 1)));
            }
            steps.labelled("closed", "Return(0)");
            steps.labelled("open", "Return(1)");
        }
        Ok(())
    }
}

/// Sorts the hours of a week by clock time: first minute, first minute after it, and the days.
fn weekly(hours: &Hours) -> BTreeMap<(u16, u16), String> {
    let mut weekly: BTreeMap<(u16, u16), BTreeSet<u8>> = BTreeMap::new();
    for (day, from, to) in hours.open.iter().flat_map(OpenRange::parts) {
        weekly.entry((from, to)).or_default().insert(day);
    }
    let names = |days: &BTreeSet<u8>| days.iter().map(|day| DAYS[usize::from(*day) % 7]).collect::<Vec<_>>().join("&");
    weekly.iter().map(|(range, days)| (*range, names(days))).collect()
}

/// Writes a minute of the day.
fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}
