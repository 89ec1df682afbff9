//! How a call goes, in words and as JSON, for `trace`.

use serde::Serialize;

use crate::model::{Cause, Chain, Leg, Mailbox, Node, OperatorsExtension, Ring};

/// One step of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum Walked {
    /// These ring, all at once.
    Ring {
        /// What rings, in one word.
        name: String,
        /// Who rings: users' e-mails, ids of phones, numbers and addresses outside.
        who: Vec<String>,
        /// How long, in seconds.
        seconds: u32,
    },
    /// A message is recorded.
    Voicemail {
        /// What records it, in one word.
        name: String,
    },
    /// The caller comes into a conference room.
    Room {
        /// The name of the room.
        name: String,
    },
    /// The caller hears a menu, and chooses.
    Menu {
        /// The name of the menu.
        name: String,
    },
    /// The caller waits in a queue.
    Queue {
        /// The name of the queue.
        name: String,
    },
    /// The call goes on in the operator's own dialplan.
    Dialplan {
        /// The context.
        context: String,
        /// The extension.
        extension: String,
    },
    /// The call ends.
    End {
        /// How: `busy` or `hangup`.
        how: &'static str,
    },
    /// No destination is reached, because no object has this name.
    Missing {
        /// The name.
        name: String,
    },
}

/// Describes a chain up to the step that ends the call.
pub fn walk(chain: &Chain) -> Vec<Walked> {
    let mut walked = Vec::new();
    for node in &chain.0 {
        walked.push(match node {
            Node::Ring(Ring { name, who, seconds }) => {
                let who = who.legs().iter().map(Leg::to_string).collect();
                Walked::Ring { name: name.clone(), who, seconds: *seconds }
            }
            Node::Box(Mailbox { name, .. }) => {
                walked.push(Walked::Voicemail { name: name.clone() });
                return walked;
            }
            Node::Room(name) => {
                walked.push(Walked::Room { name: name.to_string() });
                return walked;
            }
            Node::Menu(name) => {
                walked.push(Walked::Menu { name: name.to_string() });
                return walked;
            }
            Node::Queue(name) => {
                walked.push(Walked::Queue { name: name.to_string() });
                return walked;
            }
            Node::Dialplan(OperatorsExtension { context, extension }) => {
                let (context, extension) = (context.to_string(), extension.to_string());
                walked.push(Walked::Dialplan { context, extension });
                return walked;
            }
            Node::End(cause) => {
                let how = match cause {
                    Cause::Busy => "busy",
                    Cause::Rejected => "hangup",
                };
                walked.push(Walked::End { how });
                return walked;
            }
            Node::Missing(name) => Walked::Missing { name: name.to_string() },
        });
    }
    walked
}

impl Walked {
    /// Says it in words.
    pub fn words(&self) -> String {
        match self {
            Self::Ring { name, who, seconds } => match &who[..] {
                [only] if only == name => format!("{name} rings for {seconds} s"),
                [only] => format!("{name}: {only} rings for {seconds} s"),
                all => format!("{name}: {} ring at once for {seconds} s", all.join(", ")),
            },
            Self::Voicemail { name } => format!("{name}: a message is recorded"),
            Self::Room { name } => format!("{name}: the caller comes into the room"),
            Self::Menu { name } => format!("{name}: the caller hears the menu, and presses a key"),
            Self::Queue { name } => format!("{name}: the caller waits until a member answers"),
            Self::Dialplan { context, extension } => {
                format!("the call goes on in your dialplan: extension {extension} of the context {context}")
            }
            Self::End { how } => format!("{how}: the call ends"),
            Self::Missing { name } => format!("{name} is not declared"),
        }
    }
}
