//! The file of `plan --recorded`: what `export --recorded` wrote on a machine that reaches the database.

use std::{io, path::Path};

use anyhow::Result;
use jiff::Timestamp;
use schemars::JsonSchema;

use super::{imported::ImportedArgs, printer::Printer, session, settings::SecretArgs};
use crate::{
    deploy::{self, Comparison},
    desired::Declared,
    directory::{Directory, Recorded, RecordedDocument, note_of_schema},
    error::Hinted,
    input,
    model::{Tenant, Unreadable, shown},
    plan::{Allowance, Inputs},
    report::{Desired, RecordedIn, json},
};

/// What no plan without the host's files and Asterisk can tell.
pub(super) const ON_THE_HOST: &str = "what only the Asterisk host knows: whether the digests in its generated files match the \
    database, whether another file defines one of our names, and whether Asterisk has what the files name. An apply \
    checks this, and may still stop at a rail";

/// What a plan says before the first run of all.
pub(super) const NOTHING_RECORDED: &str = "nothing is recorded yet: the first sync or apply creates the tables";

/// The largest such file, in bytes: 200,000 users with a voicemail box each.
const LARGEST: u64 = 256 * 1024 * 1024;

/// What was recorded when the file was written.
#[derive(Debug)]
pub(crate) struct RecordedFile {
    /// The file, for people.
    name: String,
    tenant: Tenant,
    written_at: Timestamp,
    /// The version of the tables; `None` if there were none.
    schema: Option<i32>,
    recorded: Recorded,
}

impl RecordedFile {
    /// Reads the file; `-` is standard input.
    ///
    /// # Errors
    /// If it cannot be read, is cut short or too large, or was not written by `export --recorded` of a version that this
    /// program knows.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        const WHOLE: &str = "write it again where the database can be reached: `reconcile export --recorded -o FILE`";
        let is_stdin = path == Path::new("-");
        let name = if is_stdin { "stdin".to_owned() } else { shown(path) };
        let bytes = if is_stdin { input::take(io::stdin(), LARGEST) } else { input::read_file_or_pipe(path, LARGEST) };
        let bytes = bytes.map_err(|error| Hinted::new(format!("cannot read `{name}`: {error}"), WHOLE))?;
        let refused = |why: &str, hint: &str| Hinted::new(format!("`{name}` cannot be planned against: {why}"), hint);
        let text = String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8 text", WHOLE))?;
        let unreadable = |error: Unreadable| {
            let hint = error.reader().map_or_else(|| WHOLE.to_owned(), |reader| format!("use {reader}"));
            refused(&error.to_string(), &hint)
        };
        let document = RecordedDocument::read(&text).map_err(unreadable)?;
        drop(text);
        let (tenant, written_at, schema) = (document.tenant.clone(), document.written_at, document.schema);
        let known = Directory::latest_schema();
        if let Some(found) = schema.filter(|found| *found > known) {
            let why = format!("its database has schema version {found}, and this program knows versions up to {known}");
            return Err(refused(&why, "use the same version of reconcile as the Asterisk host").into());
        }
        let recorded = document.into_recorded().map_err(unreadable)?;
        Ok(Self { name, tenant, written_at, schema, recorded })
    }

    /// Describes the file, for the head of a plan.
    pub(crate) fn source(&self) -> RecordedIn<'_> {
        RecordedIn::File { name: &self.name, written_at: self.written_at }
    }

    /// Compares a desired state with what was recorded, which stands for the files in place.
    ///
    /// # Errors
    /// If it is about another tenant, or cannot be rendered.
    pub(crate) fn compare(
        &self,
        desired: &Desired,
        (secrets, imported): (&SecretArgs, &ImportedArgs),
        allowance: &Allowance,
        printer: &mut Printer,
    ) -> Result<Comparison> {
        let Self { name, tenant, schema, recorded, .. } = self;
        let declared = &desired.declared;
        if *tenant != declared.tenant {
            let message = format!(
                "`{name}` holds what is recorded of the tenant `{tenant}`, and `{}` declares `{}`",
                desired.name, declared.tenant
            );
            let hint = "give the file of the same tenant; `reconcile export --recorded -f FILE` also writes one for a tenant \
                        that is not recorded yet";
            return Err(Hinted::new(message, hint).into());
        }
        let imported = session::imported(desired, imported, printer)?;
        let inbound = session::inbound_without_secrets(desired, secrets);
        let inputs = Inputs {
            declared,
            recorded,
            secrets: &imported,
            inbound: &inbound,
            allowance,
            highest_box: 0,
            now: Timestamp::now(),
        };
        printer.phase("planning");
        let host = ["the files in place and the running Asterisk (--recorded)", ON_THE_HOST];
        let unchecked = host.map(str::to_owned).into_iter().chain(secrets_unread(declared)).collect();
        let mut comparison = deploy::compare_recorded(&inputs, unchecked)?;
        comparison.notes.extend(schema.and_then(note_of_schema));
        if recorded.directory.is_none() {
            comparison.notes.push(NOTHING_RECORDED.to_owned());
        }
        Ok(comparison)
    }
}

/// Says what the plan assumes of declared secrets, if there are any.
fn secrets_unread(declared: &Declared) -> Option<String> {
    let of_users = declared.users.values().filter(|user| user.secret.is_some()).count();
    let count = of_users + declared.object_secrets.len();
    let secrets = if count == 1 { "the declared secret".to_owned() } else { format!("{count} declared secrets") };
    (count > 0).then(|| {
        format!(
            "{secrets}, because the file of `--recorded` has no fingerprint to compare a secret with: one that was declared \
             before counts as unchanged, any other as new. If the host finds another secret, its plan has another id"
        )
    })
}

/// What is recorded about a tenant, as `export --recorded` writes it.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is made of it")]
struct ExportDocument {
    /// The version of this document: 1.
    format_version: u16,
    /// The version of reconcile that wrote it.
    written_by: String,
    #[schemars(flatten)]
    document: RecordedDocument,
}

/// Writes the JSON schema of the document.
///
/// # Errors
/// When it cannot be written as JSON.
pub(super) fn schema() -> Result<String> {
    json::pretty(&schemars::schema_for!(ExportDocument))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::{desired, plan::InboundValues};

    const GOLDEN: &str = include_str!("../../tests/documents/recorded.1.json");
    const FILE: &str = include_str!("../../tests/documents/recorded.1.yaml");

    /// Plans against a document; `None` if it is rejected.
    fn planned(declared: &Declared, text: &str) -> Option<Comparison> {
        let recorded = RecordedDocument::read(text).ok()?.into_recorded().ok()?;
        let number = ("DESK_PHONE_NUMBER".to_owned(), Ok("+4930123456".parse().unwrap()));
        let inbound = InboundValues { numbers: BTreeMap::from([number]), ..InboundValues::default() };
        let inputs = Inputs {
            declared,
            recorded: &recorded,
            secrets: &BTreeMap::new(),
            inbound: &inbound,
            allowance: &Allowance::new(),
            highest_box: 0,
            now: "2026-12-01T12:00:00Z".parse().unwrap(),
        };
        deploy::compare_recorded(&inputs, Vec::new()).ok()
    }

    /// Lists the places of all values in a document, as JSON pointers.
    fn places(value: &Value, at: &str, found: &mut Vec<String>) {
        found.push(at.to_owned());
        match value {
            Value::Object(entries) => {
                for (key, value) in entries {
                    places(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
                }
            }
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    places(value, &format!("{at}/{index}"), found);
                }
            }
            _ => {}
        }
    }

    /// Whoever can push a branch may have written it.
    #[test]
    fn no_document_makes_the_plan_panic() {
        let declared = desired::load_text("pbx.yaml", FILE).declared.unwrap();
        let whole = planned(&declared, GOLDEN).unwrap();
        assert!(whole.id.is_some() && whole.plan.problems.is_empty(), "{:?}", whole.plan.problems);
        let golden: Value = serde_json::from_str(GOLDEN).unwrap();
        let mut all = Vec::new();
        places(&golden, "", &mut all);
        let others = [
            json!(null),
            json!(-1),
            json!(0),
            json!(1900),
            json!(u32::MAX),
            json!(u64::MAX),
            json!(""),
            json!("x"),
            json!("ana.silva@example.com"),
            json!("1-99999999"),
            json!("-9999-01-01T00:00:00Z"),
            json!("${EVAL(x)}]\\;"),
            json!([]),
            json!({}),
            json!({ "user": "ana.silva@example.com" }),
        ];
        let (mut read, mut rejected) = (0, 0);
        for place in &all {
            for other in &others {
                let mut document = golden.clone();
                *document.pointer_mut(place).unwrap() = other.clone();
                *if planned(&declared, &document.to_string()).is_some() { &mut read } else { &mut rejected } += 1;
            }
            let Some((parent, key)) = place.rsplit_once('/') else { continue };
            let mut document = golden.clone();
            if let Some(entries) = document.pointer_mut(parent).and_then(Value::as_object_mut) {
                entries.remove(&key.replace("~1", "/").replace("~0", "~"));
                planned(&declared, &document.to_string());
            }
        }
        assert!(read > 500 && rejected > 500, "{read} read, {rejected} rejected");
        for cut in (0..GOLDEN.len() - 2).step_by(31) {
            assert!(planned(&declared, &GOLDEN[..cut]).is_none(), "{cut}");
        }
    }
}
