//! The provider: Twilio's own package signs, and reads what is answered.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    serve::server::{Answer, Client, Serve},
    support::{TestEnv, tool},
};

/// The token that requests are signed with.
pub(super) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Where the provider reaches the server.
pub(in crate::serve) const PUBLIC: &str = "https://pbx.example";

/// The number that the routes are for.
pub(in crate::serve) const DID: &str = "+15559876543";

/// A verb or noun, as a parser reads it: name, attributes, text, what stands inside.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Element(
    pub(super) String,
    pub(super) BTreeMap<String, String>,
    pub(super) String,
    pub(super) Vec<Element>,
);

impl Element {
    /// The only verb: its name, and whom it dials.
    pub(super) fn dials(&self) -> (&str, &str) {
        match &self.3[..] {
            [Element(noun, _, to, _)] if self.0 == "Dial" => (noun, to),
            _ => (&self.0, ""),
        }
    }

    #[track_caller]
    pub(super) fn attribute(&self, name: &str) -> &str {
        self.1.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }
}

pub(in crate::serve) struct Provider {
    python: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    pub(super) client: Client,
    /// What the provider thinks the server's URL begins with.
    pub(super) base: String,
    pub(super) token: String,
}

impl Provider {
    pub(in crate::serve) fn of(serve: &Serve) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/serve/webhook/provider.py");
        let mut python =
            Command::new(tool("LAB_TWILIO")).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (python.stdin.take().unwrap(), BufReader::new(python.stdout.take().unwrap()));
        let client = serve.client("").with("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
        let [base, token] = [PUBLIC, TOKEN].map(str::to_owned);
        Self { python, stdin, stdout, client, base, token }
    }

    #[track_caller]
    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.stdin, "{question}").unwrap();
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("Twilio's package refuses {question}"))
    }

    /// Signs a request to a URL of this server.
    pub(in crate::serve) fn sign(&mut self, path: &str, parameters: &[(&str, &str)]) -> String {
        let url = format!("{}{path}", self.base);
        self.sign_url(&url, parameters)
    }

    pub(super) fn sign_url(&mut self, url: &str, parameters: &[(&str, &str)]) -> String {
        let answer = self.ask(&json!({ "sign": { "token": self.token, "url": url, "parameters": parameters } }));
        answer.as_str().unwrap().to_owned()
    }

    /// Sends a signed form.
    #[track_caller]
    pub(super) fn send(&mut self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        let signature = self.sign(path, parameters);
        self.client.with("X-Twilio-Signature", &signature).send("POST", path, Some(form(parameters).as_bytes()))
    }

    /// Reads an answer, which must be what the provider takes.
    #[track_caller]
    pub(super) fn read(&mut self, answer: Answer) -> Vec<Element> {
        let answer = answer.expect(200);
        assert_eq!(answer.header("content-type"), Some("text/xml; charset=utf-8"));
        assert!(answer.text.starts_with("<?xml ") && answer.text.len() <= 64 * 1024, "{}", answer.text);
        serde_json::from_value(self.ask(&json!({ "read": answer.text }))).unwrap()
    }

    /// Calls, and reads the only verb of the answer.
    #[track_caller]
    pub(super) fn call(&mut self, sid: &str, parameters: &[(&str, &str)]) -> Element {
        self.verb("/webhooks/twilio", sid, parameters)
    }

    /// Tells the end of a step to where the step says.
    #[track_caller]
    pub(super) fn ended(&mut self, dial: &Element, sid: &str, status: &str) -> Element {
        let action = dial.attribute("action").to_owned();
        let path = action.strip_prefix(PUBLIC).unwrap_or_else(|| panic!("{action} is elsewhere"));
        self.verb(path, sid, &[("To", DID), ("DialCallStatus", status), ("DialCallSid", "CA9")])
    }

    #[track_caller]
    fn verb(&mut self, path: &str, sid: &str, parameters: &[(&str, &str)]) -> Element {
        let parameters = [&[("CallSid", sid), ("ApiVersion", "2010-04-01")], parameters].concat();
        let answer = self.send(path, &parameters);
        let [verb] = <[Element; 1]>::try_from(self.read(answer)).unwrap();
        verb
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.python.kill();
        let _ = self.python.wait();
    }
}

/// Writes a form as the provider does.
pub(in crate::serve) fn form(parameters: &[(&str, &str)]) -> String {
    let encoded = |text: &str| {
        text.bytes().fold(String::new(), |encoded, byte| match byte {
            b' ' => encoded + "+",
            byte if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) => encoded + &char::from(byte).to_string(),
            byte => encoded + &format!("%{byte:02X}"),
        })
    };
    let pairs = parameters.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// The routes of a tenant: its number goes to `route`, every other one to `dialfire`.
pub(in crate::serve) fn routes(did: &str, route: &Value) -> Value {
    let number = |number: &str| json!({ "number": { "given": number } });
    json!({
        "trunks": {},
        "dialers": {
            "dialfire": { "target": number("+15550001111"), "caller_id": "called", "ring": 30, "trunk": null },
            "zendesk_talk": {
                "target": { "sip": "sip:acme@talk.example" }, "caller_id": "caller", "ring": 20, "trunk": null,
            },
            "fixed": { "target": number("+15550002222"), "caller_id": { "number": "+15550003333" }, "ring": 5, "trunk": null },
        },
        "hours": {},
        "rules": [{
            "to": { "did": did }, "from": [], "when": null, "route": route, "otherwise": null, "protected": false,
        }],
        "default_route": [{ "dialer": "dialfire" }],
        "public_sip_host": "phones.example",
        "caller_id": null,
    })
}

/// Puts routes where an apply leaves them.
pub(in crate::serve) fn applied(env: &TestEnv, tenant: &str, run: i64, routes: &Value) {
    let applied = json!({ "tenant": tenant, "run": run, "routes": routes, "users": { "bo.li@example.com": "1010" } });
    let statement = "insert into applied_routes (tenant, run, applied) values ($1, $2, $3::text::jsonb)
                     on conflict (tenant) do update set run = excluded.run, applied = excluded.applied";
    env.sql().execute(statement, &[&tenant, &run, &applied.to_string()]).unwrap();
}

/// An environment with a token, and a database that knows `acme`.
pub(in crate::serve) fn environment() -> TestEnv {
    let mut env = TestEnv::new();
    env.write("pbx.yaml", &crate::support::desired(&[]));
    env.run("sync").expect(0);
    env.plant(TOKEN);
    env.set("TWILIO_AUTH_TOKEN", TOKEN);
    env.set("RECONCILE_PUBLIC_URL", PUBLIC);
    env
}

/// A server that sends calls to the number to these targets, and its provider.
pub(super) fn routed(route: &Value) -> (TestEnv, Serve, Provider) {
    let env = environment();
    applied(&env, "acme", 1, &routes(DID, route));
    let serve = Serve::start(&env, "");
    let provider = Provider::of(&serve);
    (env, serve, provider)
}
