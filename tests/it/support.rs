//! One environment a test: its own database, folders and, where asked, its own Asterisk; the
//! exact output of a command as one text to compare with.

#![allow(dead_code, reason = "not every test uses everything")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::canary::Canaries;

/// A key for tests.
pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A server of the lab: stops when this process ends, however it ends.
pub(crate) struct Server {
    child: Child,
    /// The line it printed when it was ready.
    pub(crate) ready: String,
}

impl Server {
    /// Starts `tests/lab/<script> <folder> <args>`; the folder is removed in the end.
    pub(crate) fn start(script: &str, folder: &Path, args: &[&str]) -> Self {
        Self::run(&[], script, folder, args, true)
    }

    /// Starts it in a folder that stays, so that it can be started there again.
    pub(crate) fn start_again(script: &str, folder: &Path, args: &[&str]) -> Self {
        Self::run(&[], script, folder, args, false)
    }

    /// The same by way of another command, such as one that changes the user.
    pub(crate) fn start_by(by: &[&str], script: &str, folder: &Path, args: &[&str]) -> Self {
        Self::run(by, script, folder, args, false)
    }

    fn run(by: &[&str], script: &str, folder: &Path, args: &[&str], remove: bool) -> Self {
        let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab");
        // The shell outlives this process just long enough to clean up.
        let mut child = Command::new("sh")
            .args(["-c", r#"trap "" INT; "$@"; status=$?; rm -rf "$LAB_REMOVE"; exit $status"#, "sh"])
            .args(by)
            .arg(lab.join(script))
            .arg(folder)
            .args(args)
            .env("LAB_REMOVE", if remove { folder } else { Path::new("") })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the lab starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let line = lines.next().and_then(Result::ok).unwrap_or_default();
        let ready = line.strip_prefix("ready ").unwrap_or_else(|| panic!("{script} says: {line}")).to_owned();
        Self { child, ready }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The cluster that the tests of this process share; each has its own database in it.
static CLUSTER: LazyLock<Server> = LazyLock::new(|| {
    let folder = tempfile::Builder::new().prefix("rc-pg-").tempdir_in("/tmp").expect("a folder").keep();
    Server::start("postgres", &folder, &[])
});

static NUMBER: AtomicU32 = AtomicU32::new(1);

/// Makes a database of its own; answers with its URL.
pub(crate) fn database() -> String {
    let name = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut admin = postgres::Client::connect(&CLUSTER.ready, postgres::NoTls).expect("the cluster answers");
    admin.batch_execute(&format!("create database {name}")).expect("a database");
    CLUSTER.ready.replace(":///postgres", &format!(":///{name}"))
}

/// Where the lab found or put the tools, by variable.
static TOOLS: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());

/// Returns where the lab found or put a tool.
pub(crate) fn tool(variable: &str) -> PathBuf {
    let mut tools = TOOLS.lock().unwrap_or_else(PoisonError::into_inner);
    tools.entry(variable.to_owned()).or_insert_with(|| find_tool(variable)).clone()
}

fn find_tool(variable: &str) -> PathBuf {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab");
    let script = format!(". \"${{RECONCILE_LAB:-$(dirname \"$1\")/../../target/lab}}/env\"; printf %s \"${variable}\"");
    assert!(Command::new(lab.join("setup")).status().expect("setup runs").success());
    let output = Command::new("bash").args(["-c", &script, "bash"]).arg(lab.join("setup")).output().expect("bash runs");
    PathBuf::from(String::from_utf8(output.stdout).expect("a path"))
}

/// What a command did.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Writes all of it as one text.
    pub(crate) fn text(&self) -> String {
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }

    /// Fails unless the command ended with this exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.text());
        self
    }
}

/// The environment of one test.
pub(crate) struct TestEnv {
    pub(crate) database: Option<String>,
    asterisk: Option<Server>,
    variables: Vec<(String, String)>,
    canaries: Arc<Canaries>,
    // Dropped last: Asterisk is asked to stop by the client in it.
    folder: TempDir,
}

impl TestEnv {
    /// With a database by URL and a configuration folder, without Asterisk.
    pub(crate) fn new() -> Self {
        let mut env = Self::bare();
        env.database = Some(database());
        env
    }

    /// With a running Asterisk besides.
    pub(crate) fn with_asterisk() -> Self {
        let mut env = Self::new();
        env.start_asterisk();
        env
    }

    /// Without a database URL: the embedded cluster in a folder of its own.
    pub(crate) fn embedded() -> Self {
        Self::bare()
    }

    /// With a running Asterisk, and nothing else.
    pub(crate) fn bare_with_asterisk() -> Self {
        let mut env = Self::bare();
        env.start_asterisk();
        env
    }

    fn bare() -> Self {
        let folder = tempfile::Builder::new().prefix("rc-").tempdir_in("/tmp").expect("a folder");
        // The private cluster may run as another user.
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
        for name in ["work", "home", "asterisk/etc"] {
            fs::create_dir_all(folder.path().join(name)).expect("a folder");
        }
        Self { folder, database: None, asterisk: None, variables: Vec::new(), canaries: Arc::default() }
    }

    pub(crate) fn start_asterisk(&mut self) {
        self.asterisk = None;
        self.asterisk = Some(Server::start("asterisk", &self.path("asterisk"), &[]));
    }

    /// Starts an Asterisk that may be killed and started again in the same folder.
    pub(crate) fn start_asterisk_again(&mut self) {
        self.asterisk = None;
        self.asterisk = Some(Server::start_again("asterisk", &self.path("asterisk"), &[]));
    }

    /// Starts an Asterisk in the same folder whose SIP configuration may be rejected.
    pub(crate) fn start_asterisk_whatever_it_loads(&mut self) {
        self.asterisk = None;
        let folder = self.path("asterisk");
        self.asterisk = Some(Server::start_again("asterisk", &folder, &["--any"]));
    }

    /// Stops Asterisk as its administrator would.
    pub(crate) fn stop_asterisk(&mut self) {
        self.asterisk = None;
    }

    /// Takes over an Asterisk that was started in this test's folder.
    pub(crate) fn keep_asterisk(&mut self, server: Server) {
        self.asterisk = Some(server);
    }

    /// Starts an Asterisk that is not root's, as in life; its files belong to its user.
    pub(crate) fn start_asterisk_as(&mut self, user: &str) {
        let folder = self.path("asterisk");
        assert!(Command::new("chown").args(["-R", user]).arg(&folder).status().expect("chown runs").success());
        let by = ["setpriv", &format!("--reuid={user}"), "--regid=65534", "--clear-groups"];
        self.asterisk = Some(Server::start_by(&by, "asterisk", &folder, &[]));
    }

    /// Another Asterisk host on the same database, with folders of its own.
    pub(crate) fn another_host(&self, name: &str) -> Self {
        let mut env = Self::bare();
        env.database.clone_from(&self.database);
        env.set("RECONCILE_HOST", name);
        env.start_asterisk();
        env
    }

    /// The SIP port of the running Asterisk.
    pub(crate) fn sip_port(&self) -> u16 {
        let ready = &self.asterisk.as_ref().expect("Asterisk runs").ready;
        ready.strip_prefix("sip_port=").and_then(|port| port.parse().ok()).expect("a port")
    }

    /// A path in the test's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Asterisk's configuration folder.
    pub(crate) fn etc(&self, name: &str) -> PathBuf {
        self.path("asterisk/etc").join(name)
    }

    /// Plants a secret: should it ever show, the test fails.
    pub(crate) fn plant(&self, value: &str) {
        self.canaries.plant(value);
    }

    /// What watches over the secrets of this test.
    pub(crate) fn canaries(&self) -> Arc<Canaries> {
        Arc::clone(&self.canaries)
    }

    /// Sets an environment variable for the commands to come; a secret in it is planted.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        match name {
            "DATABASE_URL" => self.canaries.plant_url(value),
            "RECONCILE_SECRET_KEY" => self.canaries.plant(value),
            name if name.ends_with("_SECRET") => self.canaries.plant(value),
            _ => {}
        }
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Takes an environment variable back.
    pub(crate) fn unset(&mut self, name: &str) {
        self.variables.retain(|(known, _)| known != name);
    }

    /// Writes a file into the folder that commands run in.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path("work").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Prepares `reconcile` with arguments, in a clean environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reconcile"));
        command
            .args(args)
            .current_dir(self.path("work"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("RECONCILE_STATE_DIR", self.path("state"))
            .env("RECONCILE_HOST", "pbx-test")
            .env("RECONCILE_ACTOR", "tester")
            .env("ASTERISK_CONFIG_DIR", self.path("asterisk/etc"))
            .env("ASTERISK_COMMAND", self.path("asterisk/bin/asterisk"))
            .stdin(Stdio::null());
        match &self.database {
            Some(url) => command.env("DATABASE_URL", url).env("RECONCILE_SECRET_KEY", KEY),
            None => command.env("RECONCILE_PG_BIN", tool("RECONCILE_PG_BIN")),
        };
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs `reconcile` with arguments separated by blanks; fails where it shows a secret.
    #[track_caller]
    pub(crate) fn run(&self, args: &str) -> Outcome {
        let words: Vec<&str> = args.split_whitespace().collect();
        let outcome = self.outcome(self.command(&words).output().expect("reconcile runs"));
        let shown = [["secret", "show"], ["token", "new"]].iter().any(|command| words.starts_with(command));
        if shown && outcome.code == 0 {
            self.canaries.plant_shown(&outcome.stdout);
        } else {
            self.hear(args, &outcome.text());
        }
        outcome
    }

    /// Fails where a command said a secret.
    #[track_caller]
    pub(crate) fn hear(&self, command: &str, said: &str) {
        if let Some(url) = &self.database {
            self.canaries.plant(KEY);
            self.canaries.plant_url(url);
        }
        self.canaries.hear(command, said);
        self.canaries.note_digests(&self.path("asterisk/etc"));
    }

    /// Takes what a command did, without the test's folder.
    pub(crate) fn outcome(&self, output: Output) -> Outcome {
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).expect("UTF-8");
            text.replace(self.folder.path().to_str().expect("UTF-8"), "[test]")
        };
        let signal = || std::os::unix::process::ExitStatusExt::signal(&output.status).map(|signal| 128 + signal);
        Outcome {
            // A signal counts as a shell counts it.
            code: output.status.code().or_else(signal).expect("an exit code"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Reads the audit log and what is recorded in plain about inbound calls, if there is any and its
    /// server still runs.
    fn audit_log(&self) -> String {
        let client = |url: &String| postgres::Client::connect(url, postgres::NoTls).ok();
        let Some(mut sql) = self.database.as_ref().and_then(client) else { return String::new() };
        let tables = ["apply_audit_log", "tenants", "applied_routes"];
        let rows = tables
            .iter()
            .flat_map(|table| sql.query(&format!("select entry::text from {table} as entry"), &[]).unwrap_or_default());
        rows.map(|row| row.get::<_, String>(0) + "\n").collect()
    }

    /// Asks the running Asterisk.
    pub(crate) fn ask(&self, command: &str) -> String {
        let output =
            Command::new(self.path("asterisk/bin/asterisk")).args(["-rx", command]).output().expect("a client");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Connects to the test's database.
    pub(crate) fn sql(&self) -> postgres::Client {
        let url = self.database.as_ref().expect("a database by URL");
        postgres::Client::connect(url, postgres::NoTls).expect("the database answers")
    }

    /// Makes the database one that an earlier version of the program wrote, with nothing recorded;
    /// answers with the latest version of its schema.
    pub(crate) fn go_back_to_schema(&self, version: i32) -> i32 {
        self.run("migrate").expect(0);
        let mut files: Vec<PathBuf> = fs::read_dir("migrations").unwrap().flatten().map(|entry| entry.path()).collect();
        let number = |path: &PathBuf| -> i32 {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.trim_start_matches('V').split("__").next().unwrap().parse().unwrap()
        };
        files.sort_by_key(number);
        files.retain(|path| number(path) <= version);
        let schema: String = files.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        let mut sql = self.sql();
        sql.batch_execute(&format!(
            "create temporary table newer as table refinery_schema_history;
             drop schema public cascade; create schema public;
             create table refinery_schema_history (
                version int4 primary key, name varchar(255), applied_on varchar(255), checksum varchar(255));
             insert into refinery_schema_history select * from newer where version <= {version};
             {schema}"
        ))
        .unwrap();
        sql.query_one("select max(version) from newer", &[]).unwrap().get(0)
    }

    /// Dumps the test's database, without what differs from dump to dump.
    pub(crate) fn dump(&self) -> String {
        let output = Command::new(tool("RECONCILE_PG_BIN").join("pg_dump"))
            .arg(self.database.as_ref().expect("a database by URL"))
            .output()
            .expect("pg_dump runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines()
            // A transaction that was undone has counted on, too.
            .filter(|line| {
                !["\\restrict", "\\unrestrict", "SELECT pg_catalog.setval"].iter().any(|head| line.starts_with(head))
            })
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Lists every file below Asterisk's configuration folder with its text and time of change, but for the
    /// one that is locked.
    pub(crate) fn files(&self) -> Vec<(PathBuf, String, std::time::SystemTime)> {
        let mut found = Vec::new();
        let mut folders = vec![self.path("asterisk/etc")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with(".reconcile.lock") {
                    let changed = entry.metadata().and_then(|m| m.modified()).expect("a time");
                    found.push((path.clone(), fs::read_to_string(&path).expect("a file"), changed));
                }
            }
        }
        found.sort();
        found
    }

    /// Reads a generated file.
    pub(crate) fn endpoints(&self, tenant: &str) -> String {
        fs::read_to_string(self.etc(&format!("pjsip.d/{tenant}/generated_endpoints.conf"))).expect("the endpoint file")
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.canaries.look_around(&self.path("state"), &self.path("asterisk/etc"), &self.audit_log());
        }
    }
}

/// Takes the version and the writer out of a document and of those in it.
pub(crate) fn body(mut document: serde_json::Value) -> serde_json::Value {
    if let Some(keys) = document.as_object_mut() {
        for key in ["format_version", "written_by"] {
            keys.remove(key);
        }
        keys.values_mut().for_each(|value| *value = body(value.take()));
    }
    document
}

/// Writes a desired state with these users: `email`, `name` and further keys in YAML flow style.
pub(crate) fn desired(users: &[&str]) -> String {
    let mut text = "version: 1\ntenant: acme\nusers:\n".to_owned();
    for user in users {
        text = text + "  - { " + user + " }\n";
    }
    if users.is_empty() {
        text = text.replace("users:\n", "users: []\n");
    }
    text
}

/// Waits until something holds, for a minute at most.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_mins(1), "waited for this in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Says something that shows with `--nocapture`.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
