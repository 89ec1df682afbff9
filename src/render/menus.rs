//! Menus in the routing file: one context each, with the keys of that menu and nothing else, so that no key leads
//! anywhere else.

use super::{inbound::Inbound, targets::untried};
use crate::{
    asterisk::dialplan::{Context, Dialplan, Expr, Extension, Pattern, Place, Step, Variable},
    model::ObjectName,
    objects::Choices,
};

/// The extensions at which Asterisk begins, and to which it goes with a key that the context does not have, or without
/// any.
const START: &str = "s";
const INVALID: &str = "i";
const TIMEOUT: &str = "t";

/// The step that plays the prompt.
const AGAIN: &str = "again";

impl Inbound<'_> {
    /// Names the place where calls to a menu begin.
    pub(super) fn menu(&self, name: &ObjectName) -> Option<Place> {
        // They are in the order of their names.
        let at = self.choices.binary_search_by(|choices| choices.name.cmp(name)).ok()?;
        Some(Place::Context(self.choices[at].context.clone(), START.into()))
    }

    /// The menus. A caller may press a key while the prompt plays.
    pub(super) fn menus(&self, plan: &mut Dialplan) {
        for Choices { name, context, prompt, wait, tries, keys, otherwise } in &self.choices {
            let mut menu = Context::new(context, format_args!("The menu `{name}`: its keys, and nothing else."));
            let tried = || Expr::var(Variable::Tries);
            let mut start = Extension::new(Pattern::literal(START));
            start
                .step(Step::Set(Variable::Tries, Expr::number(0_u32)))
                .labelled(AGAIN, Step::Set(Variable::Tries, (tried() + " + 1").calc()))
                .step(Step::Background((*prompt).into()))
                .step(Step::WaitExten(Expr::number(*wait)));
            menu.extension(start);
            for (key, chain) in keys {
                let mut steps = Extension::new(Pattern::literal(*key));
                steps.step(untried(chain));
                self.in_turn(&mut steps, chain, &self.contexts.colleagues);
                menu.extension(steps);
            }
            let has_more = (tried() + " < " + Expr::number(*tries)).calc();
            let mut steps = Extension::new(Pattern::literal(INVALID));
            steps.step(Step::goto_if(has_more, Place::LabelOf(START, AGAIN))).step(untried(otherwise));
            self.in_turn(&mut steps, otherwise, &self.contexts.colleagues);
            menu.extension(steps);
            menu.one_step(Pattern::literal(TIMEOUT), Step::Goto(Place::Extension(INVALID.into())));
            plan.push(menu);
        }
    }
}
