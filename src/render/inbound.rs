//! Inbound calls in the routing file: the same decision as [`crate::calls::decide`], as a dialplan.
//!
//! A call arrives in a context of its own that knows our numbers and nothing else, so a trunk never
//! gets to dial out. Who calls is classified once, rules are tried in the order of
//! [`Routes::entries`], the first that is for the call jumps to its targets, and those are tried in
//! turn. Text that callers control stays in variables: it is matched as data, and never stands in
//! an expression or an argument list.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Digests, Phone, Phonebook,
    caller::note_sender,
    contexts::{BUSY, Contexts},
};
use crate::{
    asterisk::{
        BadValue,
        dialplan::{
            Context, Counter, Dialplan, Expr, Extension, Foreign, ForeignVariable, Hash, Pattern, Place, Step, Variable,
        },
    },
    model::{Chain, Mailbox, Node, ObjectName, Ring, UserKey, WITHHELD},
    objects::{
        Called, CallerMatch, Choices, Condition, Entrance, Entry, Outcome, Routes, Waiting, destination, menu, queue,
        room::{self, entrance},
    },
};

/// What begins the names of steps for what is called by its name: a phone, or what keeps a call.
const NAMED: &str = "p";

/// Blanks around a caller's number, as [`crate::model::Caller`] drops them.
const BLANKS: &str = "[[:space:]]*";

/// A number as a carrier may write it.
const NUMBER: &str = "^[+]?[0-9]+$";

/// How many calls of one caller to one number may be up, if the caller shows a number. A call that is sent outside and
/// comes back, such as by a member of a group who forwards it to the group, would otherwise fill Asterisk until nobody
/// can dial 112: the carrier starts each round with a new count of hops.
const ALIKE_WITH_NUMBER: u32 = 10;

/// The same for calls that show no number: many callers have none.
const ALIKE_AT_MOST: u32 = 40;

/// What the rules for calls to other numbers than ours are called.
pub(super) const DEFAULT: &str = "default";

/// What the contexts are made of.
pub(super) struct Inbound<'a> {
    pub(super) book: &'a Phonebook<'a>,
    pub(super) routes: &'a Routes,
    pub(super) contexts: Contexts,
    /// The rules by called number, in the order in which they are tried.
    entries: BTreeMap<&'a Called, Vec<Entry<'a>>>,
    /// What becomes of the calls of each rule, with a name that stays the same for as long as the rule is for the
    /// same calls: a call that rings goes on where it is when another rule comes or goes.
    pub(super) outcomes: BTreeMap<usize, (Hash, Outcome)>,
    /// The phones of users who may get a call, by address.
    pub(super) called: BTreeMap<UserKey, &'a Phone<'a>>,
    /// Those users who may get a call from outside.
    pub(super) from_outside: BTreeSet<UserKey>,
    /// What rings for calls that are sent to objects, by name.
    pub(super) rings: BTreeMap<String, Ring>,
    /// The extensions of conditions, by name.
    conditions: BTreeMap<String, u64>,
    /// Whether numbers that are not known yet may be shown as such.
    pub(super) masked: bool,
    /// How calls go that no rule is for.
    pub(super) default_chain: Chain,
    /// How the calls of menus go.
    pub(super) choices: Vec<Choices<'a>>,
    /// How the calls of queues go.
    pub(super) waiting: Vec<Waiting>,
}

/// Adds the contexts for inbound calls and for the numbers of objects, if any are declared.
pub(super) fn render(plan: &mut Dialplan, book: &Phonebook<'_>, digests: Digests<'_>) -> Result<(), BadValue> {
    let routes = book.routes;
    let parts = book.parts(digests)?;
    // What has sections sends calls to these contexts, whether any rule is for them or not.
    let has_inbound = routes.take_calls() || !parts.blocks.is_empty();
    let numbered = routes.numbered();
    let lists = book.lists().chains(book);
    let (choices, waiting) = (routes.choices(book.tenant)?, routes.waiting(book.tenant)?);
    if !has_inbound && numbered.is_empty() && lists.is_empty() && choices.is_empty() && waiting.is_empty() {
        return Ok(());
    }
    let contexts = Contexts::of(book.tenant)?;
    let mut entries: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut outcomes: BTreeMap<usize, (Hash, Outcome)> = BTreeMap::new();
    let mut same: BTreeMap<Hash, u32> = BTreeMap::new();
    for entry in routes.entries() {
        outcomes.entry(entry.index).or_insert_with(|| {
            let outcome = entry.outcome(routes);
            let name = Hash::of(&outcome.calls);
            // Rules may say the same where their hours never overlap.
            let others = same.entry(name.clone()).or_default();
            *others += 1;
            let name = if *others == 1 { name } else { name.numbered(*others - 1) };
            (name, outcome)
        });
        entries.entry(entry.to()).or_default().push(entry);
    }
    let from_outside = routes.users();
    let numbers = numbered.iter().map(|numbered| &numbered.chain);
    let inside = numbers.chain(lists.iter().map(|list| &list.chain)).chain(choices.iter().flat_map(Choices::chains));
    let inside: Vec<&Chain> = inside.chain(waiting.iter().flat_map(Waiting::chains)).collect();
    let from_inside: BTreeSet<&UserKey> = inside.iter().flat_map(|chain| chain.users()).collect();
    let has_colleagues = inside.iter().any(|chain| chain.rings_one_phone());
    let keyed = book.phones.iter().map(|phone| (phone.email.key(), phone));
    let called = keyed.filter(|(key, _)| from_outside.contains(key) || from_inside.contains(key)).collect();
    let conditions = parts.conditions.iter().map(|one| (one.name.clone(), one.number)).collect();
    let masked = matches!(digests, Digests::Masked);
    let rings = routes.rings();
    let default_chain = routes.chain(&routes.default_route.0);
    let inbound = Inbound {
        book,
        routes,
        contexts,
        entries,
        outcomes,
        called,
        from_outside,
        rings,
        conditions,
        masked,
        default_chain,
        choices,
        waiting,
    };
    if has_inbound {
        inbound.arrival(plan)?;
        inbound.caller(plan);
        inbound.decision(plan);
        inbound.conditions(plan, parts.conditions);
        inbound.targets(plan)?;
    }
    inbound.numbered(plan, &numbered);
    inbound.unanswered(plan, &lists);
    inbound.rooms(plan, parts.rooms);
    inbound.menus(plan);
    inbound.queues(plan);
    inbound.outside(plan)?;
    inbound.phones(plan);
    if has_colleagues {
        inbound.colleagues(plan)?;
    }
    inbound.together(plan)?;
    inbound.next(plan);
    Ok(())
}

/// Names the extension that rings one phone.
pub(super) fn phone_extension(phone: &Phone<'_>) -> Expr {
    Expr::from(NAMED) + phone.extension
}

/// Names the extension that sends a call to what a provider calls by this name, which [`Inbound::called_by_sip`] makes.
///
/// # Errors
/// If the name has a character that no such name has.
pub(super) fn named_extension(name: &str) -> Result<Expr, BadValue> {
    Ok(Expr::from(NAMED) + Expr::text("name", name)?)
}

/// Names what keeps a call to a provider that sends calls there by SIP.
fn sip_user(node: &Node) -> Option<String> {
    Some(match node {
        Node::Box(Mailbox { number, .. }) => number.as_ref()?.sip_user(),
        Node::Room(room) => room::sip_user(room),
        Node::Menu(name) => menu::sip_user(name),
        Node::Queue(name) => queue::sip_user(name),
        Node::Dialplan(at) => destination::sip_user(at),
        Node::Ring(_) | Node::End(_) | Node::Missing(_) => return None,
    })
}

impl Inbound<'_> {
    /// Which number was called.
    fn arrival(&self, plan: &mut Dialplan) -> Result<(), BadValue> {
        let Contexts { arrival, caller, .. } = &self.contexts;
        let mut context =
            Context::new(arrival, "Calls from trunks arrive here; they lead to the targets below and nowhere else.");
        for number in self.routes.numbers() {
            let mut steps = Extension::new(Pattern::literal(number));
            steps
                .step(Step::Set(Variable::Called, number.into()))
                .step(Step::Goto(Place::Context(caller.clone(), number.into())));
            context.extension(steps);
            let to_number = || Step::Goto(Place::Extension(number.into()));
            let digits = Expr::text("number", number.as_str().trim_start_matches('+'))?;
            context.one_step(Pattern::literal(digits.clone()), to_number());
            // Parameters behind a number, such as `;npdi=yes`, are none of it.
            context.one_step(Pattern::with_parameters(number), to_number());
            context.one_step(Pattern::with_parameters(digits), to_number());
        }
        for (name, phone) in self.phones_by_name() {
            let name = Expr::text("endpoint", &name)?;
            for pattern in [Pattern::literal(name.clone()), Pattern::with_parameters(name)] {
                context.one_step(pattern, Step::Goto(Place::Context(caller.clone(), phone_extension(phone))));
            }
        }
        for (name, node) in self.called_by_sip() {
            if let Node::Dialplan(at) = node {
                context.comment(at);
            }
            let target = named_extension(&name)?;
            let place = || Place::Context(caller.clone(), target.clone());
            let name = Expr::text("name", &name)?;
            for pattern in [Pattern::literal(name.clone()), Pattern::with_parameters(name)] {
                let mut steps = Extension::new(pattern);
                steps.step(Step::Set(Variable::Called, self.shown_for_names())).step(Step::Goto(place()));
                context.extension(steps);
            }
        }
        // Anything of two characters and more; a pattern for fewer would catch Asterisk's own `h` and `t`.
        for pattern in ["_[!-~].", "_[0-9+*#]", "s"] {
            let (pattern, dialled) = Pattern::anything(pattern);
            let is_number = Expr::matches(NUMBER, dialled.clone());
            let mut steps = Extension::new(pattern);
            // The name of an account, such as `acct1111`, is no number, and neither are its digits.
            steps
                .step(Step::Set(Variable::Called, self.shown_for_names()))
                .step(Step::set_if(is_number, Variable::Called, Expr::filter("+0-9", dialled)))
                .step(Step::Goto(Place::Context(caller.clone(), DEFAULT.into())));
            context.extension(steps);
        }
        plan.push(context);
        Ok(())
    }

    /// Lists the voicemail boxes, rooms, menus, queues and extensions of the operator's that routes name, by the name under
    /// which a provider sends calls to them by SIP.
    pub(super) fn called_by_sip(&self) -> BTreeMap<String, &Node> {
        let chains = self.outcomes.values().flat_map(|(_, outcome)| [Some(&outcome.then), outcome.otherwise.as_ref()]);
        let nodes = chains.flatten().chain([&self.default_chain]).flat_map(|chain| &chain.0);
        nodes.filter_map(|node| Some((sip_user(node)?, node))).collect()
    }

    /// Names the place where callers come into a room.
    pub(super) fn room(&self, room: &ObjectName) -> Place {
        Place::Context(self.contexts.rooms.clone(), entrance(room))
    }

    /// How callers come into rooms.
    fn rooms(&self, plan: &mut Dialplan, rooms: Vec<Entrance>) {
        if rooms.is_empty() {
            return;
        }
        let mut context = Context::new(
            &self.contexts.rooms,
            "Conference rooms. The slug stands before each name: Asterisk keeps those of all tenants in one list.",
        );
        for Entrance { remark, steps } in rooms {
            context.comment(remark);
            context.extension(steps);
        }
        plan.push(context);
    }

    /// Returns the number that is shown of calls to no number, as to the name of an account. The answers to Twilio show the
    /// same.
    pub(super) fn shown_for_names(&self) -> Expr {
        let default = self.routes.caller_id.as_ref().map(|shown| &shown.0);
        let number = default.or_else(|| self.routes.first_number());
        number.map(Expr::from).unwrap_or_default()
    }

    /// Who calls, and when: noted once, so that all that follows agrees.
    fn caller(&self, plan: &mut Dialplan) {
        let Contexts { caller, decision, targets, .. } = &self.contexts;
        let mut context =
            Context::new(caller, "Who calls: a number in E.164 form, `withheld`, or nothing of the kind.");
        let (pattern, called) = Pattern::ours("_[+dp].");
        let number = || Foreign::var(ForeignVariable::FromNumber);
        let whole = |pattern: Expr| Expr::from("^") + BLANKS + pattern + BLANKS + "$";
        let words =
            WITHHELD.iter().copied().map(Expr::from).reduce(|words, word| words + "|" + word).unwrap_or_default();
        let withheld = Expr::from("([+]*(") + words + "))?";
        let is_withheld = Expr::matches_in_lower_case(whole(withheld), number());
        let is_number = Expr::matches(whole("[+][1-9][0-9]{1,14}".into()), number());
        let alike = Counter::new(caller.clone(), called.clone() + "-" + Expr::var(Variable::Caller));
        let has_number = Expr::start(Variable::Caller, 1).equals("+");
        let too_many = alike.is_above(ALIKE_AT_MOST) + " | " + alike.is_above(ALIKE_WITH_NUMBER) + " & " + has_number;
        let mut steps = Extension::new(pattern);
        // `TESTTIME` is Asterisk's own variable for the time that rules go by; no caller can set it.
        let unset = Expr::var(Variable::TestTime).equals("").calc();
        steps.step(Step::set_if(unset, Variable::TestTime, Expr::var(Variable::Epoch)));
        note_sender(&mut steps);
        steps
            .step(Step::Set(Variable::Caller, Expr::default()))
            .step(Step::goto_if(is_withheld, Place::Label("withheld")))
            .step(Step::GotoIf(is_number, Place::Label("number"), Some(Place::Label("decide"))))
            .labelled("number", Step::Set(Variable::Caller, Expr::filter("+0-9", number())))
            .step(Step::Goto(Place::Label("decide")))
            .labelled("withheld", Step::Set(Variable::Caller, "withheld".into()))
            .labelled("decide", alike.count())
            .step(Step::goto_if(too_many.calc(), Place::Label("loop")))
            .step(Step::Gosub(decision.clone(), called))
            .step(Step::Goto(Place::Context(targets.clone(), Expr::var(Variable::GosubRetval))))
            .labelled("loop", Step::Hangup(Some(Expr::number(BUSY))));
        context.extension(steps);
        plan.push(context);
    }

    /// The rules for each called number, the most specific first. They return who gets the call, and ring nobody: a
    /// question about a call is asked here.
    fn decision(&self, plan: &mut Dialplan) {
        let mut context = Context::new(
            &self.contexts.decision,
            "The first rule that is for the call decides: it returns one of the targets below.",
        );
        let in_turn = |called: &Called, steps: &mut Extension| {
            for entry in self.entries.get(called).into_iter().flatten() {
                self.rule(steps, entry);
            }
        };
        for number in self.routes.numbers() {
            let mut steps = Extension::new(Pattern::literal(number));
            in_turn(&Called::Did(number.clone()), &mut steps);
            steps.step(Step::Goto(Place::Extension(DEFAULT.into())));
            context.extension(steps);
        }
        let mut steps = Extension::new(Pattern::literal(DEFAULT));
        in_turn(&Called::Default, &mut steps);
        steps.step(Step::Return(Some(DEFAULT.into())));
        context.extension(steps);
        if !self.phones_by_name().is_empty() || !self.called_by_sip().is_empty() {
            let (pattern, named) = Pattern::ours("_p.");
            context.one_step(pattern, Step::Return(Some(named)));
        }
        plan.push(context);
    }

    fn rule(&self, steps: &mut Extension, entry: &Entry<'_>) {
        let (name, outcome) = &self.outcomes[&entry.index];
        let to = |letter| Step::Return(Some(Expr::hex(letter, name)));
        let from = entry.from.map(|from| match from {
            CallerMatch::Withheld => Expr::var(Variable::Caller).equals("withheld"),
            CallerMatch::Prefix(prefix) => {
                Expr::start(Variable::Caller, prefix.start().len()).equals(Expr::from(prefix))
            }
        });
        let Some(when) = entry.condition().and_then(|name| self.conditions.get(name.as_str())) else {
            steps.step(match from {
                Some(from) => Step::ExecIf(from.calc(), Box::new(to('r'))),
                None => to('r'),
            });
            return;
        };
        steps.step(Step::Gosub(self.contexts.conditions.clone(), Expr::number(*when)));
        let mut answer = |open: u64, target: Step| {
            let open = Expr::var(Variable::GosubRetval) + " = " + Expr::number(open);
            let condition = match &from {
                Some(from) => from.clone() + " & " + open,
                None => open,
            };
            steps.step(Step::ExecIf(condition.calc(), Box::new(target)));
        };
        answer(1, to('r'));
        if outcome.otherwise.is_some() {
            answer(0, to('o'));
        }
    }

    /// Whether the conditions hold that rules go by.
    fn conditions(&self, plan: &mut Dialplan, conditions: Vec<Condition>) {
        if conditions.is_empty() {
            return;
        }
        let mut context =
            Context::new(&self.contexts.conditions, "Opening hours; a range ends with the minute that is named last.");
        for Condition { name, steps, .. } in conditions {
            context.comment(name);
            context.extension(steps);
        }
        plan.push(context);
    }
}
