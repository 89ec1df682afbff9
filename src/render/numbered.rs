//! Objects with internal numbers in the routing file: what a phone reaches that dials one, and what its lamp shows.

use std::collections::BTreeMap;

use super::{
    Phone, Phonebook,
    caller::note_sender,
    calls_of_phones,
    contexts::{Contexts, endpoint},
    inbound::Inbound,
    targets::untried,
};
use crate::{
    asterisk::{
        BadValue,
        dialplan::{Context, Dialplan, Expr, Extension, Hash, Pattern, Place, Step, Variable},
    },
    model::{ObjectName, UserKey},
    objects::{Lamp, Numbered, room::conference_name},
};

/// Names the extension behind the number of an object. A call goes on there when the number changes.
fn named(name: &ObjectName) -> Expr {
    Expr::hex('e', &Hash::of(name.as_str()))
}

/// Adds the numbers of objects to what phones dial. The lamp of an object shows the states of its users' phones, or of its
/// room.
pub(super) fn dialled(dialled: &mut Context, book: &Phonebook<'_>) -> Result<(), BadValue> {
    let numbered = book.routes.numbered();
    if numbered.is_empty() {
        return Ok(());
    }
    let Contexts { extensions, count, .. } = Contexts::of(book.tenant)?;
    let phones: BTreeMap<UserKey, &Phone<'_>> = book.phones.iter().map(|phone| (phone.email.key(), phone)).collect();
    for Numbered { number, name, lamp, .. } in numbered {
        dialled.comment(&name);
        let mut shown: Option<Expr> = None;
        for lamp in &lamp {
            let device = match lamp {
                Lamp::Phone(user) => match phones.get(user) {
                    Some(phone) => Expr::from("PJSIP/") + endpoint(book, phone.extension.into())?,
                    None => continue,
                },
                Lamp::Room(room) => Expr::from("confbridge:") + &conference_name(book.tenant, room)?,
            };
            shown = Some(match shown {
                Some(before) => before + "&" + device,
                None => device,
            });
        }
        if let Some(shown) = shown {
            dialled.hint(Pattern::literal(number), shown);
        }
        let mut steps = Extension::new(Pattern::literal(number));
        steps.step(calls_of_phones::count(&count)).step(Step::Goto(Place::Context(extensions.clone(), named(&name))));
        dialled.extension(steps);
    }
    Ok(())
}

impl Inbound<'_> {
    /// Notes who calls from inside, for what is shown of the call.
    pub(super) fn note_caller(&self, steps: &mut Extension) {
        note_sender(steps);
        steps
            .step(Step::Set(Variable::Caller, Expr::default()))
            .step(Step::Set(Variable::Called, self.shown_for_names()));
    }

    /// Where calls of phones go that dial the number of an object.
    pub(super) fn numbered(&self, plan: &mut Dialplan, numbered: &[Numbered]) {
        if numbered.is_empty() {
            return;
        }
        let mut context = Context::new(
            &self.contexts.extensions,
            "What phones reach under numbers that no phone has, in turn. A number outside sees a public one of ours.",
        );
        for Numbered { name, chain, .. } in numbered {
            context.comment(name);
            let mut steps = Extension::new(Pattern::literal(named(name)));
            self.note_caller(&mut steps);
            steps.step(untried(chain));
            self.in_turn(&mut steps, chain, &self.contexts.colleagues);
            context.extension(steps);
        }
        plan.push(context);
    }
}
