//! Calls from a carrier's address over SIP: SIPp plays the carrier, the dialers and a user's phone.

use std::{fmt::Write, fs};

use jiff::Timestamp;
use reconcile::{asterisk::ConfigFile, objects::DefaultCallerId};

use super::{SECRET, declared, files, put, reload, run};
use crate::{
    phones::nothing_in_the_log,
    sipp::Phone,
    support::{TestEnv, until},
};

const DID: &str = "+15559876543";

/// A company with two trunks: `inbound` is what it declares about calls to its number.
fn company(carrier: &Phone, backup: &Phone, inbound: &str) -> String {
    format!(
        "version: 1\n\
         tenant: acme\n\
         extensions: {{ range: 1000-1999 }}\n\
         dialplan: {{ include: [outbound] }}\n\
         trunks:\n  \
           carrier: {{ host: \"{}\", identify: [127.0.0.2] }}\n  \
           backup: {{ host: \"{}\", identify: [127.0.0.4] }}\n\
         dialers:\n  \
           dialfire: {{ number: \"+4930555001\", trunk: carrier, ring: 10s }}\n  \
           agents: {{ number: \"+4930555002\", trunk: backup, ring: 10s, caller_id: caller }}\n\
         hours:\n  \
           office: {{ timezone: Europe/Berlin, open: [\"mon-fri 09:00-18:00\"], closed: [\"2026-12-25\"] }}\n\
         inbound:\n  - {{ to: \"{DID}\", {inbound} }}\n\
         users:\n  - {{ email: bo@example.com, name: Bo, extension: 1001 }}\n",
        carrier.address(),
        backup.address(),
    )
}

/// Turns the clock that rules go by.
fn it_is(env: &TestEnv, moment: &str) {
    let moment: Timestamp = moment.parse().expect("a time");
    env.ask(&format!("dialplan set global TESTTIME {}", moment.as_second()));
}

/// Waits until so many trunks are registered.
fn registered(env: &TestEnv, trunks: usize) {
    let registered = || env.ask("pjsip show registrations").matches(" Registered ").count();
    until("the trunks are registered", || registered() == trunks);
}

/// Callers hear a voice; who it belongs to, by name and number, is nothing that Asterisk tells them.
#[track_caller]
fn tells_nobody(said: &str) {
    let identity = ["P-Asserted-Identity:", "Remote-Party-ID:", "Bo", "1001"];
    let told: Vec<&str> = said.lines().filter(|line| identity.iter().any(|word| line.contains(word))).collect();
    assert_eq!(told, [""; 0], "{said}");
}

#[test]
fn a_call_to_our_number_is_answered_by_the_dialer_who_sees_the_number_that_was_called() {
    let env = TestEnv::bare_with_asterisk();
    let (dialfire, agents) = (Phone::at(&env, "127.0.0.1"), Phone::at(&env, "127.0.0.1"));
    let (answering, _too) = (dialfire.picks_up(), agents.picks_up());
    run(&env, &declared(&company(&dialfire, &agents, "route: [dialfire]")));

    let carrier = Phone::at(&env, "127.0.0.2");
    tells_nobody(&carrier.delivers("+4917099999", DID));
    carrier.delivers("anonymous", &DID[1..]);
    // Other numbers have no route, internal ones and the operator's own are none of the trunk's business.
    for number in ["+15550000000", "1001", "112", "600", "anna"] {
        carrier.delivers_in_vain("404", "+4917099999", number);
    }
    // Who comes from elsewhere is nobody, whatever the name: trunks are known by their address.
    Phone::at(&env, "127.0.0.3").delivers_in_vain("401", "acme-trunk-carrier", DID);
    let log = answering.unplug();
    assert_eq!(log.lines().count(), 2, "{log}");
    for line in log.lines() {
        assert!(line.starts_with("INVITE sip:+4930555001@127.0.0.1:"), "{line}");
        assert_eq!(line.matches(&format!("<sip:{DID}@")).count(), 2, "From and PAI: {line}");
        assert!(!line.contains("Outside") && !line.contains("4917099999"), "{line}");
    }
    nothing_in_the_log(&env);
}

#[test]
fn a_dialer_sees_the_default_caller_id_unless_it_asks_for_the_number_that_was_called() {
    let env = TestEnv::bare_with_asterisk();
    let (dialfire, agents) = (Phone::at(&env, "127.0.0.1"), Phone::at(&env, "127.0.0.1"));
    let carrier = Phone::at(&env, "127.0.0.2");
    for (name, dialer, shown) in [("dialfire", &dialfire, "+15554445555"), ("agents", &agents, DID)] {
        let answering = dialer.picks_up();
        let file = company(&dialfire, &agents, &format!("route: [{name}]"));
        let mut declared = declared(&file.replace("caller_id: caller", "caller_id: called"));
        declared.routes.caller_id = Some(DefaultCallerId("+15554445555".parse().expect("a number")));
        run(&env, &declared);
        carrier.delivers("+4917099999", DID);
        let log = answering.unplug();
        assert_eq!((log.lines().count(), log.contains(&format!("From: <sip:{shown}@"))), (1, true), "{name}: {log}");
    }
    nothing_in_the_log(&env);
}

#[test]
fn the_first_dialer_is_busy_and_the_second_answers() {
    let env = TestEnv::bare_with_asterisk();
    let (dialfire, agents) = (Phone::at(&env, "127.0.0.1"), Phone::at(&env, "127.0.0.1"));
    let (busy, answering) = (dialfire.is_busy(), agents.picks_up());
    run(&env, &declared(&company(&dialfire, &agents, "route: [dialfire, agents]")));

    let carrier = Phone::at(&env, "127.0.0.2");
    carrier.delivers("+4917099999", DID);
    // A caller without a number is shown as the number that was called.
    carrier.delivers("anonymous", DID);
    let log = answering.unplug();
    let shown: Vec<bool> = log.lines().map(|line| line.contains("From: <sip:+4917099999@")).collect();
    assert_eq!(shown, [true, false], "{log}");
    assert!(log.lines().last().is_some_and(|line| line.contains(&format!("From: <sip:{DID}@"))), "{log}");
    assert_eq!(busy.unplug().lines().count(), 2);
    // What a dialer forwards a call to is not followed: it would be dialled at the company's expense.
    let forwarding = dialfire.forwards_to("112");
    let answering = agents.picks_up();
    carrier.delivers("+4917099999", DID);
    assert_eq!((forwarding.unplug().lines().count(), answering.unplug().lines().count()), (1, 1));
    let log = fs::read_to_string(env.path("asterisk/log/full")).expect("a log");
    assert!(log.contains("to 'Local/112@acme-inbound' prevented") && !log.contains("Called Local/112@"), "{log}");
    // Nobody is left who could answer: the caller hears why the last one did not.
    let _busy = (dialfire.is_busy(), agents.is_busy());
    carrier.delivers_in_vain("486", "+4917099999", DID);
    nothing_in_the_log(&env);
}

/// Whoever could transfer a call would dial out at the company's expense: neither who calls over a trunk
/// nor who is reached over one may.
#[test]
fn a_transfer_from_a_trunk_is_rejected_and_the_call_goes_on() {
    let env = TestEnv::bare_with_asterisk();
    let (dialfire, agents) = (Phone::at(&env, "127.0.0.1"), Phone::at(&env, "127.0.0.1"));
    run(&env, &declared(&company(&dialfire, &agents, "route: [dialfire]")));
    let carrier = Phone::at(&env, "127.0.0.2");
    for number in ["112", "1001", "+4917012345"] {
        let answering = dialfire.picks_up();
        carrier.transfers_in_vain("+4917099999", DID, number);
        assert_eq!(answering.unplug().lines().count(), 1);
        let answering = dialfire.picks_up_and_transfers_in_vain(number);
        carrier.delivers("+4917099999", DID);
        assert_eq!(answering.unplug().lines().count(), 1);
    }
    let log = fs::read_to_string(env.path("asterisk/log/full")).expect("a log");
    assert_eq!(log.matches("Endpoint acme-trunk-carrier transfer attempt blocked").count(), 6, "{log}");
    assert_eq!(log.matches("WARNING[").count() + log.matches("ERROR[").count(), 6, "{log}");
    assert!(!log.contains("@outbound:") && !log.contains("@acme-internal:"), "{log}");
}

/// The registration logs in with the digest where the realm is known, and with the plain secret where it
/// is not; the registrars verify what they get.
#[test]
fn a_trunk_registers_at_its_carrier_with_a_digest_or_a_plain_secret() {
    let env = TestEnv::bare_with_asterisk();
    let carriers = ["realm: carrier.example", ""].map(|realm| (Phone::at(&env, "127.0.0.1"), realm));
    let registrars = carriers.each_ref().map(|(carrier, _)| carrier.lets_register("acme", "carrier.example", SECRET));
    let mut file = "version: 1\ntenant: acme\nextensions: { range: 1000-1999 }\nusers: []\ntrunks:\n".to_owned();
    let from = ["127.0.0.2", "127.0.0.3"];
    for ((name, identify), (carrier, realm)) in ["known", "unknown"].into_iter().zip(from).zip(&carriers) {
        let host = carrier.address();
        let _ = writeln!(
            file,
            "  {name}: {{ host: \"{host}\", identify: [{identify}], username: acme, secret: {{ env: X_SECRET }}, register: true, {realm} }}"
        );
    }
    run(&env, &declared(&file));
    registered(&env, 2);
    for registrar in registrars {
        let log = registrar.unplug();
        assert!(log.starts_with("verified true "), "{log}");
        assert!(log.contains("<sip:acme@"), "{log}");
    }
    nothing_in_the_log(&env);
}

/// A carrier with a name and no addresses is known by what Asterisk registered with: a token of its own
/// choice in the contact, which the carrier's calls bear.
#[test]
fn a_carrier_without_addresses_is_known_by_the_registration() {
    let env = TestEnv::bare_with_asterisk();
    let carrier = Phone::at(&env, "127.0.0.1");
    let (busy, idle) = (Phone::at(&env, "127.0.0.1"), Phone::at(&env, "127.0.0.1"));
    let registrar = carrier.lets_register("acme", "carrier.example", SECRET);
    let host = carrier.address().replace("127.0.0.1", "localhost");
    let trunk = format!(
        "trunks:\n  named: {{ host: \"{host}\", username: acme, secret: {{ env: X_SECRET }}, register: true }}\n"
    );
    let file = company(&busy, &idle, "route: [busy]").replace("trunks:\n", &trunk);
    let declared = declared(&file);
    let mut files = files(&declared, &declared.routes);
    // Asterisk asks name servers only, and here is none: the test is one.
    let endpoints = &mut files[ConfigFile::Endpoints];
    endpoints.text = endpoints.text.replace("localhost:", "127.0.0.1:");
    put(&env, files.values());
    reload(&env);
    registered(&env, 1);
    let log = registrar.unplug();
    let token = log.split(";line=").nth(1).and_then(|rest| rest.split(['>', ';']).next()).expect(&log);

    let stranger = Phone::at(&env, "127.0.0.3");
    stranger.delivers_in_vain("401", "+4917099999", DID);
    stranger.with_line("wrong").delivers_in_vain("401", "+4917099999", DID);
    carrier.with_line(token).delivers_in_vain("486", "+4917099999", DID);
    nothing_in_the_log(&env);
}

/// The calls of both come from one address: the contacts that were registered tell them apart.
#[test]
fn two_accounts_at_one_address_are_known_by_their_registrations() {
    let env = TestEnv::bare_with_asterisk();
    let carriers = ["first", "second"].map(|account| (account, Phone::at(&env, "127.0.0.1")));
    let (busy, idle) = (Phone::at(&env, "127.0.0.1"), Phone::at(&env, "127.0.0.1"));
    let registrars =
        carriers.each_ref().map(|(account, carrier)| carrier.lets_register(account, "pbx.example", SECRET));
    let mut trunks = "trunks:\n".to_owned();
    for (account, carrier) in &carriers {
        let host = carrier.address();
        let _ = writeln!(
            trunks,
            "  {account}: {{ host: \"{host}\", username: {account}, secret: {{ env: X_SECRET }}, register: true }}"
        );
    }
    run(&env, &declared(&company(&busy, &idle, "route: [busy]").replace("trunks:\n", &trunks)));
    registered(&env, 2);
    let logs = registrars.map(|registrar| registrar.unplug());
    let tokens = logs
        .each_ref()
        .map(|log| log.split(";line=").nth(1).and_then(|rest| rest.split(['>', ';']).next()).expect(log));
    for ((account, carrier), token) in carriers.iter().zip(tokens) {
        carrier.delivers_in_vain("401", "+4917099999", DID);
        carrier.with_line(token).delivers_in_vain("486", "+4917099999", DID);
        let shown = env.ask(&format!("pjsip show endpoint acme-trunk-{account}"));
        assert_eq!(shown.matches("Match:").count(), 1, "the legend alone has one: {shown}");
    }
    nothing_in_the_log(&env);
}

#[test]
fn outside_the_hours_the_users_phone_rings() {
    let env = TestEnv::bare_with_asterisk();
    let (dialfire, agents) = (Phone::at(&env, "127.0.0.1"), Phone::at(&env, "127.0.0.1"));
    let (answering, _too) = (dialfire.picks_up(), agents.picks_up());
    let inbound = "when: office, route: [dialfire], otherwise: [bo@example.com, busy]";
    run(&env, &declared(&company(&dialfire, &agents, inbound)));
    let bo = Phone::with(&env, "1001".to_owned(), SECRET.to_owned());
    let carrier = Phone::at(&env, "127.0.0.2");

    it_is(&env, "2026-11-20T17:59:59+01:00");
    carrier.delivers("+4917099999", DID);
    it_is(&env, "2026-11-20T18:00+01:00");
    carrier.delivers_in_vain("486", "+4917099999", DID); // Bo's phone is not registered
    let ringing = bo.answers();
    tells_nobody(&carrier.delivers("+4917099999", DID));
    it_is(&env, "2026-12-25T12:00+01:00");
    carrier.delivers("+4917099998", DID);
    it_is(&env, "2025-12-25T12:00+01:00");
    carrier.delivers("+4917099999", DID);

    let rung = ringing.unplug();
    let callers: Vec<bool> = rung.lines().map(|line| line.contains("\"From Outside\" <sip:+491709999")).collect();
    assert_eq!(callers, [true, true], "{rung}");
    assert_eq!(answering.unplug().lines().count(), 2);
    nothing_in_the_log(&env);
}
