//! What phones and carriers send is data: a contact, a redirect or a text message rings nobody else, on the real
//! Asterisk.

use std::{fs, net::UdpSocket, time::Duration};

use super::{SECRET, declared, run};
use crate::{
    phones::nothing_in_the_log,
    sipp::{Phone, Running},
    support::{TestEnv, until},
};

const DID: &str = "+15559876543";

/// A company with a carrier, whose calls ring the phone `1001`, and more phones.
fn company(carrier: &Phone) -> String {
    format!(
        "version: 1\n\
         tenant: acme\n\
         extensions: {{ range: 1000-1999 }}\n\
         dialplan: {{ include: [outbound] }}\n\
         trunks:\n  carrier: {{ host: \"{}\", identify: [127.0.0.2] }}\n\
         inbound:\n  - {{ to: \"{DID}\", route: [bo@example.com] }}\n\
         users:\n  \
           - {{ email: ana@example.com, name: Ana, extension: 1000 }}\n  \
           - {{ email: bo@example.com, name: Bo, extension: 1001 }}\n  \
           - {{ email: cy@example.com, name: Cy, extension: 1002 }}\n  \
           - {{ email: di@example.com, name: Di, extension: 1003, phone: {{ devices: 15 }} }}\n  \
           - {{ email: ed@example.com, name: Ed, extension: 1004, phone: {{ devices: 2 }} }}\n",
        carrier.address(),
    )
}

/// The company on a running Asterisk. The carrier and Cy's phone would answer any call that came to them.
struct Attack {
    env: TestEnv,
    ana: Phone,
    bo: Phone,
    outside: Phone,
    victims: [Running; 2],
}

impl Attack {
    fn new() -> Self {
        let env = TestEnv::bare_with_asterisk();
        let carrier = Phone::at(&env, "127.0.0.1");
        run(&env, &declared(&company(&carrier)));
        let [ana, bo, cy] = ["1000", "1001", "1002"].map(|number| phone(&env, number));
        let victims = [carrier.picks_up(), cy.answers()];
        let outside = Phone::at(&env, "127.0.0.2");
        Self { env, ana, bo, outside, victims }
    }

    /// Nobody was called who should not have been.
    #[track_caller]
    fn rang_nobody(self) -> TestEnv {
        for victim in self.victims {
            assert_eq!(victim.unplug(), "");
        }
        let log = log(&self.env);
        for leak in ["@outbound:", "ast_msg_queue"] {
            assert!(!log.contains(leak), "{leak}: {log}");
        }
        let called: Vec<&str> = log.lines().filter(|line| line.contains("app_dial.c: Called")).collect();
        let others = ["acme-trunk", "Local/", "PJSIP/1002"];
        assert!(!called.iter().any(|line| others.iter().any(|other| line.contains(other))), "{called:?}");
        self.env
    }
}

fn phone(env: &TestEnv, number: &str) -> Phone {
    Phone::with(env, number.to_owned(), SECRET.to_owned())
}

fn log(env: &TestEnv) -> String {
    fs::read_to_string(env.path("asterisk/log/full")).expect("a log")
}

/// One phone's registration rang other tenants' phones, ran a Gosub into any context, chose options of Dial, had
/// the carrier's credentials answer the phone's challenge, and led the call away.
#[test]
fn a_hostile_contact_is_never_dialled() {
    let attack = Attack::new();
    let contacts = [
        "<sip:a&PJSIP/1002@HERE>",
        "<sip:a&PJSIP/1002&PJSIP/1002/sip:z@HERE>",
        "<sip:a&PJSIP/acme-trunk-carrier@HERE>",
        "<sip:a&PJSIP/acme-trunk-carrier/sip:x@HERE>",
        "<sip:a&Local/112@HERE>",
        "<sip:a,7,U(outbound)@HERE>",
        "<sip:a,7,G(outbound)@HERE>",
        "<sip:x@HERE;maddr=127.0.0.1>",
        "<sip:x@HERE;MAddr=127.0.0.1>",
        "<sip:x@HERE;%6daddr=127.0.0.1>",
        "<sip:x@HERE;ob;maddr=127.0.0.1;lr>",
        "<sip:x@HERE?Route=%3Csip:127.0.0.1%3Blr%3E>",
        "<sip:x@HERE?X-Evil=1>",
        "<sip:$%7bSHELL(id)%7d@HERE>",
        "<sip:x;a=b@HERE>",
        "<sip:x:y@HERE>",
        // Within the arguments of a function, these end the arguments.
        "<sip:x):0@HERE;a=b&PJSIP/1002>",
        "<sip:x):0@HERE;a=b&Local/112>",
        "<sip:x):0,30,U(outbound)@HERE>",
        "<sip:x):0@HERE;maddr=127.0.0.1>",
        "<sip:((x@HERE>",
    ];
    for contact in contacts {
        attack.bo.registers_as(contact);
        let listening = attack.bo.picks_up();
        attack.ana.is_told("480", "1001");
        attack.outside.delivers_in_vain("480", "+4917099999", DID);
        assert_eq!(listening.unplug(), "", "{contact}");
    }
    let env = attack.rang_nobody();
    let log = log(&env);
    assert!(!log.contains("app_dial.c: Called"), "{log}");
    let told = log.matches("a contact of 1001 is no plain SIP address and does not ring").count();
    assert_eq!(told, 4 * contacts.len(), "{log}");
    nothing_in_the_log(&env);
}

#[test]
fn the_honest_contacts_of_every_kind_of_phone_ring() {
    let attack = Attack::new();
    for contact in [
        "<sip:1001@HERE>",
        "<sip:HERE>",
        "<sip:user%20name@HERE>",
        "<sip:*%2B1@HERE>",
        "<sip:1001@HERE;ob>",
        "<sip:1001@HERE;alias=198.51.100.7~5060~1>",
        "<sip:1001@HERE;rinstance=8f3a2b1c;transport=udp>",
        "<sip:ab12cd34@ab12cd34.invalid;transport=ws>;+sip.instance=\"<urn:uuid:f81d4fae>\"",
        "<sip:1001@HERE;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>",
        "<sip:1001@HERE;x=2001:db8::7:5060;pn-prid=AAAA-bb_cc:remote>",
    ] {
        attack.bo.registers_as(contact);
        let answering = attack.bo.picks_up();
        attack.ana.reaches("1001");
        attack.outside.delivers("+4917099999", DID);
        assert_eq!(answering.unplug().lines().count(), 2, "{contact}");
    }
    let env = attack.rang_nobody();
    nothing_in_the_log(&env);
}

/// What only another transport or another network could show: the check itself, on the lines that are rendered.
#[test]
fn an_ipv6_host_and_sips_are_plain_and_a_lone_bracket_is_not() {
    let env = TestEnv::bare_with_asterisk();
    let carrier = Phone::at(&env, "127.0.0.1");
    run(&env, &declared(&company(&carrier)));
    let routing = fs::read_to_string(env.etc("extensions.d/acme/generated_routing.conf")).expect("a file");
    let check: Vec<&str> = routing.lines().skip_while(|line| !line.contains("Set(CONTACT=")).skip(1).take(3).collect();
    assert!(check[0].contains("REGEX(") && check[2].contains("LEN("), "{check:?}");
    let contacts = [
        ("sip:1001@[2001:db8::7]:5060;ob", true),
        ("sip:[::1]", true),
        ("sips:1001@198.51.100.7:5061", true),
        ("sip:1001@[::1", false),
        // Asterisk removes backslashes from the expression: `[[..]` would match these, and what stands behind the contact
        // in the dial string would become part of it.
        ("sip:b@[:[[::1]:5070;q=338", false),
        ("sip:x@[[::1]", false),
        ("sip:x@[[[[[]", false),
        ("sip:x@::1]", false),
        ("sip:x@[::1]]", false),
        ("sip:x@[]", false),
        ("sip:[", false),
        ("sip:x@[::1]:5060]", false),
        ("sip:x[1]@host", false),
        ("sip:1001@host;a=[", false),
        ("sip:[1001@host", false),
        ("sip:1001@host;maddr", false),
        ("sip:1001@host;a=b,i", false),
        ("tel:1001", false),
        ("sip:x):0@host;a=b&PJSIP/1002", false),
        ("sip:x):0@host", false),
        ("sip:x(@host", false),
        ("sip:1001@host;a=^", false),
    ];
    let mut probe = "[probe]\n".to_owned();
    for (number, (contact, _)) in contacts.iter().enumerate() {
        let contact = contact.replace(';', "\\;");
        probe = probe
            + &format!("exten => {number},1,Set(CONTACT={contact})\n")
            + &check.iter().flat_map(|line| [*line, "\n"]).collect::<String>()
            + &format!(
                " same => n,Set(GLOBAL(PROBE{number})=plain)\n same => n,Hangup()\n same => n(odd),Set(GLOBAL(PROBE{number})=odd)\n"
            );
    }
    fs::write(env.etc("extensions.d/lab/generated_routing.conf"), probe).expect("a file");
    env.ask("dialplan reload");
    for (number, (contact, plain)) in contacts.iter().enumerate() {
        env.ask(&format!("channel originate Local/{number}@probe application Wait 1"));
        let wanted = format!("PROBE{number}={}", if *plain { "plain" } else { "odd" });
        until(contact, || env.ask("dialplan show globals").contains(&wanted));
    }
}

/// Whoever registers first cannot silence the rest, and a device that stopped answering costs no call.
#[test]
fn a_hostile_contact_is_dropped_alone_and_fifteen_devices_ring() {
    let attack = Attack::new();
    let [hostile, honest] = [(); 2].map(|()| phone(&attack.env, "1004"));
    hostile.registers_as("<sip:a&PJSIP/1002@HERE>");
    let answering = honest.answers();
    attack.ana.reaches("1004");
    assert_eq!(answering.unplug().lines().count(), 1);

    let di = phone(&attack.env, "1003");
    for device in 0..15 {
        di.registers_as(&format!("<sip:device{device}@HERE;token={}>", "x".repeat(150)));
    }
    let _answering = di.picks_up();
    attack.ana.reaches("1003");
    let env = attack.rang_nobody();
    let called = log(&env).matches("Called PJSIP/1003/sip:device").count();
    assert_eq!(called, 15, "{}", log(&env));
}

/// A phone's own redirect led to every context and tenant, for callers from outside too.
#[test]
fn a_phones_redirect_is_not_followed() {
    let attack = Attack::new();
    for target in ["Local%2F112%40outbound", "PJSIP%2F1002", "PJSIP%2F1002%40acme-trunk-carrier", "112", "1002"] {
        attack.bo.registers();
        let forwarding = attack.bo.forwards_to(target);
        attack.ana.is_told("480", "1001");
        attack.outside.delivers_in_vain("480", "+4917099999", DID);
        assert_eq!(forwarding.unplug().lines().count(), 2, "{target}");
    }
    let env = attack.rang_nobody();
    nothing_in_the_log(&env);
}

/// Asterisk runs the dialplan for a text message as for a call: 112 and the carrier, without a password from the
/// trunk's address.
#[test]
fn a_text_message_runs_no_dialplan() {
    let attack = Attack::new();
    for number in ["112", "600", "1001", "1002"] {
        attack.ana.writes_in_vain(number, true);
    }
    for number in [DID, &DID[1..], "112", "1001"] {
        attack.outside.writes_in_vain(number, false);
    }
    let env = attack.rang_nobody();
    assert!(!log(&env).contains("pbx.c: Executing"), "{}", log(&env));
}

/// Asterisk passes the `Diversion` header on, with a name and number that a withheld call shows to nobody.
#[test]
fn the_redirecting_number_is_sent_to_no_carrier() {
    let env = TestEnv::bare_with_asterisk();
    let carrier = Phone::at(&env, "127.0.0.1");
    let company = company(&carrier).replace(
        "inbound:\n",
        "dialers: { desk: { number: \"+4930111\", trunk: carrier } }\n\
         groups: { sales: { members: [\"+4930111\", bo@example.com], trunk: carrier } }\ninbound:\n  - { to: \"+15559876544\", route: [sales] }\n",
    );
    run(&env, &declared(&company.replace("route: [bo@example.com]", "route: [desk]")));
    let outside = Phone::at(&env, "127.0.0.2");
    for to in [DID, "+15559876544"] {
        // The member of a group confirms that it takes the call.
        let answering = carrier.picks_up_late(Some('1'), None);
        let from = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
        let diversion = "Diversion: \"Secret\" <sip:+4930777@h>;reason=user-busy";
        outside.delivers_speech_as(from, diversion, to, Duration::from_secs(4)).ends_well();
        let asked = answering.unplug_and_tell();
        assert!(asked.contains("INVITE sip:+4930111@"), "{asked}");
        assert!(!asked.contains("Diversion") && !asked.contains("4930777"), "{asked}");
    }
}

/// A member of a group forwarded the line to the group's number: one call became 35 to the carrier within 14 seconds, and
/// nobody could dial 112 any more.
#[test]
fn a_call_that_comes_back_again_and_again_ends() {
    let Attack { env, bo, .. } = Attack::new();
    bo.registers();
    let answers = bo.picks_up();
    let carrier = || Phone::at(&env, "127.0.0.2");
    let loops: Vec<Running> =
        (0..10).map(|_| carrier().delivering_for("+4917099999", DID, Duration::from_secs(6))).collect();
    until("ten calls are up", || env.ask("core show channels count").contains("10 active calls"));
    carrier().delivers_in_vain("486", "+4917099999", DID);
    // Another caller gets through, and so does this one once the others are over.
    carrier().delivers("+4917088888", DID);
    for call in loops {
        call.ends_well();
    }
    carrier().delivers("+4917099999", DID);
    drop(answers);
    nothing_in_the_log(&env);
}

/// 217 calls to `*98` by one phone filled Asterisk, and nobody could dial 112 any more.
#[test]
fn a_phone_that_calls_again_and_again_leaves_room_for_others_and_for_emergency_calls() {
    let Attack { env, ana, bo, .. } = Attack::new();
    bo.registers();
    let answers = bo.picks_up();
    // A phone of SIPp has one call at a time.
    let ana_again = || phone(&env, "1000");
    let calls: Vec<Running> = (0..30).map(|_| ana_again().calls("1001", Duration::from_secs(12))).collect();
    until("thirty calls are up", || env.ask("core show channels count").contains("30 active calls"));
    ana.is_told("486", "1001");
    phone(&env, "1003").reaches("1001");
    ana.reaches("112");
    for call in calls {
        call.ends_well();
    }
    ana.reaches("1001");
    drop(answers);
    nothing_in_the_log(&env);
}

/// A carriage return in a name was sent on, and a phone may take it for the end of a header.
#[test]
fn a_control_character_in_a_callers_name_reaches_no_phone() {
    let Attack { env, bo, .. } = Attack::new();
    bo.registers();
    let answers = bo.picks_up();
    let socket = UdpSocket::bind("127.0.0.2:0").unwrap();
    let from = socket.local_addr().unwrap();
    let server = format!("127.0.0.1:{}", env.sip_port());
    let invite = format!(
        "INVITE sip:{DID}@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK-name\r\nMax-Forwards: 70\r\n\
         From: \"a\rX-Evil: 1\rb\" <sip:+4917099999@{from}>;tag=n\r\nTo: <sip:{DID}@{server}>\r\nCall-ID: name@{from}\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:x@{from}>\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send_to(invite.as_bytes(), server).unwrap();
    until("the phone rings", || answers.log().contains("INVITE"));
    let said = answers.log();
    assert!(said.contains("+4917099999") && !said.contains("X-Evil") && !said.contains('\r'), "{said:?}");
}
