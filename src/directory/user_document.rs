//! The document in a user's row: how it is written, and who are meant by the rows that it names.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{DirectoryError, Place, Recorded, Row, UnreadableDocument, document};
use crate::{
    model::{PhoneOverride, Unreadable, UserKey},
    objects::{TargetsOfRow, UserDocument, UserOfRow, with_users},
};

/// Writes the document; `{}` if there is nothing in it.
pub(super) fn write(action: &'static str, row: &Row) -> Result<String, DirectoryError> {
    let user =
        UserDocument { phone: PhoneOverride::clone(&row.phone), pinned: row.pinned, no_answer: row.no_answer.clone() };
    if user == UserDocument::default() { Ok("{}".to_owned()) } else { document::write(action, &user) }
}

/// Finds the users whom lists of destinations name. `lists` has the list of each user, by address or id.
pub(super) fn take_lists(lists: Vec<(UserKey, TargetsOfRow)>, recorded: &mut Recorded) {
    if lists.is_empty() {
        return;
    }
    let keys: BTreeMap<Uuid, UserKey> = recorded.users.iter().map(|(key, user)| (user.id, key.clone())).collect();
    let named = |named: UserOfRow| match named {
        UserOfRow::Row(row) => {
            keys.get(&row).cloned().ok_or_else(|| Unreadable::Damaged(format!("`{row}` is no user's row")))
        }
        UserOfRow::Former { former } => Ok(former),
    };
    for (key, list) in lists {
        let Some(user) = recorded.users.get_mut(&key) else { continue };
        match with_users(list, &named) {
            Ok(targets) => user.no_answer = Some(targets.into()),
            Err(reason) => {
                let place = Place::Phone(user.id, user.email.clone());
                recorded.unreadable.push(UnreadableDocument { place, reason });
            }
        }
    }
}
