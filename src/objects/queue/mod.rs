//! Queues: callers wait until a member is free.

pub(super) mod check;
pub(crate) mod file;
mod render;
#[cfg(test)]
mod tests;

pub(crate) use render::{PREFIX, Waiting, sip_user};

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ExtensionClaim, ObjectKind, Target,
    destination::{host_names, in_turn, refs, with_users},
    object::{Fields, Object, RowsOfUsers, Stored, UserOfRow, UsersOfRows},
    render::{Parts, RenderContext},
};
use crate::{
    asterisk::BadValue,
    model::{Chain, Document, HostName, Node, ObjectName, Prompt, Unreadable, UserKey},
};

/// Who is called next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum QueueStrategy {
    /// All free members at once.
    All,
    /// The member behind the one who was called last.
    #[default]
    RoundRobin,
    /// Who has had no call for the longest time.
    LeastRecent,
    /// Who has taken the fewest calls.
    FewestCalls,
    /// Any.
    Random,
    /// The first free one of the list.
    Linear,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue<User = UserKey> {
    /// The internal number under which phones reach it.
    pub extension: Option<ExtensionClaim>,
    /// Who takes the calls. The order matters where they are called in turn.
    pub members: Vec<User>,
    /// Who is called next.
    #[serde(default)]
    pub strategy: QueueStrategy,
    /// How long a member's phones ring, in seconds.
    #[serde(default = "default_ring")]
    pub ring: u32,
    /// How long a member gets no call after one, in seconds.
    #[serde(default)]
    pub wrap_up: u32,
    /// How many callers may wait. `None` for any number.
    pub max_callers: Option<u32>,
    /// How long a caller waits at most, in seconds. `None` for as long as it takes.
    pub timeout: Option<u32>,
    /// Who gets a call that waited so long, tried in turn.
    #[serde(default = "Vec::new")]
    pub late: Vec<Target<User>>,
    /// Who gets a call while no member can take one, tried in turn.
    #[serde(default = "Vec::new")]
    pub empty: Vec<Target<User>>,
    /// Who gets a call while so many wait as may, tried in turn.
    #[serde(default = "Vec::new")]
    pub full: Vec<Target<User>>,
    /// How often callers are told their place, in seconds. `None` for never.
    pub position: Option<u32>,
    /// What is played again and again.
    pub every: Option<Announcement>,
}

/// A prompt that is played again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// What callers hear.
    pub prompt: Prompt,
    /// How often, in seconds.
    pub each: u32,
}

/// How long a member's phones ring if the file does not say so, in seconds.
const DEFAULT_RING: u32 = 15;

fn default_ring() -> u32 {
    DEFAULT_RING
}

/// What callers are told of their place, from Asterisk's own sounds.
const POSITION_PROMPTS: [&str; 4] = ["queue-youarenext", "queue-thereare", "queue-callswaiting", "queue-thankyou"];

impl fmt::Display for QueueStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::RoundRobin => "round-robin",
            Self::LeastRecent => "least-recent",
            Self::FewestCalls => "fewest-calls",
            Self::Random => "random",
            Self::Linear => "linear",
        })
    }
}

impl<U> Queue<U> {
    /// Lists the lists of who gets a call that no member took.
    fn lists(&self) -> [&[Target<U>]; 3] {
        [&self.late, &self.empty, &self.full]
    }
}

impl Queue {
    /// Gives its users other addresses, former ones before present ones.
    pub(super) fn readdress(&mut self, addresses: &BTreeMap<UserKey, UserKey>) {
        let targets = self.late.iter_mut().chain(&mut self.empty).chain(&mut self.full);
        for user in self.members.iter_mut().chain(targets.filter_map(Target::user_mut)) {
            if let Some(present) = addresses.get(user) {
                *user = present.clone();
            }
        }
    }
}

impl Object for Queue {
    fn fields(&self) -> Fields {
        let members: Vec<&str> = self.members.iter().map(UserKey::as_str).collect();
        let seconds = |seconds: u32| format!("{seconds}s");
        let list = |targets: &[Target]| (!targets.is_empty()).then(|| in_turn(targets));
        let timeout = self.timeout.map(|after| match list(&self.late) {
            Some(late) => format!("{after}s, then {late}"),
            None => seconds(after),
        });
        let every = self.every.as_ref().map(|every| format!("{} each {}s", every.prompt, every.each));
        vec![
            ("extension", self.extension.map(|claim| claim.to_string())),
            ("members", Some(members.join(", "))),
            ("strategy", Some(self.strategy.to_string())),
            ("ring", Some(seconds(self.ring))),
            ("wrap_up", (self.wrap_up > 0).then(|| seconds(self.wrap_up))),
            ("max_callers", self.max_callers.map(|most| most.to_string())),
            ("timeout", timeout),
            ("empty", list(&self.empty)),
            ("full", list(&self.full)),
            ("position", self.position.map(seconds)),
            ("every", every),
        ]
    }

    fn flow(&self, name: &ObjectName) -> Option<Chain> {
        Some(Chain(vec![Node::Queue(name.clone())]))
    }

    fn goes_on(&self) -> Vec<&[Target]> {
        self.lists().to_vec()
    }

    fn render<'a>(&'a self, name: &str, cx: &RenderContext<'_>, parts: &mut Parts<'a>) -> Result<(), BadValue> {
        let name: ObjectName = name.parse().map_err(|_| BadValue { what: "a queue", reason: "it has no such name" })?;
        parts.queues.push(render::entry(self, &name, cx)?);
        Ok(())
    }

    fn extension(&self) -> Option<ExtensionClaim> {
        self.extension
    }

    fn set_extension(&mut self, claim: ExtensionClaim) {
        self.extension = Some(claim);
    }

    fn refs(&self) -> Vec<(ObjectKind, &ObjectName)> {
        self.lists().into_iter().flat_map(refs).collect()
    }

    fn host_names(&self) -> Vec<HostName> {
        let every = self.every.iter().map(|every| HostName::Prompt(every.prompt.clone()));
        let position = self.position.iter().flat_map(|_| position_prompts());
        every.chain(position).chain(self.lists().into_iter().flat_map(host_names)).collect()
    }
}

/// Lists the prompts with which Asterisk tells callers their place.
fn position_prompts() -> impl Iterator<Item = HostName> {
    POSITION_PROMPTS.iter().filter_map(|prompt| Some(HostName::Prompt(prompt.parse().ok()?)))
}

impl Document for Queue<UserOfRow> {}

impl Stored for Queue {
    type Body = Queue<UserOfRow>;

    fn body(&self, rows: &RowsOfUsers<'_>) -> Result<Queue<UserOfRow>, serde_json::Error> {
        self.clone().with_users(|user| rows(&user))
    }

    fn of_body(body: Queue<UserOfRow>, users: &UsersOfRows<'_>) -> Result<Self, Unreadable> {
        body.with_users(|row| users(&row))
    }
}

impl<U> Queue<U> {
    /// Names its users in another way.
    fn with_users<V, E>(self, user: impl Fn(U) -> Result<V, E>) -> Result<Queue<V>, E> {
        Ok(Queue {
            extension: self.extension,
            members: self.members.into_iter().map(&user).collect::<Result<_, E>>()?,
            strategy: self.strategy,
            ring: self.ring,
            wrap_up: self.wrap_up,
            max_callers: self.max_callers,
            timeout: self.timeout,
            late: with_users(self.late, &user)?,
            empty: with_users(self.empty, &user)?,
            full: with_users(self.full, &user)?,
            position: self.position,
            every: self.every,
        })
    }
}
