//! The rows of what a file declares beside users and settings.

use serde_json::{Value, json};

use super::{
    documents::{self, golden},
    support::TestEnv,
};

/// Reads the rows of a tenant's objects as the document that callers reach has them, with the addresses of users.
/// `null` if there is none.
pub(crate) fn recorded(env: &TestEnv) -> Value {
    let mut sql = env.sql();
    let rows = sql
        .query(
            "select o.kind, o.name, o.body::text from objects o join tenants t on t.id = o.tenant_id
             where t.slug = 'acme' order by o.kind, o.name collate \"C\"",
            &[],
        )
        .unwrap();
    if rows.is_empty() {
        return Value::Null;
    }
    let users = sql.query("select id::text, email_key from users", &[]).unwrap();
    let with_addresses = |body: &str| {
        let named = |text: String, user: &postgres::Row| text.replace(user.get::<_, &str>(0), user.get(1));
        serde_json::from_str::<Value>(&users.iter().fold(body.to_owned(), named)).unwrap()
    };
    let mut routes = json!({
        "trunks": {}, "dialers": {}, "groups": {}, "hours": {}, "rules": [], "default_route": [], "public_sip_host": null,
        "caller_id": null,
    });
    for row in &rows {
        let (kind, name, body): (&str, &str, Value) = (row.get(0), row.get(1), with_addresses(row.get(2)));
        match kind {
            "trunk" | "dialer" | "group" => routes[format!("{kind}s")][name] = body,
            "hours" => routes[kind][name] = body,
            "route" => routes["rules"].as_array_mut().unwrap().push(body),
            _ => routes[kind] = body,
        }
    }
    routes
}

const FILE: &str = r#"version: 1
tenant: acme
users:
  - { email: bo.li@example.com, name: Bo Li }
dialers:
  desk: { number: "+4930555001" }
  mobile: { number: "+4930555002" }
inbound:
  - { to: "+15559876543", route: [bo.li@example.com, desk] }
default_route: [bo.li@example.com]
"#;

/// Every row as it was written: its kind, name, identity and the transaction that wrote it.
fn rows(env: &TestEnv) -> Vec<(String, String, String)> {
    let rows =
        env.sql().query("select kind || ' ' || name, id::text, xmin::text from objects order by 1", &[]).unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

fn names(env: &TestEnv) -> Vec<String> {
    rows(env).into_iter().map(|(name, ..)| name).collect()
}

/// What [`FILE`] declares, applied.
fn applied() -> TestEnv {
    let env = TestEnv::new();
    env.write("pbx.yaml", FILE);
    env.run("apply --no-reload").expect(0);
    env
}

/// Objects name users by their rows.
#[test]
fn a_renamed_user_changes_no_object() {
    let env = applied();
    let before = rows(&env);
    let renamed = FILE.replace("bo.li@", "bo@").replace("name: Bo Li", "name: Bo Li, previously: bo.li@example.com");
    env.write("pbx.yaml", &renamed);
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains("> bo@example.com") && !plan.contains("route"), "{plan}");
    env.run("apply --no-reload").expect(0);
    assert_eq!(rows(&env), before);
    assert_eq!(recorded(&env)["default_route"], json!([{ "user": "bo@example.com" }]));
    env.run("plan --no-asterisk --detailed-exitcode").expect(0);
}

/// A former address that another user has now is another user.
#[test]
fn a_route_to_an_address_that_was_handed_on_is_a_change() {
    let env = applied();
    let handed_on = "users:
  - { email: bo@example.com, name: Bo Li, previously: bo.li@example.com }
  - { email: bo.li@example.com, name: Bo Lim }
";
    env.write("pbx.yaml", &FILE.replace("users:\n  - { email: bo.li@example.com, name: Bo Li }\n", handed_on));
    let plan = env.run("plan --no-asterisk").expect(0).stdout;
    assert!(plan.contains(" bo@example.com -> bo.li@example.com "), "{plan}");
    env.run("apply --no-reload").expect(0);
    env.run("plan --no-asterisk --detailed-exitcode").expect(0);
}

#[test]
fn only_the_rows_of_objects_that_change_are_written() {
    let env = applied();
    let before = rows(&env);
    env.write("pbx.yaml", &FILE.replace("+4930555002\"", "+4930555002\", ring: 10s"));
    env.run("apply --no-reload").expect(0);
    let after = rows(&env);
    let identities = |rows: &[(String, String, String)]| -> Vec<(String, String)> {
        rows.iter().map(|(name, id, _)| (name.clone(), id.clone())).collect()
    };
    assert_eq!(identities(&after), identities(&before));
    let written: Vec<&str> = after
        .iter()
        .zip(&before)
        .filter(|(after, before)| after.2 != before.2)
        .map(|(row, _)| row.0.as_str())
        .collect();
    assert_eq!(written, ["dialer mobile"]);

    env.write("pbx.yaml", &FILE.replace("  mobile: { number: \"+4930555002\" }\n", ""));
    env.run("apply --no-reload").expect(0);
    assert_eq!(names(&env), ["default_route ", "dialer desk", "route to +15559876543"]);
}

/// One document held all objects of a tenant before they had rows: no row is written again.
#[test]
fn objects_of_an_earlier_program_get_the_rows_that_this_one_would_write() {
    let env = documents::recorded();
    env.run("migrate").expect(0);
    let before = rows(&env);
    assert_eq!(
        names(&env),
        [
            "caller_id ",
            "default_route ",
            "dialer desk",
            "dialer dialfire",
            "dialer mobile",
            "dialer shown",
            "dialer zendesk_talk",
            "hours office",
            "public_sip_host ",
            "route to +15559876543 from +49*, withheld when office",
            "route to default from +1*",
            "trunk backup",
            "trunk carrier",
        ]
    );
    env.run("apply --no-reload").expect(0);
    assert_eq!(rows(&env), before);
    let numbers = env.sql().query("select number, tenant, recorded, applied from public_numbers", &[]).unwrap();
    let numbers: Vec<(&str, &str, bool, bool)> =
        numbers.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
    assert_eq!(numbers, [("+15559876543", "acme", true, true)]);
    env.write("pbx.yaml", &golden("directory.0.1.0.yaml").replace("from: [\"+1*\"]", "from: [\"+2*\"]"));
    env.run("apply --no-reload").expect(0);
    let changed: Vec<String> = rows(&env).into_iter().filter(|row| !before.contains(row)).map(|row| row.0).collect();
    assert_eq!(changed, ["route to default from +2*"]);
}

/// One tenant's damage is in no other one's way, and nothing of it stops the migration of all.
#[test]
fn documents_that_were_damaged_by_hand_are_migrated_as_far_as_they_can_be_read() {
    let env = documents::recorded();
    let damaged = [
        "null",
        "[7]",
        r#"{"trunks": null, "rules": null, "default_route": null}"#,
        r#"{"trunks": 7, "rules": {"a": 1}, "default_route": "x", "public_sip_host": 7}"#,
        r#"{"rules": [7, {"to": {"did": "+1555abc"}, "from": null, "route": null, "otherwise": 7, "protected": "x"}]}"#,
        r#"{"rules": [{"to": {"did": "+15550000009"}, "route": ["hangup"]}]}"#,
    ];
    for (at, routes) in damaged.iter().enumerate() {
        let slug = format!("Beta Corp {at}");
        env.sql()
            .execute(
                "insert into tenants (id, slug, settings, routes) values (gen_random_uuid(), $1, '{}', $2::text::jsonb)",
                &[&slug, routes],
            )
            .unwrap();
    }
    env.run("migrate").expect(0);
    for unharmed in ["plan --no-asterisk", "users", "status --no-asterisk", "apply --no-reload"] {
        env.run(unharmed).expect(0);
    }
}

/// The target was lost in the migration, and no plan showed it.
#[test]
fn a_target_of_an_earlier_program_that_names_no_user_is_shown_as_lost_by_the_next_plan() {
    let env = documents::recorded();
    env.sql()
        .batch_execute(
            r#"update tenants set routes = jsonb_set(jsonb_set(routes, '{default_route,0}', '{"user": "gone@example.com"}'),
                                                     '{rules,1,route,0}', '{"user": "gone@example.com"}')"#,
        )
        .unwrap();
    let inbound = || {
        let plan = env.run("plan --no-asterisk --format json").expect(0).stdout;
        serde_json::from_str::<Value>(&plan).unwrap()["changes"].clone()
    };
    let before = inbound();
    let lost: Vec<&str> = ["/0/fields/0/before", "/1/fields/0/before"]
        .iter()
        .map(|path| before.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("{before}")))
        .collect();
    assert_eq!(lost, ["gone@example.com, then busy", "gone@example.com, then shown, then ana.silva@example.com"]);
    env.run("migrate").expect(0);
    assert_eq!(inbound(), before);
    env.run("status --no-asterisk").expect(0);

    // Another user of the same address is the one whom the file means.
    let file = golden("directory.0.1.0.yaml");
    let declared = file
        .replace("  - { email: cy@", "  - { email: gone@example.com, name: Gone }\n  - { email: cy@")
        .replace("default_route: [mobile,", "default_route: [gone@example.com,");
    env.write("pbx.yaml", &declared);
    env.run("apply --no-reload").expect(0);
    assert_eq!(recorded(&env)["default_route"][0], json!({ "user": "gone@example.com" }));
    env.run("plan --no-asterisk --detailed-exitcode").expect(0);
    env.write("pbx.yaml", &file);
    env.run("apply --no-reload --allow deletes=1").expect(0);
    env.run("plan --no-asterisk --detailed-exitcode").expect(0);
}
