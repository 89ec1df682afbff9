//! What calls are answered with, step by step.

mod dialplan;
mod groups;
mod menus;
mod rooms;
mod voicemail;

use std::collections::BTreeSet;

use jiff::Timestamp;
use proptest::prelude::*;

use super::{
    Dial, Form, Incoming, LeftOut, LiveRoutes, Noun, Outcome, Reason, Reply, Response, Status, Tenants, Verb, What,
    answer, answer_by_default, dial_result, left_out, refuse, status, steps::Step,
};
use crate::{
    model::{CallerId, NumberSource, OutsideLine},
    objects::{Called, DefaultCallerId, DefaultRoute, Dialer, PublicSipHost, Routes, Rule, Target, Trunk},
};

const DID: &str = "+15559876543";

fn target(name: &str) -> Target {
    match name {
        "hangup" => Target::Hangup,
        "busy" => Target::Busy,
        email if email.contains('@') => Target::User(email.parse::<crate::model::Email>().unwrap().key()),
        dialer => Target::Object(dialer.parse().unwrap()),
    }
}

fn dialer(to: &str, caller_id: CallerId, ring: u32) -> Dialer {
    let target = match to.parse() {
        Ok(number) => OutsideLine::Number(NumberSource::Given(number)),
        Err(_) => OutsideLine::Sip(to.to_owned()),
    };
    Dialer { target, caller_id, ring, trunk: None }
}

/// A tenant whose number goes to `route`, everything else to `dialfire`.
fn tenant(slug: &str, did: &str, route: &[&str]) -> LiveRoutes {
    let dialers = [
        ("dialfire", dialer("+15550001111", CallerId::Default, 30)),
        ("zendesk", dialer("sip:acme@talk.example", CallerId::Caller, 20)),
        ("desk", dialer("+15550004444", CallerId::Called, 30)),
        ("fixed", dialer("+15550002222", CallerId::Number("+15550003333".parse().unwrap()), 5)),
    ];
    let rule = Rule {
        to: Called::Did(did.parse().unwrap()),
        from: Vec::new(),
        when: None,
        route: route.iter().map(|name| target(name)).collect(),
        otherwise: None,
        protected: false,
    };
    let routes = Routes {
        dialers: dialers.into_iter().map(|(name, dialer)| (name.parse().unwrap(), dialer)).collect(),
        rules: vec![rule],
        default_route: DefaultRoute(vec![target("dialfire")]),
        public_sip_host: Some(PublicSipHost("pbx.example".to_owned())),
        ..Routes::default()
    };
    let users = [("bo@example.com", "1010"), ("ana@example.com", "1011")];
    let users = users.map(|(email, name)| (email.parse::<crate::model::Email>().unwrap().key(), name.to_owned()));
    LiveRoutes { tenant: slug.parse().unwrap(), run: 1, routes, users: users.into() }
}

fn tenants(list: Vec<LiveRoutes>) -> Tenants {
    list.into_iter().map(|applied| (applied.tenant.clone(), applied)).collect()
}

fn form(pairs: &[(&str, &str)]) -> Form {
    Form::parse(form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().as_bytes())
}

fn asked<T>(query: &str, pairs: &[(&str, &str)], with: impl Fn(&Incoming<'_>) -> T) -> T {
    let (form, query) = (form(pairs), Form::parse(query.as_bytes()));
    let at: Timestamp = "2026-11-20T10:00Z".parse().unwrap();
    with(&Incoming {
        call_sid: "CA1",
        form: &form,
        query: &query,
        base: "https://pbx.example",
        at,
        asks_fallback: false,
    })
}

fn call(tenants: &Tenants, from: &str, to: &str) -> Reply {
    asked("", &[("From", from), ("To", to)], |incoming| answer(tenants, incoming))
}

fn route(route: &[&str]) -> Tenants {
    tenants(vec![tenant("acme", DID, route)])
}

fn dialled(reply: &Reply) -> &Dial {
    let Response(verbs) = &reply.twiml;
    let [Verb::Dial(dial)] = &verbs[..] else { panic!("{verbs:?}") };
    dial
}

fn degraded(reply: &Reply) -> String {
    let What::Answered(answer) = &reply.event.what else { panic!("{:?}", reply.event) };
    answer.degraded.clone().unwrap_or_default()
}

/// Tells the end of a step to the URL that its dial names, as the provider does.
fn ended(reply: &Reply, status: &str, more: &[(&str, &str)]) -> Reply {
    let (path, query) = dialled(reply).action.split_once('?').unwrap();
    assert_eq!(path, "https://pbx.example/webhooks/twilio/dial-result");
    let mut pairs = vec![("DialCallStatus", status), ("From", "+4930123456"), ("To", DID)];
    pairs.extend(more);
    asked(query, &pairs, dial_result)
}

#[test]
fn targets_are_tried_in_turn_until_one_answers() {
    let tenants = route(&["dialfire", "zendesk", "bo@example.com", "fixed"]);
    let first = call(&tenants, "+4930123456", DID);
    assert_eq!(first.target.as_deref(), Some("dialfire"));
    assert_eq!((dialled(&first).timeout, &dialled(&first).nouns[..]), (30, &[Noun::Number("+15550001111".into())][..]));
    let What::Answered(written) = &first.event.what else { panic!() };
    assert_eq!(written.rule.as_deref(), Some("to +15559876543"));
    assert_eq!(written.reason, "to +15559876543: decides");
    assert_eq!(written.targets, ["dialfire", "zendesk", "bo@example.com", "fixed"]);

    let second = ended(&first, "busy", &[("DialSipResponseCode", "486")]);
    assert_eq!(
        (dialled(&second).timeout, &dialled(&second).nouns[..]),
        (20, &[Noun::Sip("sip:acme@talk.example".into())][..])
    );
    let What::Step { step: 0, outcome: Outcome::Busy, sip_code: Some(486), next: Some(next), .. } = &second.event.what
    else {
        panic!("{:?}", second.event)
    };
    assert_eq!((next.step, next.target.as_str()), (1, "zendesk"));
    assert_eq!(second.event.tenant.as_ref().map(ToString::to_string).as_deref(), Some("acme"));

    let third = ended(&second, "no-answer", &[]);
    assert_eq!(dialled(&third).nouns, [Noun::Sip("sip:1010@pbx.example".into())]);
    let fourth = ended(&third, "failed", &[]);
    assert_eq!((dialled(&fourth).timeout, fourth.target.as_deref()), (5, Some("fixed")));
    let fifth = ended(&fourth, "something new", &[]);
    assert_eq!(fifth.twiml, Response(vec![Verb::Hangup]), "past the end");
    assert!(matches!(fifth.event.what, What::Step { step: 3, outcome: Outcome::Failed, next: None, .. }));
}

#[test]
fn an_answered_or_abandoned_call_goes_nowhere_else() {
    let first = call(&route(&["dialfire", "zendesk"]), "+4930123456", DID);
    for status in ["completed", "answered"] {
        let reply = ended(&first, status, &[("DialCallDuration", "42")]);
        assert_eq!(reply.twiml, Response(vec![Verb::Hangup]));
        let What::Step { outcome: Outcome::Answered, duration: Some(42), next: None, .. } = reply.event.what else {
            panic!("{:?}", reply.event)
        };
    }
    assert_eq!(ended(&first, "failed", &[("DialBridged", "true")]).twiml, Response(vec![Verb::Hangup]));
    assert_eq!(ended(&first, "canceled", &[]).twiml, Response(vec![]));
}

#[test]
fn calls_are_rejected_or_ended_if_the_route_says_so() {
    let verbs = |names: &[&str]| call(&route(names), "+4930123456", DID).twiml.0;
    assert_eq!(verbs(&["hangup"]), [Verb::Reject(Reason::Rejected)]);
    assert_eq!(verbs(&["busy", "dialfire"]), [Verb::Reject(Reason::Busy)]);
    assert_eq!(verbs(&[]), [Verb::Reject(Reason::Rejected)], "nobody gets it");
    for end in ["hangup", "busy"] {
        let first = call(&route(&["dialfire", end, "zendesk"]), "+4930123456", DID);
        assert_eq!(ended(&first, "busy", &[]).twiml.0, [Verb::Hangup], "{end}");
    }
}

#[test]
fn the_caller_id_is_one_that_the_provider_takes() {
    let shown = |tenants: &Tenants, from: &str, to: &str| dialled(&call(tenants, from, to)).caller_id.clone();
    let (by_called, as_caller, fixed) = (route(&["dialfire"]), route(&["zendesk"]), route(&["fixed"]));
    let some = |number: &str| Some(number.to_owned());
    assert_eq!(shown(&as_caller, "+4930123456", DID), some("+4930123456"));
    for from in ["", "anonymous", "+266696687", "client:ana", "sip:+4930123456@a.example", "030123", "+0800918468"] {
        assert_eq!(shown(&as_caller, from, DID), some(DID), "{from}");
        assert_eq!(shown(&by_called, from, DID), some(DID), "{from}");
        assert_eq!(shown(&fixed, from, DID), some("+15550003333"), "{from}");
    }
    // The called number is none: one of ours is shown, and what stands in a SIP address is none of ours.
    for to in ["client:support", "", "sip:+49309999999@acme.sip.example"] {
        assert_eq!(shown(&by_called, "client:ana", to), some(DID), "{to}");
    }
    // A call to a SIP domain.
    assert_eq!(shown(&as_caller, "sip:a@b", "sip:+15559876543@acme.sip.example;transport=tls"), some(DID));
    // A default for the whole tenant.
    let mut applied = tenant("acme", DID, &["dialfire"]);
    applied.routes.caller_id = Some(DefaultCallerId("+15554445555".parse().unwrap()));
    let default = tenants(vec![applied]);
    assert_eq!(shown(&default, "+4930123456", DID), some("+15554445555"));
    assert_eq!(shown(&default, "anonymous", "client:support"), some("+15554445555"));
    // The called number was asked for: the default is shown only where none was called.
    let mut applied = tenant("acme", DID, &["desk"]);
    applied.routes.caller_id = Some(DefaultCallerId("+15554445555".parse().unwrap()));
    applied.routes.default_route = DefaultRoute(vec![target("desk")]);
    let called = tenants(vec![applied]);
    for to in [DID, "+15550009999"] {
        assert_eq!(shown(&called, "+4930123456", to), some(to));
    }
    assert_eq!(shown(&called, "client:ana", "client:support"), some("+15554445555"));
    assert_eq!(shown(&route(&["desk"]), "client:ana", ""), some(DID));
}

#[test]
fn where_no_number_of_ours_is_known_the_record_says_that_none_is_shown() {
    let mut applied = tenant("acme", DID, &[]);
    applied.routes.rules.clear();
    let tenants = tenants(vec![applied]);
    let reply = call(&tenants, "client:ana", "client:support");
    assert_eq!(dialled(&reply).caller_id, None);
    assert_eq!(degraded(&reply), "dialfire is dialled without a caller ID: no number of ours is known");
    // A caller's own number, which the provider shows then, is one that it takes.
    assert_eq!(degraded(&call(&tenants, "+4930123456", "client:support")), "");
}

#[test]
fn parameters_behind_the_called_number_are_none_of_it() {
    let mut applied = tenant("acme", DID, &["fixed"]);
    applied.routes.rules[0].route = vec![target("zendesk")];
    let tenants = tenants(vec![applied]);
    for to in [";npdi=yes", ";rn=+12015550000;npdi=yes", ";"].map(|parameters| format!("{DID}{parameters}")) {
        for to in [format!("sip:{to}@acme.sip.example"), to] {
            let reply = call(&tenants, "anonymous", &to);
            assert_eq!(reply.target.as_deref(), Some("zendesk"), "{to}");
            assert_eq!(dialled(&reply).caller_id.as_deref(), Some(DID), "{to}");
        }
    }
}

#[test]
fn targets_that_cannot_be_dialled_are_left_out_and_reported() {
    let mut applied = tenant("acme", DID, &["bo@example.com", "gone@example.com", "zendesk"]);
    let reply = call(&tenants(vec![applied.clone()]), "+4930123456", DID);
    assert_eq!(dialled(&reply).nouns, [Noun::Sip("sip:1010@pbx.example".into())]);
    assert_eq!(degraded(&reply), "gone@example.com is left out: there is no such user");
    applied.routes.public_sip_host = None;
    let reply = call(&tenants(vec![applied.clone()]), "+4930123456", DID);
    assert_eq!(reply.target.as_deref(), Some("zendesk"));
    assert!(degraded(&reply).contains("bo@example.com is left out: there is no `public_sip_host`"));
    applied.routes.rules[0].route.pop();
    let reply = call(&tenants(vec![applied]), "+4930123456", DID);
    assert_eq!(reply.target.as_deref(), Some("dialfire"), "the default route");
    assert!(degraded(&reply).ends_with("nobody is left: the default route is taken"));
}

#[test]
fn the_tenant_is_the_one_with_the_number_else_the_one_in_the_url_else_the_first() {
    let other = "+15550009999";
    let all = tenants(vec![tenant("acme", DID, &["zendesk"]), tenant("zeta", other, &["fixed"])]);
    let whose = |tenants: &Tenants, to: &str, query: &str| {
        let reply = asked(query, &[("To", to)], |incoming| answer(tenants, incoming));
        (reply.event.tenant.as_ref().map(ToString::to_string).unwrap_or_default(), degraded(&reply))
    };
    let fine = |slug: &str| (slug.to_owned(), String::new());
    assert_eq!(whose(&all, DID, "tenant=zeta"), fine("acme"));
    assert_eq!(whose(&all, other, ""), fine("zeta"));
    assert_eq!(whose(&all, "+15551112222", "tenant=zeta"), fine("zeta"));
    let (slug, why) = whose(&all, "+15551112222", "tenant=gone");
    let said = "the URL names the tenant `gone`, and only `acme`, `zeta` have routes: `acme` gets the call";
    assert_eq!((slug.as_str(), why.as_str()), ("acme", said));
    let only = tenants(vec![tenant("zeta", other, &["fixed"])]);
    assert_eq!(whose(&only, "+15551112222", ""), fine("zeta"));
    // The same number of two tenants.
    let both = tenants(vec![tenant("acme", DID, &["zendesk"]), tenant("zeta", DID, &["fixed"])]);
    assert_eq!(whose(&both, DID, "tenant=zeta"), fine("zeta"));
    let (slug, why) = whose(&both, DID, "");
    assert!(slug == "acme" && why.contains("several tenants have the called number"), "{slug}: {why}");
    // It passed on, and the former tenant's routes are still there.
    let later = LiveRoutes { run: 2, ..tenant("zeta", DID, &["fixed"]) };
    assert_eq!(whose(&tenants(vec![tenant("acme", DID, &["zendesk"]), later]), DID, "").0, "zeta");
    // Who has only hours or trunks takes no calls.
    let mut idle = tenant("abel", DID, &[]);
    (idle.routes.rules, idle.routes.default_route) = (Vec::new(), DefaultRoute::NONE);
    assert_eq!(whose(&tenants(vec![idle, tenant("zeta", other, &["fixed"])]), DID, ""), fine("zeta"));
}

/// `check` and `trace` said that Jan is reached; Twilio called somebody else, and the server had not said why.
#[test]
fn targets_that_the_provider_cannot_reach_are_listed() {
    let mut applied = tenant("acme", DID, &["bo@example.com", "zendesk", "hangup", "ghost@example.com"]);
    assert_eq!(left_out(&applied), None, "nobody behind the end of a call is dialled");
    applied.routes.public_sip_host = None;
    let targets = BTreeSet::from(["bo@example.com is left out: there is no `public_sip_host`".to_owned()]);
    assert_eq!(left_out(&applied), Some(LeftOut { targets: targets.clone(), all: false }));
    applied.routes.rules[0].route.remove(1);
    applied.routes.default_route = DefaultRoute(vec![Target::Hangup]);
    assert_eq!(left_out(&applied), Some(LeftOut { targets, all: true }));
    // Calls that come over trunks alone are none of the provider's.
    let trunk = Trunk {
        host: "192.0.2.1".to_owned(),
        identify: Vec::new(),
        username: None,
        realm: None,
        register: false,
        by_registration: false,
    };
    applied.routes.trunks.insert("carrier".parse().unwrap(), trunk);
    applied.routes.dialers.clear();
    assert_eq!(left_out(&applied), None);
}

#[test]
fn without_any_routes_a_call_is_rejected_and_that_is_logged() {
    let nothing = Tenants::new();
    let reply = call(&nothing, "+4930123456", DID);
    assert_eq!(
        (reply.twiml.0.as_slice(), degraded(&reply).as_str()),
        (&[Verb::Reject(Reason::Rejected)][..], "no routes are applied")
    );
    let reply = asked("", &[("To", DID)], |incoming| answer_by_default(&nothing, incoming, "broken"));
    assert_eq!(
        (reply.twiml.0.as_slice(), degraded(&reply).as_str()),
        (&[Verb::Reject(Reason::Rejected)][..], "broken")
    );
    let reply = asked("", &[("To", DID)], |incoming| answer_by_default(&route(&["zendesk"]), incoming, "broken"));
    assert_eq!((reply.target.as_deref(), degraded(&reply).as_str()), (Some("dialfire"), "broken"));
    assert_eq!(asked("", &[], |incoming| refuse(incoming, "x")).twiml.0, [Verb::Reject(Reason::Rejected)]);
}

/// Asks the fallback, as the provider does after what it had asked at `url` failed.
fn fallen_back(tenants: &Tenants, url: &str) -> (Option<u32>, Reply) {
    let reply = asked("", &[("To", DID), ("ErrorUrl", url)], |incoming| {
        answer_by_default(tenants, &Incoming { asks_fallback: true, ..*incoming }, "lost")
    });
    let What::Answered(answer) = &reply.event.what else { panic!("{:?}", reply.event) };
    assert_eq!(answer.fallback, answer.first.as_ref().map(|first| first.step));
    (answer.fallback, reply)
}

#[test]
fn the_fallbacks_chain_begins_where_the_lost_answers_cannot() {
    let tenants = route(&["zendesk", "dialfire"]);
    let step = |url: &str| fallen_back(&tenants, url).0;
    for first in ["", "https://pbx.example/webhooks/twilio?tenant=acme", "https://pbx.example/webhooks/twilio?step=7"] {
        assert_eq!(step(first), Some(1), "{first}");
    }
    let action = dialled(&call(&tenants, "+4930123456", DID)).action.clone();
    assert_eq!(step(&action), Some(2));
    assert_eq!(step(&format!("{action}#rc=2")), Some(2));
    // Behind a proxy it may have another path; and it may be anything.
    assert_eq!(step("https://pbx.example/pbx/webhooks/twilio/dial-result?target=zendesk&step=4"), Some(6));
    assert_eq!(step("https://pbx.example/webhooks/twilio/dial-result?step=x"), Some(2));
    for beyond in ["1001", "2147483646", "4294967295"] {
        assert_eq!(step(&format!("https://pbx.example/webhooks/twilio/dial-result?step={beyond}")), Some(1002));
        let result = asked(&format!("step={beyond}"), &[("DialCallStatus", "busy")], dial_result);
        assert!(matches!(result.event.what, What::Step { step: 1000, .. }), "{:?}", result.event);
    }

    // Its own chain goes on from there.
    let (_, reply) = fallen_back(&tenants, &action);
    let next = ended(&reply, "busy", &[]);
    assert!(matches!(next.event.what, What::Step { step: 2, .. }), "{:?}", next.event);
    // Any other answer has no such step, whatever the request says.
    let first = asked("", &[("To", DID), ("ErrorUrl", &action)], |incoming| answer(&tenants, incoming));
    let What::Answered(first) = first.event.what else { panic!() };
    assert_eq!((first.fallback, first.first.map(|first| first.step)), (None, Some(0)));
}

#[test]
fn a_status_is_taken_in_the_providers_words() {
    let told = |pairs: &[(&str, &str)]| asked("tenant=acme", pairs, status).map(|event| event.what);
    let what = |status, duration| Some(What::Status { status, duration });
    assert_eq!(told(&[("CallStatus", "completed"), ("CallDuration", "12")]), what(Status::Completed, Some(12)));
    assert_eq!(told(&[("CallStatus", "no-answer"), ("Duration", "")]), what(Status::NoAnswer, None));
    assert_eq!(told(&[("CallStatus", "dreaming")]), None);
    assert_eq!(told(&[]), None);
}

proptest! {
    /// Whatever a request holds, there is an answer, which ends after so many steps as there are.
    #[test]
    fn every_call_is_answered(
        pairs in proptest::collection::vec(("From|To|Called|Caller|Direction|CallStatus|\\PC{1,5}", ".{0,12}|\\+[0-9]{1,16}"), 0..8),
        query in "(tenant=[a-z]{0,5}|step=[0-9x]{0,12}|next=.{0,20}|&){0,5}",
        names in proptest::collection::vec(prop::sample::select(vec!["dialfire", "zendesk", "fixed", "bo@example.com", "hangup", "busy"]), 0..6),
    ) {
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let tenants = route(&names);
        let mut reply = asked(&query, &pairs, |incoming| answer(&tenants, incoming));
        let mut steps = 0;
        while matches!(reply.twiml.0[..], [Verb::Dial(_)]) {
            steps += 1;
            reply = ended(&reply, "busy", &pairs.iter().copied().filter(|(name, _)| !name.starts_with("Dial")).collect::<Vec<_>>());
        }
        prop_assert!(steps <= names.len().max(1), "{} steps", steps);
        asked(&query, &pairs, dial_result);
        asked(&query, &pairs, status);
    }

    #[test]
    fn a_step_survives_its_way_through_the_url(
        target in "[a-z0-9_.-]{1,20}(/[0-9])?|[!-~]{1,20}@[a-z]{1,9}\\.example",
        ring in 1_u32..600,
        caller_id in proptest::option::of("\\+[1-9][0-9]{1,14}"),
        to in proptest::collection::vec(
            ("\\+[1-9][0-9]{6,14}|sips?:[a-z0-9_.+-]{1,9}@[a-z0-9.:-]{1,20}", any::<bool>()),
            1..=10,
        ),
    ) {
        let noun = |(to, confirms): (String, bool)| match (to.starts_with('+'), confirms) {
            (true, true) => Noun::Confirmed(to),
            (true, false) => Noun::Number(to),
            (false, _) => Noun::Sip(to),
        };
        let nouns = to.into_iter().map(noun).collect();
        for step in [Step::Dial { target, ring, caller_id, nouns }, Step::Hangup, Step::Busy] {
            prop_assert_eq!(Step::from_text(&step.to_text()), Some(step));
        }
    }
}

/// The dialplan takes a number of ours with and without its `+`, and shows it as the caller ID if `called` is asked for.
#[test]
fn a_called_sip_address_is_read_as_the_dialplan_reads_it() {
    let mut applied = tenant("acme", DID, &["desk"]);
    let other = Rule { to: Called::Did("+15550000001".parse().unwrap()), ..applied.routes.rules[0].clone() };
    applied.routes.rules.insert(0, Rule { route: vec![target("zendesk")], ..other });
    let tenants = tenants(vec![applied]);
    let digits = DID.trim_start_matches('+');
    for to in [
        format!("sip:{DID}@acme.sip.example"),
        format!("SIP:{DID}@acme.sip.example;transport=tls"),
        format!("sips:{digits}@acme.sip.example"),
        format!("sip:{digits};npdi=yes@acme.sip.example"),
        digits.to_owned(),
    ] {
        let reply = call(&tenants, "+4930123456", &to);
        assert_eq!(reply.target.as_deref(), Some("desk"), "{to}");
        assert_eq!(dialled(&reply).caller_id.as_deref(), Some(DID), "{to}");
    }
    // A number that is none of ours is not one because its `+` is missing.
    assert_ne!(call(&tenants, "+4930123456", "sip:49309999999@acme.sip.example").target.as_deref(), Some("desk"));
}
