//! Trunks by way of an apply: made live, read back, changed and removed, with their secrets unseen.

use crate::{phones::nothing_in_the_log, support::TestEnv};

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
    assert!(env.ask("pjsip show identify acme-trunk-known").contains("Unable to find"));
    env.run("status --detailed-exitcode").expect(0);
    nothing_in_the_log(&env);
}
