//! All objects of a tenant.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use serde::{Deserialize, Serialize};

use super::{
    Boxes, Called, DefaultCallerId, DefaultRoute, Dialer, Entry, Group, Hours, LastBox, Login, Menu, Object, ObjectId,
    ObjectKind, Places, PublicSipHost, Queue, Room, Rule, Target, Trunk, object::Generate, rule,
};
use crate::{
    asterisk::box_context,
    model::{
        BoxNumber, Cause, Chain, Document, E164, Extension, Identity, Leg, Mailbox, Node, ObjectName, Place, Ring,
        Tenant, UserKey, Who,
    },
};

/// All that is declared about a tenant's inbound calls, without secrets. Absent keys declare nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Routes {
    /// The SIP carriers, by name.
    pub trunks: BTreeMap<ObjectName, Trunk>,
    /// Where calls can be sent to, by name.
    pub dialers: BTreeMap<ObjectName, Dialer>,
    /// Groups, by name.
    pub groups: BTreeMap<ObjectName, Group>,
    /// Voicemail boxes.
    #[serde(skip_serializing_if = "Boxes::is_empty")]
    pub boxes: Boxes,
    /// The highest number that a voicemail box ever had. `None` if there was no box yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_box: Option<LastBox>,
    /// Conference rooms, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rooms: BTreeMap<ObjectName, Room>,
    /// Menus, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub menus: BTreeMap<ObjectName, Menu>,
    /// Queues, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub queues: BTreeMap<ObjectName, Queue>,
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
    groups: BTreeMap::new(),
    boxes: Boxes::NONE,
    last_box: None,
    rooms: BTreeMap::new(),
    menus: BTreeMap::new(),
    queues: BTreeMap::new(),
    hours: BTreeMap::new(),
    rules: Vec::new(),
    default_route: DefaultRoute::NONE,
    public_sip_host: None,
    caller_id: None,
};

/// Tells whether Twilio has a part in the calls of a tenant that has such objects.
pub(super) fn has_twilio(has_public_host: bool, has_trunks: bool, has_leg_without_trunk: bool) -> bool {
    has_public_host || !has_trunks || has_leg_without_trunk
}

impl Routes {
    /// Where the public numbers stand in this document, as an SQL/JSON path.
    pub(crate) const NUMBERS: &str = "rules[*].to.did";

    /// How long a user's phone rings, in seconds.
    pub(crate) const PHONE_RING: u32 = 30;

    /// How many destinations a call is sent to in turn at most.
    pub(crate) const LONGEST: usize = 100;

    /// Tells whether nothing is declared about inbound calls.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Tells whether any call could be routed.
    pub(crate) fn take_calls(&self) -> bool {
        !self.rules.is_empty() || !self.default_route.0.is_empty()
    }

    /// Tells whether calls come in over endpoints of Asterisk.
    pub(crate) fn have_endpoints(&self) -> bool {
        !self.trunks.is_empty()
    }

    /// Tells whether Twilio has a part in the calls: the tenant names where it finds the phones, has no trunk over which
    /// calls could come, or calls a number or an address outside that only Twilio can reach.
    pub(crate) fn use_twilio(&self) -> bool {
        let rings = self.rings();
        let mut legs = rings.values().flat_map(|ring| ring.who.legs());
        has_twilio(self.public_sip_host.is_some(), !self.trunks.is_empty(), legs.any(Leg::has_no_trunk))
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

    /// Takes over what the directory allocated to the same objects, and allocates what is missing: numbers of voicemail
    /// boxes, which are never given to another box.
    pub(crate) fn allocate(&mut self, former: &Self, in_place: u32) {
        self.last_box.clone_from(&former.last_box);
        self.boxes.allocate(&former.boxes, &mut self.last_box, in_place);
    }

    /// Forgets the boxes of users who are not present any more, so that the next holder of their address inherits none.
    pub(crate) fn forget_others(&mut self, present: impl FnOnce() -> BTreeSet<UserKey>) {
        if let Some(numbers) = self.last_box.as_mut().filter(|numbers| !numbers.users.is_empty()) {
            let present = present();
            numbers.users.retain(|user, _| present.contains(user));
        }
    }

    /// Returns the highest number that a voicemail box ever had. `None` if there was no box yet.
    pub(crate) fn highest_box(&self) -> Option<u32> {
        self.last_box.as_ref().map(|numbers| numbers.last)
    }

    /// Tells whether there are voicemail boxes.
    pub(crate) fn have_boxes(&self) -> bool {
        !self.boxes.is_empty()
    }

    /// Counts the voicemail boxes of former routes that end with these, and all that there were. Those of deleted users
    /// do not count.
    pub(crate) fn ended_boxes(&self, former: &Self, deleted: &BTreeSet<UserKey>) -> (usize, usize) {
        (self.boxes.count_gone(&former.boxes, deleted), former.boxes.count())
    }

    /// Finds the voicemail box of a user, or the shared one of this name: its number, and what makes its PIN.
    pub(crate) fn box_of(&self, owner: &Identity) -> Option<(ObjectId, BoxNumber, Generate)> {
        let key = owner.key();
        let (name, one) = self.boxes.find_of(&key, owner.as_str())?;
        Some(((ObjectKind::Box, name), one.number.clone()?, one.generates()?))
    }

    /// Says what stays on the Asterisk host of objects that are no more, once these routes follow on former ones.
    pub(crate) fn left_behind(&self, former: &Self, tenant: &Tenant) -> Option<String> {
        const NAMED: usize = 5;
        let gone = self.boxes.numbers_gone(&former.boxes);
        let more = gone.len().saturating_sub(NAMED);
        let mut named: Vec<String> = gone.iter().take(NAMED).map(ToString::to_string).collect();
        if more > 0 {
            named.push(format!("{more} more"));
        }
        (!gone.is_empty()).then(|| {
            format!(
                "voicemail boxes are removed: {}; their messages and greetings stay in `voicemail/{}/NUMBER` below Asterisk's \
                 spool folder, for the case that the same user or name gets a box again. Delete them when you may",
                named.join(", "),
                box_context(tenant)
            )
        })
    }

    /// Describes how a call goes to destinations that are tried in turn, up to [`Self::LONGEST`] of them.
    pub fn chain(&self, targets: &[Target]) -> Chain {
        let mut chain = Vec::new();
        self.extend(&mut chain, targets, &mut Vec::new());
        chain.truncate(Self::LONGEST);
        Chain(chain)
    }

    /// Adds destinations to a chain. `within` names the objects whose calls these are if they are not answered: such
    /// an object is not tried again, so that no chain comes back to itself.
    fn extend<'a>(&'a self, chain: &mut Vec<Node>, targets: &'a [Target], within: &mut Vec<&'a ObjectName>) {
        for target in targets {
            if chain.len() >= Self::LONGEST {
                return;
            }
            match target {
                Target::Object(name) => match self.called(name).filter(|_| !within.contains(&name)) {
                    None => chain.push(Node::Missing(name.clone())),
                    Some((object, Chain(nodes))) => {
                        chain.extend(nodes);
                        within.push(name);
                        self.extend(chain, object.unanswered(), within);
                        within.pop();
                    }
                },
                Target::User(email) => {
                    let who = Who::One(Leg::Phone(email.clone()));
                    chain.push(Node::Ring(Ring { name: email.to_string(), who, seconds: Self::PHONE_RING }));
                }
                Target::Voicemail(email) => {
                    let number = self.boxes.of(email).and_then(|own| own.number.clone());
                    chain.push(Node::Box(Mailbox { name: target.to_string(), number }));
                }
                Target::Dialplan(at) => chain.push(Node::Dialplan(at.clone())),
                Target::Hangup => chain.push(Node::End(Cause::Rejected)),
                Target::Busy => chain.push(Node::End(Cause::Busy)),
            }
        }
    }

    /// Lists what rings for calls that are sent to objects, each once, by name.
    pub(crate) fn rings(&self) -> BTreeMap<String, Ring> {
        let chains = self.objects().into_iter().filter_map(|((_, name), object)| object.flow(&name.parse().ok()?));
        let nodes = chains.flat_map(|chain| chain.0);
        nodes.filter_map(|node| node.ring().map(|ring| (ring.name.clone(), ring.clone()))).collect()
    }

    /// Lists our numbers that have rules of their own.
    pub fn numbers(&self) -> BTreeSet<&E164> {
        self.rules.iter().flat_map(Object::numbers).collect()
    }

    /// Returns the number that is shown if none of ours was called and there is no default caller ID: the lowest of those
    /// that have rules of their own, because the order of rules carries no meaning.
    pub(crate) fn first_number(&self) -> Option<&E164> {
        self.numbers().pop_first()
    }

    /// Lists the internal numbers that objects have.
    pub(crate) fn extensions(&self) -> BTreeMap<ObjectId, Extension> {
        self.extension_claims().into_iter().filter_map(|(id, claim)| Some((id, claim.given()?))).collect()
    }

    /// Tells whether every value is there that comes from a variable, and every number that is allocated.
    pub(crate) fn is_resolved(&self) -> bool {
        let is_resolved = |object: &&dyn Object| {
            object.variables().is_empty() && object.extension().is_none_or(|claim| claim.given().is_some())
        };
        self.objects().values().all(is_resolved)
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
            if let Some(email) = target.user_mut()
                && let Some(present) = addresses.get(email)
            {
                *email = present.clone();
            }
        }
        routes.groups.values_mut().for_each(|group| group.readdress(addresses));
        routes.menus.values_mut().for_each(|menu| menu.readdress(addresses));
        routes.queues.values_mut().for_each(|queue| queue.readdress(addresses));
        routes.boxes.readdress(addresses);
        if let Some(numbers) = &mut routes.last_box {
            numbers.readdress(addresses);
        }
        routes.sort();
        routes
    }

    /// Adds to some objects all that name one of them, directly or by way of others.
    pub(crate) fn naming(&self, mut found: BTreeSet<ObjectId>) -> BTreeSet<ObjectId> {
        if found.is_empty() {
            return found;
        }
        let mut named_by: BTreeMap<ObjectId, Vec<ObjectId>> = BTreeMap::new();
        for (id, object) in self.objects() {
            for (kind, name) in object.refs() {
                named_by.entry((kind, name.to_string())).or_default().push(id.clone());
            }
        }
        let mut next: Vec<ObjectId> = found.iter().cloned().collect();
        while let Some(id) = next.pop() {
            for by in named_by.get(&id).into_iter().flatten() {
                if found.insert(by.clone()) {
                    next.push(by.clone());
                }
            }
        }
        found
    }

    /// Says how objects show their secrets, those that have one.
    pub(crate) fn logins(&self) -> BTreeMap<ObjectId, Login<'_>> {
        self.objects().into_iter().filter_map(|(id, object)| Some((id, object.login()?))).collect()
    }

    /// Lists the users who may get a call from outside.
    pub fn users(&self) -> BTreeSet<UserKey> {
        let rules = self.rules.iter().flat_map(|rule| [Some(&rule.route), rule.otherwise.as_ref()]).flatten();
        let chains = rules.chain([&self.default_route.0]).map(|targets| self.chain(targets));
        let mut users = BTreeSet::new();
        for chain in chains {
            users.extend(chain.users().into_iter().cloned());
        }
        users
    }

    /// Lists the rules for each kind of caller, the most specific first: one of our numbers before the
    /// default, a longer beginning of the caller's number before a shorter, hours before none.
    pub(crate) fn entries(&self) -> Vec<Entry<'_>> {
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
