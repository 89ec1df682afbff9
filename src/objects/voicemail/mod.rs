//! Voicemail: the boxes of users and shared boxes.
//!
//! A box has a number of its own, which the directory never gives to another box: messages and greetings stand in
//! folders that Asterisk names by it. A renumbered user keeps the box, and the next holder of an extension does not
//! inherit one.

pub(super) mod check;
pub(crate) mod file;
mod number;
mod pin;
mod render;
#[cfg(test)]
mod tests;

pub use number::LastBox;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use super::{
    object::{Fields, Generate, Login, Object, RowsOfUsers, Store, Stored, UserOfRow, UsersOfRows},
    render::{Parts, RenderContext},
};
use crate::{
    asterisk::BadValue,
    model::{
        BoxNumber, Chain, DisplayName, Document, Email, Invalid, Mailbox, Node, ObjectName, SENSITIVE, Unreadable,
        UserKey,
    },
};

/// The owner of a box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoxOwner<User = UserKey> {
    /// A user's, or that of a phone which belongs to nobody.
    User {
        /// The user.
        user: User,
        /// Whether messages are mailed to the user's address.
        mail: bool,
    },
    /// A shared one.
    Shared {
        /// Its name for people, in mails.
        title: DisplayName,
        /// Where messages are mailed to.
        mail: Option<Email>,
        /// The users whose phones show new messages.
        lamps: Vec<User>,
    },
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailing {
    /// Whether a mail has the recording.
    pub attach: bool,
    /// Whether a message is deleted once it was mailed.
    pub delete: bool,
    /// The longest message, in seconds.
    pub seconds: u32,
}

/// How messages are handled if the file does not say so.
pub(super) const DEFAULT: Mailing = Mailing { attach: true, delete: false, seconds: 180 };

fn default_mailing() -> Mailing {
    DEFAULT
}

/// A voicemail box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoicemailBox<User = UserKey> {
    /// Its number. `None` until the directory gives it one.
    pub number: Option<BoxNumber>,
    /// Whose it is.
    pub whose: BoxOwner<User>,
    /// What becomes of a message.
    #[serde(default = "default_mailing")]
    pub mailing: Mailing,
}

impl fmt::Display for Mailing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attach = if self.attach { "with" } else { "without" };
        let delete = if self.delete { ", then deleted" } else { "" };
        write!(f, "up to {}s, mailed {attach} the recording{delete}", self.seconds)
    }
}

impl Object for VoicemailBox {
    fn fields(&self) -> Fields {
        let (user, title, mail, lamps) = match &self.whose {
            BoxOwner::User { user, mail } => (Some(user.to_string()), None, mail.then(|| "true".to_owned()), None),
            BoxOwner::Shared { title, mail, lamps } => {
                let lamps: Vec<String> = lamps.iter().map(ToString::to_string).collect();
                let lamps = (!lamps.is_empty()).then(|| lamps.join(", "));
                (None, Some(title.to_string()), mail.as_ref().map(ToString::to_string), lamps)
            }
        };
        vec![
            ("user", user),
            ("name", title),
            ("number", self.number.as_ref().map(ToString::to_string)),
            ("mail", mail),
            ("messages", Some(self.mailing.to_string())),
            ("lamps", lamps),
            ("pin", Some(SENSITIVE.to_owned())),
        ]
    }

    fn flow(&self, name: &ObjectName) -> Option<Chain> {
        Some(Chain(vec![Node::Box(Mailbox { name: name.to_string(), number: self.number.clone() })]))
    }

    fn login(&self) -> Option<Login<'_>> {
        Some(Login { username: self.number.as_ref()?.as_str(), realm: None })
    }

    fn generates(&self) -> Option<Generate> {
        Some(pin::generate)
    }

    fn mailbox(&self) -> Option<(&BoxNumber, Option<&UserKey>)> {
        let user = match &self.whose {
            BoxOwner::User { user, .. } => Some(user),
            BoxOwner::Shared { .. } => None,
        };
        Some((self.number.as_ref()?, user))
    }

    fn title(&self) -> Option<String> {
        match &self.whose {
            BoxOwner::User { user, .. } => Some(format!("box of {user}")),
            BoxOwner::Shared { .. } => None,
        }
    }

    fn tidy(&mut self) {
        if let BoxOwner::Shared { lamps, .. } = &mut self.whose {
            lamps.sort();
        }
    }

    fn render<'a>(&'a self, name: &str, cx: &RenderContext<'_>, parts: &mut Parts<'a>) -> Result<(), BadValue> {
        render::render(self, name, cx, parts)
    }
}

impl Document for VoicemailBox<UserOfRow> {}

impl Stored for VoicemailBox {
    type Body = VoicemailBox<UserOfRow>;

    fn body(&self, rows: &RowsOfUsers<'_>) -> Result<Self::Body, serde_json::Error> {
        self.clone().with_users(|user| rows(&user))
    }

    fn of_body(body: Self::Body, users: &UsersOfRows<'_>) -> Result<Self, Unreadable> {
        body.with_users(|row| users(&row))
    }
}

impl<U> VoicemailBox<U> {
    /// Names its users in another way.
    fn with_users<V, E>(self, name: impl Fn(U) -> Result<V, E>) -> Result<VoicemailBox<V>, E> {
        let Self { number, whose, mailing } = self;
        let whose = match whose {
            BoxOwner::User { user, mail } => BoxOwner::User { user: name(user)?, mail },
            BoxOwner::Shared { title, mail, lamps } => {
                BoxOwner::Shared { title, mail, lamps: lamps.into_iter().map(name).collect::<Result<_, _>>()? }
            }
        };
        Ok(VoicemailBox { number, whose, mailing })
    }
}

/// All boxes of a tenant. A user's box is an object under its number, because the user may get another address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boxes {
    /// Those of users.
    pub(super) own: BTreeMap<UserKey, VoicemailBox>,
    /// The shared ones, by name.
    pub(super) shared: BTreeMap<ObjectName, VoicemailBox>,
}

impl Boxes {
    /// No boxes.
    pub const NONE: Self = Self { own: BTreeMap::new(), shared: BTreeMap::new() };

    /// Tells whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    fn all(&self) -> impl Iterator<Item = &VoicemailBox> {
        self.own.values().chain(self.shared.values())
    }

    /// Lists the numbers that none of these boxes has any more.
    pub(super) fn numbers_gone<'a>(&self, former: &'a Self) -> Vec<&'a BoxNumber> {
        let kept: BTreeSet<&BoxNumber> = self.all().filter_map(|one| one.number.as_ref()).collect();
        former.all().filter_map(|one| one.number.as_ref()).filter(|number| !kept.contains(number)).collect()
    }

    /// Counts them.
    pub(super) fn count(&self) -> usize {
        self.all().count()
    }

    /// Counts the former boxes that end, those of deleted users left out: who deletes a user ends the box.
    pub(super) fn count_gone(&self, former: &Self, deleted: &BTreeSet<UserKey>) -> usize {
        let of_deleted = former.own.iter().filter(|(user, _)| deleted.contains(user));
        let of_deleted: BTreeSet<&BoxNumber> = of_deleted.filter_map(|(_, own)| own.number.as_ref()).collect();
        self.numbers_gone(former).into_iter().filter(|number| !of_deleted.contains(number)).count()
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut VoicemailBox> {
        self.own.values_mut().chain(self.shared.values_mut())
    }

    /// Takes over the numbers that these boxes have already or had before, and gives each other box one that no box ever
    /// had. Those of boxes that go are remembered. Numbers up to `in_place` were given, by whatever directory.
    pub(super) fn allocate(&mut self, former: &Self, numbers: &mut Option<LastBox>, in_place: u32) {
        if self.is_empty() && former.is_empty() && in_place == 0 {
            return;
        }
        let numbers = numbers.get_or_insert_default();
        let known = |number: Option<&VoicemailBox>| number.and_then(|known| known.number.clone());
        for (user, own) in &mut self.own {
            let had = numbers.users.remove(user).map(BoxNumber::of);
            own.number = known(former.own.get(user)).or(had);
        }
        for (name, shared) in &mut self.shared {
            let had = numbers.shared.remove(name).map(BoxNumber::of);
            shared.number = known(former.shared.get(name)).or(had);
        }
        // The highest number may have been lost, unlike the boxes.
        let highest =
            former.all().chain(self.all()).filter_map(|known| known.number.as_ref()).map(LastBox::number).max();
        numbers.last = numbers.last.max(highest.unwrap_or_default()).max(in_place);
        let mut taken: BTreeSet<BoxNumber> = BTreeSet::new();
        for one in self.all_mut() {
            // A number that was damaged into that of another box is none.
            if one.number.clone().is_none_or(|number| !taken.insert(number)) {
                one.number = Some(numbers.next());
            }
        }
        let number =
            |one: &VoicemailBox| one.number.as_ref().filter(|number| !taken.contains(number)).map(LastBox::number);
        let gone = former.own.iter().filter(|(user, _)| !self.own.contains_key(user));
        numbers.users.extend(gone.filter_map(|(user, own)| Some((user.clone(), number(own)?))));
        let gone = former.shared.iter().filter(|(name, _)| !self.shared.contains_key(name));
        numbers.shared.extend(gone.filter_map(|(name, shared)| Some((name.clone(), number(shared)?))));
    }

    /// Returns a user's box.
    pub(super) fn of(&self, user: &UserKey) -> Option<&VoicemailBox> {
        self.own.get(user)
    }

    /// Finds the box of a user, or the shared one of a name, with the name of the object.
    pub(super) fn find_of(&self, user: &UserKey, name: &str) -> Option<(String, &VoicemailBox)> {
        let own = self.own.get(user).map(|own| (name_of_own(user, own), own));
        own.or_else(|| Some((name.to_owned(), self.shared.get(&name.parse().ok()?)?)))
    }

    /// Lists the users who have a box.
    pub(super) fn users(&self) -> impl Iterator<Item = &UserKey> {
        self.own.keys()
    }

    /// Gives its users other addresses, former ones before present ones.
    pub(super) fn readdress(&mut self, addresses: &BTreeMap<UserKey, UserKey>) {
        let present = |user: UserKey| addresses.get(&user).cloned().unwrap_or(user);
        self.all_mut().for_each(|one| match &mut one.whose {
            BoxOwner::User { user, .. } => *user = present(user.clone()),
            BoxOwner::Shared { lamps, .. } => lamps.iter_mut().for_each(|user| *user = present(user.clone())),
        });
        self.own = std::mem::take(&mut self.own).into_iter().map(|(user, own)| (present(user), own)).collect();
    }
}

impl Store for Boxes {
    type Item = VoicemailBox;

    fn items(&self) -> Vec<(String, &VoicemailBox)> {
        let own = self.own.iter().map(|(user, own)| (name_of_own(user, own), own));
        own.chain(self.shared.iter().map(|(name, shared)| (name.to_string(), shared))).collect()
    }

    fn items_mut(&mut self) -> Vec<(String, &mut VoicemailBox)> {
        let own = self.own.iter_mut().map(|(user, own)| (name_of_own(user, own), own));
        own.chain(self.shared.iter_mut().map(|(name, shared)| (name.to_string(), shared))).collect()
    }

    fn named(&self, name: &ObjectName) -> Option<&dyn Object> {
        self.shared.get(name).map(|shared| shared as &dyn Object)
    }

    fn put(&mut self, name: &str, item: VoicemailBox) -> Result<(), Invalid> {
        match &item.whose {
            BoxOwner::User { user, .. } => drop(self.own.insert(user.clone(), item)),
            BoxOwner::Shared { .. } => drop(self.shared.insert(name.parse()?, item)),
        }
        Ok(())
    }
}

/// Names the object of a user's box: by the number once it has one.
fn name_of_own(user: &UserKey, own: &VoicemailBox) -> String {
    own.number.as_ref().map_or_else(|| user.to_string(), ToString::to_string)
}
