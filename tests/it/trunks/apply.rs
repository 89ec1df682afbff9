//! Trunks by way of an apply: made live, read back, changed and removed, with their secrets unseen.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt};

use crate::{
    canary::holding,
    phones::nothing_in_the_log,
    serve::server::{Serve, token},
    support::TestEnv,
};

const FILE: &str = "version: 1\ntenant: acme\n\
    trunks:\n  \
      plain: { host: \"127.0.0.1:9\", username: acme, secret: { env: PLAIN_SECRET }, register: true }\n  \
      known: { host: sip.carrier.example, identify: [203.0.113.9/28], username: acme, secret: { env: KNOWN_SECRET }, realm: carrier.example }\n\
    dialers:\n  desk: { number: \"+4930555001\", trunk: known }\n\
    default_route: [desk]\n\
    users: []\n";

#[test]
fn trunks_are_made_live_and_read_back_and_their_secrets_stay_unseen() {
    let mut env = TestEnv::with_asterisk();
    env.set("PLAIN_SECRET", "canary;of-the-plain-trunk");
    env.set("KNOWN_SECRET", "canary-of-the-known-trunk");
    env.write("pbx.yaml", FILE);
    let plan = env.run("plan").expect(0);
    assert!(plan.stdout.contains("+password = (sensitive)\n"), "{}", plan.text());
    env.run("apply").expect(0);
    assert!(env.ask("pjsip show auth acme-trunk-plain").contains("canary;of-the-plain-trunk"));
    assert!(!env.endpoints("acme").contains("canary-of-the-known-trunk"), "a digest where the realm is given");
    assert!(env.ask("pjsip show identify acme-trunk-known").contains("203.0.113.0/28"));
    env.run("plan --detailed-exitcode").expect(0);
    env.run("status --detailed-exitcode").expect(0);

    // Another secret is a change that is seen, and nothing else of it.
    env.set("PLAIN_SECRET", "canary-of-another-day");
    let plan = env.run("plan --detailed-exitcode").expect(2);
    assert!(plan.stdout.contains("-password = (sensitive)\n+password = (sensitive)\n"), "{}", plan.text());
    assert_eq!(plan.stdout.matches("(sensitive)").count(), 2, "{}", plan.text());
    env.run("apply").expect(0);
    assert!(env.ask("pjsip show auth acme-trunk-plain").contains("canary-of-another-day"));

    // A trunk that stops registering, and trunks that were removed, are gone from the running Asterisk.
    env.write("pbx.yaml", &FILE.replace(", register: true", ""));
    env.run("apply").expect(0);
    assert!(env.ask("pjsip show registration acme-trunk-plain").contains("Unable to find"));
    env.write("pbx.yaml", "version: 1\ntenant: acme\nusers: []\n");
    env.run("apply").expect(0);
    // The files before the last good ones hold the secret until the next change.
    env.write("pbx.yaml", "version: 1\ntenant: acme\nusers: [{ email: ana@example.com, name: Ana }]\n");
    env.run("apply").expect(0);
    assert!(env.ask("pjsip show identify acme-trunk-known").contains("Unable to find"));
    env.run("status --detailed-exitcode").expect(0);
    nothing_in_the_log(&env);
}

/// What the operator tried by hand before the trunk was declared: mistakes that Asterisk quotes with the secret
/// in them, the one behind a key that tells and the other not, and what is told of them.
const BY_HAND: [(&str, &str); 2] = [
    ("type = auth\nauth_type = digest\npassword_digest = ", "Error parsing password_digest= (sensitive)\n"),
    ("type = aor\nmax_contacts = ", "Error parsing max_contacts=(sensitive) at line "),
];

/// A name given twice: Asterisk takes no endpoint of ours any more.
const TWICE: &str = "\n[acme-trunk-plain]\ntype = endpoint\n";

/// The secret of a trunk without a realm stands in Asterisk's file in plain, and so in its complaints.
#[test]
fn a_secret_that_asterisk_quotes_in_its_complaints_is_shown_nowhere() {
    const SECRET: &str = "canary-of-the-plain-trunk";
    let mut env = TestEnv::with_asterisk();
    env.set("PLAIN_SECRET", SECRET);
    env.set("KNOWN_SECRET", "canary-of-the-known-trunk");
    env.set("RECONCILE_LOG", "trace");
    env.write("pbx.yaml", FILE);
    env.run("apply").expect(0);
    let good = fs::read_to_string(env.etc("pjsip.conf")).unwrap();
    env.write("pbx.yaml", &FILE.replace("127.0.0.1:9", "127.0.0.1:19"));
    for (mistake, told) in BY_HAND {
        fs::write(env.etc("pjsip.conf"), format!("{good}{TWICE}[by-hand]\n{mistake}{SECRET}\n")).unwrap();
        let refused = env.run("apply --again --format json").expect(6);
        assert!(refused.stderr.contains(told), "{}", refused.text());
        let quoted = told.replace(" (sensitive)\n", SECRET).replace("(sensitive)", SECRET);
        let log = fs::read_to_string(env.path("asterisk/log/full")).unwrap();
        assert!(log.contains(&quoted), "{quoted}: {log}");
    }
    // Files that were put back are not applied over HTTP again, and others are.
    env.write("pbx.yaml", &FILE.replace("127.0.0.1:9", "127.0.0.1:29"));
    env.run("sync").expect(0);
    let serve = Serve::start(&env, "--no-webhook");
    let answer = serve.client(&token(&env, "portal", "apply")).apply("").expect(502);
    env.hear("POST /apply", &answer.text);
    assert!(answer.text.contains("max_contacts=(sensitive)"), "{}", answer.text);
    for command in ["history", "history --format json", "history 2", "history 2 --format json", "status --format json"]
    {
        env.run(command);
    }
    drop(serve);
    // The way back holds it too, and is ours alone.
    let kept = holding(&BTreeSet::from([SECRET.to_owned()]), &env.path("state"), &[]);
    for path in &kept {
        assert!(path.ends_with("/last_good_endpoints.conf"), "{kept:?}");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o600, "{path}");
    }
    assert_eq!(kept.len(), 1);

    fs::write(env.etc("pjsip.conf"), good).unwrap();
    env.run("apply --again").expect(0);
    // Nothing of it stays when it is not needed any more: the files before the last good ones hold it until the next change.
    for users in ["[]", "[{ email: ana@example.com, name: Ana }]"] {
        env.write("pbx.yaml", &format!("version: 1\ntenant: acme\nusers: {users}\n"));
        env.run("apply").expect(0);
    }
}

/// Carriers need options that the file does not have; the docs say where they go.
#[test]
fn an_apply_keeps_the_options_that_the_operator_adds_to_a_trunk() {
    let env = TestEnv::with_asterisk();
    let own = "\n[acme-trunk-carrier](+type=endpoint)\nfrom_domain = carrier.example\nmedia_encryption = sdes\n";
    let conf = env.etc("pjsip.conf");
    fs::write(&conf, fs::read_to_string(&conf).unwrap() + own).unwrap();
    for host in ["192.0.2.1", "192.0.2.2"] {
        let trunk = format!("version: 1\ntenant: acme\nusers: []\ntrunks: {{ carrier: {{ host: {host} }} }}\n");
        env.write("pbx.yaml", &trunk);
        env.run("apply").expect(0);
        let endpoint = env.ask("pjsip show endpoint acme-trunk-carrier");
        let has = |key: &str, value: &str| endpoint.lines().any(|line| line.split_whitespace().eq([key, ":", value]));
        assert!(has("from_domain", "carrier.example") && has("media_encryption", "sdes"), "{endpoint}");
    }
}

/// Asterisk would give an address's calls to either of them.
#[test]
fn an_address_leads_to_one_tenant_of_a_host() {
    let env = TestEnv::new();
    let file = |tenant: &str, identify: &str| {
        let trunk = format!("  carrier: {{ host: sip.carrier.example, identify: [{identify}] }}\n");
        env.write(&format!("{tenant}.yaml"), &format!("version: 1\ntenant: {tenant}\nusers: []\ntrunks:\n{trunk}"));
    };
    file("acme", "203.0.113.7, 198.51.100.0/24");
    file("bolt", "192.0.2.1, 203.0.113.0/28");
    env.run("apply --no-reload -f acme.yaml").expect(0);
    let before = (env.dump(), env.files());
    assert_eq!(
        env.run("apply --no-reload -f bolt.yaml").expect(3).stderr,
        "error[rail-taken-names]: calls from `203.0.113.0/28` of `bolt-trunk-carrier` already belong to the tenant `acme` on this host\nhint: an address can belong to one tenant only: narrow `identify`, or declare both trunks in one tenant\n"
    );
    assert!((env.dump(), env.files()) == before, "something moved");
    file("bolt", "192.0.2.1, 203.0.113.8/29");
    env.run("apply --no-reload -f bolt.yaml").expect(0);
}
