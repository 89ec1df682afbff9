//! Users who say who gets the calls to their extension that nobody answers, in the routing file. Users with the same
//! list share its steps.

use std::collections::BTreeMap;

use super::{Phone, Phonebook, inbound::Inbound};
use crate::{
    asterisk::dialplan::{Context, Dialplan, Expr, Extension, Hash, Pattern, Step, Variable},
    model::{Chain, Extension as Number, UserKey},
    objects::Target,
};

/// What begins the names of lists.
const LIST: char = 'n';

/// The lists of a phonebook.
#[derive(Default)]
pub(super) struct Lists<'a> {
    /// Each list once, by its hash.
    all: BTreeMap<Hash, List<'a>>,
    /// The hash of the list of each phone that has one.
    of_phones: BTreeMap<Number, Hash>,
}

/// A list of destinations.
struct List<'a> {
    /// In words, with the numbers of users: a new address changes nothing.
    words: String,
    targets: &'a [Target],
}

impl Phonebook<'_> {
    /// Finds the lists of its phones.
    pub(super) fn lists(&self) -> Lists<'_> {
        let mut lists = Lists::default();
        if self.phones.iter().all(|phone| phone.no_answer.is_none()) {
            return lists;
        }
        let numbers: BTreeMap<UserKey, Number> =
            self.phones.iter().map(|phone| (phone.email.key(), phone.extension)).collect();
        for Phone { extension, no_answer, .. } in &self.phones {
            let Some(targets) = no_answer else { continue };
            let words = words(targets, &numbers);
            let hash = Hash::of(&words);
            lists.of_phones.insert(*extension, hash.clone());
            lists.all.entry(hash).or_insert(List { words, targets });
        }
        lists
    }
}

/// Writes a list in words.
fn words(targets: &[Target], numbers: &BTreeMap<UserKey, Number>) -> String {
    let number = |user: &UserKey| numbers.get(user).map_or_else(|| user.to_string(), ToString::to_string);
    let words = targets.iter().map(|target| match target {
        Target::User(user) => format!("phone {}", number(user)),
        Target::Voicemail(user) => format!("voicemail of {}", number(user)),
        Target::Object(_) | Target::Dialplan(_) | Target::Hangup | Target::Busy => target.to_string(),
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() { "nobody".to_owned() } else { words.join(", then ") }
}

impl Lists<'_> {
    /// Tells whether no phone has one.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Names the list of a phone.
    pub(super) fn of(&self, extension: Number) -> Option<String> {
        self.of_phones.get(&extension).map(|hash| format!("{LIST}{hash}"))
    }
}

/// A list, with how a call goes.
pub(super) struct Unanswered {
    hash: Hash,
    words: String,
    pub(super) chain: Chain,
}

impl Lists<'_> {
    /// Describes how calls go.
    pub(super) fn chains(self, book: &Phonebook<'_>) -> Vec<Unanswered> {
        let chain = |(hash, List { words, targets }): (Hash, List<'_>)| Unanswered {
            hash,
            words,
            chain: book.routes.chain(targets),
        };
        self.all.into_iter().map(chain).collect()
    }
}

impl Inbound<'_> {
    /// Where unanswered calls to users go.
    pub(super) fn unanswered(&self, plan: &mut Dialplan, lists: &[Unanswered]) {
        if lists.is_empty() {
            return;
        }
        let mut context = Context::new(
            &self.contexts.unanswered,
            "Who gets the calls to a user that nobody answered, in turn: one list for all users who say the same.",
        );
        for Unanswered { hash, words, chain } in lists {
            context.comment(words);
            let mut steps = Extension::new(Pattern::literal(Expr::hex(LIST, hash)));
            if !chain.0.is_empty() {
                self.note_caller(&mut steps);
            }
            self.in_turn(&mut steps, chain, &self.contexts.colleagues);
            context.extension(steps);
        }
        // A list that is not there yet, or no more: phones and dialplan are reloaded one after the other.
        context.one_step(Pattern::literal("i"), Step::Hangup(Some(Expr::var(Variable::Cause))));
        plan.push(context);
    }
}
