//! Queues: their file, and where callers wait in the routing file.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    Digests, GENERATION, MASKED_MARK, Phone, Phonebook, caller::show_caller, contexts::Contexts, head,
    inbound::Inbound, mark, targets::untried,
};
use crate::{
    asterisk::{
        BadValue, Name, Value,
        dialplan::{Context, Dialplan, Expr, Extension, Pattern, Place, Step, Variable},
        mark_name,
    },
    model::{ObjectName, UserKey},
    objects::{QueueEntry, Waiting, queue},
};

/// Renders the file.
///
/// A member is called by a channel of the dialplan, which rings all devices of the user. Whether it is free says the hint of
/// the number: without one, Asterisk would call it while it talks.
pub(super) fn render(book: &Phonebook<'_>, digests: Digests<'_>) -> Result<String, BadValue> {
    let Contexts { internal, members: context, .. } = Contexts::of(book.tenant)?;
    let mut text = head(book, digests);
    let phones: BTreeMap<UserKey, &Phone<'_>> = book.phones.iter().map(|phone| (phone.email.key(), phone)).collect();
    for QueueEntry { name, options, members } in book.parts(digests)?.queues {
        let _ = write!(text, "\n[{name}]\n");
        for (key, value) in options {
            let _ = writeln!(text, "{key} = {}", Value::new("queue", &value)?);
        }
        for phone in members.into_iter().filter_map(|member| phones.get(member)) {
            let number = phone.extension;
            let _ = writeln!(text, "member => Local/{number}@{context}/n,0,{number},hint:{number}@{internal}");
        }
    }
    text.push('\n');
    let name = match digests {
        Digests::Masked => MASKED_MARK.to_owned(),
        Digests::Real { .. } => Name::new(mark_name(book.tenant, &mark(&text)))?.to_string(),
    };
    text.push_str(GENERATION);
    // Nobody calls a queue of this name.
    let _ = writeln!(text, "[{name}]");
    Ok(text)
}

impl Inbound<'_> {
    /// Names the place where callers come into a queue.
    pub(super) fn queue(&self, name: &ObjectName) -> Option<Place> {
        // They are in the order of their names.
        self.waiting.binary_search_by(|waiting| waiting.name.cmp(name)).ok()?;
        Some(Place::Context(self.contexts.queues.clone(), entrance(name)))
    }

    /// The queues: how callers wait, and where a call goes on that no member took.
    pub(super) fn queues(&self, plan: &mut Dialplan) {
        if self.waiting.is_empty() {
            return;
        }
        let mut context = Context::new(
            &self.contexts.queues,
            "Queues. The slug stands before each name: Asterisk keeps those of all tenants in one list.",
        );
        for Waiting { name, queue, timeout, late, empty, full } in &self.waiting {
            context.comment(name);
            let ended = |status| Expr::var(Variable::QueueStatus).equals(status).calc();
            let mut steps = Extension::new(Pattern::literal(entrance(name)));
            // Who calls is shown to the members. Without an answer, a caller would hear nothing.
            show_caller(&mut steps, None);
            steps.step(Step::Answer).step(Step::Queue(Expr::from(queue), timeout.map(Expr::number)));
            // Any other end is that of a queue in which nobody can take a call.
            let others = [timeout.map(|_| ("late", "TIMEOUT", late)), Some(("full", "FULL", full))];
            for (label, status, _) in others.into_iter().flatten() {
                steps.step(Step::goto_if(ended(status), Place::Label(label)));
            }
            steps.step(untried(empty));
            self.in_turn(&mut steps, empty, &self.contexts.colleagues);
            for (label, _, chain) in others.into_iter().flatten() {
                steps.labelled(label, untried(chain));
                self.in_turn(&mut steps, chain, &self.contexts.colleagues);
            }
            context.extension(steps);
        }
        plan.push(context);
    }
}

/// Names the extension of a queue.
fn entrance(name: &ObjectName) -> Expr {
    Expr::from(queue::PREFIX) + name
}
