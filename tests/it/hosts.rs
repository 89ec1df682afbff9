//! Two Asterisk hosts on one database: they share the rows; each renders, verifies and audits its
//! own, and nothing that happens to one of them harms the other.

use std::{fs, path::Path, thread};

use serde_json::Value;

use super::{
    phones::registered,
    sipp::Phone,
    support::{TestEnv, desired, until},
};

const ANA: &str = "email: ana@example.com, name: Ana";
const BO: &str = "email: bo@example.com, name: Bo";
const CY: &str = "email: cy@example.com, name: Cy";

#[test]
fn each_host_is_behind_until_it_applied() {
    let (a, b) = hosts();
    declare([&a, &b], &[ANA, BO]);
    a.run("apply").expect(0);
    let status = b.run("status --detailed-exitcode").expect(2).stdout;
    insta::with_settings!({ filters => FILTERS.to_vec() }, { insta::assert_snapshot!(status) });
    assert!(!b.etc("pjsip.d/acme").exists());

    let applied = b.run("apply").expect(0).stdout;
    assert!(
        applied.contains("Plan: 0 to create, 0 to update, 0 to rename, 0 to delete; 2 files to write."),
        "{applied}"
    );
    assert!(applied.contains("Live: 2 files written; res_pjsip and dialplan reloaded; read back"), "{applied}");
    for host in [&a, &b] {
        host.run("status --detailed-exitcode").expect(0);
    }
    assert_eq!(audit(&a), ["a apply live", "b apply live"]);
    // The same rows give the same bytes, digests included; and that is what runs.
    assert_eq!(a.endpoints("acme"), b.endpoints("acme"));
    assert_eq!(a.ask("pjsip show auth 1001"), b.ask("pjsip show auth 1001"));

    // One more user: each host tells of itself and of the other.
    declare([&a, &b], &[ANA, BO, CY]);
    a.run("apply").expect(0);
    insta::with_settings!({ filters => FILTERS.to_vec() }, {
        insta::assert_snapshot!(a.run("status --detailed-exitcode").expect(0).stdout);
        insta::assert_snapshot!(b.run("status --detailed-exitcode").expect(2).stdout);
    });
    b.run("apply").expect(0);
    let status = a.run("status").expect(0).stdout;
    assert!(!status.contains("behind"), "{status}");
    assert_eq!(a.endpoints("acme"), b.endpoints("acme"));
}

/// One review, one id, two hosts.
#[test]
fn the_second_host_takes_the_id_that_the_first_applied() {
    let (a, b) = hosts();
    declare([&a, &b], &[ANA, BO]);
    for host in [&a, &b] {
        host.run("apply").expect(0);
    }
    declare([&a, &b], &[ANA, BO, CY]);
    b.write("plan.json", &a.run("plan --no-asterisk --format json").expect(0).stdout);
    let id = serde_json::from_str::<serde_json::Value>(&fs::read_to_string(b.path("work/plan.json")).unwrap()).unwrap();
    let id = id["id"].as_str().unwrap().to_owned();
    a.run(&format!("apply --expect {id}")).expect(0);
    for expect in ["plan.json", &id] {
        let applied = b.run(&format!("apply --expect {expect}")).expect(0);
        assert!(applied.stderr.contains("run 3 on a"), "{}", applied.text());
    }
    assert_eq!(a.endpoints("acme"), b.endpoints("acme"));
}

/// The second host's file has the former addresses: whose a phone is, its name and digest say.
#[test]
fn a_rename_ends_no_phone_of_the_second_host_and_logs_none_out() {
    let counts = |host: &TestEnv| {
        let plan: Value = serde_json::from_str(&host.run("plan --format json").expect(0).stdout).unwrap();
        [&plan["counts"]["relogin"], &plan["affected"]["ended"]].map(Value::as_u64)
    };
    let (a, b) = hosts();
    declare([&a, &b], &[ANA, BO, CY]);
    for host in [&a, &b] {
        host.run("apply").expect(0);
    }
    // Ana and Bo exchange their addresses, and what was Cy's is handed on.
    let exchanged = [
        "email: bo@example.com, name: Ana, previously: ana@example.com",
        "email: ana@example.com, name: Bo, previously: bo@example.com",
        "email: cyril@example.com, name: Cy, previously: cy@example.com",
        "email: cy@example.com, name: Cynthia",
    ];
    declare([&a, &b], &exchanged);
    a.run("apply").expect(0);
    assert_eq!(counts(&b), [Some(0), Some(0)], "{}", b.run("plan").text());
    b.run("apply --allow relogins=0").expect(0);
    assert_eq!(a.endpoints("acme"), b.endpoints("acme"));
}

/// The first host made the new secret live; the second one still logs its phone out, and counts it.
#[test]
fn each_host_counts_the_phones_that_it_logs_out() {
    let (a, b) = hosts();
    declare([&a, &b], &[ANA, BO]);
    for host in [&a, &b] {
        host.run("apply").expect(0);
    }
    a.run("secret rotate bo@example.com").expect(0);
    a.run("apply").expect(0);
    assert_eq!(a.run("plan --detailed-exitcode").expect(0).stdout.lines().last(), Some("No changes."));
    let relogin = |host: &TestEnv| {
        let plan = host.run("plan --format json").expect(0).stdout;
        serde_json::from_str::<serde_json::Value>(&plan).unwrap()["counts"]["relogin"].clone()
    };
    assert_eq!([relogin(&a), relogin(&b)], [0, 1]);
    b.run("apply --allow relogins=0").expect(0);
    assert_eq!(relogin(&b), 0);
}

/// The first host took the change, and no row changes any more: the second one still moves its phones, and says so.
#[test]
fn each_host_counts_what_its_own_files_change() {
    let (a, b) = hosts();
    let transports = |host: &TestEnv| {
        let conf = host.etc("pjsip.conf");
        let udp = fs::read_to_string(&conf).unwrap();
        let port = host.sip_port();
        let tcp = format!("\n[transport-tcp]\ntype = transport\nprotocol = tcp\nbind = 127.0.0.1:{port}\n");
        fs::write(&conf, udp + &tcp).unwrap();
        host.ask("module reload res_pjsip.so");
    };
    [&a, &b].into_iter().for_each(transports);
    let own = "email: own@example.com, name: Own, phone: { transport: transport-udp }";
    let declare = |users: &[&str], head: &str| {
        for host in [&a, &b] {
            host.write("pbx.yaml", &desired(users).replacen("users:", &format!("{head}\nusers:"), 1));
        }
    };
    declare(
        &[&USERS[..], &[own]].concat(),
        "phones: { transport: transport-udp }\n\
         trunks: { carrier: { host: 198.51.100.7 } }\n\
         inbound: [ { to: '+4930111111', route: [u0@example.com] }, { to: '+4930222222', route: [u1@example.com] } ]",
    );
    for host in [&a, &b] {
        host.run("apply").expect(0);
    }
    declare(
        &[&USERS[..6], &[own]].concat(),
        "phones: { transport: transport-tcp }\n\
         dialplan: { include: [outbound] }\n\
         trunks: { carrier: { host: 198.51.100.8 } }\n\
         inbound: [ { to: '+4930111111', route: [u0@example.com] }, { to: '+4930222222', route: [u2@example.com] } ]",
    );
    let affected = "Affected: 2 phones are removed, 6 phones must register over another transport, \
                    1 phone can dial other numbers or contexts, 1 trunk changes (carrier), calls to 1 public number may be routed \
                    differently\n";
    let rail = |stopped: &str| stopped.lines().filter(|line| line.starts_with("error[")).map(str::to_owned).collect();
    let planned = a.run("plan --detailed-exitcode").expect(3);
    assert!(planned.stdout.contains(affected), "{}", planned.text());
    let rails: Vec<String> = rail(&planned.stderr);
    assert_eq!(
        rails,
        ["error[rail-relogins]: 6 phones would have to log in again, 6 of them over another transport (allowed 2)"]
    );
    a.run("apply --allow relogins=6").expect(0);

    let planned = b.run("plan --detailed-exitcode").expect(3);
    for line in
        [affected, "; calls in progress and all other registrations are kept\n", "Plan: 0 to create, 0 to update"]
    {
        assert!(planned.stdout.contains(line), "{}", planned.text());
    }
    assert_eq!(rail(&planned.stderr), rails);
    // Rows alone move nobody.
    b.run("sync").expect(0);
    b.run("apply").expect(3);
    b.run("apply --allow relogins=6").expect(0);
    assert_eq!(a.endpoints("acme"), b.endpoints("acme"));
    assert!(!b.run("plan").expect(0).stdout.contains("Affected"));
}

/// Users whom the first host's run deleted are still phones of the second one.
#[test]
fn each_host_counts_the_phones_that_it_ends() {
    let (a, b) = hosts();
    apply_users([&a, &b]);
    declare([&a, &b], &USERS[..4]);
    let stopped = a.run("apply").expect(3).stderr;
    assert!(stopped.contains("error[rail-deletes]: 4 of 8 users would be deleted (allowed 2)"), "{stopped}");
    a.run("apply --allow deletes=4").expect(0);
    let planned = b.run("plan --detailed-exitcode").expect(3);
    assert!(planned.stdout.contains("Affected: 4 phones are removed, 4 phones are unaffected\n"), "{}", planned.text());
    let ends = "error[rail-deletes]: 4 phones of deleted users would be removed (allowed 2)\n";
    assert!(planned.stderr.contains(ends), "{}", planned.text());
    // Rows alone end nothing.
    b.run("sync").expect(0);
    assert!(b.run("apply").expect(3).stderr.contains(ends));
    b.run("apply --allow deletes=4").expect(0);
    assert_eq!(a.endpoints("acme"), b.endpoints("acme"));
}

/// Phones of a file that somebody removed or emptied run all the same.
#[test]
fn phones_are_counted_whose_file_is_gone_on_the_second_host() {
    let (a, b) = hosts();
    apply_users([&a, &b]);
    declare([&a, &b], &USERS[..4]);
    a.run("apply --allow deletes=4").expect(0);
    let file = b.etc("pjsip.d/acme/generated_endpoints.conf");
    for lose in [|file: &Path| fs::write(file, "").unwrap(), |file: &Path| fs::remove_file(file).unwrap()] {
        lose(&file);
        let planned = b.run("plan").expect(0).stdout;
        assert!(planned.contains("Affected: 4 phones are removed, 4 phones are unaffected\n"), "{planned}");
    }
    b.run("apply --allow deletes=4").expect(0);
    assert_eq!(a.endpoints("acme"), b.endpoints("acme"));
}

/// A number that is handed on is one phone that ends, on each host.
#[test]
fn a_number_that_is_handed_on_counts_once_on_the_second_host() {
    let (a, b) = hosts();
    declare([&a, &b], &[ANA, BO]);
    for host in [&a, &b] {
        host.run("apply").expect(0);
    }
    declare([&a, &b], &[ANA, "email: cy@example.com, name: Cy, extension: 1001"]);
    for host in [&a, &b] {
        let plan: Value = serde_json::from_str(&host.run("plan --format json").expect(0).stdout).unwrap();
        assert_eq!([&plan["affected"]["ended"], &plan["affected"]["relogin"]], [1, 0], "{plan:#}");
        host.run("apply --allow relogins=0").expect(0);
    }
    assert_eq!(a.endpoints("acme"), b.endpoints("acme"));
}

/// An operator's mistake on one host is that host's alone, until it is mended.
#[test]
fn a_broken_host_harms_no_other() {
    let (a, b) = hosts();
    declare([&a, &b], &[ANA]);
    for host in [&a, &b] {
        host.run("apply").expect(0);
    }
    let good = b.endpoints("acme");
    let conf = b.etc("pjsip.conf");
    let operators = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{operators}\n[twice]\ntype = endpoint\n[twice]\ntype = endpoint\n")).unwrap();

    declare([&a, &b], &[ANA, BO]);
    b.run("apply").expect(6);
    assert_eq!(b.endpoints("acme"), good, "put back");
    assert!(b.ask("pjsip list endpoints").contains("1000/1000"), "and it runs");
    // The rows stand; the other host takes them all the same.
    a.run("apply").expect(0);
    assert!(a.ask("pjsip list endpoints").contains("1001/1001"));
    let status = a.run("status --detailed-exitcode").expect(0).stdout;
    assert!(
        status.contains(
            "last apply  b: run 3, rolled_back (Asterisk did not take the new files and runs the last good ones; see "
        ),
        "{status}"
    );
    assert!(status.lines().last().unwrap().ends_with("; behind what is recorded"), "{status}");
    b.run("status --detailed-exitcode").expect(2);

    fs::write(&conf, operators).unwrap();
    b.run("apply --again").expect(0);
    assert_eq!(a.endpoints("acme"), b.endpoints("acme"));
    assert_eq!(audit(&a), ["a apply live", "b apply live", "b apply rolled_back", "a apply live", "b apply live"]);
}

/// Both take the tenant's lock in turn, and neither takes the other for a run that was killed.
#[test]
fn both_hosts_may_apply_at_once() {
    let (a, b) = hosts();
    let mut users = vec![ANA.to_owned()];
    for round in 0..5 {
        users.push(format!("email: u{round}@example.com, name: User {round}"));
        declare([&a, &b], &users.iter().map(String::as_str).collect::<Vec<_>>());
        let created: Vec<bool> = thread::scope(|scope| {
            let runs: Vec<_> = [&a, &b].into_iter().map(|host| scope.spawn(|| host.run("apply"))).collect();
            let plans = runs.into_iter().map(|run| run.join().unwrap().expect(0).stdout);
            plans.map(|plan| !plan.contains("Plan: 0 to create,")).collect()
        });
        assert_eq!(created.iter().filter(|created| **created).count(), 1, "one of them records the user");
        assert_eq!(a.endpoints("acme"), b.endpoints("acme"));
    }
    for host in [&a, &b] {
        host.run("status --detailed-exitcode").expect(0);
    }
    let mut runs = audit(&a);
    runs.sort();
    assert_eq!(runs, [["a apply live"; 5], ["b apply live"; 5]].concat());
}

/// An apply that was overtaken on its way is behind, and says so.
#[test]
fn a_host_that_was_overtaken_is_behind() {
    let (mut a, b) = hosts();
    a.write("pbx.yaml", &desired(&[ANA]));
    b.write("pbx.yaml", &desired(&[ANA, BO]));
    a.set("RECONCILE_FAIL_POINT", "committed=delay");
    thread::scope(|scope| {
        let slow = scope.spawn(|| a.run("apply"));
        until("the rows are recorded", || !audit(&b).is_empty());
        b.run("apply").expect(0);
        slow.join().unwrap().expect(0);
    });
    a.set("RECONCILE_FAIL_POINT", "");
    let status = a.run("status --tenant acme --detailed-exitcode").expect(2).stdout;
    assert!(status.contains("pjsip.d/acme/generated_endpoints.conf differs from the database"), "{status}");
    assert!(status.contains("last apply  a: run 1, live, "), "{status}");
    let of_a = status.lines().find(|line| line.starts_with("last apply  a:")).unwrap();
    assert!(of_a.ends_with("; behind what is recorded"), "{status}");
    declare([&a, &b], &[ANA, BO]);
    a.run("apply").expect(0);
    assert_eq!(a.endpoints("acme"), b.endpoints("acme"));
}

#[test]
fn each_host_expires_its_own_old_phones() {
    let (a, b) = hosts();
    declare([&a, &b], &[ANA, BO]);
    for host in [&a, &b] {
        host.run("apply").expect(0);
        Phone::of(host, "bo@example.com").registers();
        assert_eq!(registered(host), ["1001"]);
    }
    declare([&a, &b], &[ANA]);
    a.run("apply").expect(0);
    assert_eq!((registered(&a).len(), registered(&b).len()), (0, 1), "the other host still serves that phone");
    let applied = b.run("apply").expect(0).stdout;
    assert!(applied.contains("1 registration of old phones deleted"), "{applied}");
    assert_eq!(registered(&b), [""; 0]);
}

/// What differs from run to run.
const FILTERS: [(&str, &str); 2] = [(r"postgres://\S+", "[url]"), (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[time]")];

/// Two hosts, `a` and `b`, of one database.
fn hosts() -> (TestEnv, TestEnv) {
    let mut a = TestEnv::with_asterisk();
    a.set("RECONCILE_HOST", "a");
    let b = a.another_host("b");
    (a, b)
}

/// More users than any limit lets go at once.
const USERS: [&str; 8] = [
    "email: u0@example.com, name: User 0",
    "email: u1@example.com, name: User 1",
    "email: u2@example.com, name: User 2",
    "email: u3@example.com, name: User 3",
    "email: u4@example.com, name: User 4",
    "email: u5@example.com, name: User 5",
    "email: u6@example.com, name: User 6",
    "email: u7@example.com, name: User 7",
];

/// Applies [`USERS`] on both.
fn apply_users(hosts: [&TestEnv; 2]) {
    declare(hosts, &USERS);
    for host in hosts {
        host.run("apply").expect(0);
    }
}

/// Checks the same desired state out on both.
fn declare(hosts: [&TestEnv; 2], users: &[&str]) {
    for host in hosts {
        host.write("pbx.yaml", &desired(users));
    }
}

/// The audit log, in order: host, command and outcome.
fn audit(env: &TestEnv) -> Vec<String> {
    let table = "select to_regclass('apply_audit_log') is not null";
    if !env.sql().query_one(table, &[]).unwrap().get::<_, bool>(0) {
        return Vec::new();
    }
    let rows = env.sql().query("select concat_ws(' ', host, command, outcome) from apply_audit_log order by id", &[]);
    rows.unwrap().iter().map(|row| row.get(0)).collect()
}
