//! The portal as its users know it: the real curl, the real Asterisk, real phones.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::server::{Serve, token};
use crate::{
    phones::{nothing_in_the_log, pbx, registered},
    sipp::Phone,
    support::{TestEnv, tool},
};

const BO: &str = "email: bo@example.com, name: Bo";

/// Whoever sits at a shell with curl.
struct Shell<'a> {
    env: &'a TestEnv,
    url: &'a str,
    token: &'a str,
}

impl Shell<'_> {
    /// Sends a request; answers with the status and the body.
    #[track_caller]
    fn curl(&self, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
        let mut curl = Command::new(tool("LAB_CURL"));
        curl.args(["-sS", "-X", method, "-w", "\n%{http_code}", "--oauth2-bearer", self.token]);
        curl.args(body.into_iter().flat_map(|body| ["--json", body])).arg(format!("{}{path}", self.url));
        let output = curl.stderr(Stdio::inherit()).output().expect("curl runs");
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let (body, status) = text.rsplit_once('\n').expect("a status");
        let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).expect("JSON") };
        if let Some(secret) = body["sip"]["secret"].as_str() {
            self.env.plant(secret);
        } else {
            self.env.hear("curl", &text);
        }
        (status.parse().expect("a status"), body)
    }
}

#[test]
fn a_user_made_and_applied_by_curl_registers_is_called_and_expires() {
    let env = pbx(&[BO]);
    let token = token(&env, "portal", "read write apply");
    let serve = Serve::start(&env, "");
    let shell = Shell { env: &env, url: &serve.url, token: &token };

    let (status, ana) = shell.curl("POST", "/users", Some(r#"{"name": "Ana Silva", "email": "ana@example.com"}"#));
    assert_eq!((status, &ana["extension"], &ana["sip"]["username"]), (201, &1001.into(), &"1001".into()));
    // What was told once is what the phone is given.
    let text = |key: &str| ana["sip"][key].as_str().unwrap().to_owned();
    let phone = Phone::with(&env, text("username"), text("secret"));
    phone.is_refused();
    assert_eq!(shell.curl("POST", "/apply", None).0, 200);

    let bo = Phone::of(&env, "bo@example.com");
    let answering = phone.answers();
    bo.registers();
    assert_eq!(registered(&env), ["1000", "1001"]);
    bo.reaches("1001");
    answering.unplug();
    let answering = bo.answers();
    phone.reaches("1000");
    let log = answering.unplug();
    assert!(log.contains("\"Ana Silva\" <sip:1001@"), "{log}");

    let (status, _) = shell.curl("DELETE", &format!("/users/{}", ana["id"].as_str().unwrap()), None);
    assert_eq!(status, 204);
    phone.registers();
    let (status, applied) = shell.curl("POST", "/apply", None);
    assert_eq!((status, &applied["counts"]["registrations_deleted"]), (200, &1.into()));
    assert_eq!(registered(&env), ["1000"]);
    phone.is_refused();
    bo.is_told("404", "1001");
    nothing_in_the_log(&env);
}
