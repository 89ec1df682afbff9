//! The numbers that boxes had.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    model::{BoxNumber, Document, ObjectName, Unreadable, UserKey},
    objects::object::{Fields, Object, RowsOfUsers, Stored, UserOfRow, UsersOfRows},
};

/// The highest number that a box of the tenant ever had, and whose boxes are gone. It stays when the boxes go, so that no
/// other box gets the messages that Asterisk keeps under a number, and who gets a box again hears them again.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Numbers<UserKey>", into = "Numbers<UserKey>")]
pub struct LastBox {
    /// The highest number.
    pub last: u32,
    /// The numbers of users who have no box any more, and are still recorded.
    pub users: BTreeMap<UserKey, u32>,
    /// The numbers of shared boxes that are gone, by name.
    pub shared: BTreeMap<ObjectName, u32>,
}

impl LastBox {
    /// Takes a number that a box has.
    pub(super) fn number(number: &BoxNumber) -> u32 {
        number.as_str().parse().unwrap_or_default()
    }

    /// Takes the next number.
    pub(super) fn next(&mut self) -> BoxNumber {
        self.last = self.last.saturating_add(1);
        BoxNumber::of(self.last)
    }

    /// Gives its users other addresses, former ones before present ones.
    pub(in crate::objects) fn readdress(&mut self, addresses: &BTreeMap<UserKey, UserKey>) {
        let users = std::mem::take(&mut self.users).into_iter();
        self.users = users.map(|(user, number)| (addresses.get(&user).cloned().unwrap_or(user), number)).collect();
    }
}

impl Object for LastBox {
    fn fields(&self) -> Fields {
        vec![("last_box", Some(self.last.to_string()))]
    }

    fn title(&self) -> Option<String> {
        Some("highest box number".to_owned())
    }
}

/// The numbers as documents hold them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Numbers<User> {
    /// The highest one, if no box is gone. Earlier versions kept nothing else.
    Last(u32),
    /// With those of boxes that are gone.
    All {
        /// The highest one.
        last: u32,
        /// Those of users.
        users: Vec<(User, u32)>,
        /// Those of shared boxes.
        shared: BTreeMap<ObjectName, u32>,
    },
}

impl Document for Numbers<UserOfRow> {}

impl From<LastBox> for Numbers<UserKey> {
    fn from(LastBox { last, users, shared }: LastBox) -> Self {
        if users.is_empty() && shared.is_empty() {
            return Self::Last(last);
        }
        Self::All { last, users: users.into_iter().collect(), shared }
    }
}

impl From<Numbers<UserKey>> for LastBox {
    fn from(numbers: Numbers<UserKey>) -> Self {
        match numbers {
            Numbers::Last(last) => Self { last, ..Self::default() },
            Numbers::All { last, users, shared } => Self { last, users: users.into_iter().collect(), shared },
        }
    }
}

impl Stored for LastBox {
    type Body = Numbers<UserOfRow>;

    fn body(&self, rows: &RowsOfUsers<'_>) -> Result<Self::Body, serde_json::Error> {
        Ok(match Numbers::from(self.clone()) {
            Numbers::Last(last) => Numbers::Last(last),
            Numbers::All { last, users, shared } => {
                let users = users.into_iter().map(|(user, number)| Ok((rows(&user)?, number)));
                Numbers::All { last, users: users.collect::<Result<_, serde_json::Error>>()?, shared }
            }
        })
    }

    fn of_body(body: Self::Body, users_of: &UsersOfRows<'_>) -> Result<Self, Unreadable> {
        Ok(match body {
            Numbers::Last(last) => Self { last, ..Self::default() },
            Numbers::All { last, users, shared } => {
                // Users who are gone meanwhile leave their boxes for good.
                let known = users.into_iter().filter_map(|(row, number)| Some((users_of(&row).ok()?, number)));
                Self { last, users: known.collect(), shared }
            }
        })
    }
}
