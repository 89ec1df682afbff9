//! What the generated files only name: it must exist in the operator's own configuration.

use std::fmt;

use super::{ObjectName, OperatorsExtension, Prompt};

/// What the contexts of a tenant's generated routing file are named, behind its slug and a hyphen.
pub(crate) const GENERATED_CONTEXTS: &[&str] = &[
    "internal",
    "count",
    "ring",
    "leg",
    "inbound",
    "caller",
    "rules",
    "hours",
    "targets",
    "dialers",
    "phones",
    "groups",
    "member",
    "members",
    "confirm",
    "next",
    "extensions",
    "unanswered",
    "colleagues",
    "voicemail",
    "message",
    "clean",
    "rooms",
    "queues",
    "generation",
];

/// What begins the name of the context of a menu, behind the slug and a hyphen. The name of the menu follows.
pub(crate) const MENU_CONTEXT: &str = "menu_";

/// Tells whether a context of a tenant's generated routing file may be named so, behind its slug and a hyphen.
pub(crate) fn is_generated(kind: &str) -> bool {
    GENERATED_CONTEXTS.contains(&kind) || kind.starts_with(MENU_CONTEXT)
}

/// Something in the operator's own configuration that a desired state names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostName {
    /// A context of the dialplan, from `dialplan.include`, a user's `phone.context` or a destination of calls.
    Context(ObjectName),
    /// A transport of `res_pjsip`, from `phones.transport` or a user's `phone.transport`.
    Transport(ObjectName),
    /// An extension of the dialplan, from a destination of calls.
    Extension(OperatorsExtension),
    /// A sound file, from a menu or a queue.
    Prompt(Prompt),
}

impl HostName {
    /// Returns the name without its kind.
    pub fn name(&self) -> &str {
        match self {
            Self::Context(name) | Self::Transport(name) => name.as_str(),
            Self::Extension(at) => at.extension.as_str(),
            Self::Prompt(prompt) => prompt.as_str(),
        }
    }

    /// Returns the word for its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Context(_) => "context",
            Self::Transport(_) => "transport",
            Self::Extension(_) => "extension",
            Self::Prompt(_) => "prompt",
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind(), self.name())?;
        match self {
            Self::Context(_) | Self::Transport(_) | Self::Prompt(_) => Ok(()),
            Self::Extension(at) => write!(f, " of the context `{}`", at.context),
        }
    }
}
