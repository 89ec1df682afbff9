//! An identify or a registration that Asterisk did not take: no mark vouches for them, the read-back does.

use std::fs;

use crate::support::TestEnv;

const FILE: &str = "version: 1\ntenant: acme\n\
    trunks:\n  \
      carrier: { host: \"127.0.0.1:9\", identify: [203.0.113.9], username: acme, secret: { env: CARRIER_SECRET }, realm: carrier.example, register: true }\n\
    dialers:\n  desk: { number: \"+4930555001\", trunk: carrier }\n\
    default_route: [desk]\n\
    users: []\n";

/// Sends one type of object elsewhere, as an operator's `sorcery.conf` can.
fn with_elsewhere(module: &str, kind: &str) -> TestEnv {
    let mut env = TestEnv::new();
    let line = format!("[{module}]\n{kind} = config,elsewhere.conf,criteria=type={kind}\n");
    fs::write(env.etc("sorcery.conf"), line).expect("a file");
    fs::write(env.etc("elsewhere.conf"), "").expect("a file");
    env.start_asterisk();
    env.set("CARRIER_SECRET", "canary-of-the-carrier");
    env.write("pbx.yaml", &FILE.split("trunks:").next().map(|head| format!("{head}users: []\n")).expect("a head"));
    env.run("apply").expect(0);
    env.write("pbx.yaml", FILE);
    env
}

#[track_caller]
fn is_put_back(env: &TestEnv, words: &str) {
    let before = env.endpoints("acme");
    let refused = env.run("apply").expect(6);
    assert!(refused.stderr.contains(words), "{}", refused.text());
    assert!(refused.stderr.contains("the last good files were put back"), "{}", refused.text());
    assert_eq!(env.endpoints("acme"), before);
    assert!(env.ask("pjsip show endpoint acme-trunk-carrier").contains("Unable to find"));
    let status = env.run("status --detailed-exitcode").expect(2);
    assert!(status.stdout.contains("differs from the database"), "{}", status.text());
}

#[test]
fn a_trunk_whose_identify_is_lost_is_put_back() {
    let env = with_elsewhere("res_pjsip_endpoint_identifier_ip", "identify");
    is_put_back(&env, "identifies are missing in the running Asterisk: `acme-trunk-carrier`");
}

#[test]
fn a_trunk_whose_registration_is_lost_is_put_back() {
    let env = with_elsewhere("res_pjsip_outbound_registration", "registration");
    is_put_back(&env, "registrations are missing in the running Asterisk: `acme-trunk-carrier`");
}
