//! Tokens of the portal API: shown once, kept as hashes, for one tenant, revoked for good.

use std::collections::BTreeSet;

use reconcile::directory::{Directory, Scope, Url};

use super::support::{TestEnv, desired};

fn directory(env: &TestEnv) -> Directory {
    Directory::connect(Url::parse(env.database.as_ref().unwrap()).unwrap()).unwrap()
}

fn token(env: &TestEnv, args: &str) -> String {
    let outcome = env.run(&format!("token new {args}")).expect(0);
    assert_eq!(outcome.stderr, "keep it safe: it is shown this once\n");
    outcome.stdout.trim_end().to_owned()
}

#[test]
fn a_token_says_who_holds_it_until_it_is_revoked() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    let portal = token(&env, "portal --scope write --scope read --scope read");
    let other = token(&env, "portal --scope apply --tenant other");
    let mut directory = directory(&env);
    let bearer = directory.verify_token(&portal).unwrap().unwrap();
    assert_eq!((bearer.name.as_str(), bearer.tenant.as_str()), ("portal", "acme"));
    assert_eq!(bearer.scopes, BTreeSet::from([Scope::Read, Scope::Write]));
    let second = directory.verify_token(&other).unwrap().unwrap();
    assert_eq!((second.tenant.as_str(), second.scopes), ("other", BTreeSet::from([Scope::Apply])));
    assert_ne!(second.token, bearer.token);

    // The id alone opens nothing, nor does a token cut, changed or with more behind it.
    for at in 0..portal.len() {
        let mut wrong = portal.clone().into_bytes();
        wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(directory.verify_token(std::str::from_utf8(&wrong).unwrap()).unwrap(), None, "byte {at}");
        assert_eq!(directory.verify_token(&portal[..at]).unwrap(), None, "cut at {at}");
    }
    let mixed = format!("{}{}", &portal[..14], &other[14..]);
    for wrong in [&format!("{portal}A"), &format!("{portal}\0"), &format!(" {portal}"), &mixed] {
        assert_eq!(directory.verify_token(wrong).unwrap(), None);
    }

    let again = env.run("token new portal --scope read").expect(1);
    assert_eq!(
        again.stderr,
        "error: tenant `acme` has a token `portal`\nhint: choose another name, or `reconcile token revoke portal`\n"
    );
    let revoked = env.run("token revoke portal").expect(0);
    assert_eq!(revoked.stdout, "Revoked: the token `portal` of acme is rejected from now on.\n");
    assert_eq!(directory.verify_token(&portal).unwrap(), None);
    assert!(directory.verify_token(&other).unwrap().is_some(), "another tenant's stays");
    assert_eq!(
        env.run("token revoke portal").expect(1).stderr,
        "error: tenant `acme` has no token `portal` in use\nhint: `reconcile token list` lists its tokens\n"
    );
    let renewed = token(&env, "portal --scope read");
    assert_ne!(renewed, portal);
    assert!(directory.verify_token(&renewed).unwrap().is_some());
    assert_eq!(directory.verify_token(&portal).unwrap(), None, "a revoked token stays revoked");
}

#[test]
fn tokens_are_listed_without_their_text() {
    let mut env = TestEnv::new();
    env.set("RECONCILE_LOG", "trace");
    env.write("pbx.yaml", &desired(&[]));
    env.run("migrate").expect(0);
    assert_eq!(env.run("token list").expect(0).stdout, "NAME  SCOPES            CREATED               REVOKED\n");
    let made = env.run("token new ci --scope apply --format json").expect(0);
    let made: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
    assert_eq!((&made["tenant"], &made["name"]), (&"acme".into(), &"ci".into()));
    let text = made["token"].as_str().unwrap();
    assert_eq!((text.len(), &text[..4]), (47, "rct_"));
    let portal = env.run("token new portal --scope write --scope read --scope apply").expect(0);
    let mut seen = portal.stderr.clone();
    for args in
        ["token list", "token list --format json", "token revoke portal", "token list", "token new ci --scope read"]
    {
        seen.push_str(&env.run(args).text());
    }
    seen.push_str(&env.dump());
    for secret in [text, portal.stdout.trim()] {
        assert!(!seen.contains(secret) && !seen.contains(&secret[15..]), "{seen}");
    }
    let list = env.run("token list").expect(0);
    insta::with_settings!({ filters => vec![(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[a moment in time]")] }, {
        insta::assert_snapshot!(list.stdout, @r"
    NAME    SCOPES            CREATED               REVOKED
    ci      apply             [a moment in time]  no
    portal  read,write,apply  [a moment in time]  [a moment in time]
    ");
    });
    let json: serde_json::Value = serde_json::from_str(&env.run("token list --format json").expect(0).stdout).unwrap();
    assert_eq!(json["tokens"][1]["scopes"], serde_json::json!(["read", "write", "apply"]));
    assert!(json["tokens"][0]["revoked_at"].is_null() && json["tokens"][1]["revoked_at"].is_string());
}

#[test]
fn a_token_needs_a_name_and_a_scope() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &desired(&[]));
    env.run("token new portal").expect(64);
    let scope = env.run("token new portal --scope admin").expect(64);
    assert!(scope.stderr.contains("[possible values: read, write, apply, calls]"), "{}", scope.text());
    let name = env.run("token new po/rtal --scope read").expect(64);
    assert!(name.stderr.contains("`po/rtal` cannot name a token"), "{}", name.text());
}
