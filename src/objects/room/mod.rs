//! Conference rooms: all who call one hear each other.

pub(super) mod check;
pub(crate) mod file;
mod render;
#[cfg(test)]
mod tests;

pub(crate) use render::{conference_name, entrance, sip_user};

use serde::{Deserialize, Serialize};

use super::{
    ExtensionClaim,
    object::{Fields, Object, without_users},
    render::{Parts, RenderContext},
};
use crate::{
    asterisk::BadValue,
    model::{Chain, DisplayName, Node, ObjectName},
};

/// A conference room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Its name for people. `None` if it has none.
    pub title: Option<DisplayName>,
    /// The internal number under which phones reach it.
    pub extension: Option<ExtensionClaim>,
    /// How many callers it holds.
    #[serde(default = "default_max")]
    pub max: u32,
}

/// How many callers a room holds whose file does not say so.
pub(super) const DEFAULT_MAX: u32 = 20;

fn default_max() -> u32 {
    DEFAULT_MAX
}

impl Object for Room {
    fn fields(&self) -> Fields {
        vec![
            ("name", self.title.as_ref().map(ToString::to_string)),
            ("extension", self.extension.map(|claim| claim.to_string())),
            ("max", Some(self.max.to_string())),
        ]
    }

    fn flow(&self, name: &ObjectName) -> Option<Chain> {
        Some(Chain(vec![Node::Room(name.clone())]))
    }

    fn render<'a>(&'a self, name: &str, cx: &RenderContext<'_>, parts: &mut Parts<'a>) -> Result<(), BadValue> {
        let name: ObjectName = name.parse().map_err(|_| BadValue { what: "a room", reason: "it has no such name" })?;
        render::render(self, &name, cx, parts)
    }

    fn extension(&self) -> Option<ExtensionClaim> {
        self.extension
    }

    fn set_extension(&mut self, claim: ExtensionClaim) {
        self.extension = Some(claim);
    }
}

without_users!(Room);
