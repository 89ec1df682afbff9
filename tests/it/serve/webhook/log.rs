//! What the log says of calls in text form: numbers by their last digits, and a line a thing, whatever a
//! request holds.

use serde_json::json;

use super::provider::{DID, PUBLIC, Provider, applied, environment, form, routes};
use crate::serve::server::Serve;

/// What would be lines of its own, in every way in which readers of logs break lines.
const FORGED: &str =
    "Zo\u{eb} \u{1f4de}\r\n2026-11-21T10:00:00Z ERROR forged\u{b}forged\u{2028}forged\u{85}\u{1b}[31mforged\u{0}";

#[test]
fn a_line_of_text_is_one_line_and_shows_last_digits_only() {
    let mut env = environment();
    env.set("RECONCILE_LOG", "debug");
    applied(&env, "acme", 1, &routes(DID, &json!([{ "dialer": "fixed" }, { "user": "bo.li@example.com" }])));
    // There is no room for the spool: events of calls stand in the log whole.
    std::fs::create_dir_all(env.path("state")).unwrap();
    std::fs::write(env.path("state/calls"), "").unwrap();
    let mut serve = Serve::start(&env, "--log-format text");
    let mut twilio = Provider::of(&serve);
    let name = ("CallerName", FORGED);
    let sip = format!("sip:+4930123456@voip.example;x={FORGED}");
    for (index, from) in ["+4930123456", "030 123456", "client:+4930123456", &sip, FORGED, ""].into_iter().enumerate() {
        let sid = format!("CA{index}");
        let dial = twilio.call(&sid, &[("From", from), ("To", DID), ("Direction", FORGED), name, (FORGED, "x")]);
        let dial = twilio.ended(&dial, &sid, "busy");
        twilio.ended(&dial, &sid, FORGED);
    }
    let to = format!("+4930123456{FORGED}");
    twilio.call("CA7", &[("From", "+4930123456"), ("To", &to), name]);
    let lost = format!("{PUBLIC}/webhooks/twilio/dial-result?step=0&target={FORGED}&next=+4930123456");
    let asks = [("CallSid", "CA8"), ("From", &sip), ("To", DID), ("ErrorUrl", &lost), ("ErrorCode", FORGED), name];
    twilio.send("/webhooks/twilio/fallback", &asks).expect(200);
    twilio.send("/webhooks/twilio/status", &[("CallSid", "CA9"), ("CallStatus", FORGED), name]).expect(204);
    // A request that is not signed, and one about no call.
    let refused = form(&[("CallSid", "CA10"), ("From", "+4930123456"), (FORGED, FORGED)]);
    let stranger = twilio.client.with("X-Twilio-Signature", "forged");
    stranger.send("POST", "/webhooks/twilio?x=%0aforged", Some(refused.as_bytes())).expect(403);
    twilio.send("/webhooks/twilio", &[("CallSid", FORGED), name]).expect(400);

    serve.says("a signature does not fit");
    let log = serve.log();
    let begins = regex::Regex::new(
        r"^\d{4}-\d\d-\d\dT[\d:.]+Z +(ERROR|WARN|INFO|DEBUG) [^\x00-\x1f\x7f-\x9f\u{2028}\u{2029}]*$",
    )
    .unwrap();
    let ours = |line: &&str| !line.starts_with("reconcile ") && !line.contains("listening on ");
    for line in log.lines().filter(ours) {
        assert!(begins.is_match(line), "{line:?}");
    }
    for (words, count) in [("a call is routed", 8), ("a step ended", 12), ("the disk does not take", 20)] {
        assert_eq!(log.matches(words).count(), count, "{words}: {log}");
    }
    assert!(log.contains("from=\"***3456\"") && log.contains("to=\"***6543\""), "{log}");
    for hidden in ["0123456", "5559876543", "50002222", "bo.li@"] {
        assert!(!log.contains(hidden), "{hidden}: {log}");
    }
}
