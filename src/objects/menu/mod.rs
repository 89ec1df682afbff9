//! Menus: the caller hears a prompt, and presses a key that says who gets the call.

pub(super) mod check;
pub(crate) mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    ExtensionClaim, ObjectKind, Routes, Target,
    destination::{host_names, in_turn, refs, with_users},
    object::{Fields, Object, RowsOfUsers, Stored, UserOfRow, UsersOfRows},
};
use crate::{
    asterisk::{BadValue, Name},
    model::{Chain, Document, HostName, MENU_CONTEXT, MenuKey, Node, ObjectName, Prompt, Tenant, Unreadable, UserKey},
};

/// A menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Menu<User = UserKey> {
    /// The internal number under which phones reach it.
    pub extension: Option<ExtensionClaim>,
    /// What the caller hears.
    pub prompt: Prompt,
    /// Who gets the call of a caller who presses a key, tried in turn.
    pub digits: BTreeMap<MenuKey, Vec<Target<User>>>,
    /// How long a key is waited for, in seconds.
    #[serde(default = "default_wait")]
    pub wait: u32,
    /// How often the prompt is played at most.
    #[serde(default = "default_tries")]
    pub tries: u32,
    /// Who gets the call of a caller who presses no key that is listed, tried in turn.
    #[serde(default = "Vec::new")]
    pub otherwise: Vec<Target<User>>,
}

/// How long a key is waited for if the file does not say so, in seconds.
const DEFAULT_WAIT: u32 = 5;

/// How often a prompt is played if the file does not say so.
const DEFAULT_TRIES: u32 = 3;

fn default_wait() -> u32 {
    DEFAULT_WAIT
}

fn default_tries() -> u32 {
    DEFAULT_TRIES
}

/// Names a menu to a provider that sends a call there by SIP. No endpoint of a phone is named so, because no slug has a
/// `_`.
pub(crate) fn sip_user(menu: &ObjectName) -> String {
    format!("menu_{menu}")
}

/// How the calls of a menu go.
#[derive(Debug)]
pub(crate) struct Choices<'a> {
    pub(crate) name: ObjectName,
    /// The context that has its keys, and nothing else. No other context of any tenant has this name, because no slug has
    /// a `_`.
    pub(crate) context: Name,
    pub(crate) prompt: &'a Prompt,
    /// How long a key is waited for, in seconds.
    pub(crate) wait: u32,
    /// How often the prompt is played at most.
    pub(crate) tries: u32,
    pub(crate) keys: BTreeMap<&'a MenuKey, Chain>,
    /// How a call goes on without a key that is listed.
    pub(crate) otherwise: Chain,
}

impl Choices<'_> {
    /// Lists how calls may go on.
    pub(crate) fn chains(&self) -> impl Iterator<Item = &Chain> {
        self.keys.values().chain([&self.otherwise])
    }
}

impl Routes {
    /// Describes how the calls of each menu go.
    ///
    /// # Errors
    /// If the name is none that `check` lets pass.
    pub(crate) fn choices(&self, tenant: &Tenant) -> Result<Vec<Choices<'_>>, BadValue> {
        let of_menu = |(name, menu)| {
            let Menu { prompt, digits, wait, tries, otherwise, .. }: &Menu = menu;
            Ok(Choices {
                name: ObjectName::clone(name),
                context: Name::new(format!("{tenant}-{MENU_CONTEXT}{name}"))?,
                prompt,
                wait: *wait,
                tries: *tries,
                keys: digits.iter().map(|(key, targets)| (key, self.chain(targets))).collect(),
                otherwise: self.chain(otherwise),
            })
        };
        self.menus.iter().map(of_menu).collect()
    }
}

impl Menu {
    /// Lists all destinations that it names.
    fn targets(&self) -> impl Iterator<Item = &[Target]> {
        self.digits.values().map(Vec::as_slice).chain([self.otherwise.as_slice()])
    }

    /// Gives its users other addresses, former ones before present ones.
    pub(super) fn readdress(&mut self, addresses: &BTreeMap<UserKey, UserKey>) {
        let targets = self.digits.values_mut().flatten().chain(&mut self.otherwise);
        for user in targets.filter_map(Target::user_mut) {
            if let Some(present) = addresses.get(user) {
                *user = present.clone();
            }
        }
    }
}

impl Object for Menu {
    fn fields(&self) -> Fields {
        let digits = self.digits.iter().map(|(key, targets)| format!("{key} ({})", in_turn(targets)));
        let otherwise = (!self.otherwise.is_empty()).then(|| in_turn(&self.otherwise));
        vec![
            ("extension", self.extension.map(|claim| claim.to_string())),
            ("prompt", Some(self.prompt.to_string())),
            ("digits", Some(digits.collect::<Vec<_>>().join(", "))),
            ("wait", Some(format!("{}s", self.wait))),
            ("tries", Some(self.tries.to_string())),
            ("otherwise", otherwise),
        ]
    }

    fn flow(&self, name: &ObjectName) -> Option<Chain> {
        Some(Chain(vec![Node::Menu(name.clone())]))
    }

    fn goes_on(&self) -> Vec<&[Target]> {
        vec![&self.otherwise]
    }

    fn extension(&self) -> Option<ExtensionClaim> {
        self.extension
    }

    fn set_extension(&mut self, claim: ExtensionClaim) {
        self.extension = Some(claim);
    }

    fn refs(&self) -> Vec<(ObjectKind, &ObjectName)> {
        self.targets().flat_map(refs).collect()
    }

    fn host_names(&self) -> Vec<HostName> {
        [HostName::Prompt(self.prompt.clone())].into_iter().chain(self.targets().flat_map(host_names)).collect()
    }
}

impl Document for Menu<UserOfRow> {}

impl Stored for Menu {
    type Body = Menu<UserOfRow>;

    fn body(&self, rows: &RowsOfUsers<'_>) -> Result<Menu<UserOfRow>, serde_json::Error> {
        self.clone().with_users(|user| rows(&user))
    }

    fn of_body(body: Menu<UserOfRow>, users: &UsersOfRows<'_>) -> Result<Self, Unreadable> {
        body.with_users(|row| users(&row))
    }
}

impl<U> Menu<U> {
    /// Names its users in another way.
    fn with_users<V, E>(self, user: impl Fn(U) -> Result<V, E>) -> Result<Menu<V>, E> {
        let Self { extension, prompt, digits, wait, tries, otherwise } = self;
        let of_key = |(key, targets)| Ok((key, with_users(targets, &user)?));
        let digits = digits.into_iter().map(of_key).collect::<Result<_, E>>()?;
        Ok(Menu { extension, prompt, digits, wait, tries, otherwise: with_users(otherwise, &user)? })
    }
}
