//! What `--expect` was given, and how the present plan differs from it.
//!
//! Works on JSON plans, the one that was saved and the one of now; decides nothing.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{error::Hinted, input, model::printable};

/// The version of JSON plans that can be read.
const FORMAT_VERSION: u32 = 2;

/// The largest JSON plan that is read, in bytes: one of a million new users has fewer.
const MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// The most lines of a difference.
const SHOWN: usize = 20;

/// The plan that an apply is held to.
#[derive(Debug)]
pub(crate) enum Expected {
    /// Its id, and nothing else.
    Id(String),
    /// A saved JSON plan.
    Plan {
        id: String,
        /// What it would have done.
        saved: Box<Saved>,
    },
}

/// A JSON plan, as far as two of them are compared.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Saved {
    id: Option<String>,
    tenant: String,
    changes: Vec<Change>,
    relogins: Vec<Relogin>,
    secrets_behind: Vec<String>,
    files: Vec<File>,
}

#[expect(clippy::struct_field_names, reason = "the words of the document")]
#[derive(Debug, Deserialize)]
struct Field {
    field: String,
    before: Option<String>,
    after: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Change {
    action: String,
    object: String,
    name: Option<String>,
    user: Option<User>,
    fields: Vec<Field>,
    secret_changed: bool,
}

#[derive(Debug, Deserialize)]
struct User {
    extension: u32,
    name: Option<String>,
    protected: Option<bool>,
    secret_declared: Option<bool>,
    choice: Option<String>,
    relogin: bool,
}

/// What identifies a user.
#[derive(Debug, Deserialize)]
struct UserIdentity {
    email: Option<String>,
    phone_id: Option<String>,
}

impl UserIdentity {
    fn as_str(&self) -> &str {
        self.email.as_deref().or(self.phone_id.as_deref()).unwrap_or_default()
    }
}

#[derive(Debug, Deserialize)]
struct Relogin {
    #[serde(flatten)]
    who: UserIdentity,
    extension: u32,
}

#[derive(Debug, Deserialize)]
struct File {
    path: String,
    sha256: String,
}

/// What says whether the rest can be read.
#[derive(Debug, Deserialize)]
struct Version {
    format_version: Option<u64>,
}

impl Expected {
    /// Takes an id, which begins with `p1-`, or reads a file with a JSON plan.
    pub(crate) fn read(text: &str) -> Result<Self> {
        if text.starts_with("p1-") {
            return Ok(Self::Id(text.to_owned()));
        }
        let read = input::read(Path::new(text), MAX_BYTES).map_err(|error| {
            let hint = "give an id, such as `p1-5c9e0b7d00112233`, or a file that `reconcile plan --format json` wrote";
            Hinted::new(format!("cannot read the plan `{text}`: {error}"), hint)
        })?;
        let saved = Saved::parse(&String::from_utf8_lossy(&read))
            .with_context(|| format!("`{text}` is not a plan that `--expect` accepts"))?;
        let id = saved.id.clone().ok_or_else(|| {
            Hinted::new(format!("the plan `{text}` has no id"), "a secret or number could not be read when this plan was made: make it again where all of them can be read")
        })?;
        Ok(Self::Plan { id, saved: Box::new(saved) })
    }

    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Id(id) | Self::Plan { id, .. } => id,
        }
    }

    /// Says how the present plan, a JSON document, differs, in indented lines, and the next steps.
    pub(crate) fn difference(&self, now: &str) -> (String, Vec<String>) {
        let Self::Plan { saved, .. } = self else {
            let hints = [
                "only the expected id is known; `--expect plan.json`, a plan saved by `reconcile plan --format json`, \
                 shows the difference",
                "the present plan stands above; review it and apply it with its own id",
            ];
            return (String::new(), hints.map(str::to_owned).to_vec());
        };
        let lines = Saved::parse(now).map_or_else(|_| Vec::new(), |now| differences(saved, &now));
        let mut text = String::new();
        for line in lines.iter().take(SHOWN) {
            let _ = write!(text, "\n  {}", printable(line));
        }
        if lines.len() > SHOWN {
            let _ = write!(text, "\n  and {} more", lines.len() - SHOWN);
        }
        let hint = "the file or the database has changed since; review the plan above and apply it with its own id";
        (text, vec![hint.to_owned()])
    }
}

impl Saved {
    /// Tells whether the tenant is not recorded yet: of a recorded one, no plan creates a setting.
    fn is_tenant_new(&self) -> bool {
        self.changes.iter().any(|change| change.is_setting() && change.action == "create")
    }

    fn parse(text: &str) -> Result<Self> {
        const HINT: &str = "make one with `reconcile plan --format json > plan.json`";
        let Version { format_version: version } = serde_json::from_str(text)
            .map_err(|error| Hinted::new(format!("invalid or incomplete JSON: {error}"), HINT))?;
        match version {
            Some(version) if version == u64::from(FORMAT_VERSION) => {}
            Some(version) => {
                let message = format!("its format_version is {version}, and this reconcile reads {FORMAT_VERSION}");
                return Err(Hinted::new(
                    message,
                    "make the plan again, with the same version of reconcile that applies it",
                )
                .into());
            }
            None => return Err(Hinted::new("it has no format_version", HINT).into()),
        }
        serde_json::from_str(text).map_err(|error| Hinted::new(error, HINT).into())
    }
}

/// Finds what only one of two plans would do, and what each would do differently.
fn differences(expected: &Saved, now: &Saved) -> Vec<String> {
    let mut lines = Vec::new();
    if expected.tenant != now.tenant {
        lines.push(format!("expected: tenant {}; now: tenant {}", expected.tenant, now.tenant));
    }
    let known = |is_new| if is_new { "is new" } else { "is recorded" };
    let is_same = expected.is_tenant_new() == now.is_tenant_new();
    if !is_same {
        let (before, after) = (known(expected.is_tenant_new()), known(now.is_tenant_new()));
        lines.push(format!("expected: the tenant {before}; now: it {after}"));
    }
    paired(&described(expected, is_same), &described(now, is_same), &mut lines);
    paired(&relogins(expected), &relogins(now), &mut lines);
    paired(&secrets(expected), &secrets(now), &mut lines);
    let changes = !lines.is_empty();
    let shas = |plan: &Saved| plan.files.iter().map(|file| (file.path.clone(), file.sha256.clone())).collect();
    let (before, after): (BTreeMap<String, String>, BTreeMap<String, String>) = (shas(expected), shas(now));
    for path in before.keys().chain(after.keys().filter(|path| !before.contains_key(*path))) {
        if before.get(path) != after.get(path) {
            let why = if changes { "" } else { ", though the changes are the same" };
            lines.push(format!("{path} would get other content{why}"));
        }
    }
    if lines.is_empty() {
        lines.push(
            "changes and files are the same, but other recorded values differ, such as `extensions.hold` or the routes"
                .to_owned(),
        );
    }
    lines
}

impl Change {
    fn is_setting(&self) -> bool {
        self.object == "setting"
    }

    /// Names what it is about.
    fn title(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        if self.user.is_some() || self.is_setting() {
            return name.to_owned();
        }
        format!("{} {name}", self.object).trim_end().to_owned()
    }

    fn words(&self) -> String {
        let title = format!("{} {}", sign(&self.action), self.title());
        if self.is_setting() {
            return self.fields.iter().map(words).collect::<Vec<_>>().join(", ");
        }
        let Some(user) = &self.user else {
            let secret = self.secret_changed.then(|| "secret changed".to_owned());
            return [title]
                .into_iter()
                .chain(self.fields.iter().map(words))
                .chain(secret)
                .collect::<Vec<_>>()
                .join(", ");
        };
        let mut parts = vec![format!("{title} extension {}", user.extension)];
        parts.extend(user.choice.iter().filter(|choice| *choice != "lowest-free").cloned());
        if !self.fields.iter().any(|field| field.field == "name") {
            parts.extend(user.name.iter().map(|name| format!("name {name}")));
        }
        parts.extend(self.fields.iter().map(words));
        parts.extend((user.protected == Some(true)).then(|| "protected".to_owned()));
        parts.extend((user.secret_declared == Some(true)).then(|| "declared secret".to_owned()));
        parts.extend(self.secret_changed.then(|| "secret changed".to_owned()));
        parts.extend(user.relogin.then(|| "phone must log in again".to_owned()));
        parts.join(", ")
    }
}

/// What happens to each setting, unless told otherwise, user and object, by the order of the plan and what it is.
fn described(plan: &Saved, with_settings: bool) -> BTreeMap<(u8, String), String> {
    let mut described: BTreeMap<(u8, String), String> = BTreeMap::new();
    for change in plan.changes.iter().filter(|change| with_settings || !change.is_setting()) {
        let (group, title) = match (change.is_setting(), &change.user) {
            (true, _) => (0, change.title()),
            (false, Some(_)) => (1, change.title().to_lowercase()),
            (false, None) => (2, change.title()),
        };
        let words = change.words();
        // One identity can leave as one user and come as another.
        described.entry((group, title)).and_modify(|known| *known = format!("{known}; {words}")).or_insert(words);
    }
    described
}

/// The phones that must log in again though their rows stay, by address or id.
fn relogins(plan: &Saved) -> BTreeMap<String, String> {
    let words =
        |phone: &Relogin| format!("~ {} extension {}, phone must log in again", phone.who.as_str(), phone.extension);
    plan.relogins.iter().map(|phone| (phone.who.as_str().to_lowercase(), words(phone))).collect()
}

/// The objects whose secret becomes live though nothing else of them changes.
fn secrets(plan: &Saved) -> BTreeMap<String, String> {
    let words = |object: &String| (object.clone(), format!("~ {object}, another secret becomes live"));
    plan.secrets_behind.iter().map(words).collect()
}

fn sign(action: &str) -> &'static str {
    match action {
        "create" => "+",
        "delete" => "-",
        "rename" => ">",
        "adopt" => "&",
        _ => "~",
    }
}

fn words(field: &Field) -> String {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
    format!("{} {} -> {}", field.field, shown(&field.before), shown(&field.after))
}

fn paired<K: Ord>(expected: &BTreeMap<K, String>, now: &BTreeMap<K, String>, lines: &mut Vec<String>) {
    for (key, words) in expected {
        match now.get(key) {
            None => lines.push(format!("only expected: {words}")),
            Some(other) if other != words => lines.push(format!("expected: {words}; now: {other}")),
            Some(_) => {}
        }
    }
    lines.extend(
        now.iter().filter(|(key, _)| !expected.contains_key(key)).map(|(_, words)| format!("only now: {words}")),
    );
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn user(email: &str, extension: u32) -> Value {
        json!({ "action": "create", "object": "user", "name": email, "fields": [], "secret_changed": false,
                "user": { "extension": extension, "choice": "lowest-free", "relogin": false } })
    }

    fn plan(changes: &[Value], sha: &str) -> Value {
        json!({ "format_version": 2, "id": "p1-0", "tenant": "acme", "changes": changes, "relogins": [],
                "secrets_behind": [], "files": [{ "path": "pjsip.d/acme/generated_endpoints.conf", "sha256": sha }] })
    }

    fn compared(expected: &Value, now: &Value) -> Vec<String> {
        differences(&Saved::parse(&expected.to_string()).unwrap(), &Saved::parse(&now.to_string()).unwrap())
    }

    #[test]
    fn every_kind_of_difference_is_named() {
        let mut gone = user("temp@example.com", 1033);
        gone["action"] = "delete".into();
        let mut renamed = user("ana@example.com", 1042);
        renamed["fields"] = json!([{ "field": "name", "before": "Ana", "after": "Ana Silva" }]);
        renamed["action"] = "update".into();
        let expected = plan(&[user("bo@example.com", 1042), gone, renamed.clone()], "a");
        renamed["user"]["relogin"] = true.into();
        let devices = json!({ "action": "update", "object": "setting", "name": "phones.devices", "secret_changed": false,
                              "fields": [{ "field": "phones.devices", "before": "1", "after": "2" }] });
        let now = plan(&[devices, user("Bo@example.com", 1043), user("cleo@example.com", 1044), renamed], "b");
        assert_eq!(
            compared(&expected, &now),
            [
                "expected: ~ ana@example.com extension 1042, name Ana -> Ana Silva; \
                 now: ~ ana@example.com extension 1042, name Ana -> Ana Silva, phone must log in again",
                "expected: + bo@example.com extension 1042; now: + Bo@example.com extension 1043",
                "only expected: - temp@example.com extension 1033",
                "only now: phones.devices 1 -> 2",
                "only now: + cleo@example.com extension 1044",
                "pjsip.d/acme/generated_endpoints.conf would get other content",
            ]
        );
    }

    /// Plans that differ in a new user's name only were said to have the same changes.
    #[test]
    fn what_the_files_do_not_show_of_a_user_is_named() {
        let plan_of = |name: &str, protected: bool, declared: bool| {
            let mut ana = user("ana@example.com", 1000);
            ana["user"]["name"] = name.into();
            ana["user"]["protected"] = protected.into();
            ana["user"]["secret_declared"] = declared.into();
            plan(&[ana], "a")
        };
        let expected = plan_of("Ana", false, false);
        for (now, words) in [
            (plan_of("Anna", false, false), "name Anna"),
            (plan_of("Ana", true, false), "name Ana, protected"),
            (plan_of("Ana", false, true), "name Ana, declared secret"),
        ] {
            let (before, user) = ("name Ana", "+ ana@example.com extension 1000");
            assert_eq!(compared(&expected, &now), [format!("expected: {user}, {before}; now: {user}, {words}")]);
        }
    }

    #[test]
    fn the_same_changes_may_lead_to_another_file() {
        let users = [user("bo@example.com", 1042)];
        let same = "pjsip.d/acme/generated_endpoints.conf would get other content, though the changes are the same";
        assert_eq!(compared(&plan(&users, "a"), &plan(&users, "b")), [same]);
        let rest =
            "changes and files are the same, but other recorded values differ, such as `extensions.hold` or the routes";
        assert_eq!(compared(&plan(&users, "a"), &plan(&users, "a")), [rest]);
    }

    #[test]
    fn a_long_difference_is_cut_and_escaped() {
        let users: Vec<Value> = (0..60).map(|n| user(&format!("u{n}\u{1b}[31m@example.com"), 1000 + n)).collect();
        let saved = Box::new(Saved::parse(&plan(&users, "a").to_string()).unwrap());
        let (text, hints) = Expected::Plan { id: "p1-0".to_owned(), saved }.difference(&plan(&[], "a").to_string());
        assert_eq!((text.lines().count(), hints.len()), (1 + SHOWN + 1, 1), "{text}");
        assert!(text.ends_with("\n  and 40 more") && !text.contains('\u{1b}'), "{text}");
    }
}
