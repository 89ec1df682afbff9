//! Trunks: whom Asterisk takes for a carrier, and how it logs in there.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use super::{
    super::{
        super::{
            SecretSource,
            diagnostic::{Diagnostic, Place},
            file,
            read::{At, Named},
        },
        values,
    },
    named,
};
use crate::{calls::Trunk, model::ObjectName};

/// How long the name of a trunk may be: with the tenant's it is that of a section, 79 bytes at most.
const TRUNK_NAME: usize = 40;

/// Checks the trunks, each alone and together.
pub(super) fn check(
    keys: Option<At<Named<file::Trunk>>>,
    problems: &mut Vec<Diagnostic>,
) -> (BTreeMap<ObjectName, Trunk>, BTreeMap<ObjectName, SecretSource>) {
    let (mut trunks, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    let mut matches = Vec::new();
    for (place, name, trunk) in named(keys, problems) {
        let register = trunk.register.and_then(|at| at.value).unwrap_or(false);
        let missing: Vec<&str> = [("username", trunk.username.is_none()), ("secret", trunk.secret.is_none())]
            .into_iter()
            .filter_map(|(key, missing)| missing.then_some(key))
            .collect();
        if register && !missing.is_empty() {
            let message = format!("the trunk `{name}` registers, but has no `{}`", missing.join("` and no `"));
            let hint = format!("add `{}:`", missing.join(":` and `"));
            problems.push(Diagnostic::error("incomplete-trunk", message, place).hint(hint));
        } else if trunk.username.is_some() != trunk.secret.is_some() {
            let message = format!("the trunk `{name}` has a user name or a secret, but not both");
            problems.push(
                Diagnostic::error("incomplete-trunk", message, place).hint("add the other one, or leave out both"),
            );
        }
        if name.as_str().len() > TRUNK_NAME {
            let message = format!("the name of the trunk `{name}` is {} characters long", name.as_str().len());
            let hint = format!("its objects in Asterisk bear the tenant's name too: at most {TRUNK_NAME} are left");
            problems.push(Diagnostic::error("invalid-object-name", message, place).hint(hint));
        }
        let whole = trunk.identify.as_ref().is_none_or(|at| at.whole);
        let places: Vec<Place> =
            trunk.identify.iter().filter_map(|at| at.value.as_ref()).flatten().map(|at| at.place).collect();
        let host_place = trunk.host.place;
        let Some(host) = trunk.host.value else { continue };
        secrets.extend(trunk.secret.and_then(|at| at.value).map(|secret| (name.clone(), secret)));
        let trunk = Trunk {
            host: host.into(),
            identify: values(trunk.identify).into_iter().map(String::from).collect(),
            username: trunk.username.and_then(|at| at.value),
            realm: trunk.realm.and_then(|at| at.value),
            register,
        };
        if whole {
            let addresses = trunk.addresses();
            problems.extend(addresses.is_empty().then(|| silent(&name, &trunk, host_place)).flatten());
            let places = places.into_iter().chain([host_place]);
            matches.extend(addresses.into_iter().zip(places).filter_map(|(address, place)| {
                Some(Match { network: network(&address)?, text: address, trunk: name.clone(), place })
            }));
        }
        trunks.insert(name, trunk);
    }
    identified(matches, problems);
    (trunks, secrets)
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
    network.ok().map(|network| network.trunc())
}

/// Warns of a trunk that nothing could be known to come from.
fn silent(name: &ObjectName, trunk: &Trunk, place: Place) -> Option<Diagnostic> {
    (!trunk.register).then(|| {
        let message = format!("no call that comes from the trunk `{name}` is ever taken");
        let hint = "`host:` is a name, which is not looked up: list the carrier's addresses in `identify:`, or set \
                    `register: true`; calls go out over it as it is";
        Diagnostic::warning("silent-trunk", message, place).hint(hint)
    })
}

/// Refuses addresses that everybody has, and those that belong to two trunks.
fn identified(mut matches: Vec<Match>, problems: &mut Vec<Diagnostic>) {
    for Match { text, trunk, place, .. } in matches.iter().filter(|found| found.network.prefix_len() == 0) {
        let message = format!("`{text}` takes everybody for the trunk `{trunk}`, the phones too");
        let hint = "list the networks of the carrier: whatever comes from one of them needs no password";
        problems.push(Diagnostic::error("identify-everybody", message, *place).hint(hint));
    }
    matches.retain(|found| found.network.prefix_len() > 0);
    // Two networks are apart, or one holds the other and stands before it here.
    matches.sort_by_key(|found| (found.network, found.place));
    let mut around: Vec<&Match> = Vec::new();
    for found in &matches {
        while around.last().is_some_and(|outer| !outer.network.contains(&found.network)) {
            around.pop();
        }
        if let Some(other) = around.iter().rev().find(|outer| outer.trunk != found.trunk) {
            let (first, second) = if other.place < found.place { (*other, found) } else { (found, *other) };
            let message = format!("calls from `{}` are those of the trunk `{}` already", second.text, first.trunk);
            let problem = Diagnostic::error("overlapping-trunks", message, second.place);
            let hint = "give each address to one trunk: Asterisk would take either; both lead to the same routes";
            problems.push(problem.also(first.place, "the other trunk").hint(hint));
        }
        around.push(found);
    }
}
