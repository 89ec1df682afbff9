//! The database is lost for good, and the host goes on: the generated files say who has which number and digest.

use std::fs;

use super::{
    phones::registered,
    sipp::Phone,
    support::{TestEnv, database, desired},
};

#[test]
fn phones_stay_logged_in_when_the_database_is_made_anew_from_the_generated_file() {
    let mut env = TestEnv::with_asterisk();
    let users =
        ["email: ana@example.com, name: \"Ana \\\"A\\\" Silva\", phone: { devices: 2 }", "id: lobby, name: Lobby"];
    env.write("pbx.yaml", &desired(&users));
    env.run("apply").expect(0);
    let (ana, lobby) = (Phone::of(&env, "ana@example.com"), Phone::of(&env, "lobby"));
    ana.registers();
    lobby.registers();
    let digests = env.endpoints("acme");

    env.database = Some(database());
    let done = env.run("import --generated --tenant acme -o restored.yaml --secrets acme.secrets").expect(0);
    assert_eq!(done.stderr, "Imported: 2 users; 2 secrets in `acme.secrets`; 0 things not carried over\n");
    let restored = fs::read_to_string(env.path("work/restored.yaml")).unwrap();
    assert_eq!(
        restored,
        "# Imported from pjsip.d/acme/generated_endpoints.conf.\nversion: 1\ntenant: acme\nextensions:\n  range: 1000-1099\n\
         phones:\n  codecs: [\"opus\", \"g722\", \"ulaw\", \"alaw\"]\n  devices: 1\nusers:\n  \
         - email: ana@example.com\n    name: \"Ana \\\"A\\\" Silva\"\n    extension: 1000\n    phone: { devices: 2 }\n  \
         - id: \"lobby\"\n    name: \"Lobby\"\n    extension: 1001\n"
    );
    let plan = env.run("plan -f restored.yaml --secrets acme.secrets").expect(0);
    assert!(plan.stdout.contains("Plan: 2 to create"), "{}", plan.text());
    env.run("apply -f restored.yaml --secrets acme.secrets --allow foreign-files=2 --allow relogins=2").expect(0);
    assert_eq!(registered(&env), ["1000", "1001"]);
    ana.registers();
    lobby.registers();
    let lines = |text: &str| {
        text.lines().filter(|line| line.starts_with("password_digest")).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&env.endpoints("acme")), lines(&digests));
    assert!(env.run("plan -f restored.yaml").expect(0).stdout.contains("No changes"));

    // A digest is no secret, and holds for one user name.
    let shown = env.run("secret show lobby").expect(0).stdout;
    assert!(shown.contains("secret    (unknown, only its digest was imported;"), "{shown}");
    assert_eq!(env.run("users --weak --tenant acme").expect(0).stdout.lines().count(), 1);
    env.write(
        "restored.yaml",
        &restored.replace("extension: 1001", "extension: 1002").replace("1000-1001", "1000-1002"),
    );
    env.run("apply -f restored.yaml").expect(0);
    let lobby = Phone::of(&env, "lobby");
    assert_eq!((lobby.username.as_str(), lobby.secret.len() >= 20), ("1002", true));
    lobby.registers();
}

#[test]
fn a_generated_file_that_was_edited_is_not_believed() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Ana"]));
    env.run("apply").expect(0);
    let path = env.etc("pjsip.d/acme/generated_endpoints.conf");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("[1000]", "[1001]")).unwrap();
    let refused = env.run("import --generated --tenant acme").expect(1);
    assert!(refused.stderr.contains("was edited or cut short"), "{}", refused.text());
    let refused = env.run("import --generated --tenant other").expect(1);
    assert!(refused.stderr.contains("generated_endpoints.conf` is not there"), "{}", refused.text());
}
