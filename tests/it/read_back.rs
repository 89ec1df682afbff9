//! What an apply looks at afterwards, object by object, and what it says of that.

use std::fs;

use super::support::{TestEnv, desired};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";

/// A change of the profile is looked at on the phones, not taken for granted.
#[test]
fn a_changed_profile_is_read_back_on_the_phones() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA, BO]));
    env.run("apply").expect(0);
    env.write("pbx.yaml", &desired(&[ANA, BO]).replace("users:", "phones: { codecs: [alaw] }\nusers:"));
    let applied = env.run("apply").expect(0);
    assert!(
        applied.stdout.contains("  ~ phones.codecs  opus,g722,ulaw,alaw -> alaw (reloads 2 phones)\n"),
        "{}",
        applied.text()
    );
    assert!(applied.stdout.contains("read back, 6 changed objects one by one"), "{}", applied.text());
}

/// What a phone shows to others is read back, too.
#[test]
fn a_caller_id_from_another_file_is_read_back() {
    let env = TestEnv::with_asterisk();
    env.write("pbx.yaml", &desired(&[ANA]));
    env.run("apply").expect(0);
    let conf = env.etc("pjsip.conf");
    let own = "\n[1000](+type=endpoint)\ncallerid = \"Boss\" <1>\n";
    fs::write(&conf, fs::read_to_string(&conf).unwrap() + own).unwrap();
    env.write("pbx.yaml", &desired(&["email: ana@example.com, name: Anna"]));
    let stopped = env.run("apply").expect(6).stderr;
    assert!(stopped.contains("`callerid` of `1000` has another value"), "{stopped}");
    assert!(
        stopped.contains("changes `1000`, which reconcile generates: `callerid`: remove that section"),
        "{stopped}"
    );
}

/// The lamp shows what the file says, and not the boxes of others.
#[test]
fn boxes_from_another_file_are_read_back() {
    let env = TestEnv::with_asterisk();
    let company = |user: &str| desired(&[user]).replacen("users:", "voicemail: { users: true }\nusers:", 1);
    env.write("pbx.yaml", &company(ANA).replace("{ users: true }", "{ boxes: { info: { name: Info } } }"));
    env.run("apply").expect(0);
    let conf = env.etc("pjsip.conf");
    let whole = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, whole.clone() + "\n[1000](+type=endpoint)\nmailboxes = 9@acme-boxes\n").unwrap();
    for user in [ANA.replace("name: Ana", "name: Anna"), ANA.to_owned()] {
        env.write("pbx.yaml", &company(&user));
        let stopped = env.run("apply").expect(6).stderr;
        assert!(stopped.contains("`mailboxes` of `1000` has another value"), "{stopped}");
    }
    fs::write(&conf, whole).unwrap();
    env.run("apply --again").expect(0);
}

/// How many were not looked at is said, not left to be worked out.
#[test]
fn a_read_back_says_how_many_objects_it_did_not_compare() {
    let env = TestEnv::with_asterisk();
    let users: Vec<String> = (0..50).map(|n| format!("email: u{n}@example.com, name: User {n}")).collect();
    env.write("pbx.yaml", &desired(&users.iter().map(String::as_str).collect::<Vec<_>>()));
    let applied = env.run("apply").expect(0);
    let said = "; read back: all 150 changed objects are there, 99 compared one by one and 51 not (run 1).\n";
    assert!(applied.stdout.ends_with(said), "{}", applied.text());
}
