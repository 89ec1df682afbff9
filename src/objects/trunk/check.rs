//! Trunks: which addresses Asterisk identifies as a carrier, and how it registers there.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use ipnet::{IpNet, Ipv4Net};

use super::{super::check::named, file};
use crate::{
    model::{At, Code, Diagnostic, Named, ObjectName, Place, SecretSource, values},
    objects::{ObjectId, ObjectKind, Trunk},
};

/// How long the name of a trunk may be: with the tenant's it is that of a section, 79 bytes at most.
const TRUNK_NAME: usize = 40;

/// Checks the trunks, each alone and together.
pub(in crate::objects) fn check(
    keys: Option<At<Named<file::Trunk>>>,
    problems: &mut Vec<Diagnostic>,
) -> (BTreeMap<ObjectName, Trunk>, BTreeMap<ObjectId, SecretSource>) {
    let (mut trunks, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    let mut matches = Vec::new();
    for (place, name, trunk, meant) in named(keys, problems) {
        let register = trunk.register.and_then(|at| at.value).unwrap_or(false);
        let has_login = [("username", trunk.username.is_some()), ("secret", trunk.secret.is_some())];
        let missing = has_login.into_iter().filter(|(key, has)| !has && !meant.may_be(key));
        let missing: Vec<&str> = missing.map(|(key, _)| key).collect();
        if register && !missing.is_empty() {
            let message = format!("the trunk `{name}` registers, but has no `{}`", missing.join("` and no `"));
            let hint = format!("add `{}:`", missing.join(":` and `"));
            problems.push(Diagnostic::error(Code::IncompleteTrunk, message, place).hint(hint));
        } else if missing.len() == 1 {
            let message = format!("the trunk `{name}` has a user name or a secret, but not both");
            problems.push(
                Diagnostic::error(Code::IncompleteTrunk, message, place).hint("add the other one, or leave out both"),
            );
        }
        if name.as_str().len() > TRUNK_NAME {
            let message = format!("the name of the trunk `{name}` is {} characters long", name.as_str().len());
            let hint = format!(
                "use at most {TRUNK_NAME}: the names of its objects in Asterisk also contain the tenant's name"
            );
            problems.push(Diagnostic::error(Code::InvalidObjectName, message, place).hint(hint));
        }
        let whole = trunk.identify.as_ref().is_none_or(|at| at.whole);
        let places: Vec<Place> =
            trunk.identify.iter().filter_map(|at| at.value.as_ref()).flatten().map(|at| at.place).collect();
        let host_place = trunk.host.place;
        let Some(host) = trunk.host.value else { continue };
        secrets
            .extend(trunk.secret.and_then(|at| at.value).map(|secret| ((ObjectKind::Trunk, name.to_string()), secret)));
        let trunk = Trunk {
            host: host.into(),
            identify: values(trunk.identify).into_iter().map(String::from).collect(),
            username: trunk.username.and_then(|at| at.value),
            realm: trunk.realm.and_then(|at| at.value),
            register,
            by_registration: false,
        };
        if whole {
            let addresses = trunk.addresses();
            let is_silent = addresses.is_empty() && !meant.may_be("identify") && !meant.may_be("register");
            problems.extend(is_silent.then(|| silent(&name, &trunk, host_place)).flatten());
            let places = places.into_iter().chain([host_place]);
            matches.extend(addresses.into_iter().zip(places).filter_map(|(address, place)| {
                Some(Match { network: network(&address)?, text: address, trunk: name.clone(), place })
            }));
        }
        trunks.insert(name, trunk);
    }
    let accounts = accounts_at_one_host(&mut trunks);
    identified(matches, &accounts, problems);
    (trunks, secrets)
}

/// Finds accounts that log in at the same address, and has their calls known by their registrations: each is called at
/// a contact of its own (`line`). Returns their names.
fn accounts_at_one_host(trunks: &mut BTreeMap<ObjectName, Trunk>) -> BTreeSet<ObjectName> {
    let mut accounts: BTreeMap<IpNet, Vec<ObjectName>> = BTreeMap::new();
    for (name, trunk) in trunks.iter().filter(|(_, trunk)| trunk.register && trunk.identify.is_empty()) {
        if let Some(address) = trunk.address().and_then(|address| network(&address.to_string())) {
            accounts.entry(address).or_default().push(name.clone());
        }
    }
    let names: BTreeSet<ObjectName> = accounts.into_values().filter(|names| names.len() > 1).flatten().collect();
    for name in &names {
        trunks.entry(name.clone()).and_modify(|trunk| trunk.by_registration = true);
    }
    names
}

/// An address or network, and the trunk whose calls come from there.
struct Match {
    network: IpNet,
    text: String,
    trunk: ObjectName,
    place: Place,
}

fn network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network = network.ok()?.trunc();
    let IpNet::V6(six) = network else { return Some(network) };
    // Calls from IPv4-mapped addresses are those of IPv4.
    let four = six.addr().to_ipv4_mapped().zip(six.prefix_len().checked_sub(96));
    Some(four.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok()).map_or(network, IpNet::V4))
}

/// The widest network of a carrier: the largest block that a registry gives out. Wider ones hold strangers, and the
/// phones.
fn is_too_wide(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() < 8,
        IpNet::V6(network) => network.prefix_len() < 19 || network.contains(&Ipv4Addr::UNSPECIFIED.to_ipv6_mapped()),
    }
}

/// Warns of a trunk that nothing could be known to come from.
fn silent(name: &ObjectName, trunk: &Trunk, place: Place) -> Option<Diagnostic> {
    (!trunk.register).then(|| {
        let message = format!("Asterisk accepts no call from the trunk `{name}`");
        let hint = "`host:` is a name, which is not resolved: list the carrier's addresses in `identify:`, or set \
                    `register: true`; outbound calls work without either";
        Diagnostic::warning(Code::SilentTrunk, message, place).hint(hint)
    })
}

/// Refuses addresses that everybody has, one by one or added up.
fn everybody(matches: &[Match], problems: &mut Vec<Diagnostic>) {
    let hint = "list the networks of the carrier, at most a /8 of IPv4 or a /19 of IPv6: calls from these addresses need \
                no password";
    let mut refuse = |text: &str, Match { trunk, place, .. }: &Match| {
        let message = format!("`{text}` is too wide: Asterisk would treat phones and strangers as the trunk `{trunk}`");
        problems.push(Diagnostic::error(Code::IdentifyEverybody, message, *place).hint(hint));
    };
    let (wide, narrow): (Vec<&Match>, Vec<&Match>) = matches.iter().partition(|found| is_too_wide(&found.network));
    for found in wide {
        refuse(&found.text, found);
    }
    let mut trunks: BTreeMap<&ObjectName, Vec<&Match>> = BTreeMap::new();
    for found in narrow {
        trunks.entry(&found.trunk).or_default().push(found);
    }
    for found in trunks.values() {
        let sum = IpNet::aggregate(&found.iter().map(|found| found.network).collect());
        for network in sum.iter().filter(|network| is_too_wide(network)) {
            if let Some(first) = found.iter().find(|found| network.contains(&found.network)) {
                refuse(&network.to_string(), first);
            }
        }
    }
}

/// Refuses addresses that belong to two trunks, unless both are accounts that are known by their registrations.
fn identified(mut matches: Vec<Match>, accounts: &BTreeSet<ObjectName>, problems: &mut Vec<Diagnostic>) {
    everybody(&matches, problems);
    matches.retain(|found| !is_too_wide(&found.network));
    // Two networks are apart, or one holds the other and stands before it here.
    matches.sort_by_key(|found| (found.network, found.place));
    let mut around: Vec<&Match> = Vec::new();
    for found in &matches {
        while around.last().is_some_and(|outer| !outer.network.contains(&found.network)) {
            around.pop();
        }
        let are_accounts = |outer: &Match| accounts.contains(&outer.trunk) && accounts.contains(&found.trunk);
        let is_other = |outer: &&&Match| outer.trunk != found.trunk && !are_accounts(outer);
        if let Some(other) = around.iter().rev().find(is_other) {
            let (first, second) = if other.place < found.place { (*other, found) } else { (found, *other) };
            let message = format!("calls from `{}` already belong to the trunk `{}`", second.text, first.trunk);
            let problem = Diagnostic::error(Code::OverlappingTrunks, message, second.place);
            let hint =
                "list each address in one trunk only: Asterisk would choose either trunk; both lead to the same routes";
            problems.push(problem.also(first.place, "the other trunk").hint(hint));
        }
        around.push(found);
    }
}
