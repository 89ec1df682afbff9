//! Dialers: public numbers and SIP addresses outside that calls can be sent to.

pub(super) mod check;
pub(crate) mod file;

use serde::{Deserialize, Serialize};

use super::{
    ObjectKind,
    object::{Fields, Object, ValuesOfVariables, without_users},
};
use crate::model::{CallerId, Chain, Leg, Node, NumberSource, ObjectName, Outside, OutsideLine, Ring, Who};

/// Somewhere calls can be sent to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialer {
    /// What it dials.
    pub target: OutsideLine,
    /// The caller ID it shows.
    #[serde(default)]
    pub caller_id: CallerId,
    /// How long it rings, in seconds.
    #[serde(default = "Dialer::default_ring")]
    pub ring: u32,
    /// The trunk over which Asterisk reaches it.
    pub trunk: Option<ObjectName>,
}

impl Dialer {
    /// How long a dialer rings whose file does not say so, in seconds.
    pub(crate) const DEFAULT_RING: u32 = 30;

    fn default_ring() -> u32 {
        Self::DEFAULT_RING
    }
}

impl Object for Dialer {
    fn fields(&self) -> Fields {
        let (number, sip) = match &self.target {
            OutsideLine::Number(NumberSource::Given(number)) => (Some(number.to_string()), None),
            OutsideLine::Number(NumberSource::Env(variable)) => (Some(format!("({variable})")), None),
            OutsideLine::Sip(address) => (None, Some(address.clone())),
        };
        vec![
            ("number", number),
            ("sip", sip),
            ("caller_id", self.caller_id.word()),
            ("ring", Some(format!("{}s", self.ring))),
            ("trunk", self.trunk.as_ref().map(ToString::to_string)),
        ]
    }

    fn flow(&self, name: &ObjectName) -> Option<Chain> {
        let Self { target, caller_id, ring, trunk } = self;
        let outside = Outside { line: target.clone(), trunk: trunk.clone(), caller_id: caller_id.clone() };
        let ring = Ring { name: name.to_string(), who: Who::One(Leg::Outside(outside)), seconds: *ring };
        Some(Chain(vec![Node::Ring(ring)]))
    }

    fn variables(&self) -> Vec<&str> {
        match &self.target {
            OutsideLine::Number(NumberSource::Env(variable)) => vec![variable],
            OutsideLine::Number(NumberSource::Given(_)) | OutsideLine::Sip(_) => Vec::new(),
        }
    }

    fn resolve(&mut self, former: Option<&Self>, values: &ValuesOfVariables<'_>) -> Result<(), (&'static str, String)> {
        let OutsideLine::Number(NumberSource::Env(variable)) = &self.target else { return Ok(()) };
        match values(variable) {
            Ok(number) => {
                self.target = OutsideLine::Number(NumberSource::Given(number));
                Ok(())
            }
            Err(reason) => {
                if let Some(former) = former {
                    self.target = former.target.clone();
                }
                Err(("number", reason))
            }
        }
    }

    fn refs(&self) -> Vec<(ObjectKind, &ObjectName)> {
        self.trunk.iter().map(|trunk| (ObjectKind::Trunk, trunk)).collect()
    }
}

without_users!(Dialer);
