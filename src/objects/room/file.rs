//! The keys of a conference room.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    model::{At, DisplayName},
    objects::extension::ExtensionKey,
};

/// A conference room: all who call it hear each other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Room {
    /// Its name for people, in plans and in the generated file. Default: none.
    #[serde(default)]
    pub(crate) name: Option<At<DisplayName>>,
    /// The internal number under which phones reach the room, inside `extensions.range`: a number, or `auto` for the
    /// lowest free one, which the room then keeps. Default: none.
    #[serde(default)]
    pub(crate) extension: Option<At<ExtensionKey>>,
    /// How many callers it holds, 2 to 100. Default: 20.
    #[serde(default)]
    #[schemars(range(min = 2, max = 100))]
    pub(crate) max: Option<At<u32>>,
}
