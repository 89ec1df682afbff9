//! Targets in the routing file: who gets a call once a rule decided, and how they are reached.

use std::fmt::Write;

use super::{
    BadValue, Name, Phone, RING, Value,
    inbound::{Contexts, DEFAULT, Inbound, PHONE, Steps, stable},
    trunk_name,
};
use crate::{
    calls::{CallerId, Dialer, DialerTarget, NumberSource, Target},
    model::{Extension, ObjectName},
};

/// Hang-up causes (Q.850): unallocated (404), busy (486), no answer (480), unavailable (480), rejected (403).
const UNALLOCATED: u8 = 1;
const BUSY: u8 = 17;
const NO_ANSWER: u8 = 19;
const UNAVAILABLE: u8 = 20;
const REJECTED: u8 = 21;

impl Inbound<'_> {
    /// Who gets the calls of each rule, tried in turn.
    pub(super) fn targets(&self, text: &mut String) {
        let _ = write!(
            text,
            "\n; Who gets the calls of a rule, in turn; `o`: outside its hours.\n[{}]\n",
            self.contexts.targets
        );
        let mut named: Vec<(&String, &usize)> = self.names.iter().map(|(index, name)| (name, index)).collect();
        named.sort_unstable();
        for (name, index) in named {
            let rule = &self.routes.rules[*index];
            let _ = writeln!(text, "; {rule}");
            self.route(text, &format!("r{name}"), &rule.route);
            if let Some(otherwise) = &rule.otherwise {
                self.route(text, &format!("o{name}"), otherwise);
            }
        }
        let _ = writeln!(text, "; any other call");
        self.route(text, DEFAULT, &self.routes.default_route);
        for (name, phone) in self.phones_by_name() {
            let _ = writeln!(text, "; the phone `{name}`, called by its name");
            self.route(text, &format!("{PHONE}{}", phone.extension), &[Target::User(phone.email.key())]);
        }
    }

    /// Lists the phones of users who may get a call.
    fn called(&self) -> impl Iterator<Item = &Phone<'_>> {
        let users = self.routes.users();
        self.book.phones.iter().filter(move |phone| users.contains(&phone.email.key()))
    }

    /// Lists their endpoints' names: a provider that dials users by SIP calls these. A name that is
    /// also one of our numbers is that number.
    pub(super) fn phones_by_name(&self) -> Vec<(String, &Phone<'_>)> {
        let numbers = self.routes.numbers();
        let is_ours = |name: &str| numbers.iter().any(|number| number.as_str().strip_prefix('+') == Some(name));
        let prefix = self.book.settings.endpoint_names.prefix(self.book.tenant);
        let named = self.called().map(|phone| (format!("{prefix}{}", phone.extension), phone));
        named.filter(|(name, _)| !is_ours(name)).collect()
    }

    fn route(&self, text: &mut String, extension: &str, targets: &[Target]) {
        let Contexts { dialers, phones, .. } = &self.contexts;
        // Until somebody was tried there is no cause but this one.
        let nobody = if targets.is_empty() { UNALLOCATED } else { UNAVAILABLE };
        let mut steps = Steps::new(text, extension);
        steps.step(format!("Set(CAUSE={nobody})"));
        for target in targets {
            match target {
                Target::Hangup => return steps.step(format!("Hangup({REJECTED})")),
                Target::Busy => return steps.step(format!("Hangup({BUSY})")),
                Target::Dialer(name) if self.routes.dialers.contains_key(name) => {
                    steps.step(format!("Gosub({dialers},d{},1)", stable(name.as_str())));
                }
                Target::Dialer(_) => steps.step("NoOp(a dialer that is not declared)"),
                Target::User(email) => match self.book.phones.iter().find(|phone| phone.email.key() == *email) {
                    Some(phone) => steps.step(format!("Gosub({phones},{},1)", phone.extension)),
                    None => steps.step("NoOp(a user who has no phone)"),
                },
            }
        }
        steps.step("Hangup(${CAUSE})");
    }

    /// How each dialer is reached.
    pub(super) fn dialers(&self, text: &mut String) -> Result<(), BadValue> {
        if self.routes.dialers.is_empty() {
            return Ok(());
        }
        let Contexts { dialers, next, .. } = &self.contexts;
        let _ = write!(
            text,
            "\n; Dialers, over their trunks. What they forward a call to is not followed, nor is the caller told who answers.\n[{dialers}]\n"
        );
        for (name, dialer) in &self.routes.dialers {
            let _ = writeln!(text, "; {name}");
            let mut steps = Steps::new(text, format!("d{}", stable(name.as_str())));
            let Some(trunk) = &dialer.trunk else {
                steps.step("Return() ; it has no trunk: the next target gets the call");
                continue;
            };
            self.show(&mut steps, dialer);
            let to = self.address(dialer, trunk)?;
            steps.step(format!("Dial({to},{},iI)", dialer.ring));
            steps.step(format!("Goto({next},s,1)"));
        }
        Ok(())
    }

    /// Shows the dialer a number and nothing else of the caller.
    fn show(&self, steps: &mut Steps<'_>, dialer: &Dialer) {
        let number = match &dialer.caller_id {
            CallerId::Number(number) => Some(number),
            CallerId::Default => self.routes.caller_id.as_ref(),
            CallerId::Called | CallerId::Caller => None,
        };
        match number {
            Some(number) => steps.step(format!("Set(CALLERID(num)={number})")),
            None => steps.step("Set(CALLERID(num)=${CALLED})"),
        }
        if dialer.caller_id == CallerId::Caller {
            steps.step("ExecIf($[\"${CALLER:0:1}\" = \"+\"]?Set(CALLERID(num)=${CALLER}))");
        }
        steps.step("Set(CALLERID(name)=)");
        steps.step("Set(CALLERID(pres)=allowed_not_screened)");
    }

    /// Writes what is dialled: a number at the trunk's host, or an address with the trunk's settings.
    fn address(&self, dialer: &Dialer, trunk: &ObjectName) -> Result<Value, BadValue> {
        let trunk = Name::new(trunk_name(self.book.tenant, trunk))?;
        match &dialer.target {
            DialerTarget::Number(NumberSource::Given(number)) => {
                Value::dialplan("number", &format!("PJSIP/{number}@{trunk}"))
            }
            DialerTarget::Number(NumberSource::Env(variable)) if self.masked => {
                Value::dialplan("number", &format!("PJSIP/({variable})@{trunk}"))
            }
            DialerTarget::Number(NumberSource::Env(_)) => {
                Err(BadValue { what: "a dialer's number", reason: "it is missing" })
            }
            DialerTarget::Sip(address) => Value::dialplan("sip", &format!("PJSIP/{trunk}/{address}")),
        }
    }

    /// How each user who may get a call is reached, and what comes after a target that did not answer.
    pub(super) fn phones(&self, text: &mut String) {
        let Contexts { phones, next, .. } = &self.contexts;
        let prefix = self.book.settings.endpoint_names.prefix(self.book.tenant);
        let extensions: Vec<Extension> = self.called().map(|phone| phone.extension).collect();
        if !extensions.is_empty() {
            let _ = write!(
                text,
                "\n; Users' phones; they see who calls, and the caller is not told who answers.\n[{phones}]\n"
            );
        }
        for extension in extensions {
            let contacts = format!("${{PJSIP_DIAL_CONTACTS({prefix}{extension})}}");
            let mut steps = Steps::new(text, extension);
            steps.step("Set(CALLERID(num)=${FROM_NUMBER})");
            steps.step("Set(CALLERID(name)=${FROM_NAME})");
            steps.step("Set(CALLERID(pres)=${FROM_SHOWN})");
            steps.step(format!("GotoIf(${{ISNULL({contacts})}}?away)"));
            steps.step(format!("Dial({contacts},{RING},I)"));
            steps.step(format!("Goto({next},s,1)"));
            steps.labelled("away", "Return()");
        }
        let _ = write!(
            text,
            "\n; After a target: the next one, unless somebody answered or the caller gave up.\n[{next}]\n"
        );
        let mut steps = Steps::new(text, "s");
        steps.step("GotoIf($[\"${DIALSTATUS}\" = \"ANSWER\" | \"${DIALSTATUS}\" = \"CANCEL\"]?over)");
        steps.step("Set(CAUSE=${HANGUPCAUSE})");
        steps.step(format!("ExecIf($[\"${{DIALSTATUS}}\" = \"NOANSWER\" | ${{CAUSE}} = 0]?Set(CAUSE={NO_ANSWER}))"));
        steps.step("Return()");
        steps.labelled("over", "Hangup()");
        text.push('\n');
    }
}
