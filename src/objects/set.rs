//! All objects of a tenant.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use serde::{Deserialize, Serialize};

use super::{
    Called, DefaultCallerId, DefaultRoute, Dialer, Entry, Hours, Login, Object, ObjectId, ObjectKind, Places,
    PublicSipHost, Rule, Target, Trunk, rule,
};
use crate::model::{Cause, Chain, Document, E164, Leg, Node, ObjectName, Outside, Place, Ring, UserKey};

/// All that is declared about a tenant's inbound calls, without secrets. Absent keys declare nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Routes {
    /// The SIP carriers, by name.
    pub trunks: BTreeMap<ObjectName, Trunk>,
    /// Where calls can be sent to, by name.
    pub dialers: BTreeMap<ObjectName, Dialer>,
    /// Opening hours, by name.
    pub hours: BTreeMap<ObjectName, Hours>,
    /// The rules; their order carries no meaning.
    pub rules: Vec<Rule>,
    /// Who gets a call that no rule is for, tried in turn.
    pub default_route: DefaultRoute,
    /// The host at which users' phones are reached from outside, for Twilio calls.
    pub public_sip_host: Option<PublicSipHost>,
    /// The caller ID that dialers see by default; none for the called number.
    pub caller_id: Option<DefaultCallerId>,
}

impl Document for Routes {}

/// Nothing declared about inbound calls.
pub(crate) static NO_ROUTES: Routes = Routes {
    trunks: BTreeMap::new(),
    dialers: BTreeMap::new(),
    hours: BTreeMap::new(),
    rules: Vec::new(),
    default_route: DefaultRoute::NONE,
    public_sip_host: None,
    caller_id: None,
};

/// Tells whether Twilio has a part in the calls of a tenant that has such objects.
pub(super) fn has_twilio(has_public_host: bool, has_trunks: bool, has_dialer_without_trunk: bool) -> bool {
    has_public_host || !has_trunks || has_dialer_without_trunk
}

impl Routes {
    /// Where the public numbers stand in this document, as an SQL/JSON path.
    pub(crate) const NUMBERS: &str = "rules[*].to.did";

    /// How long a user's phone rings, in seconds.
    pub const PHONE_RING: u32 = 30;

    /// Tells whether nothing is declared about inbound calls.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Tells whether any call could be routed.
    pub fn take_calls(&self) -> bool {
        !self.rules.is_empty() || !self.default_route.0.is_empty()
    }

    /// Tells whether calls come in over endpoints of Asterisk.
    pub(crate) fn have_endpoints(&self) -> bool {
        !self.trunks.is_empty()
    }

    /// Lists the names of the objects that calls can be sent to.
    pub(crate) fn called_names(&self) -> BTreeSet<String> {
        let takes_calls = |name: &str, object: &dyn Object| name.parse().is_ok_and(|name| object.flow(&name).is_some());
        let called = self.objects().into_iter().filter(|((_, name), object)| takes_calls(name, *object));
        called.map(|((_, name), _)| name).collect()
    }

    /// Tells whether Twilio has a part in the calls: the tenant names where it finds the phones, has no trunk over which
    /// calls could come, or has a dialer that only Twilio can reach.
    pub(crate) fn use_twilio(&self) -> bool {
        let without_trunk = self.dialers.values().any(|dialer| dialer.trunk.is_none());
        has_twilio(self.public_sip_host.is_some(), !self.trunks.is_empty(), without_trunk)
    }

    /// Takes the default caller ID, which comes from the variable [`super::CALLER_ID`]. If it cannot be had, the former one stays
    /// for now, and the reason is returned.
    pub(crate) fn take_caller_id(&mut self, value: Option<&Result<E164, String>>, former: &Self) -> Option<String> {
        match value {
            None => self.caller_id = None,
            Some(Ok(number)) => self.caller_id = Some(DefaultCallerId(number.clone())),
            Some(Err(reason)) => {
                self.caller_id.clone_from(&former.caller_id);
                return Some(reason.clone());
            }
        }
        None
    }

    /// Describes how a call goes to destinations that are tried in turn.
    pub fn chain(&self, targets: &[Target]) -> Chain {
        let nodes = targets.iter().flat_map(|target| match target {
            Target::Object(name) => {
                self.flow_of(name).map_or_else(|| vec![Node::Missing(name.clone())], |chain| chain.0)
            }
            Target::User(email) => {
                let leg = Leg::Phone(email.clone());
                vec![Node::Ring(Ring { name: email.to_string(), leg, seconds: Self::PHONE_RING })]
            }
            Target::Hangup => vec![Node::End(Cause::Rejected)],
            Target::Busy => vec![Node::End(Cause::Busy)],
        });
        Chain(nodes.collect())
    }

    /// Lists the calls to outside of the objects that calls can be sent to, by name.
    pub fn outside(&self) -> BTreeMap<String, (Outside, u32)> {
        let chains = self.objects().into_iter().filter_map(|((_, name), object)| object.flow(&name.parse().ok()?));
        let rings = chains.flat_map(|chain| chain.0).filter_map(|node| match node {
            Node::Ring(Ring { name, leg: Leg::Outside(outside), seconds }) => Some((name, (outside, seconds))),
            _ => None,
        });
        rings.collect()
    }

    /// Lists our numbers that have rules of their own.
    pub fn numbers(&self) -> BTreeSet<&E164> {
        self.rules.iter().flat_map(Object::numbers).collect()
    }

    /// Returns the number that is shown if none of ours was called and there is no default caller ID: the first one that a
    /// rule is for.
    pub(crate) fn first_number(&self) -> Option<&E164> {
        self.rules.iter().find_map(|rule| match &rule.to {
            Called::Did(number) => Some(number),
            Called::Default => None,
        })
    }

    /// Tells whether every value that comes from a variable is there.
    pub(crate) fn is_resolved(&self) -> bool {
        self.objects().values().all(|object| object.variables().is_empty())
    }

    /// Puts all into the order in which it is recorded, where the file's carries no meaning. Returns where each object is
    /// declared.
    pub(crate) fn settle(&mut self, places: &Places) -> BTreeMap<ObjectId, Place> {
        self.tidy();
        let mut rules: Vec<_> = mem::take(&mut self.rules).into_iter().zip(places.rules.iter().copied()).collect();
        rules.sort_by_cached_key(|(rule, _)| rule::order(rule));
        let (rules, rule_places): (Vec<_>, Vec<_>) = rules.into_iter().unzip();
        let rule_ids = rule::names(&rules).into_iter().map(|name| (ObjectKind::Route, name));
        let all = places.objects.clone().into_iter().chain(rule_ids.zip(rule_places)).collect();
        self.rules = rules;
        all
    }

    /// Puts the rules in the order in which they are recorded, that of the calls they are for.
    pub(crate) fn sort(&mut self) {
        self.rules.sort_by_cached_key(rule::order);
    }

    /// Describes the same routes with users under other addresses, former ones before present ones.
    pub(crate) fn readdressed(&self, addresses: &BTreeMap<UserKey, UserKey>) -> Self {
        let mut routes = self.clone();
        let rules = routes.rules.iter_mut();
        let rules = rules.flat_map(|rule| rule.route.iter_mut().chain(rule.otherwise.iter_mut().flatten()));
        for target in rules.chain(&mut routes.default_route.0) {
            if let Target::User(email) = target
                && let Some(present) = addresses.get(email)
            {
                *email = present.clone();
            }
        }
        routes.sort();
        routes
    }

    /// Says how objects show their secrets, those that have one.
    pub(crate) fn logins(&self) -> BTreeMap<ObjectId, Login<'_>> {
        self.objects().into_iter().filter_map(|(id, object)| Some((id, object.login()?))).collect()
    }

    /// Lists the users who may get a call.
    pub fn users(&self) -> BTreeSet<&UserKey> {
        let rules = self.rules.iter().flat_map(|rule| rule.route.iter().chain(rule.otherwise.iter().flatten()));
        let users = rules.chain(&self.default_route.0).filter_map(|target| match target {
            Target::User(email) => Some(email),
            _ => None,
        });
        users.collect()
    }

    /// Lists the rules for each kind of caller, the most specific first: one of our numbers before the
    /// default, a longer beginning of the caller's number before a shorter, hours before none.
    pub fn entries(&self) -> Vec<Entry<'_>> {
        self.entries_of(|_| true)
    }

    /// Lists as [`Self::entries`] does, of the rules for some numbers alone.
    pub(crate) fn entries_of(&self, is_called: impl Fn(&Called) -> bool) -> Vec<Entry<'_>> {
        let mut entries: Vec<Entry<'_>> = self
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| is_called(&rule.to))
            .flat_map(|(index, rule)| {
                let entry = move |from| Entry { rules: &self.rules, index, from };
                let all = rule.from.is_empty().then_some(entry(None));
                rule.from.iter().map(move |from| entry(Some(from))).chain(all)
            })
            .collect();
        entries.sort_by(|a, b| rule::key(a).cmp(&rule::key(b)));
        entries
    }
}
