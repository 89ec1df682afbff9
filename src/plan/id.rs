//! The plan id: what an apply is held to by `--expect`.

use sha2::{Digest, Sha256};

use super::{InboundChange, Kind, Plan};
use crate::directory::seal::hex;

/// Computes the id of a plan and the files it leads to, whose secrets and marks are placeholders.
///
/// Positions, paths, the clock, the files in place and Asterisk are not in it: a runner that sees
/// only the file and the database computes the id that the PBX host does.
///
/// # Errors
/// If a part of the plan cannot be written as JSON. It has no id then: a hash that leaves a part out
/// would vouch for plans that differ in it.
pub fn plan_id(plan: &Plan, files: &[(String, String)]) -> Result<String, serde_json::Error> {
    let mut hash = Sha256::new();
    let mut add = |parts: &[&str]| {
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
    };
    add(&["reconcile plan 1", plan.tenant.as_str(), &serde_json::to_string(&plan.settings)?]);
    add(&[&serde_json::to_string(&plan.settings_changes)?]);
    for change in &plan.changes {
        let kind = match change.kind {
            Kind::Create => "create",
            Kind::Update => "update",
            Kind::Rename => "rename",
            Kind::Adopt => "adopt",
            Kind::Delete => "delete",
        };
        // The whole change as one unit, so that no field can pass for another user's.
        let user = plan.users.get(&change.extension).filter(|user| user.email == change.email);
        let unit = serde_json::json!({
            "kind": kind,
            "email": change.email,
            "extension": change.extension,
            // The files show no more of it than phones do.
            "name": user.map(|user| &user.name),
            "choice": change.choice,
            "fields": change.fields,
            "protected": user.map(|user| user.protected),
            "secret_declared": user.map(|user| user.secret_declared),
            "secret_changed": change.secret_changed,
        });
        add(&[&unit.to_string()]);
    }
    if !plan.inbound.is_empty() || !plan.routes.is_empty() {
        // Not all of it shows in the files.
        add(&["inbound", &serde_json::to_string(&plan.routes)?]);
        for change in &plan.inbound {
            let InboundChange { kind, object, name, fields, secret_changed, place: _ } = change;
            let unit = serde_json::json!([kind, object, name, fields, secret_changed]);
            add(&[&unit.to_string()]);
        }
    }
    for (name, text) in files {
        add(&[name, text]);
    }
    Ok(format!("p1-{}", &hex(&hash.finalize())[..16]))
}
