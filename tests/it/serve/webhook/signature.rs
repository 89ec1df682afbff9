//! Who is believed to be the provider, and who is not.

use serde_json::{Value, json};

use super::provider::{DID, PUBLIC, Provider, TOKEN, applied, environment, form, routed, routes};
use crate::serve::server::Serve;

const PATH: &str = "/webhooks/twilio";
const CALL: &[(&str, &str)] = &[("CallSid", "CA1"), ("From", "+4930123456"), ("To", DID)];

fn route() -> Value {
    json!([{ "dialer": "dialfire" }, { "dialer": "zendesk_talk" }])
}

#[test]
fn only_what_was_signed_as_it_is_gets_an_answer() {
    let (_env, mut serve, mut twilio) = routed(&route());
    let body = form(CALL);
    let missing = twilio.client.send("POST", PATH, Some(body.as_bytes())).expect(403);
    assert_eq!(missing.error(), "SignatureMissing");
    // Before anything else: also where the body is no form, too large, or about no call.
    let large = "x".repeat(100_000);
    for body in ["", "{", large.as_str()] {
        assert_eq!(twilio.client.send("POST", PATH, Some(body.as_bytes())).expect(403).error(), "SignatureMissing");
    }

    let signature = twilio.sign(PATH, CALL);
    let sent = |serve: &Serve, path: &str, parameters: &[(&str, &str)], signatures: &[&str]| {
        let client = serve.client("").with("Content-Type", "application/x-www-form-urlencoded");
        let client = signatures.iter().fold(client, |client, signature| client.with("X-Twilio-Signature", signature));
        client.send("POST", path, Some(form(parameters).as_bytes()))
    };
    let call = |from: &'static str| [CALL[0], ("From", from), CALL[2]];
    for (what, path, parameters, signatures) in [
        ("another caller", PATH, &call("+4930123457")[..], &[signature.as_str()][..]),
        ("one parameter more", PATH, &[CALL, &[("Empty", "")]].concat(), &[&signature]),
        ("one less", PATH, &CALL[..2], &[&signature]),
        ("another path", "/webhooks/twilio/fallback", CALL, &[&signature]),
        ("another query", "/webhooks/twilio?tenant=zeta", CALL, &[&signature]),
        ("no base64", PATH, CALL, &["***"]),
        ("empty", PATH, CALL, &[""]),
        ("two of them", PATH, CALL, &[&signature, &signature]),
    ] {
        assert_eq!(sent(&serve, path, parameters, signatures).expect(403).error(), "SignatureInvalid", "{what}");
    }
    let line: Value = serde_json::from_str(&serve.says("a signature does not match")).unwrap();
    assert_eq!(line["urls"], "https://pbx.example/webhooks/twilio or https://pbx.example:443/webhooks/twilio");
    assert_eq!(line["parameters"], "CallSid From To");
    assert!(line["hint"].as_str().unwrap().starts_with("compare scheme, host, port"), "{line}");

    // What is no form has no names, whatever it is called.
    for (name, kind) in [("json", "application/json"), ("form", "application/x-www-form-urlencoded")] {
        let client = serve.client("").with("Content-Type", kind).with("X-Twilio-Signature", &signature);
        client.send("POST", &format!("{PATH}?{name}"), Some(br#"{"From":"+4930123456"}"#)).expect(403);
        let line: Value = serde_json::from_str(&serve.says(&format!("\"query\":\"{name}\""))).unwrap();
        assert_eq!(line["parameters"], "(other)", "{kind}");
    }

    // The very same request again is the same call again.
    let first = sent(&serve, PATH, CALL, &[&signature]).expect(200).text;
    assert_eq!(sent(&serve, PATH, CALL, &[&signature]).expect(200).text, first);
    // Nobody else says where a call goes next.
    let action = twilio.read(sent(&serve, PATH, CALL, &[&signature]))[0].attribute("action").to_owned();
    let forged = action.strip_prefix(PUBLIC).unwrap().replace("talk.example", "evil.example");
    assert!(forged.contains("evil.example"), "{forged}");
    let ended = [("CallSid", "CA1"), ("DialCallStatus", "busy")];
    let signature = twilio.sign(action.strip_prefix(PUBLIC).unwrap(), &ended);
    assert_eq!(sent(&serve, &forged, &ended, &[&signature]).expect(403).error(), "SignatureInvalid");
    for hidden in ["4930123456", "tenant=zeta", TOKEN, &signature] {
        assert!(!serve.log().contains(hidden), "{hidden} is in the log: {}", serve.log());
    }
}

/// A signature has no borders: URL, names and values are one text.
#[test]
fn what_was_signed_for_one_url_fits_no_other() {
    let (_env, serve, mut twilio) = routed(&route());
    let sent = |path: &str, parameters: &[(&str, &str)], signature: &str| {
        let client = serve.client("").with("Content-Type", "application/x-www-form-urlencoded");
        client.with("X-Twilio-Signature", signature).send("POST", path, Some(form(parameters).as_bytes()))
    };
    let signature = twilio.sign("/webhooks/twilio/status?tenant=acme", CALL);
    let moved = [&[("/status?tenant", "=acme")], CALL].concat();
    assert_eq!(sent(PATH, &moved, &signature).expect(403).error(), "SignatureInvalid");
}

#[test]
fn two_tokens_are_taken_while_one_is_replaced() {
    let (mut env, serve, mut twilio) = routed(&route());
    let new = "fedcba9876543210fedcba9876543210";
    twilio.token = new.to_owned();
    assert_eq!(twilio.send(PATH, CALL).expect(403).error(), "SignatureInvalid");
    drop((serve, twilio));
    env.plant(new);
    env.unset("TWILIO_AUTH_TOKEN");
    env.write("token", &format!("{TOKEN},{new}\n"));
    env.set("TWILIO_AUTH_TOKEN_FILE", "token");
    let serve = Serve::start(&env, "");
    let mut twilio = Provider::of(&serve);
    for token in [TOKEN, new] {
        twilio.token = token.to_owned();
        twilio.send(PATH, CALL).expect(200);
    }
    twilio.token = format!("{TOKEN},{new}");
    twilio.send(PATH, CALL).expect(403);
}

#[test]
fn the_url_may_be_signed_with_its_port_and_without() {
    let (_env, _serve, mut twilio) = routed(&route());
    for (base, status) in [
        ("https://pbx.example", 200),
        ("https://pbx.example:443", 200),
        ("https://pbx.example:8443", 403),
        ("http://pbx.example", 403),
        ("https://pbx.example/sub", 403),
    ] {
        twilio.base = base.to_owned();
        twilio.send(PATH, CALL).expect(status);
        // As it was sent, percent signs and all.
        twilio.send("/webhooks/twilio?b=%7e%41+x&a=&tenant=acme", CALL).expect(status);
    }
}

#[test]
fn only_trusted_proxies_say_under_which_url_they_were_reached() {
    let mut env = environment();
    env.unset("RECONCILE_PUBLIC_URL");
    applied(&env, "acme", 1, &routes(DID, &route()));
    let claims = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "pbx.example"), ("X-Forwarded-Prefix", "/pbx")];
    let forwarded = |serve: &Serve, base: &str| {
        let mut twilio = Provider::of(serve);
        base.clone_into(&mut twilio.base);
        twilio.client = claims.iter().fold(twilio.client.clone(), |client, (name, value)| client.with(name, value));
        twilio.send(PATH, CALL)
    };
    // A stranger, who may know the URL in front of another server.
    let mut serve = Serve::start(&env, "--trusted-proxy 192.0.2.0/24");
    assert_eq!(forwarded(&serve, "https://pbx.example/pbx").expect(403).error(), "SignatureInvalid");
    assert!(serve.says("a signature does not match").contains("--public-url"));
    let url = serve.url.clone();
    let answer = forwarded(&serve, &url).expect(200);
    assert!(answer.text.contains(&format!("action=\"{url}/webhooks/twilio/dial-result?")), "{}", answer.text);
    drop(serve);
    let serve = Serve::start(&env, "--trusted-proxy 192.0.2.0/24 --trusted-proxy 127.0.0.1");
    let answer = forwarded(&serve, "https://pbx.example/pbx").expect(200);
    assert!(answer.text.contains("action=\"https://pbx.example/pbx/webhooks/twilio/dial-result?"), "{}", answer.text);
    let url = serve.url.clone();
    forwarded(&serve, &url).expect(403);
}
