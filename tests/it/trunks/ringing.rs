//! A call that rings while an apply changes the rules around its own.

use reconcile::asterisk::ConfigFile::Routing;

use super::{SECRET, declared, files, put, reload};
use crate::{
    phones::nothing_in_the_log,
    sipp::Phone,
    support::{TestEnv, until},
};

const DID: &str = "+15559876543";

/// A company whose rule for the number under test is tried at two dialers; everything else goes to a
/// third one. `rules`, `dialers` and `hours` stand before its own.
fn company([first, second, other]: &[Phone; 3], dialers: &str, hours: &str, rules: &str) -> String {
    let [first, second, other] = [first, second, other].map(Phone::address);
    format!(
        "version: 1\n\
         tenant: acme\n\
         trunks:\n  \
           carrier: {{ host: 127.0.0.2 }}\n  \
           first: {{ host: \"{first}\", identify: [127.0.0.4] }}\n  \
           second: {{ host: \"{second}\", identify: [127.0.0.5] }}\n  \
           other: {{ host: \"{other}\", identify: [127.0.0.6] }}\n\
         dialers:\n{dialers}  \
           desk: {{ number: \"+4930555001\", trunk: first, ring: 60s, caller_id: caller }}\n  \
           evening: {{ number: \"+4930555002\", trunk: second, ring: 60s, caller_id: caller }}\n  \
           other: {{ number: \"+4930555003\", trunk: other }}\n\
         hours:\n{hours}  \
           ever: {{ timezone: Europe/Berlin, open: [\"mon-sun 00:00-24:00\"] }}\n\
         inbound:\n{rules}  \
           - {{ to: \"{DID}\", from: [\"+49*\"], when: ever, route: [desk, evening], otherwise: [other] }}\n  \
           - {{ to: default, route: [desk, other] }}\n\
         default_route: [other]\n\
         users: []\n"
    )
}

/// The rule's targets are tried to their end, whatever comes and goes before and behind it.
#[test]
fn a_call_that_rings_stays_with_its_rule_when_others_come_and_go() {
    let env = TestEnv::with_asterisk();
    let phones = [(); 3].map(|()| Phone::at(&env, "127.0.0.1"));
    let (ringing, answering, other) = (phones[0].rings(), phones[1].picks_up(), phones[2].picks_up());
    let gone = ["+15550000001", "+15550000002"].map(|to| format!("  - {{ to: \"{to}\", route: [other, busy] }}\n"));
    env.write("pbx.yaml", &company(&phones, "", "", &gone.concat()));
    env.run("apply").expect(0);

    let call = Phone::at(&env, "127.0.0.2").delivering("+4917099999", DID);
    until("the first dialer rings", || ringing.log().contains("INVITE sip:+4930555001@"));
    let new = "  - { to: \"+15559876543\", from: [\"+4917*\"], route: [other, busy] }\n";
    let dialers = "  archive: { number: \"+4930555004\", trunk: other }\n";
    let hours = "  closed: { timezone: Europe/Berlin, open: [\"sun 03:00-03:01\"] }\n";
    env.write("pbx.yaml", &company(&phones, dialers, hours, new));
    let applied = env.run("apply --allow public-numbers=2").expect(0);
    assert!(applied.stdout.contains("dialplan reloaded"), "{}", applied.text());

    phones[0].turns_away(&ringing);
    call.ends_well();
    let log = answering.unplug();
    assert!(log.starts_with("INVITE sip:+4930555002@") && log.contains("From: <sip:+4917099999@"), "{log}");
    assert_eq!(ringing.unplug().matches("INVITE").count(), 1);
    // Who calls now is under the new rule, from the same address.
    assert_eq!(other.log(), "");
    Phone::at(&env, "127.0.0.2").delivers("+4917099999", DID);
    assert!(other.unplug().starts_with("INVITE sip:+4930555003@"));
    nothing_in_the_log(&env);
}

/// The steps that rang a phone before its contacts were checked.
const BEFORE: &str = r#"
[acme-ring]
exten => _X!,1,GotoIf($["${AST_SORCERY(res_pjsip,endpoint,${EXTEN},context)}" != "acme-internal"]?unallocated)
 same => n,GotoIf(${ISNULL(${PJSIP_DIAL_CONTACTS(${EXTEN})})}?unavailable)
 same => n,Dial(${PJSIP_DIAL_CONTACTS(${EXTEN})},30)
 same => n,GotoIf($["${DIALSTATUS}" = "NOANSWER"]?unavailable)
 same => n,Hangup(${HANGUPCAUSE})
 same => n(unavailable),Hangup(20)
 same => n(unallocated),Hangup(1)

[acme-phones]
exten => 1001,1,Set(CALLERID(num)=${FROM_NUMBER})
 same => n,Set(CALLERID(name)=${FROM_NAME})
 same => n,Set(CALLERID(pres)=${FROM_SHOWN})
 same => n,GotoIf(${ISNULL(${PJSIP_DIAL_CONTACTS(1001)})}?away)
 same => n,Dial(${PJSIP_DIAL_CONTACTS(1001)},30,I)
 same => n,Goto(acme-next,s,1)
 same => n(away),Return()

"#;

/// Asterisk goes on in the new dialplan at the step behind the one that rings, whatever that is by then.
#[test]
fn a_call_that_rings_while_the_dialplan_of_an_older_version_is_replaced_goes_on() {
    let env = TestEnv::bare_with_asterisk();
    let dialer = Phone::at(&env, "127.0.0.1");
    let file = format!(
        "version: 1\n\
         tenant: acme\n\
         trunks:\n  carrier: {{ host: 127.0.0.2 }}\n  other: {{ host: \"{}\", identify: [127.0.0.6] }}\n\
         dialers: {{ other: {{ number: \"+4930555003\", trunk: other }} }}\n\
         inbound: [{{ to: \"{DID}\", route: [bo@example.com, other] }}]\n\
         users:\n  \
           - {{ email: ana@example.com, name: Ana, extension: 1000 }}\n  \
           - {{ email: bo@example.com, name: Bo, extension: 1001 }}\n",
        dialer.address(),
    );
    let new = files(&declared(&file), &declared(&file).routes);
    let mut old = new.clone();
    let sections = new[Routing].text.split("\n\n").filter(|section| {
        !["[acme-ring]", "[acme-leg]", "[acme-phones]"].iter().any(|name| section.contains(&format!("{name}\n")))
    });
    old[Routing].text = sections.collect::<Vec<_>>().join("\n\n") + BEFORE;
    let [ana, bo] = ["1000", "1001"].map(|name| Phone::with(&env, name.to_owned(), SECRET.to_owned()));
    put(&env, new.values());
    reload(&env);
    bo.registers();
    for inside in [true, false] {
        put(&env, old.values());
        reload(&env);
        let (ringing, answering) = (bo.rings(), dialer.picks_up());
        std::thread::scope(|threads| {
            let call = threads.spawn(|| {
                if inside {
                    ana.is_told("486", "1001");
                } else {
                    Phone::at(&env, "127.0.0.2").delivers("+4917099999", DID);
                }
            });
            until("the phone rings", || ringing.log().contains("Call-ID: "));
            put(&env, new.values());
            reload(&env);
            bo.turns_away(&ringing);
            assert!(call.join().is_ok(), "inside: {inside}");
        });
        ringing.unplug();
        assert_eq!(answering.unplug().lines().count(), usize::from(!inside));
    }
    nothing_in_the_log(&env);
}
