//! Groups in the routing file: members who ring at once. Queues call their members in the same way.
//!
//! Each member is called by a channel of the dialplan (`Local/`), because a joined list of contacts would be cut at
//! 4,091 bytes. All devices of a member ring, and a device that did not get the call is told that it was answered
//! elsewhere.

use super::{
    caller::show_caller,
    contexts::{Contexts, NO_ANSWER, RANG, UNAVAILABLE, endpoint},
    inbound::Inbound,
};
use crate::{
    asterisk::{
        BadValue,
        dialplan::{Context, Dialplan, Expr, Extension, Hash, Pattern, Place, Step, Variable},
    },
    model::{Leg, NamePrefix, Outside, Ring, Who},
};

/// How long a member rings at most, in seconds: the group itself ends it before.
const LONGEST: u32 = 600;

/// What the person who answered outside hears: "press one".
const PROMPT: &str = "vm-press&digits/1";

/// The digit that connects the call.
const CONFIRMS: &str = "1";

/// What hangs up the called side, while the calling one goes on.
const REFUSED: &str = "CONTINUE";

/// One group, or one of its members where they ring in turn.
struct Together<'a> {
    ring: &'a Ring,
    legs: &'a [Leg],
    prefix: Option<&'a NamePrefix>,
}

impl Inbound<'_> {
    /// How groups ring.
    pub(super) fn together(&self, plan: &mut Dialplan) -> Result<(), BadValue> {
        let groups: Vec<Together<'_>> = self.rings.values().filter_map(together).collect();
        if groups.is_empty() {
            return if self.waiting.is_empty() { Ok(()) } else { self.members(plan, &groups) };
        }
        let mut context = Context::new(
            &self.contexts.together,
            "Groups: whoever answers first gets the call; the others are told so.",
        );
        for group in &groups {
            context.comment(&group.ring.name);
            context.extension(self.group(group));
            context.extension(self.listed(group));
        }
        plan.push(context);
        self.member(plan)?;
        self.members(plan, &groups)?;
        self.confirm(plan);
        Ok(())
    }

    /// How a group rings. A call that rings while the dialplan is reloaded goes on at the tenth step, whoever is a member
    /// by then.
    fn group(&self, Together { ring, prefix, .. }: &Together<'_>) -> Extension {
        let Contexts { together, next, .. } = &self.contexts;
        let name = Hash::of(&ring.name);
        let mut steps = Extension::new(Pattern::literal(Expr::hex('g', &name)));
        show_caller(&mut steps, *prefix);
        let dial =
            Step::Dial { to: Expr::rest(Variable::Line), seconds: Expr::number(ring.seconds), options: "iI".into() };
        steps
            .step(Step::Pass(Variable::Called))
            .step(Step::Pass(Variable::Caller))
            .step(Step::Set(Variable::Line, Expr::default()))
            .step(Step::Gosub(together.clone(), Expr::hex('l', &name)))
            .step(Step::goto_if(Expr::var(Variable::Line).blank(), Place::Label("away")))
            .step(dial)
            .step(Step::Goto(Place::Context(next.clone(), "s".into())))
            .labelled("away", Step::Return(None));
        steps
    }

    /// Who rings in a group.
    fn listed(&self, Together { ring, legs, .. }: &Together<'_>) -> Extension {
        let Contexts { member, members, .. } = &self.contexts;
        let mut steps = Extension::new(Pattern::literal(Expr::hex('l', &Hash::of(&ring.name))));
        for (at, leg) in legs.iter().enumerate() {
            steps.step(match leg {
                Leg::Phone(user) => match self.called.get(user) {
                    Some(phone) => Step::Gosub(member.clone(), phone.extension.into()),
                    None => Step::NoOp(Some("a user who has no phone".into())),
                },
                Leg::Outside(Outside { trunk: None, .. }) => Step::NoOp(Some("a number that no trunk leads to".into())),
                Leg::Outside(_) => {
                    let local = Expr::from("&Local/") + outside(ring, at) + "@" + members + "/n";
                    Step::Set(Variable::Line, Expr::var(Variable::Line) + local)
                }
            });
        }
        steps.step(Step::Return(None));
        steps
    }

    /// Adds a phone to those who ring, unless it makes the call.
    fn member(&self, plan: &mut Dialplan) -> Result<(), BadValue> {
        let Contexts { member, members, .. } = &self.contexts;
        let mut context = Context::new(member, "Adds a phone to those who ring, unless it makes the call itself.");
        let (pattern, number) = Pattern::ours("_X!");
        let is_calling = Expr::is_calling(endpoint(self.book, number.clone())?);
        let line = Expr::var(Variable::Line) + "&Local/" + number + "@" + members + "/n";
        let mut steps = Extension::new(pattern);
        steps
            .step(Step::goto_if(is_calling, Place::Label("caller")))
            .step(Step::Set(Variable::Line, line))
            .labelled("caller", Step::Return(None));
        context.extension(steps);
        plan.push(context);
        Ok(())
    }

    /// How each member is called: all devices of a phone, or a number outside.
    fn members(&self, plan: &mut Dialplan, groups: &[Together<'_>]) -> Result<(), BadValue> {
        let Contexts { leg, members, confirm, .. } = &self.contexts;
        let mut context = Context::new(
            members,
            "The members, each called by a channel of its own. Who is outside confirms the call.",
        );
        let (pattern, number) = Pattern::ours("_X!");
        let rang = Expr::var(Variable::GosubRetval).equals(RANG).calc();
        let unanswered =
            Expr::var(Variable::DialStatus).equals("NOANSWER") + " | " + Expr::var(Variable::HangupCause).equals("0");
        let mut steps = Extension::new(pattern);
        steps
            .step(Step::GosubWith(leg.clone(), number, Expr::from("I,") + Expr::number(LONGEST)))
            .step(Step::GotoUnless(rang, Place::Label("away")))
            .step(Step::goto_if(unanswered.calc(), Place::Label("unanswered")))
            .step(Step::Hangup(Some(Expr::var(Variable::HangupCause))))
            .labelled("unanswered", Step::Hangup(Some(Expr::number(NO_ANSWER))))
            .labelled("away", Step::Hangup(Some(Expr::number(UNAVAILABLE))));
        context.extension(steps);
        for Together { ring, legs, .. } in groups {
            for (at, leg) in legs.iter().enumerate() {
                let Leg::Outside(Outside { line, trunk: Some(trunk), caller_id }) = leg else { continue };
                let mut steps = Extension::new(Pattern::literal(outside(ring, at)));
                self.show(&mut steps, caller_id);
                let dial = Step::Dial {
                    to: self.address(line, trunk)?,
                    seconds: Expr::number(ring.seconds),
                    options: Expr::from("iIU(") + confirm + "^s^1)",
                };
                steps.step(dial).step(Step::Hangup(Some(Expr::number(NO_ANSWER))));
                context.extension(steps);
            }
        }
        plan.push(context);
        Ok(())
    }

    /// Asks the person who answered outside: a mailbox presses no digit.
    fn confirm(&self, plan: &mut Dialplan) {
        let mut context = Context::new(&self.contexts.confirm, "Who answers outside presses 1, or the others ring on.");
        let confirms = Expr::var(Variable::Key).equals(CONFIRMS).calc();
        let mut steps = Extension::new(Pattern::literal("s"));
        steps
            .step(Step::Set(Variable::GosubResult, REFUSED.into()))
            .step(Step::Read(Variable::Key, PROMPT))
            .step(Step::set_if(confirms, Variable::GosubResult, Expr::default()))
            .step(Step::Return(None));
        context.extension(steps);
        plan.push(context);
    }
}

/// Finds the rings of groups.
fn together(ring: &Ring) -> Option<Together<'_>> {
    match &ring.who {
        Who::Members { legs, prefix } => Some(Together { ring, legs, prefix: prefix.as_ref() }),
        Who::One(_) => None,
    }
}

/// Names the extension that calls a number outside for a group.
fn outside(ring: &Ring, member: usize) -> Expr {
    Expr::hex('m', &Hash::of(&format!("{} {member}", ring.name)))
}
