//! What objects bring to the files of their tenant. Each kind writes its part; `render` puts the parts together and
//! knows no kind.

use std::{collections::BTreeMap, fmt};

use super::{Login, ObjectId, ObjectKind, Routes, Timezone};
use crate::{
    asterisk::{
        BadValue, Name, Section, box_context,
        dialplan::{Expr, Extension, Pattern},
    },
    model::{PhoneProfile, SENSITIVE, Secret, Tenant, UserKey},
};

/// What an object may know when it writes its part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RenderContext<'a> {
    pub(crate) tenant: &'a Tenant,
    /// The profile of phones: calls have the same codecs and transport on both sides.
    pub(crate) phones: &'a PhoneProfile,
    /// The secrets of objects. `None` if a placeholder stands for each of them.
    pub(crate) secrets: Option<&'a BTreeMap<ObjectId, Secret>>,
}

impl RenderContext<'_> {
    /// Writes a value that is made of the secret of an object, or its placeholder.
    ///
    /// # Errors
    /// When the secret is missing.
    pub(crate) fn secret(
        &self,
        kind: ObjectKind,
        name: &str,
        write: impl FnOnce(&Secret) -> String,
    ) -> Result<String, BadValue> {
        let Some(secrets) = self.secrets else { return Ok(SENSITIVE.to_owned()) };
        secrets
            .get(&(kind, name.to_owned()))
            .map(write)
            .ok_or(BadValue { what: "the secret of an object", reason: "it is missing" })
    }
}

/// Names the sections of an object in the endpoint file.
pub(crate) fn section_name(tenant: &Tenant, kind: ObjectKind, name: impl fmt::Display) -> String {
    format!("{tenant}-{kind}-{name}")
}

impl Login<'_> {
    /// Names the place in the files that shows the secret of an object: its section, or its entry.
    pub(crate) fn place(&self, tenant: &Tenant, (kind, name): &ObjectId) -> String {
        if kind.has_entry() {
            format!("{} {}", box_context(tenant), self.username)
        } else {
            section_name(tenant, *kind, name)
        }
    }
}

/// What all objects of a tenant bring to its files.
#[derive(Debug, Default)]
pub(crate) struct Parts<'a> {
    /// Blocks of the endpoint file.
    pub(crate) blocks: Vec<Block>,
    /// Conditions of the dialplan.
    pub(crate) conditions: Vec<Condition>,
    /// Time zones that Asterisk must have, by name.
    pub(crate) zones: BTreeMap<&'a str, &'a Timezone>,
    /// The voicemail boxes.
    pub(crate) boxes: Vec<BoxEntry<'a>>,
    /// The boxes whose messages phones show, by user.
    pub(crate) phone_boxes: BTreeMap<&'a UserKey, PhoneBoxes<'a>>,
    /// How callers come into conference rooms.
    pub(crate) rooms: Vec<Entrance>,
    /// The queues.
    pub(crate) queues: Vec<QueueEntry<'a>>,
}

/// A queue, as a section of its file.
#[derive(Debug)]
pub(crate) struct QueueEntry<'a> {
    /// Its name in Asterisk.
    pub(crate) name: Name,
    pub(crate) options: Vec<(&'static str, String)>,
    /// Who takes the calls, in turn.
    pub(crate) members: Vec<&'a UserKey>,
}

/// How callers come into a conference room: an extension of the dialplan.
#[derive(Debug)]
pub(crate) struct Entrance {
    /// A remark for whoever reads the file.
    pub(crate) remark: String,
    /// Its steps.
    pub(crate) steps: Extension,
}

/// A voicemail box, as an entry of its file.
#[derive(Debug)]
pub(crate) struct BoxEntry<'a> {
    pub(crate) number: &'a str,
    /// What stands for its PIN.
    pub(crate) pin: String,
    /// What stands for the tag of the PIN.
    pub(crate) tag: String,
    /// The user whose name it has.
    pub(crate) user: Option<&'a UserKey>,
    /// Its own name if it is no user's.
    pub(crate) title: &'a str,
    /// The address that messages are mailed to.
    pub(crate) address: Option<&'a str>,
    /// Whether they are mailed to the user.
    pub(crate) mails_user: bool,
    /// Whether a message is deleted once it was mailed.
    pub(crate) deletes: bool,
    /// The other options.
    pub(crate) options: String,
}

/// The numbers of the boxes whose messages a phone shows.
#[derive(Debug, Default)]
pub(crate) struct PhoneBoxes<'a> {
    /// The user's own.
    pub(crate) own: Option<&'a str>,
    /// Shared ones.
    pub(crate) shared: Vec<&'a str>,
}

impl Parts<'_> {
    /// Begins the condition of an object: a subroutine that returns 1 while it holds, and 0 while it does not.
    pub(crate) fn condition(&mut self, name: &str) -> &mut Extension {
        let number = self.conditions.last().map_or(1, |last| last.number + 1);
        let steps = Extension::new(Pattern::literal(Expr::number(number)));
        &mut self.conditions.push_mut(Condition { name: name.to_owned(), number, steps }).steps
    }
}

/// A condition that calls go by: a subroutine of the dialplan.
#[derive(Debug)]
pub(crate) struct Condition {
    /// The name of the object, as it is declared.
    pub(crate) name: String,
    /// The extension of the subroutine.
    pub(crate) number: u64,
    pub(crate) steps: Extension,
}

/// The sections of an object in the endpoint file. Calls from them arrive in the context for inbound calls.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) kind: ObjectKind,
    /// The name of the object, as it is declared.
    pub(crate) name: String,
    /// A remark for people who read the file.
    pub(crate) remark: Option<&'static str>,
    pub(crate) sections: Vec<Section>,
}

impl Routes {
    /// Collects what the objects bring, by kind and name.
    ///
    /// # Errors
    /// When a value cannot stand in a configuration line, or a secret is missing.
    pub(crate) fn parts(&self, cx: &RenderContext<'_>) -> Result<Parts<'_>, BadValue> {
        let mut parts = Parts::default();
        for ((_, name), object) in self.objects() {
            object.render(&name, cx, &mut parts)?;
        }
        Ok(parts)
    }
}
