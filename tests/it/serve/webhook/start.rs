//! When the server starts with a webhook, and when it refuses to.

use serde_json::{Value, json};

use super::provider::{DID, Provider, applied, environment, form, routes};
use crate::serve::server::{Serve, token};
use crate::support::until;

const CALL: &[(&str, &str)] = &[("CallSid", "CA1"), ("To", DID)];

#[test]
fn without_a_token_calls_are_answered_only_on_request() {
    let mut env = environment();
    env.unset("TWILIO_AUTH_TOKEN");
    let reader = token(&env, "reader", "read");

    // Nothing is routed yet: the portal needs no token.
    let serve = Serve::start(&env, "");
    for path in ["", "/dial-result", "/status", "/fallback"] {
        let answer = Provider::of(&serve).send(&format!("/webhooks/twilio{path}"), CALL).expect(404);
        assert_eq!(answer.error(), "NotFound");
    }
    drop(serve);

    applied(&env, "acme", 1, &routes(DID, &json!([{ "dialer": "dialfire" }])));
    let refused = env.run("serve --listen 127.0.0.1:0").expect(64).stderr;
    assert!(
        refused.contains("inbound routes are applied") && refused.contains("hint: set TWILIO_AUTH_TOKEN"),
        "{refused}"
    );
    env.set("TWILIO_AUTH_TOKEN", " , ");
    env.run("serve --listen 127.0.0.1:0").expect(64);
    env.unset("TWILIO_AUTH_TOKEN");

    let serve = Serve::start(&env, "--no-webhook");
    Provider::of(&serve).send("/webhooks/twilio", CALL).expect(404);
    let metrics = serve.client(&reader).get("/metrics").expect(200).text;
    assert!(metrics.contains("reconcile_webhook_signature_skipped 0\n"), "{metrics}");
    drop(serve);

    let mut serve = Serve::start(&env, "--insecure-skip-signature");
    serve.says("signatures are not verified");
    let client = serve.client("").with("Content-Type", "application/x-www-form-urlencoded");
    client.send("POST", "/webhooks/twilio", Some(form(CALL).as_bytes())).expect(200);
    let metrics = serve.client(&reader).get("/metrics").expect(200).text;
    for line in [
        "reconcile_webhook_signature_skipped 1",
        "reconcile_webhook_requests_total{tenant=\"acme\",route=\"call\",dialer=\"dialfire\",outcome=\"dialled\"} 1",
        "reconcile_webhook_caller_class_total{tenant=\"acme\",class=\"withheld\"} 1",
        "reconcile_webhook_unrecorded_total 0",
    ] {
        assert!(metrics.contains(&format!("{line}\n")), "{line} is not in {metrics}");
    }
}

/// Calls of a company whose first routes came later were answered by nobody, and only the calls
/// themselves told.
#[test]
fn routes_that_come_later_than_a_server_without_a_token_are_reported_once() {
    let mut env = environment();
    env.unset("TWILIO_AUTH_TOKEN");
    let reader = token(&env, "reader", "read");
    let mut serve = Serve::start(&env, "");
    let deliberate = Serve::start(&env, "--no-webhook --state-dir other");
    let unconfigured = |serve: &Serve| {
        let metrics = serve.client(&reader).get("/metrics").expect(200).text;
        let gauge = metrics.lines().find_map(|line| line.strip_prefix("reconcile_webhook_unconfigured "));
        gauge.unwrap_or_else(|| panic!("{metrics}")).to_owned()
    };
    assert_eq!(unconfigured(&serve), "0");

    let to_dialfire = routes(DID, &json!([{ "dialer": "dialfire" }]));
    applied(&env, "acme", 1, &to_dialfire);
    let line: Value = serde_json::from_str(&serve.says("the webhook answers no call")).unwrap();
    assert!(line["level"] == "ERROR" && line["hint"].as_str().unwrap().contains("set TWILIO_AUTH_TOKEN"), "{line}");
    assert_eq!(unconfigured(&serve), "1");
    for run in [2, 3] {
        applied(&env, "acme", run, &to_dialfire);
        serve.says(&format!("\"run\":{run},"));
    }
    assert_eq!(serve.log().matches("the webhook answers no call").count(), 1, "{}", serve.log());
    until("the server without a webhook routes, too", || deliberate.log().contains("\"run\":3,"));
    assert_eq!(unconfigured(&deliberate), "0");
    assert!(!deliberate.log().contains("the webhook answers no call"), "{}", deliberate.log());

    let mut nothing = to_dialfire;
    (nothing["rules"], nothing["default_route"]) = (json!([]), json!([]));
    applied(&env, "acme", 4, &nothing);
    until("no call is routed any more", || unconfigured(&serve) == "0");
}

/// `trace` said that Bo is reached, Twilio called the default route, and an INFO line at each call was all.
#[test]
fn targets_that_twilio_cannot_reach_are_a_warning_at_the_start_and_when_routes_are_taken() {
    let env = environment();
    let to_bo = |host: Option<&str>| {
        let mut routes = routes(DID, &json!([{ "user": "bo.li@example.com" }]));
        routes["public_sip_host"] = json!(host);
        routes
    };
    let words = "Twilio cannot reach some targets of the applied routes";
    applied(&env, "acme", 1, &to_bo(None));
    let mut serve = Serve::start(&env, "");
    let line: Value = serde_json::from_str(&serve.says(words)).unwrap();
    assert_eq!((&line["level"], &line["tenant"]), (&json!("WARN"), &json!("acme")), "{line}");
    assert_eq!(line["targets"], "(e-mail) is left out: there is no `public_sip_host`", "{line}");
    applied(&env, "acme", 2, &to_bo(Some("pbx.example")));
    serve.says("\"run\":2,");
    assert_eq!(serve.log().matches(words).count(), 1, "{}", serve.log());
    applied(&env, "acme", 3, &to_bo(None));
    serve.says("\"run\":3,");
    until("it is said again", || serve.log().matches(words).count() == 2);

    // Where nobody else is left, every call ends.
    let mut nobody = to_bo(None);
    nobody["default_route"] = json!([{ "user": "bo.li@example.com" }]);
    applied(&env, "acme", 5, &nobody);
    serve.says("\"run\":5,");
    let line: Value = serde_json::from_str(&serve.says("it ends every call")).unwrap();
    assert_eq!((&line["level"], &line["tenant"]), (&json!("ERROR"), &json!("acme")), "{line}");
    // The same from the start.
    let mut again = Serve::start(&env, "--state-dir again");
    again.says("it ends every call");

    // A typing error in the URL of one company leads its calls to another one.
    applied(&env, "acme", 6, &to_bo(None));
    serve.says("\"run\":6,");
    applied(&env, "zeta", 4, &routes("+15550009999", &json!([{ "dialer": "dialfire" }])));
    serve.says("\"run\":4,");
    let call = [("CallSid", "CA7"), ("From", "+4930123456"), ("To", "+15551112222")];
    Provider::of(&serve).send("/webhooks/twilio?tenant=zetaa", &call).expect(200);
    let line: Value = serde_json::from_str(&serve.says("a call is routed")).unwrap();
    let why = "the URL names the tenant `zetaa`, and only `acme`, `zeta` have routes: `acme` gets the call";
    assert_eq!(line["level"], "WARN", "{line}");
    assert!(line["degraded"].as_str().unwrap().starts_with(why), "{line}");
}

/// Each request of a stranger made a time series of its own, for ever.
#[test]
fn without_signature_checks_clients_make_no_labels() {
    let mut env = environment();
    env.unset("TWILIO_AUTH_TOKEN");
    applied(&env, "acme", 1, &routes(DID, &json!([{ "dialer": "dialfire" }])));
    let reader = token(&env, "reader", "read");
    let serve = Serve::start(&env, "--insecure-skip-signature");
    let client = serve.client("").with("Content-Type", "application/x-www-form-urlencoded");
    let ended = |query: &str| {
        let body = form(&[("CallSid", "CA1"), ("DialCallStatus", "busy")]);
        client.send("POST", &format!("/webhooks/twilio/dial-result?{query}"), Some(body.as_bytes())).expect(200);
    };
    for number in 0..50 {
        ended(&format!("tenant=acme&step=0&target=made-up-{number}"));
        ended(&format!("tenant=made-up-{number}&step=0&target=dialfire"));
        ended(&format!("tenant=acme&step={number}&next=made-up-{number}%2030%20-%20sip:x@y.example"));
    }
    ended("tenant=acme&step=0&target=dialfire&next=zendesk_talk%2030%20-%20sip:x@y.example");
    ended("tenant=acme&step=0&target=anybody@example.com");
    let metrics = serve.client(&reader).get("/metrics").expect(200).text;
    assert!(!metrics.contains("made-up") && !metrics.contains("anybody"), "{metrics}");
    for line in [
        "webhook_dial_result_total{tenant=\"acme\",dialer=\"other\",status=\"busy\"} 50",
        "webhook_dial_result_total{tenant=\"acme\",dialer=\"dialfire\",status=\"busy\"} 1",
        "webhook_dial_result_total{tenant=\"acme\",dialer=\"user\",status=\"busy\"} 1",
        "webhook_requests_total{tenant=\"acme\",route=\"dial-result\",dialer=\"other\",outcome=\"dialled\"} 50",
        "webhook_requests_total{tenant=\"acme\",route=\"dial-result\",dialer=\"zendesk_talk\",outcome=\"dialled\"} 1",
    ] {
        assert!(metrics.contains(&format!("reconcile_{line}\n")), "{line} is not in {metrics}");
    }
}

/// A token of one tenant read which dialers another one has, and how many calls.
#[test]
fn a_token_reads_the_counters_of_its_own_tenant_only() {
    let env = environment();
    let other = "+15550007777";
    let mut theirs = routes(other, &json!([{ "dialer": "their_dialer" }]));
    theirs["dialers"]["their_dialer"] = theirs["dialers"]["dialfire"].clone();
    applied(&env, "acme", 1, &routes(DID, &json!([{ "dialer": "dialfire" }])));
    applied(&env, "zeta", 1, &theirs);
    let mine = token(&env, "reader", "read");
    let zeta = env.run("token new reader --tenant zeta --scope read").expect(0).stdout;
    let serve = Serve::start(&env, "");
    let mut twilio = Provider::of(&serve);
    for (sid, to) in [("CA1", DID), ("CA2", other), ("CA3", other)] {
        twilio.call(sid, &[("From", "+4930123456"), ("To", to)]);
    }
    let metrics = |token: &str| serve.client(token).get("/metrics").expect(200).text;
    let (mine, zeta) = (metrics(&mine), metrics(zeta.trim_end()));
    let count = |tenant: &str, dialer: &str, count: u32| {
        format!(
            "webhook_requests_total{{tenant=\"{tenant}\",route=\"call\",dialer=\"{dialer}\",outcome=\"dialled\"}} {count}\n"
        )
    };
    assert!(mine.contains(&count("acme", "dialfire", 1)), "{mine}");
    assert!(zeta.contains(&count("zeta", "their_dialer", 2)), "{zeta}");
    assert!(!mine.contains("zeta") && !mine.contains("their_dialer"), "{mine}");
    assert!(!zeta.contains("acme") && !zeta.contains("dialfire"), "{zeta}");
    // What is the server's as a whole has no tenant.
    assert!(mine.contains("reconcile_webhook_seconds_count 3\n"), "{mine}");
}

#[test]
fn wrong_settings_are_reported_at_the_start() {
    let env = environment();
    for args in [
        "--public-url pbx.example",
        "--public-url https://pbx.example/?x",
        "--trusted-proxy example.com",
        "--webhook-method PUT",
        "--no-webhook --insecure-skip-signature",
    ] {
        env.run(&format!("serve --listen 127.0.0.1:0 {args}")).expect(64);
    }
    let mut env = env;
    env.unset("TWILIO_AUTH_TOKEN");
    env.set("TWILIO_AUTH_TOKEN_FILE", "nowhere");
    let refused = env.run("serve --listen 127.0.0.1:0").expect(1).stderr;
    assert!(refused.contains("cannot read the auth token in `nowhere`"), "{refused}");
}
