//! Groups: several phones and outside numbers that get the same calls.

pub(super) mod check;
pub(crate) mod file;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ExtensionClaim, ObjectKind, Target,
    destination::{host_names, in_turn, refs, with_users},
    object::{Fields, Object, RowsOfUsers, Stored, UserOfRow, UsersOfRows},
};
use crate::model::{
    CallerId, Chain, Document, E164, HostName, Leg, NamePrefix, Node, NumberSource, ObjectName, Outside, OutsideLine,
    Ring, Unreadable, UserKey, Who,
};

/// In which order the members ring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Strategy {
    /// All at once.
    #[default]
    All,
    /// One after the other.
    InTurn,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Member<User = UserKey> {
    /// All devices of a user, or of a phone that belongs to nobody.
    User(User),
    /// A number outside.
    Number(E164),
}

/// Several who get the same calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group<User = UserKey> {
    /// Who rings. In turn, it is in this order.
    pub members: Vec<Member<User>>,
    /// In which order they ring.
    #[serde(default)]
    pub ring: Strategy,
    /// How long they ring, in seconds: all of them, or each in turn.
    #[serde(default = "default_time")]
    pub time: u32,
    /// The internal number under which phones reach it.
    pub extension: Option<ExtensionClaim>,
    /// What stands before the caller's name.
    pub caller_name: Option<NamePrefix>,
    /// The trunk over which Asterisk reaches the numbers outside.
    pub trunk: Option<ObjectName>,
    /// The caller ID that numbers outside see.
    #[serde(default)]
    pub caller_id: CallerId,
    /// Who gets a call that no member answers, tried in turn.
    #[serde(default = "Vec::new")]
    pub no_answer: Vec<Target<User>>,
}

/// How long a group rings whose file does not say so, in seconds.
pub(super) const DEFAULT_TIME: u32 = 30;

fn default_time() -> u32 {
    DEFAULT_TIME
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::InTurn => "in-turn",
        })
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "{user}"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl Group {
    fn leg(&self, member: &Member) -> Leg {
        match member {
            Member::User(user) => Leg::Phone(user.clone()),
            Member::Number(number) => Leg::Outside(Outside {
                line: OutsideLine::Number(NumberSource::Given(number.clone())),
                trunk: self.trunk.clone(),
                caller_id: self.caller_id.clone(),
            }),
        }
    }

    /// Gives its users other addresses, former ones before present ones.
    pub(super) fn readdress(&mut self, addresses: &BTreeMap<UserKey, UserKey>) {
        let members = self.members.iter_mut().filter_map(|member| match member {
            Member::User(user) => Some(user),
            Member::Number(_) => None,
        });
        let targets = self.no_answer.iter_mut().filter_map(Target::user_mut);
        for user in members.chain(targets) {
            if let Some(present) = addresses.get(user) {
                *user = present.clone();
            }
        }
    }
}

impl Object for Group {
    fn fields(&self) -> Fields {
        let members: Vec<String> = self.members.iter().map(ToString::to_string).collect();
        let between = match self.ring {
            Strategy::All => ", ",
            Strategy::InTurn => ", then ",
        };
        let no_answer = (!self.no_answer.is_empty()).then(|| in_turn(&self.no_answer));
        let has_numbers = self.members.iter().any(|member| matches!(member, Member::Number(_)));
        vec![
            ("extension", self.extension.map(|claim| claim.to_string())),
            ("members", Some(members.join(between))),
            ("ring", Some(self.ring.to_string())),
            ("time", Some(format!("{}s", self.time))),
            ("caller_name", self.caller_name.as_ref().map(|prefix| format!("\"{prefix}\""))),
            ("trunk", self.trunk.as_ref().map(ToString::to_string)),
            ("caller_id", self.caller_id.word().filter(|_| has_numbers)),
            ("no_answer", no_answer),
        ]
    }

    fn flow(&self, name: &ObjectName) -> Option<Chain> {
        let legs: Vec<Leg> = self.members.iter().map(|member| self.leg(member)).collect();
        let ring = |name: String, legs: Vec<Leg>| {
            let who = Who::Members { legs, prefix: self.caller_name.clone() };
            Node::Ring(Ring { name, who, seconds: self.time })
        };
        let nodes = match self.ring {
            Strategy::All => vec![ring(name.to_string(), legs)],
            Strategy::InTurn => {
                let numbered = (1..).zip(legs);
                numbered.map(|(turn, leg): (usize, Leg)| ring(format!("{name}/{turn}"), vec![leg])).collect()
            }
        };
        Some(Chain(nodes))
    }

    fn unanswered(&self) -> &[Target] {
        &self.no_answer
    }

    fn extension(&self) -> Option<ExtensionClaim> {
        self.extension
    }

    fn set_extension(&mut self, claim: ExtensionClaim) {
        self.extension = Some(claim);
    }

    fn refs(&self) -> Vec<(ObjectKind, &ObjectName)> {
        let trunk = self.trunk.iter().map(|trunk| (ObjectKind::Trunk, trunk));
        refs(&self.no_answer).chain(trunk).collect()
    }

    fn host_names(&self) -> Vec<HostName> {
        host_names(&self.no_answer).collect()
    }
}

impl Document for Group<UserOfRow> {}

impl Stored for Group {
    type Body = Group<UserOfRow>;

    fn body(&self, rows: &RowsOfUsers<'_>) -> Result<Group<UserOfRow>, serde_json::Error> {
        self.clone().with_users(|user| rows(&user))
    }

    fn of_body(body: Group<UserOfRow>, users: &UsersOfRows<'_>) -> Result<Self, Unreadable> {
        body.with_users(|row| users(&row))
    }
}

impl<U> Group<U> {
    /// Names its users in another way.
    fn with_users<V, E>(self, user: impl Fn(U) -> Result<V, E>) -> Result<Group<V>, E> {
        let Self { members, ring, time, extension, caller_name, trunk, caller_id, no_answer } = self;
        let no_answer = with_users(no_answer, &user)?;
        let member = |member| match member {
            Member::User(named) => user(named).map(Member::User),
            Member::Number(number) => Ok(Member::Number(number)),
        };
        let members = members.into_iter().map(member).collect::<Result<_, _>>()?;
        Ok(Group { members, ring, time, extension, caller_name, trunk, caller_id, no_answer })
    }
}
