//! A phone that is half in: it keeps a context, an auth user name or a voicemail box of the operator's.

use std::fs;

use super::{
    phones::nothing_in_the_log,
    sipp::Phone,
    support::{TestEnv, desired},
};

const ANA: &str = "email: ana@example.com, name: Ana, secret: { env: ANA_SIP_SECRET }";

#[test]
fn a_phone_keeps_its_context_its_auth_user_name_and_its_lamp() {
    let mut env = TestEnv::with_asterisk();
    let secret = "the-secret-of-ana-7";
    env.set("ANA_SIP_SECRET", secret);
    let extensions = env.etc("extensions.conf");
    let text = fs::read_to_string(&extensions).unwrap();
    fs::write(&extensions, format!("{text}\n[lobby]\nexten => 700,1,Answer()\n same => n,Echo()\n")).unwrap();
    env.ask("dialplan reload");
    let own = format!("{ANA}, phone: {{ context: lobby, login: 02AA000001F7, mailbox: 1000@office }}");
    env.write("pbx.yaml", &desired(&[&own, "email: bo@example.com, name: Bo"]));
    let plan = env.run("plan").expect(0);
    for line in ["+context = lobby", "+username = 02AA000001F7", "+mailboxes = 1000@office"] {
        assert!(plan.stdout.contains(line), "{line}: {}", plan.text());
    }
    env.run("apply").expect(0);
    let shown = env.run("secret show ana@example.com").expect(0).stdout;
    assert!(shown.contains("username  02AA000001F7\n"), "{shown}");

    // The phone registers as 1000, and answers the challenge by its other name.
    let phone = Phone::with(&env, "1000".to_owned(), secret.to_owned()).authenticating_as("02AA000001F7");
    phone.registers();
    phone.reaches("700");
    phone.is_told("404", "1001");
    // Its number rings as before.
    let answering = phone.answers();
    Phone::of(&env, "bo@example.com").reaches("1000");
    // Its lamp is told of messages, which this phone does not answer to.
    drop(answering);
    assert!(env.run("plan").expect(0).stdout.contains("No changes"));
    nothing_in_the_log(&env);

    // Another auth user name is another login.
    env.write("pbx.yaml", &desired(&[ANA, "email: bo@example.com, name: Bo"]));
    let plan = env.run("plan").expect(0);
    let change =
        "phone.context lobby -> (none); phone.login 02AA000001F7 -> (none); phone.mailbox 1000@office -> (none)";
    assert!(plan.stdout.contains(change) && plan.stdout.contains("log in again"), "{}", plan.text());
    env.run("apply").expect(0);
    Phone::with(&env, "1000".to_owned(), secret.to_owned()).registers();
}

#[test]
fn a_context_that_does_not_exist_or_is_anothers_stops_the_apply() {
    let env = TestEnv::with_asterisk();
    let user = |context: &str| format!("email: bo@example.com, name: Bo, phone: {{ context: {context} }}");
    env.write("pbx.yaml", &desired(&[&user("outbond")]));
    let refused = env.run("apply").expect(3);
    assert!(
        refused.stderr.contains(
            "Asterisk does not have the context `outbond`, which `phone.context` of `bo@example.com` names in pbx.yaml:"
        ),
        "{}",
        refused.text()
    );
    env.write("pbx.yaml", &desired(&[&user("acme-internal")]));
    let refused = env.run("check").expect(65);
    assert!(refused.text().contains("the context `acme-internal` is generated from this file"), "{}", refused.text());
    fs::create_dir_all(env.etc("extensions.d/other")).unwrap();
    fs::write(env.etc("extensions.d/other/generated_routing.conf"), "[other-internal]\n").unwrap();
    env.write("pbx.yaml", &desired(&[&user("other-internal")]));
    let refused = env.run("apply").expect(3);
    assert!(
        refused.stderr.contains(
            "`phone.context` of `bo@example.com` names `other-internal`, a context of the tenant `other` on this host"
        ),
        "{}",
        refused.text()
    );
    assert!(env.sql().query("select 1 from users", &[]).unwrap().is_empty());
}

#[test]
fn weak_secrets_are_listed_and_renewed_under_the_rail() {
    let env = TestEnv::new();
    let users: Vec<String> = (1..=8).map(|n| format!("email: u{n}@example.com, name: U{n}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    env.write("pbx.yaml", &desired(&users));
    let secrets = "u1@example.com\tcanary1\nu2@example.com\tcanary-shared-1\nu3@example.com\tcanary-shared-1\n";
    for secret in ["canary1", "canary-shared-1"] {
        env.plant(secret);
    }
    env.write("acme.secrets", secrets);
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(env.path("work/acme.secrets"), closed).unwrap();
    env.run("sync --secrets acme.secrets").expect(0);
    let listed = env.run("users --weak").expect(0);
    assert_eq!(
        listed.stdout,
        "EXTENSION  USER            MANAGED BY  WHY\n\
         1000       u1@example.com  file        its secret has fewer than 12 characters\n\
         1001       u2@example.com  file        its secret is also that of other phones\n\
         1002       u3@example.com  file        its secret is also that of other phones\n"
    );
    let listed: serde_json::Value =
        serde_json::from_str(&env.run("users --weak --format json").expect(0).stdout).unwrap();
    assert_eq!(listed["users"][0]["weak"], "its secret has fewer than 12 characters");

    let refused = env.run("secret rotate --weak").expect(3);
    assert_eq!(
        refused.stderr,
        "error[rail-relogins]: 3 phones would have to log in again (allowed 2)\nhint: if this is intended: --allow relogins=3\n"
    );
    assert_eq!(env.run("users --weak").expect(0).stdout.lines().count(), 4, "nothing was changed");
    let done = env.run("secret rotate --weak --allow relogins=3").expect(0);
    assert!(
        done.stdout.ends_with(
            "u3@example.com  extension 1002  its secret is also that of other phones\nRotated: 3 phones had weak secrets \
             and have new ones, pending until `reconcile apply` (run 2).\n"
        ),
        "{}",
        done.text()
    );
    assert_eq!(env.run("users --weak").expect(0).stdout, "EXTENSION  USER  MANAGED BY  WHY\n");
    assert_eq!(env.run("secret rotate --weak").expect(0).stdout, "No generated or imported secret is weak.\n");
}

#[test]
fn a_tenant_that_is_observed_is_planned_and_never_applied() {
    let env = TestEnv::with_asterisk();
    let file = |mode: &str| format!("{}{mode}", desired(&["email: bo@example.com, name: Bo"]));
    env.write("pbx.yaml", &file("mode: observe\n"));
    let rail = "error[rail-observed]: the tenant `acme` has `mode: observe`: nothing is applied\nhint: remove `mode: observe` \
                from the file once Asterisk shall run what the plan shows\n";
    let plan = env.run("plan").expect(0);
    assert!(plan.stdout.contains("+ bo@example.com") && plan.stderr.contains(rail), "{}", plan.text());
    for args in ["apply", "apply --no-reload"] {
        let refused = env.run(args).expect(3);
        assert!(refused.stderr.ends_with(rail), "{}", refused.text());
    }
    assert!(env.files().iter().all(|(path, ..)| !path.ends_with("generated_endpoints.conf")));
    env.run("status").expect(0);
    env.write("pbx.yaml", &file(""));
    env.run("apply").expect(0);
    assert!(env.run("plan").expect(0).stdout.contains("No changes"));

    // What runs stays, whatever the file asks for.
    let before = env.files();
    let more = desired(&["email: bo@example.com, name: Bo", "email: cy@example.com, name: Cy"]);
    env.write("pbx.yaml", &format!("{more}mode: observe\n"));
    let plan = env.run("plan").expect(0);
    assert!(plan.stdout.contains("mode  (none) -> observe"), "{}", plan.text());
    env.run("apply").expect(3);
    assert!(env.files() == before, "something moved");
}
