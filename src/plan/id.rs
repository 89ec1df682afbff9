//! The plan id: what an apply is held to by `--expect`.

use sha2::{Digest, Sha256};

use super::{Change, Plan, PlannedUser, Subject};
use crate::{
    directory::seal::ObjectPrint,
    model::{Prints, hex},
    objects::ObjectId,
};

/// Computes the id of a plan and the files it leads to, whose secrets and marks are placeholders.
///
/// Positions, paths, the clock, the files in place and Asterisk are not in it: a runner that sees
/// only the file and the database computes the id that the PBX host does.
///
/// # Errors
/// If a part of the plan cannot be written as JSON. It has no id then: a hash that leaves a part out
/// would vouch for plans that differ in it.
pub(crate) fn plan_id(plan: &Plan, files: &[(&str, &str)]) -> Result<String, serde_json::Error> {
    let mut hash = Sha256::new();
    let mut add = |parts: &[&str]| {
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
    };
    add(&["reconcile plan 2", plan.tenant.as_str(), &serde_json::to_string(&plan.settings)?]);
    for change in &plan.changes {
        let Change { kind, subject, fields, secret_changed, called: _, place: _ } = change;
        let about = match subject {
            Subject::Setting(key) => serde_json::json!({ "setting": key }),
            Subject::Object(id) => serde_json::json!({ "object": id }),
            Subject::User(user) => {
                let after = plan.user_after(*kind, user);
                serde_json::json!({
                    "user": user.email,
                    "extension": user.extension,
                    "choice": user.choice,
                    // The files show no more of it than phones do.
                    "name": after.map(|user| &user.name),
                    "protected": after.map(|user| user.protected),
                    "secret_declared": after.map(|user| user.secret_declared),
                })
            }
        };
        // The whole change as one unit, so that no field can pass for another one's.
        add(&[&serde_json::json!([kind, about, fields, secret_changed]).to_string()]);
    }
    // Not all of it shows in the files.
    add(&["objects", &serde_json::to_string(&plan.routes)?]);
    if !plan.behind.is_empty() || !plan.secrets_behind.is_empty() {
        // Who must log in again although the rows stay: the files show no secret.
        let phones = plan.behind.iter().filter_map(|number| plan.users.get(number));
        let phones: Vec<_> = phones.map(|user| (&user.email, user.extension)).collect();
        let objects: Vec<&str> = plan.secrets_behind.iter().map(|(_, name)| name.as_str()).collect();
        add(&["behind", &serde_json::json!([phones, objects]).to_string()]);
    }
    for (name, text) in files {
        add(&[name, text]);
    }
    Ok(format!("p1-{}", &hex(&hash.finalize())[..16]))
}

/// Computes the hash of everything that a plan leads to: rows, files and which secrets. Two plans with the
/// same one lead to the same state, wherever they begin.
///
/// `files` are the SHA-256 of the masked files. `prints` and `object_print` return the fingerprints that will
/// be recorded; `None` if there is none.
pub(crate) fn target_hash<'a>(
    plan: &'a Plan,
    files: &[&str],
    prints: &dyn Fn(&'a PlannedUser) -> Option<&'a Prints>,
    object_print: &dyn Fn(&'a ObjectId) -> Option<&'a ObjectPrint>,
) -> String {
    let mut hash = Sha256::new();
    let mut add = |unit: &serde_json::Value| {
        let text = unit.to_string();
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    add(&serde_json::json!(["reconcile target 1", plan.tenant, plan.settings, plan.routes, files]));
    for user in plan.users.values() {
        let PlannedUser { email, name, extension, managed_by, protected, phone, no_answer, secret_declared, .. } = user;
        let print = prints(user).map(|prints| hex(&prints.digest));
        add(&serde_json::json!([email, name, extension, managed_by, protected, phone, secret_declared, print]));
        if let Some(targets) = no_answer {
            add(&serde_json::json!(["no_answer", targets]));
        }
    }
    for object in plan.secrets.keys() {
        add(&serde_json::json!([object.1, object_print(object).map(|print| hex(&print.shown))]));
    }
    hex(&hash.finalize())
}
