//! What else a carrier may put where the called number stands: the name of a user's phone, parameters
//! behind either, and anything at all.

use super::{SECRET, declared, run};
use crate::{phones::nothing_in_the_log, sipp::Phone, support::TestEnv};

const DID: &str = "+15559876543";

/// A provider that dials by SIP has its addresses as a trunk: `pstn` is the carrier of its calls.
fn company(names: &str, provider: &Phone, pstn: &Phone) -> String {
    format!(
        "version: 1\n\
         tenant: xenonz\n\
         extensions: {{ range: 1000-1999 }}\n\
         endpoint_names: {names}\n\
         dialplan: {{ include: [outbound] }}\n\
         trunks:\n  \
           provider: {{ host: \"{}\", identify: [127.0.0.2] }}\n  \
           pstn: {{ host: \"{}\", identify: [127.0.0.4] }}\n\
         dialers:\n  paid: {{ number: \"+4930555001\", trunk: pstn, ring: 10s }}\n\
         inbound:\n  - {{ to: \"{DID}\", route: [bo@example.com, paid] }}\n\
         default_route: [paid]\n\
         users:\n  \
           - {{ email: ana@example.com, name: Ana, extension: 1000 }}\n  \
           - {{ email: bo@example.com, name: Bo, extension: 1001 }}\n",
        provider.address(),
        pstn.address(),
    )
}

#[test]
fn a_trunk_reaches_the_phone_of_a_user_who_gets_calls_by_its_name_and_no_other() {
    // In a pattern some of these letters stand for digits.
    for (names, prefix) in [("extension", ""), ("tenant-extension", "xenonz-")] {
        let env = TestEnv::bare_with_asterisk();
        let (provider, pstn) = (Phone::at(&env, "127.0.0.1"), Phone::at(&env, "127.0.0.1"));
        run(&env, &declared(&company(names, &provider, &pstn)));
        let [ana, bo] =
            ["1000", "1001"].map(|number| Phone::with(&env, format!("{prefix}{number}"), SECRET.to_owned()));
        let twilio = Phone::at(&env, "127.0.0.2");
        let bos = format!("{prefix}1001");

        // Nobody is there: the next target is the provider's business, not the default route's.
        let paid = pstn.picks_up();
        twilio.delivers_in_vain("480", "+4917099999", &bos);
        let (at_anas, at_bos) = (ana.answers(), bo.answers());
        twilio.delivers("+4917099999", &bos);
        twilio.delivers("anonymous", &bos);
        for parameters in [";transport=tcp", ";"] {
            twilio.delivers("+4917099998", &format!("{bos}{parameters}"));
        }
        // Nobody sends calls to Ana: her name is a number like any other, and so is the operator's.
        twilio.delivers("+4917099999", &format!("{prefix}1000"));
        twilio.delivers("+4917099999", &format!("{prefix}1000;transport=tcp"));
        twilio.delivers("+4917099999", "112");
        twilio.delivers("+4917099999", "5e3o39-1001;transport=tcp");
        Phone::at(&env, "127.0.0.3").delivers_in_vain("401", "+4917099999", &bos);

        let rung = at_bos.unplug();
        let callers = ["<sip:+4917099999@", "<sip:anonymous@", "<sip:+4917099998@", "<sip:+4917099998@"];
        assert_eq!(rung.lines().count(), 4, "{rung}");
        assert!(rung.lines().zip(callers).all(|(line, caller)| line.contains(caller)), "{rung}");
        assert_eq!(at_anas.unplug(), "");
        assert_eq!(paid.unplug().lines().count(), 4);
        nothing_in_the_log(&env);
    }
}

#[test]
fn parameters_behind_a_number_are_none_of_it() {
    let env = TestEnv::bare_with_asterisk();
    let (provider, pstn) = (Phone::at(&env, "127.0.0.1"), Phone::at(&env, "127.0.0.1"));
    run(&env, &declared(&company("extension", &provider, &pstn)));
    let bo = Phone::with(&env, "1001".to_owned(), SECRET.to_owned());
    let (ringing, paid) = (bo.answers(), pstn.picks_up());
    let carrier = Phone::at(&env, "127.0.0.2");
    for parameters in [";npdi=yes", ";rn=+12015550000;npdi", ";"] {
        carrier.delivers("+4917099999", &format!("{DID}{parameters}"));
        carrier.delivers("+4917099999", &format!("{}{parameters}", &DID[1..]));
    }
    assert_eq!(ringing.unplug().lines().count(), 6);
    // Other numbers take the default route, whatever they look like; what is shown of them is the number.
    let others = ["+15550000000;rn=+12015550000", "030123", "(555)987", "_x", "%24%7BSHELL(id)%7D"];
    for number in others {
        carrier.delivers("+4917099999", number);
    }
    let log = paid.unplug();
    assert_eq!(log.lines().count(), others.len(), "{log}");
    assert!(log.lines().next().is_some_and(|line| line.contains("From: <sip:+15550000000@")), "{log}");
    assert!(log.lines().nth(1).is_some_and(|line| line.contains("From: <sip:030123@")), "{log}");
    let own = format!("From: <sip:{DID}@");
    assert!(log.lines().skip(2).all(|line| line.contains(&own)) && !log.contains("uid="), "{log}");
    nothing_in_the_log(&env);
}

/// A carrier that knows an account by its name may send that name. Its digits were taken for the called number, and
/// shown to the dialer.
#[test]
fn the_name_of_an_account_is_no_number_of_its_digits() {
    let env = TestEnv::bare_with_asterisk();
    let (provider, pstn) = (Phone::at(&env, "127.0.0.1"), Phone::at(&env, "127.0.0.1"));
    run(&env, &declared(&company("extension", &provider, &pstn)));
    let bo = Phone::with(&env, "1001".to_owned(), SECRET.to_owned());
    let (ringing, paid) = (bo.answers(), pstn.picks_up());
    let carrier = Phone::at(&env, "127.0.0.2");
    let accounts = ["acct1111", "acct1001", "acct15559876543", "acct+15559876543", "15559876543.acct", "1111%22x"];
    for account in accounts {
        carrier.delivers("+4917099999", account);
    }
    assert_eq!(ringing.unplug(), "");
    let log = paid.unplug();
    assert_eq!(log.lines().count(), accounts.len(), "{log}");
    // As by Twilio, a number of ours is shown in its place.
    assert_eq!(log.matches(&format!("From: <sip:{DID}@")).count(), accounts.len(), "{log}");
    nothing_in_the_log(&env);
}
