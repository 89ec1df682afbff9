//! What the log says of calls in text form: numbers by their last digits, and a line a thing, whatever a
//! request holds.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wait_timeout::ChildExt;

use super::provider::{DID, PUBLIC, Provider, applied, environment, form, routes};
use crate::serve::server::{Serve, token};
use crate::support::until;

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

    serve.says("a signature does not match");
    let log = serve.log();
    let begins = regex::Regex::new(
        r"^\d{4}-\d\d-\d\dT[\d:.]+Z +(ERROR|WARN|INFO|DEBUG) [^\x00-\x1f\x7f-\x9f\u{2028}\u{2029}]*$",
    )
    .unwrap();
    let ours = |line: &&str| !line.starts_with("reconcile ") && !line.contains("listening on ");
    for line in log.lines().filter(ours) {
        assert!(begins.is_match(line), "{line:?}");
    }
    for (words, count) in [("a call is routed", 8), ("a step ended", 12), ("cannot be written to disk", 20)] {
        assert_eq!(log.matches(words).count(), count, "{words}: {log}");
    }
    assert!(log.contains("from=\"***3456\"") && log.contains("to=\"***6543\""), "{log}");
    for hidden in ["0123456", "5559876543", "50002222", "bo.li@"] {
        assert!(!log.contains(hidden), "{hidden}: {log}");
    }
}

/// Three unsigned requests with a long `Host` stopped the server: each logged a line that filled the pipe, and the
/// thread that serves waited for its reader.
#[test]
fn clients_that_fill_a_log_without_a_reader_hold_up_no_answer() {
    let mut env = environment();
    env.unset("RECONCILE_PUBLIC_URL");
    let reader = token(&env, "reader", "read");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = env.command(&["serve", "--listen", &free.to_string(), "--log-format", "json"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(free).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    };
    let get = |path: &str| {
        ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {reader}\r\nConnection: close\r\n\r\n"))
    };
    until("it listens", || get("/healthz").is_some());
    let long = "x".repeat(5000);
    let unsigned = format!(
        "POST /webhooks/twilio?{long}=1 HTTP/1.1\r\nHost: {long}\r\nUser-Agent: {long}\r\nX-Twilio-Signature: x\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 10\r\nConnection: close\r\n\r\nCallSid=CA"
    );
    // More than the pipe and the queue hold.
    let mut dropped = 0.0;
    let began = Instant::now();
    while dropped < 10.0 {
        for _ in 0..200 {
            let answer = ask(&unsigned).expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        }
        let metrics = get("/metrics").expect("an answer");
        let lines = metrics.lines().find_map(|line| line.strip_prefix("reconcile_log_lines_dropped_total "));
        dropped = lines.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap();
        assert!(began.elapsed() < Duration::from_mins(2), "nothing is dropped");
    }
    // As soon as it is read, it says what is missing.
    let (mut cut, mut missing) = (0, 0);
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        assert!(line.len() < 4096, "{}: {line}", line.len());
        let object: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        if object["message"] == "a signature does not match" {
            assert!(object["urls"].as_str().unwrap().ends_with(" bytes left out)"), "{line}");
            assert!(object["hint"].as_str().unwrap().contains("--public-url"), "{line}");
            cut += 1;
        }
        if let Some(lines) = object["lines"].as_u64() {
            missing = lines;
            break;
        }
    }
    assert!(cut > 100 && missing >= 10, "{cut} lines, {missing} dropped");
    // Its reader is gone now; the server ends all the same.
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    assert!(child.wait_timeout(Duration::from_mins(1)).unwrap().expect("it ends").success());
}
