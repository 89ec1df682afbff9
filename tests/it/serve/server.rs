//! A running `reconcile serve`, and a client of it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use wait_timeout::ChildExt;

use crate::{canary::Canaries, support::TestEnv};

/// How long anything may take.
const LONG: Duration = Duration::from_mins(1);

/// A running server.
pub(crate) struct Serve {
    child: Child,
    /// Where it listens, such as `http://127.0.0.1:41234`.
    pub(crate) url: String,
    log: Arc<Mutex<String>>,
    canaries: Arc<Canaries>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) text: String,
}

impl Serve {
    /// Starts a server on a free port, and waits until it listens.
    pub(crate) fn start(env: &TestEnv, args: &str) -> Self {
        Self::start_by(&[], env, args)
    }

    /// Starts it by way of another command, such as one that sets limits.
    pub(crate) fn start_by(by: &[&str], env: &TestEnv, args: &str) -> Self {
        let listen = if args.contains("--listen") { "" } else { " --listen 127.0.0.1:0" };
        let json = if args.contains("--log-format") { "" } else { " --log-format json" };
        let args = format!("serve{listen}{json} {args}");
        let args: Vec<&str> = args.split_whitespace().collect();
        let mut command = env.command(&args);
        if let [program, options @ ..] = by {
            let mut other = Command::new(program);
            other.args(options).arg(command.get_program()).args(command.get_args()).env_clear();
            other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            other.current_dir(command.get_current_dir().unwrap()).stdin(Stdio::null());
            command = other;
        }
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in lines.map_while(Result::ok) {
                    let mut log = log.lock().unwrap();
                    log.push_str(&line);
                    log.push('\n');
                }
            }
        });
        let mut serve = Self { child, url: String::new(), log, canaries: env.canaries() };
        let line = serve.says("listening on ");
        let (_, address) = line.split_once("listening on ").unwrap();
        address.split(';').next().unwrap().clone_into(&mut serve.url);
        serve
    }

    /// What it said so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line with this word.
    #[track_caller]
    pub(crate) fn says(&mut self, word: &str) -> String {
        let until = Instant::now() + LONG;
        while Instant::now() < until {
            if let Some(line) = self.log().lines().find(|line| line.contains(word)) {
                return line.to_owned();
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                thread::sleep(Duration::from_millis(100));
                panic!("ended with {status}: {}", self.log());
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("never said `{word}`, but: {}", self.log());
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has ended.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> ExitStatus {
        self.child.wait_timeout(LONG).unwrap().expect("it ends")
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Whoever asks it with this token; an empty one is none.
    pub(crate) fn client(&self, token: &str) -> Client {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(LONG)).build();
        let (url, canaries) = (self.url.clone(), Arc::clone(&self.canaries));
        Client { agent: config.into(), url, token: token.to_owned(), headers: Vec::new(), canaries }
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !thread::panicking() {
            self.canaries.hear("serve", &self.log());
        }
    }
}

/// Whoever asks.
#[derive(Clone)]
pub(crate) struct Client {
    agent: ureq::Agent,
    pub(crate) url: String,
    token: String,
    headers: Vec<(String, String)>,
    canaries: Arc<Canaries>,
}

impl Client {
    /// The same, with another header.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    /// Sends a request; none where there is no answer at all.
    pub(crate) fn try_send(&self, method: &str, path: &str, body: Option<&[u8]>) -> Option<Answer> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if !self.token.is_empty() {
            request = request.header("Authorization", format!("Bearer {}", self.token));
        }
        if body.is_some() && !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            request = request.header("Content-Type", "application/json");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = match body {
            Some(body) => self.agent.run(request.body(body).unwrap()),
            None => self.agent.run(request.body(()).unwrap()),
        };
        let (parts, mut body) = answer.ok()?.into_parts();
        let text = body.with_config().limit(1 << 30).read_to_string().ok()?;
        // A secret is shown once: to whoever made the user.
        if let Ok(json) = serde_json::from_str::<Value>(&text)
            && let Some(secret) = json["sip"]["secret"].as_str()
            && parts.status == 201
        {
            self.canaries.plant(secret);
        } else {
            self.canaries.hear(path, &text);
        }
        Some(Answer { status: parts.status.as_u16(), headers: parts.headers, text })
    }

    #[track_caller]
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&[u8]>) -> Answer {
        self.try_send(method, path, body).unwrap_or_else(|| panic!("{method} {path} has no answer"))
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None)
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body.to_string().as_bytes()))
    }

    #[track_caller]
    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None)
    }

    /// Applies what is recorded.
    #[track_caller]
    pub(crate) fn apply(&self, query: &str) -> Answer {
        self.send("POST", &format!("/apply{query}"), Some(b""))
    }
}

impl Answer {
    /// Fails unless the answer has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The type of the error, whose form is looked at.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        let json = self.json();
        let error = json["error"].as_object().unwrap_or_else(|| panic!("no error: {}", self.text));
        let keys: Vec<&str> = error.keys().map(String::as_str).collect();
        assert_eq!(keys, ["details", "message", "request_id", "type"], "{}", self.text);
        assert_eq!(error["request_id"].as_str(), self.header("x-request-id"));
        assert!(error["details"].is_array() && !error["message"].as_str().unwrap().is_empty());
        error["type"].as_str().unwrap().to_owned()
    }
}

/// Makes a token for the tenant of the file.
pub(crate) fn token(env: &TestEnv, name: &str, scopes: &str) -> String {
    let scopes = scopes.split(' ').fold(String::new(), |args, scope| args + " --scope " + scope);
    env.run(&format!("token new {name}{scopes}")).expect(0).stdout.trim_end().to_owned()
}
