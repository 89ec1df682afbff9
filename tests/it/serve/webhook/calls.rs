//! What calls are answered with, step by step and on bad days.

use serde_json::{Value, json};

use super::provider::{DID, PUBLIC, Provider, applied, environment, form, routed, routes};
use crate::{serve::server::Serve, support::TestEnv};

fn dialer(name: &str) -> Value {
    json!({ "dialer": name })
}

fn three() -> Value {
    json!([dialer("dialfire"), { "user": "bo.li@example.com" }, dialer("zendesk_talk")])
}

#[test]
fn a_call_goes_from_one_to_the_next_until_it_is_answered() {
    let (_env, mut serve, mut twilio) = routed(&three());
    let first = twilio.call("CA1", &[("From", "+4930123456"), ("To", DID)]);
    assert_eq!(first.dials(), ("Number", "+15550001111"));
    for (name, value) in [("method", "POST"), ("answerOnBridge", "true"), ("timeout", "30"), ("callerId", DID)] {
        assert_eq!(first.attribute(name), value, "{name}");
    }
    let second = twilio.ended(&first, "CA1", "busy");
    assert_eq!(second.dials(), ("Sip", "sip:1010@phones.example"));
    let third = twilio.ended(&second, "CA1", "no-answer");
    assert_eq!((third.dials(), third.attribute("timeout")), (("Sip", "sip:acme@talk.example"), "20"));
    assert_eq!(twilio.ended(&third, "CA1", "failed").dials(), ("Hangup", ""), "past the end");

    // Others are answered on the way.
    let dial = twilio.call("CA2", &[("From", "+4930123456"), ("To", DID)]);
    let dial = twilio.ended(&dial, "CA2", "failed");
    assert_eq!(twilio.ended(&dial, "CA2", "completed").dials(), ("Hangup", ""));
    // The caller gives up.
    let dial = twilio.call("CA3", &[("From", "+4930123456"), ("To", DID)]);
    let path = dial.attribute("action").strip_prefix(PUBLIC).unwrap().to_owned();
    let answer = twilio.send(&path, &[("CallSid", "CA3"), ("DialCallStatus", "canceled")]);
    assert_eq!(twilio.read(answer), []);

    let line: Value = serde_json::from_str(&serve.says("a call is routed")).unwrap();
    assert_eq!((&line["call_sid"], &line["dialer"]), (&json!("CA1"), &json!("dialfire")));
    assert!(line["response_time_ms"].as_f64().unwrap() > 0.0 && line["request_id"].is_string(), "{line}");
    assert_eq!((&line["from"], &line["to"]), (&json!("***3456"), &json!("***6543")));
    for hidden in ["+4930123456", "30123456", "5559876543", "bo.li@"] {
        assert!(!serve.log().contains(hidden), "{hidden} is in the log: {}", serve.log());
    }
}

#[test]
fn callers_of_every_kind_are_answered_and_shown_under_a_number_that_is_taken() {
    let (_env, _serve, mut twilio) = routed(&json!([dialer("zendesk_talk")]));
    let token = "%7B%22parentCallInfoToken%22%3A%22a+b%2Fc%3D%22%7D";
    for (index, (from, shown)) in [
        ("+4930123456", "+4930123456"),
        ("+17378742833", "+17378742833"),
        ("", DID),
        ("anonymous", DID),
        ("Restricted", DID),
        ("+266696687", DID),
        ("client:ana", DID),
        ("sip:+4930123456@voip.example;user=phone", DID),
        ("whatsapp:+4930123456", DID),
        ("+0800918468", DID),
        ("030 123456", DID),
        ("911", DID),
    ]
    .into_iter()
    .enumerate()
    {
        let dial = twilio.call(
            &format!("CA{index}"),
            &[
                ("From", from),
                ("To", DID),
                // A client's own parameter beside the provider's.
                ("to", "support"),
                ("FromCity", ""),
                ("Digits", "2"),
                ("Digits", "1"),
                ("Digits", "2"),
                ("CallToken", token),
                ("CallerName", "Zoë 📞 <b>&\"\u{1}\u{b}\u{0}\r\n ]]>"),
                ("SipHeader_X-Ünï", " kept "),
            ],
        );
        assert_eq!(dial.dials(), ("Sip", "sip:acme@talk.example"), "{from}");
        assert_eq!(dial.attribute("callerId"), shown, "{from}");
    }
    // A client's call, whose `To` is empty, shows a number of ours.
    let dial = twilio.call("CAx", &[("From", "client:ana"), ("To", ""), ("to", DID)]);
    assert_eq!((dial.dials(), dial.1.get("callerId")), (("Number", "+15550001111"), Some(&DID.to_owned())));
    // No `From` at all.
    assert_eq!(twilio.call("CAy", &[("To", DID)]).attribute("callerId"), DID);
}

#[test]
fn calls_to_unknown_numbers_are_answered_too() {
    let (env, serve, mut twilio) = routed(&json!(["hangup"]));
    let reject = twilio.call("CA1", &[("To", DID)]);
    assert_eq!((reject.dials(), reject.1.get("reason")), (("Reject", ""), None));
    assert_eq!(twilio.call("CA2", &[("To", "+15550009999")]).dials(), ("Number", "+15550001111"), "the default route");
    drop((twilio, serve));
    applied(&env, "acme", 2, &routes(DID, &json!([{ "user": "gone@example.com" }, "busy"])));
    let mut serve = Serve::start(&env, "");
    let mut twilio = Provider::of(&serve);
    let reject = twilio.call("CA3", &[("To", DID)]);
    assert_eq!((reject.dials(), reject.attribute("reason")), (("Reject", ""), "busy"));
    serve.says("there is no such user");

    let env = environment();
    let mut serve = Serve::start(&env, "");
    let mut twilio = Provider::of(&serve);
    for path in ["", "/fallback"] {
        let answer = twilio.send(&format!("/webhooks/twilio{path}"), &[("CallSid", "CA4"), ("To", DID)]);
        assert_eq!(twilio.read(answer)[0].dials(), ("Reject", ""), "{path}");
    }
    assert!(serve.says("CA4").contains("no routes are applied"));
}

#[test]
fn a_call_belongs_to_the_tenant_with_the_number_else_to_the_one_in_the_url() {
    let env = environment();
    applied(&env, "acme", 1, &routes(DID, &json!([dialer("zendesk_talk")])));
    let mut other = routes("+15550007777", &json!([dialer("fixed")]));
    other["default_route"] = json!(["busy"]);
    applied(&env, "zeta", 2, &other);
    let mut serve = Serve::start(&env, "");
    let mut twilio = Provider::of(&serve);
    let mut dialled = |sid: &str, query: &str, to: &str| {
        let answer = twilio.send(&format!("/webhooks/twilio{query}"), &[("CallSid", sid), ("To", to)]);
        twilio.read(answer)[0].dials().1.to_owned()
    };
    assert_eq!(dialled("CA1", "", DID), "sip:acme@talk.example");
    assert_eq!(dialled("CA2", "", "+15550007777"), "+15550002222");
    assert_eq!(dialled("CA3", "?tenant=zeta", "+15551112222"), "", "the line is busy");
    assert_eq!(dialled("CA4", "?tenant=acme", "+15551112222"), "+15550001111");
    assert_eq!(dialled("CA5", "", "+15551112222"), "+15550001111", "the first");
    serve.says("is the first");
}

#[test]
fn a_request_that_comes_again_is_answered_with_the_same_bytes() {
    let (env, mut serve, mut twilio) = routed(&three());
    let parameters = [("CallSid", "CA1"), ("From", "+4930123456"), ("To", DID)];
    let first = twilio.send("/webhooks/twilio", &parameters).expect(200).text;
    let dial = twilio.call("CA2", &parameters[1..]);

    // Routes that are applied while it rings are for the next call.
    applied(&env, "acme", 2, &routes(DID, &json!(["hangup"])));
    serve.says("\"run\":2,");
    // The retry may know more.
    let again = twilio.send("/webhooks/twilio", &[&parameters[..], &[("Retried", "1")]].concat()).expect(200).text;
    assert_eq!(first, again);
    serve.says("\"retry\":true");
    assert_eq!(serve.log().matches("\"retry\":true").count(), 1, "{}", serve.log());
    let second = twilio.ended(&dial, "CA2", "busy");
    assert_eq!(second.dials(), ("Sip", "sip:1010@phones.example"));
    assert_eq!(twilio.call("CA3", &parameters[1..]).dials(), ("Reject", ""));

    // The server may even have been started anew, without its database.
    drop((twilio, serve));
    let mut env = env;
    env.set("DATABASE_URL", "postgres://pbx@127.0.0.1:1/pbx");
    let serve = Serve::start(&env, "");
    let mut twilio = Provider::of(&serve);
    assert_eq!(twilio.ended(&second, "CA2", "busy").dials(), ("Sip", "sip:acme@talk.example"));
    assert_eq!(twilio.call("CA4", &parameters[1..]).dials(), ("Reject", ""), "as applied last");
}

#[test]
fn numbers_may_be_set_to_get_and_then_are_not_answered_by_post() {
    let env = environment();
    applied(&env, "acme", 1, &routes(DID, &three()));
    let serve = Serve::start(&env, "--webhook-method get");
    let mut twilio = Provider::of(&serve);
    let parameters = [("CallSid", "CA1"), ("To", DID), ("From", "+4930 1"), ("Empty", "")];
    for (name, status) in [("", 200), ("/fallback", 200), ("/status", 204)] {
        let path = format!("/webhooks/twilio{name}?{}", form(&parameters));
        let signature = twilio.sign(&path, &[]);
        twilio.client.with("X-Twilio-Signature", &signature).get(&path).expect(status);
        let refused = twilio.send(&format!("/webhooks/twilio{name}"), &parameters).expect(405);
        assert_eq!(refused.header("allow"), Some("GET,HEAD"), "{name}");
    }
    // What became of a step comes by POST all the same: our own answer says so.
    let path = "/webhooks/twilio/dial-result?tenant=acme&step=0";
    twilio.send(path, &[("CallSid", "CA1"), ("DialCallStatus", "busy")]).expect(200);
    let document = serve.client("").get("/openapi.json").expect(200).json();
    let methods = |path: &str| document["paths"][path].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        (methods("/webhooks/twilio"), methods("/webhooks/twilio/dial-result")),
        (vec!["get".to_owned()], vec!["post".to_owned()])
    );
}

/// A signature has no border between URL and parameters: what a caller may choose, such as the text of
/// its SIP address, became parameters of its own when the request was sent again as a GET, or as JSON
/// whose hash stood there.
#[test]
fn a_signed_post_is_answered_as_nothing_else() {
    use sha2::{Digest, Sha256};

    let (_env, serve, mut twilio) = routed(&three());
    let json = br#"{"CallSid":"CA8","To":"+15559876543","From":"+1"}"#;
    let hash = Sha256::digest(json).iter().fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"));
    let from = format!("sip:x&CallSid=CA9&From=sip:other&bodySHA256={hash}&x=@carrier.example");
    let parameters = [("CallSid", "CA1"), ("From", from.as_str()), ("To", DID)];
    let path = "/webhooks/twilio?tenant=acme";
    let signature = twilio.sign(path, &parameters);
    let again = parameters.iter().fold(path.to_owned(), |path, (name, value)| path + name + value);
    let signed = serve.client("").with("X-Twilio-Signature", &signature);
    assert_eq!(twilio.sign(&again, &[]), signature, "the signature fits");
    for method in ["GET", "HEAD"] {
        assert_eq!(signed.send(method, &again, None).expect(405).header("allow"), Some("POST"), "{method}");
    }
    let as_json = signed.with("Content-Type", "application/json").send("POST", &again, Some(json));
    assert_eq!(as_json.expect(403).error(), "SignatureInvalid");
    twilio.send(path, &parameters).expect(200);
    assert!(!serve.log().contains("CA9") && !serve.log().contains("CA8"), "{}", serve.log());
}
#[test]
fn a_status_is_noted_and_the_fallback_dials_the_default_route() {
    let (_env, mut serve, mut twilio) = routed(&three());
    for status in ["ringing", "completed", "something new"] {
        let answer = twilio.send("/webhooks/twilio/status", &[("CallSid", "CA1"), ("CallStatus", status)]);
        assert_eq!(answer.expect(204).text, "");
    }
    let parameters = [("CallSid", "CA2"), ("To", DID), ("ErrorCode", "11205"), ("ErrorUrl", "https://pbx.example/x")];
    let answer = twilio.send("/webhooks/twilio/fallback", &parameters);
    assert_eq!(twilio.read(answer)[0].dials(), ("Number", "+15550001111"));
    assert!(serve.says("CA2").contains("the provider asked the fallback after error 11205"));
}

#[test]
fn bodies_may_be_as_large_as_16_kib_and_hold_256_parameters() {
    let (_env, serve, mut twilio) = routed(&three());
    let known = [("CallSid", "CA1"), ("To", DID), ("Padding", "")];
    let room = 16 * 1024 - form(&known).len();
    for (more, status) in [(0, 200), (1, 413)] {
        let padding = "x".repeat(room + more);
        let parameters = [known[0], known[1], ("Padding", padding.as_str())];
        twilio.send("/webhooks/twilio", &parameters).expect(status);
    }
    let many = vec![("x", "1"); 254];
    for (more, status) in [(0, 200), (1, 400)] {
        let parameters = [&known[..2], &many, &vec![("y", "1"); more]].concat();
        twilio.send("/webhooks/twilio", &parameters).expect(status);
    }
    // Whatever the type says: it is read as what it is signed as.
    for kind in ["text/plain", "multipart/form-data; boundary=x", "application/json", ""] {
        let signature = twilio.sign("/webhooks/twilio", &known);
        let client = serve.client("").with("Content-Type", kind).with("X-Twilio-Signature", &signature);
        let answer = client.send("POST", "/webhooks/twilio", Some(form(&known).as_bytes()));
        assert_eq!(twilio.read(answer)[0].dials().0, "Number", "{kind}");
    }
    // Signed, but about no call.
    for sid in ["", " ", "a b", &"x".repeat(129)] {
        let answer = twilio.send("/webhooks/twilio", &[("CallSid", sid), ("To", DID)]).expect(400);
        assert_eq!(answer.error(), "BadRequest");
    }
}

/// Calls a server in which a panic waits at these points.
fn panicking(points: &str) -> (TestEnv, Serve, Provider) {
    let mut env = environment();
    applied(&env, "acme", 1, &routes(DID, &json!([dialer("zendesk_talk"), dialer("fixed")])));
    env.set("RECONCILE_FAIL_POINT", points);
    let serve = Serve::start(&env, "");
    let provider = Provider::of(&serve);
    (env, serve, provider)
}

#[test]
fn a_call_is_answered_whatever_panics() {
    let (_env, mut serve, mut twilio) = panicking("webhook-rules=panic");
    assert_eq!(twilio.call("CA1", &[("To", DID)]).dials(), ("Number", "+15550001111"), "the default route");
    assert!(serve.says("\"call_sid\":\"CA1\"").contains("the decision ended in a panic"));
    let (_env, _serve, mut twilio) = panicking("webhook-rules=panic,webhook-default=panic");
    assert_eq!(twilio.call("CA1", &[("To", DID)]).dials(), ("Reject", ""));
    let (_env, _serve, mut twilio) = panicking("webhook-step=panic");
    let dial = twilio.call("CA1", &[("To", DID)]);
    assert_eq!(twilio.ended(&dial, "CA1", "busy").dials(), ("Hangup", ""));
}

#[test]
fn a_call_is_answered_where_nothing_can_be_written_down() {
    let (env, _serve, mut twilio) = routed(&three());
    // The state folder is lost.
    std::fs::remove_dir_all(env.path("state")).unwrap();
    std::fs::write(env.path("state"), "").unwrap();
    assert_eq!(twilio.call("CA1", &[("To", DID)]).dials(), ("Number", "+15550001111"));
}

/// A slash is easily typed at the end of the URL that the provider asks for. It is part of what is signed.
#[test]
fn a_slash_at_the_end_of_the_url_makes_no_difference() {
    let (_env, _serve, mut twilio) = routed(&three());
    let parameters = [("CallSid", "CA1"), ("From", "+4930123456"), ("To", DID), ("CallStatus", "completed")];
    for path in ["", "/dial-result", "/fallback"] {
        let answer = twilio.send(&format!("/webhooks/twilio{path}/?tenant=acme"), &parameters);
        assert_eq!(answer.status, 200, "{path}");
    }
    assert_eq!(twilio.send("/webhooks/twilio/status/", &parameters).status, 204);
    let signature = twilio.sign("/webhooks/twilio", &parameters);
    let client = twilio.client.with("X-Twilio-Signature", &signature);
    let forged = client.send("POST", "/webhooks/twilio/", Some(form(&parameters).as_bytes()));
    assert_eq!(forged.status, 403, "another URL was signed");
}
