//! Targets in the routing file: who gets a call once a rule decided, and how they are reached.

use std::collections::BTreeSet;

use super::{
    Phone,
    caller::show_caller,
    contexts::{BUSY, Contexts, NO_ANSWER, RANG, REJECTED, UNALLOCATED, UNAVAILABLE, endpoint},
    inbound::{DEFAULT, Inbound, named_extension, phone_extension},
};
use crate::{
    asterisk::{
        BadValue, Name,
        dialplan::{CallerField, Context, Dialplan, Expr, Extension, Hash, Pattern, Place, Step, Variable},
    },
    model::{CallerId, Cause, Chain, Leg, Mailbox, Node, NumberSource, ObjectName, Outside, OutsideLine, Ring, Who},
    objects::{Outcome, Routes, Target, trunk_name},
};

/// Sets the cause of a call for which no destination was tried yet.
pub(super) fn untried(chain: &Chain) -> Step {
    let nobody = if chain.0.is_empty() { UNALLOCATED } else { UNAVAILABLE };
    Step::Set(Variable::Cause, Expr::number(nobody))
}

/// Finds the number or address outside that rings alone.
fn outside_alone(ring: &Ring) -> Option<(&str, &Outside, u32)> {
    match &ring.who {
        Who::One(Leg::Outside(outside)) => Some((&ring.name, outside, ring.seconds)),
        Who::One(Leg::Phone(_)) | Who::Members { .. } => None,
    }
}

impl Inbound<'_> {
    /// Who gets the calls of each rule, tried in turn.
    pub(super) fn targets(&self, plan: &mut Dialplan) -> Result<(), BadValue> {
        let mut context =
            Context::new(&self.contexts.targets, "Who gets the calls of a rule, in turn; `o`: outside its hours.");
        let mut named: Vec<&(Hash, Outcome)> = self.outcomes.values().collect();
        named.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (name, Outcome { calls, then, otherwise }) in named {
            context.comment(calls);
            context.extension(self.route(Expr::hex('r', name), then));
            if let Some(otherwise) = otherwise {
                context.extension(self.route(Expr::hex('o', name), otherwise));
            }
        }
        context.comment("any other call");
        context.extension(self.route(DEFAULT.into(), &self.default_chain));
        for (name, phone) in self.phones_by_name() {
            context.comment(format_args!("the phone `{name}`, called by its name"));
            let chain = self.routes.chain(&[Target::User(phone.email.key())]);
            context.extension(self.route(phone_extension(phone), &chain));
        }
        for (name, node) in self.called_by_sip() {
            context.comment(format_args!("called by its name: {name}"));
            context.extension(self.route(named_extension(&name)?, &Chain(vec![node.clone()])));
        }
        plan.push(context);
        Ok(())
    }

    /// Lists the names of the endpoints of users who may get a call from outside, by number: a provider that dials users
    /// by SIP calls these. A name that is also one of our numbers is that number.
    pub(super) fn phones_by_name(&self) -> Vec<(String, &Phone<'_>)> {
        let numbers: BTreeSet<&str> =
            self.routes.numbers().into_iter().map(|number| number.as_str().trim_start_matches('+')).collect();
        let prefix = self.book.settings.endpoint_names.prefix(self.book.tenant);
        let reached = self.called.iter().filter(|(user, _)| self.from_outside.contains(*user));
        let mut named: Vec<_> = reached.map(|(_, phone)| (format!("{prefix}{}", phone.extension), *phone)).collect();
        named.retain(|(name, _)| !numbers.contains(name.as_str()));
        named.sort_unstable_by_key(|(_, phone)| phone.extension);
        named
    }

    fn route(&self, extension: Expr, chain: &Chain) -> Extension {
        let mut steps = Extension::new(Pattern::literal(extension));
        steps.step(untried(chain));
        self.in_turn(&mut steps, chain, &self.contexts.phones);
        steps
    }

    /// Tries destinations in turn, until one answers. `phones` is the context that rings a user's phone.
    pub(super) fn in_turn(&self, steps: &mut Extension, chain: &Chain, phones: &Name) {
        let Contexts { outside, together, voicemail, .. } = &self.contexts;
        for node in &chain.0 {
            steps.step(match node {
                Node::End(cause) => {
                    let cause = match cause {
                        Cause::Busy => BUSY,
                        Cause::Rejected => REJECTED,
                    };
                    steps.step(Step::Hangup(Some(Expr::number(cause))));
                    return;
                }
                Node::Box(Mailbox { number: Some(number), .. }) => {
                    // Who calls stands in the message.
                    show_caller(steps, None);
                    steps.step(Step::Goto(Place::Context(voicemail.clone(), number.into())));
                    return;
                }
                Node::Room(room) => {
                    // Who calls is listed with those in the room.
                    show_caller(steps, None);
                    steps.step(Step::Goto(self.room(room)));
                    return;
                }
                Node::Menu(name) => match self.menu(name) {
                    Some(menu) => {
                        steps.step(Step::Goto(menu));
                        return;
                    }
                    None => Step::NoOp(Some("a menu that is not declared".into())),
                },
                Node::Queue(name) => match self.queue(name) {
                    Some(queue) => {
                        steps.step(Step::Goto(queue));
                        return;
                    }
                    None => Step::NoOp(Some("a queue that is not declared".into())),
                },
                Node::Dialplan(at) => {
                    show_caller(steps, None);
                    steps.step(Step::Goto(Place::Operators(at.clone())));
                    return;
                }
                Node::Box(_) => Step::NoOp(Some("a voicemail box that has no number".into())),
                Node::Missing(_) => Step::NoOp(Some("an object that is not declared".into())),
                Node::Ring(Ring { name, who: Who::Members { .. }, .. }) => {
                    Step::Gosub(together.clone(), Expr::hex('g', &Hash::of(name)))
                }
                Node::Ring(Ring { name, who: Who::One(Leg::Outside(_)), .. }) => {
                    Step::Gosub(outside.clone(), Expr::hex('d', &Hash::of(name)))
                }
                Node::Ring(Ring { who: Who::One(Leg::Phone(email)), .. }) => match self.called.get(email) {
                    Some(phone) => Step::Gosub(phones.clone(), phone.extension.into()),
                    None => Step::NoOp(Some("a user who has no phone".into())),
                },
            });
        }
        steps.step(Step::Hangup(Some(Expr::var(Variable::Cause))));
    }

    /// How each number or address outside is reached.
    pub(super) fn outside(&self, plan: &mut Dialplan) -> Result<(), BadValue> {
        let calls: Vec<(&str, &Outside, u32)> = self.rings.values().filter_map(outside_alone).collect();
        if calls.is_empty() {
            return Ok(());
        }
        let Contexts { outside, next, .. } = &self.contexts;
        let mut context = Context::new(
            outside,
            "Dialers, over their trunks. What they forward a call to is not followed, nor is the caller told who answers.",
        );
        for (name, line, seconds) in calls {
            context.comment(name);
            let mut steps = Extension::new(Pattern::literal(Expr::hex('d', &Hash::of(name))));
            if let Some(trunk) = &line.trunk {
                self.show(&mut steps, &line.caller_id);
                let to = self.address(&line.line, trunk)?;
                steps
                    .step(Step::Dial { to, seconds: Expr::number(seconds), options: "iI".into() })
                    .step(Step::Goto(Place::Context(next.clone(), "s".into())));
            } else {
                steps.explained(Step::Return(None), "it has no trunk: the next target gets the call");
            }
            context.extension(steps);
        }
        plan.push(context);
        Ok(())
    }

    /// Shows a number to the called party outside, and nothing else of the caller.
    pub(super) fn show(&self, steps: &mut Extension, caller_id: &CallerId) {
        let number = match caller_id {
            CallerId::Number(number) => Some(number),
            CallerId::Default => self.routes.caller_id.as_ref().map(|shown| &shown.0),
            CallerId::Called | CallerId::Caller => None,
        };
        let number = number.map_or_else(|| Expr::var(Variable::Called), Expr::from);
        steps.step(Step::SetField(CallerField::Number, number));
        if *caller_id == CallerId::Caller {
            let known = Expr::start(Variable::Caller, 1).equals("+").calc();
            let show = Step::SetField(CallerField::Number, Expr::var(Variable::Caller));
            steps.step(Step::ExecIf(known, Box::new(show)));
        }
        steps
            .step(Step::SetField(CallerField::Name, Expr::default()))
            .step(Step::SetField(CallerField::Presentation, "allowed_not_screened".into()));
    }

    /// Writes what is dialled outside: a number at the trunk's host, or an address with the trunk's settings.
    pub(super) fn address(&self, line: &OutsideLine, trunk: &ObjectName) -> Result<Expr, BadValue> {
        let trunk = Name::new(trunk_name(self.book.tenant, trunk))?;
        let begin = Expr::from("PJSIP/");
        match line {
            OutsideLine::Number(NumberSource::Given(number)) => Ok(begin + number + "@" + &trunk),
            OutsideLine::Number(NumberSource::Env(variable)) if self.masked => {
                Ok(begin + Expr::placeholder(variable)? + "@" + &trunk)
            }
            OutsideLine::Number(NumberSource::Env(_)) => {
                Err(BadValue { what: "a dialer's number", reason: "it is missing" })
            }
            OutsideLine::Sip(address) => Ok(begin + &trunk + "/" + Expr::text("sip", address)?),
        }
    }

    /// How each user who may get a call is reached.
    pub(super) fn phones(&self, plan: &mut Dialplan) {
        let Contexts { phones, next, leg, .. } = &self.contexts;
        if !self.called.is_empty() {
            let mut context =
                Context::new(phones, "Users' phones; they see who calls, and the caller is not told who answers.");
            let (pattern, number) = Pattern::ours("_X!");
            let rang = Expr::var(Variable::GosubRetval).equals(RANG).calc();
            let mut steps = Extension::new(pattern);
            // A call that rings while the dialplan is reloaded goes on at the sixth step.
            show_caller(&mut steps, None);
            steps
                .step(Step::GosubWith(leg.clone(), number, Expr::from("I,") + Expr::number(Routes::PHONE_RING)))
                .step(Step::GotoUnless(rang, Place::Label("away")))
                .step(Step::Goto(Place::Context(next.clone(), "s".into())))
                .labelled("away", Step::Return(None));
            context.extension(steps);
            plan.push(context);
        }
    }

    /// How a phone rings for calls of other phones.
    pub(super) fn colleagues(&self, plan: &mut Dialplan) -> Result<(), BadValue> {
        let Contexts { colleagues, phones, .. } = &self.contexts;
        let mut context = Context::new(colleagues, "Rings a user's phone, unless it makes the call itself.");
        let (pattern, number) = Pattern::ours("_X!");
        let is_calling = Expr::is_calling(endpoint(self.book, number.clone())?);
        let mut steps = Extension::new(pattern);
        steps
            .step(Step::goto_if(is_calling, Place::Label("caller")))
            .step(Step::Goto(Place::Context(phones.clone(), number)))
            .labelled("caller", Step::Return(None));
        context.extension(steps);
        plan.push(context);
        Ok(())
    }

    /// What comes after a target that did not answer.
    pub(super) fn next(&self, plan: &mut Dialplan) {
        let mut context = Context::new(
            &self.contexts.next,
            "After a target: the next one, unless somebody answered or the caller gave up.",
        );
        let status = || Expr::var(Variable::DialStatus);
        let over = status().equals("ANSWER") + " | " + status().equals("CANCEL");
        let none = status().equals("NOANSWER") + " | " + Expr::var(Variable::Cause) + " = 0";
        let mut steps = Extension::new(Pattern::literal("s"));
        steps
            .step(Step::goto_if(over.calc(), Place::Label("over")))
            .step(Step::Set(Variable::Cause, Expr::var(Variable::HangupCause)))
            .step(Step::set_if(none.calc(), Variable::Cause, Expr::number(NO_ANSWER)))
            .step(Step::Return(None))
            .labelled("over", Step::Hangup(None));
        context.extension(steps);
        plan.push(context);
    }
}
