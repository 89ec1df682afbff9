//! Numbers, hours and decisions, as their rules say.

use jiff::Timestamp;
use proptest::prelude::*;

use super::{Branch, Call, Fit, decide};
use crate::{
    model::{Caller, CallerClass, CallerId, E164, Prefix},
    objects::{Called, CallerMatch, DefaultRoute, Hours, OpenRange, Routes, Rule, Target, Timezone},
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn number(text: &str) -> E164 {
    text.parse().unwrap()
}

#[test]
fn our_numbers_are_checked() {
    for good in ["+4930123", "+15559876543", "+123456789012345"] {
        assert!(good.parse::<E164>().is_ok(), "{good}");
    }
    for bad in
        ["", "+", "15559876543", "+05559876543", "+1 555 987 6543", "+123456", "+1234567890123456", "+1555987654x"]
    {
        assert!(bad.parse::<E164>().is_err(), "{bad}");
    }
    for bad in ["+*", "49*", "+49", "+0*", "*", "+49**", "+4x*"] {
        assert!(bad.parse::<Prefix>().is_err(), "{bad}");
    }
}

#[test]
fn callers_are_classified_and_never_refused() {
    let cases = [
        ("", CallerClass::Withheld, "withheld"),
        (" ", CallerClass::Withheld, "withheld"),
        ("+", CallerClass::Irregular, "***"),
        ("+ anonymous", CallerClass::Irregular, "***"),
        (" +Anonymous ", CallerClass::Withheld, "withheld"),
        ("anonymous", CallerClass::Withheld, "withheld"),
        ("Restricted", CallerClass::Withheld, "withheld"),
        ("+266696687", CallerClass::Withheld, "withheld"),
        ("7378742833", CallerClass::Withheld, "withheld"),
        // Somebody in Austin, Texas.
        ("+17378742833", CallerClass::E164, "***2833"),
        ("client:ana", CallerClass::Client, "client"),
        ("SIP:ana@example.com", CallerClass::Sip, "sip"),
        ("+4930123456", CallerClass::E164, "***3456"),
        ("+4912", CallerClass::E164, "***"),
        ("+0800918468", CallerClass::Irregular, "***8468"),
        ("030123456", CallerClass::Irregular, "***3456"),
        ("12345", CallerClass::Irregular, "***"),
        ("whatsapp:+4930123456", CallerClass::Irregular, "***3456"),
    ];
    for (text, class, shown) in cases {
        let caller = Caller::new(text);
        assert_eq!((caller.class(), caller.to_string().as_str()), (class, shown), "{text}");
    }
}

fn hours(zone: &str, open: &[&str], closed: &[&str]) -> Hours {
    Hours {
        timezone: Timezone::try_from(zone.to_owned()).unwrap(),
        open: open.iter().map(|range| range.parse().unwrap()).collect(),
        closed: closed.iter().map(|date| date.parse().unwrap()).collect(),
    }
}

#[test]
fn hours_end_before_their_end_and_may_pass_midnight() {
    let office = hours("Europe/Berlin", &["mon-fri 09:00-18:00", "sat 22:00-02:00"], &["2026-12-25"]);
    for (moment, open) in [
        ("2026-11-20T08:59:59+01:00", false),
        ("2026-11-20T09:00+01:00", true),
        ("2026-11-20T17:59:59+01:00", true),
        ("2026-11-20T18:00+01:00", false),
        // The same office, seen from elsewhere.
        ("2026-11-20T12:30-05:00", false),
        ("2026-11-20T11:30-05:00", true),
        // Saturday night.
        ("2026-11-21T21:59+01:00", false),
        ("2026-11-21T22:00+01:00", true),
        ("2026-11-22T01:59+01:00", true),
        ("2026-11-22T02:00+01:00", false),
        // Closed on that day of that year.
        ("2026-12-25T12:00+01:00", false),
        ("2025-12-25T12:00+01:00", true),
        // Summer time: 09:00 is an hour earlier.
        ("2026-07-01T07:00Z", true),
        ("2026-07-01T06:59Z", false),
    ] {
        assert_eq!(office.is_open(at(moment)), open, "{moment}");
    }
    let always = hours("UTC", &["mon-sun 00:00-24:00"], &[]);
    assert!(always.is_open(at("2026-11-22T23:59:59Z")) && always.is_open(at("2026-11-23T00:00Z")));
}

#[test]
fn what_is_no_weekly_range_is_rejected() {
    for bad in [
        "",
        "mon",
        "09:00-18:00",
        "mon 9:00-18:00",
        "mon 09:00",
        "mon 09:00-25:00",
        "mon 24:00-01:00",
        "mon 09:00-09:00",
        "mo 09:00-18:00",
        "mon-fri 09:60-18:00",
        "mon- 09:00-18:00",
        "mon,, 09:00-18:00",
    ] {
        assert!(bad.parse::<OpenRange>().is_err(), "{bad}");
    }
    let days = |text: &str| text.parse::<OpenRange>().unwrap().parts().map(|(day, ..)| day).collect::<Vec<_>>();
    assert_eq!(days("fri-mon 09:00-18:00"), [0, 4, 5, 6]);
    assert_eq!(days("sun 22:00-00:00"), [6]);
}

fn rule(to: &str, from: &[&str], when: Option<&str>, target: &str) -> Rule {
    let from = from.iter().map(|from| from.parse().map_or(CallerMatch::Withheld, CallerMatch::Prefix));
    Rule {
        to: to.parse().map_or(Called::Default, Called::Did),
        from: from.collect(),
        when: when.map(|when| when.parse().unwrap()),
        route: vec![dialer(target)],
        otherwise: None,
        protected: false,
    }
}

fn dialer(name: &str) -> Target {
    Target::Object(name.parse().unwrap())
}

fn example() -> Routes {
    let office = hours("UTC", &["mon-fri 09:00-18:00"], &[]);
    Routes {
        hours: [("office".parse().unwrap(), office)].into(),
        rules: vec![
            rule("default", &[], None, "anything"),
            rule("default", &["+49*"], None, "germany-default"),
            rule("+15559876543", &[], None, "number"),
            rule("+15559876543", &["+49*"], None, "germany"),
            rule("+15559876543", &["+4930*", "+4940*"], Some("office"), "berlin-open"),
            rule("+15559876543", &["withheld"], None, "withheld"),
        ],
        default_route: DefaultRoute(vec![Target::Busy]),
        ..Routes::default()
    }
}

fn reached(routes: &Routes, to: &str, from: &str, moment: &str) -> String {
    let call = Call { to: to.parse().ok(), from: Some(Caller::new(from)), at: at(moment) };
    decide(routes, &call).targets[0].to_string()
}

/// `called` was recorded, and applied, where nothing was declared and where `called` was: both meant the
/// default.
#[test]
fn a_caller_id_that_was_recorded_keeps_its_meaning() {
    let recorded = |text: &str| serde_json::from_str::<CallerId>(text).unwrap();
    assert_eq!(recorded(r#""called""#), CallerId::Default);
    assert_eq!(recorded(r#""caller""#), CallerId::Caller);
    assert_eq!(recorded(r#"{"number":"+15550001111"}"#), CallerId::Number(number("+15550001111")));
    for caller_id in [CallerId::Default, CallerId::Called, CallerId::Caller] {
        assert_eq!(recorded(&serde_json::to_string(&caller_id).unwrap()), caller_id);
    }
}

#[test]
fn the_most_specific_rule_decides() {
    let routes = example();
    let (open, closed) = ("2026-11-20T10:00Z", "2026-11-20T20:00Z");
    for (to, from, moment, target) in [
        ("+15559876543", "+4930123456", open, "berlin-open"),
        ("+15559876543", "+4930123456", closed, "germany"),
        ("+15559876543", "+4989123456", open, "germany"),
        ("+15559876543", "+4412345678", open, "number"),
        ("+15559876543", "anonymous", open, "withheld"),
        // A prefix is for numbers, not for whatever begins like one.
        ("+15559876543", "4930123456", open, "number"),
        ("+15550000000", "+4930123456", open, "germany-default"),
        ("+15550000000", "client:x", open, "anything"),
        ("no number at all", "+1555", open, "anything"),
    ] {
        assert_eq!(reached(&routes, to, from, moment), target, "{to} {from} {moment}");
    }
}

#[test]
fn outside_the_hours_otherwise_decides_or_the_next_rule() {
    let mut routes = example();
    routes.rules[4].otherwise = Some(vec![dialer("night")]);
    assert_eq!(reached(&routes, "+15559876543", "+4930123456", "2026-11-20T20:00Z"), "night");
    routes.rules.clear();
    assert_eq!(reached(&routes, "+15559876543", "+4930123456", "2026-11-20T20:00Z"), "busy");
    routes.default_route = DefaultRoute::NONE;
    let call = Call { to: Some(number("+15559876543")), from: None, at: at("2026-11-20T20:00Z") };
    assert!(decide(&routes, &call).targets.is_empty());
}

#[test]
fn a_decision_lists_every_rule_it_passed() {
    let routes = example();
    let call =
        Call { to: Some(number("+15559876543")), from: Some(Caller::new("+4930123456")), at: at("2026-11-20T20:00Z") };
    let decision = decide(&routes, &call);
    let fits: Vec<Fit> = decision.considered.iter().map(|considered| considered.fit).collect();
    assert_eq!(fits, [Fit::Closed, Fit::OtherCaller, Fit::Decides(Branch::Route)]);
    assert_eq!(decision.rule(), Some(&routes.rules[3]));
}

proptest! {
    /// The order of the rules in the file decides nothing.
    #[test]
    fn file_order_never_matters(
        order in Just((0..6).collect::<Vec<usize>>()).prop_shuffle(),
        to in prop::sample::select(vec!["+15559876543", "+15550000000"]),
        from in "(\\+49(30|40|89)?[0-9]{4,9}|anonymous|client:x|[0-9]{3,9})",
        moment in 1_700_000_000_i64..1_900_000_000,
    ) {
        let routes = example();
        let rules = order.into_iter().map(|at| routes.rules[at].clone()).collect();
        let shuffled = Routes { rules, ..routes.clone() };
        let moment = Timestamp::from_second(moment).unwrap().to_string();
        prop_assert_eq!(reached(&routes, to, &from, &moment), reached(&shuffled, to, &from, &moment));
    }
}

/// Asterisk looks for the name as it is written, and takes what it does not find for UTC.
#[test]
fn a_time_zone_has_its_proper_name_wherever_it_is_looked_up() {
    let name = |text: &str| String::from(crate::objects::Timezone::try_from(text.to_owned()).unwrap());
    assert_eq!(name("europe/berlin"), "Europe/Berlin");
    assert_eq!(name("US/Eastern"), "US/Eastern");
    assert!(crate::objects::Timezone::try_from("Europe/Nowhere".to_owned()).is_err());
}
