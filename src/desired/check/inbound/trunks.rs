//! Trunks: whom Asterisk takes for a carrier, and how it logs in there.

use std::collections::BTreeMap;

use super::{
    super::{
        super::{
            SecretSource,
            diagnostic::Diagnostic,
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
    for (place, name, trunk) in named(keys, problems) {
        let register = trunk.register.and_then(|at| at.value).unwrap_or(false);
        if register && (trunk.username.is_none() || trunk.secret.is_none()) {
            let message = format!("the trunk `{name}` registers, but has no user name and secret");
            problems.push(Diagnostic::error("incomplete-trunk", message, place).hint("add `username:` and `secret:`"));
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
        let Some(host) = trunk.host.value else { continue };
        secrets.extend(trunk.secret.and_then(|at| at.value).map(|secret| (name.clone(), secret)));
        let trunk = Trunk {
            host: host.into(),
            identify: values(trunk.identify).into_iter().map(String::from).collect(),
            username: trunk.username.and_then(|at| at.value),
            realm: trunk.realm.and_then(|at| at.value),
            register,
        };
        trunks.insert(name, trunk);
    }
    (trunks, secrets)
}
