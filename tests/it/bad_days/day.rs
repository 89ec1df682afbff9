//! A day in the life of one system: what is run on it, what stands at its stages, and what must
//! never have been told.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use reconcile::{
    asterisk::{
        ConfigFile::{self, Endpoints, Routing},
        PerFile, mark_context, mark_name,
    },
    model::Tenant,
    render::parse,
};

use super::{
    super::support::{KEY, Outcome, TestEnv, database, until},
    Mend, Stage, Stands,
    database::{Cluster, DATABASE_PASSWORD},
};

/// The secret of a user who declares one.
pub(super) const CANARY: &str = "canary9of9a9bad9day";

/// The secret after it was changed.
pub(super) const CANARY_CHANGED: &str = "changed9canary9of9a9day";

/// Ana declares her secret; the others have one made.
pub(super) const ANA: &str = "email: ana@example.com, name: Ana, secret: { env: ANA_SIP_SECRET }";
/// Ana, whose name and secret have changed: her phone must log in again.
pub(super) const ANA_CHANGED: &str = "email: ana@example.com, name: Anna, secret: { env: ANA_NEW_SECRET }";
pub(super) const BO: &str = "email: bo@example.com, name: Bo";
/// Bo under another address.
pub(super) const BO_RENAMED: &str = "email: bo.li@example.com, name: Bo Li, previously: bo@example.com";
pub(super) const CY: &str = "email: cy@example.com, name: Cy";

/// A desired state in which calls leave through the operator's context.
pub(super) fn desired(users: &[&str]) -> String {
    super::super::support::desired(users) + "extensions: { range: 1000-1099 }\ndialplan: { include: [outbound] }\n"
}

/// A system and what was said on it.
pub(super) struct Day {
    pub(super) env: TestEnv,
    /// Its own database server, where it has one.
    pub(super) cluster: Option<Cluster>,
    /// The standby of that, where it has one.
    pub(super) standby: Option<Cluster>,
    said: String,
    digests: BTreeSet<String>,
}

impl Day {
    /// A system with a database, an Asterisk and nothing applied.
    pub(super) fn new() -> Self {
        Self::on(TestEnv::with_asterisk())
    }

    /// The same on an Asterisk that can be killed and started again.
    pub(super) fn restartable() -> Self {
        let mut env = TestEnv::new();
        env.start_asterisk_again();
        Self::on(env)
    }

    pub(super) fn on(mut env: TestEnv) -> Self {
        env.set("ANA_SIP_SECRET", CANARY);
        env.set("ANA_NEW_SECRET", CANARY_CHANGED);
        Self { env, cluster: None, standby: None, said: String::new(), digests: BTreeSet::new() }
    }

    pub(super) fn cluster(&mut self) -> &mut Cluster {
        self.cluster.as_mut().expect("a database server of its own")
    }

    pub(super) fn standby(&mut self) -> &mut Cluster {
        self.standby.as_mut().expect("a standby")
    }

    /// Makes it a system on which nothing was ever applied.
    pub(super) fn forget_everything(&mut self) {
        self.forget_files();
        self.env.database = Some(database());
    }

    /// Takes everything away but the database.
    pub(super) fn forget_files(&mut self) {
        for folder in ["asterisk/etc/pjsip.d/acme", "asterisk/etc/extensions.d/acme", "state"] {
            let _ = fs::remove_dir_all(self.env.path(folder));
        }
        self.env.ask("module reload res_pjsip.so");
        self.env.ask("dialplan reload");
    }

    /// Runs `reconcile` and remembers what it said.
    pub(super) fn run(&mut self, args: &str) -> Outcome {
        let outcome = self.env.run(args);
        self.hear(&outcome);
        outcome
    }

    /// Runs an apply that is held up at a point, and does something meanwhile.
    pub(super) fn meanwhile(&mut self, points: &str, happens: impl FnOnce(&mut Self)) -> Outcome {
        self.env.set("RECONCILE_FAIL_POINT", points);
        self.held_up(|day| {
            day.env.unset("RECONCILE_FAIL_POINT");
            happens(day);
        })
    }

    /// Runs an apply that the environment says will be held up, for as long as something happens.
    pub(super) fn held_up(&mut self, happens: impl FnOnce(&mut Self)) -> Outcome {
        let mut command = self.env.command(&["apply"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("reconcile starts");
        let mut apply = Apply(Some(child));
        until("the apply is held up", || apply.is_stopped());
        happens(self);
        // A point that is passed twice stops twice.
        until("the apply ends", || {
            if apply.is_stopped() {
                apply.signal("-CONT");
            }
            apply.has_ended()
        });
        let output = apply.0.take().expect("a process").wait_with_output().expect("it ends");
        let outcome = self.env.outcome(output);
        self.hear(&outcome);
        outcome
    }

    /// Remembers what a command said.
    pub(super) fn hear(&mut self, outcome: &Outcome) {
        self.said.push_str(&outcome.text());
    }

    /// Makes the commands to come ask Asterisk through a shell script, in which `$real` is the
    /// client, `$2` the command and `$dir` a folder of its own.
    pub(super) fn ask_through(&mut self, script: &str) {
        let (client, folder) = (self.env.path("client"), self.env.path("client.d"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        let text = format!(
            "real={} dir={} run={}\n{script}\nexec \"$real\" \"$@\"\n",
            self.env.path("asterisk/bin/asterisk").display(),
            folder.display(),
            self.env.path("asterisk/run").display(),
        );
        fs::write(&client, text).expect("a file");
        self.env.set("ASTERISK_COMMAND", &format!("sh {}", client.display()));
    }

    /// Asks Asterisk directly again.
    pub(super) fn ask_directly(&mut self) {
        self.env.unset("ASTERISK_COMMAND");
    }

    /// Edits a file of the operator's; answers with what undoes it.
    pub(super) fn edit(&mut self, file: &'static str, edit: &dyn Fn(&str) -> String) -> Mend {
        let path = self.env.etc(file);
        let text = fs::read_to_string(&path).expect("a file");
        fs::write(&path, edit(&text)).expect("a file");
        Box::new(move |day| fs::write(day.env.etc(file), text).expect("a file"))
    }

    /// The daemon's process.
    pub(super) fn signal_asterisk(&self, signal: &str) {
        let pid = fs::read_to_string(self.env.path("asterisk/run/asterisk.pid")).expect("a pid");
        assert!(Command::new("kill").args([signal, pid.trim()]).status().expect("kill runs").success());
    }

    /// Tells whether Asterisk answers within a second.
    pub(super) fn answers(&self) -> bool {
        let client = self.env.path("asterisk/bin/asterisk");
        let output = Command::new("timeout")
            .args(["-s", "KILL", "2"])
            .arg(client)
            .args(["-rx", "core show version"])
            .stderr(Stdio::null())
            .output()
            .expect("timeout runs");
        output.status.success() && !output.stdout.is_empty()
    }

    /// Registers a phone behind Asterisk's back.
    pub(super) fn register(&self, number: &str) {
        let key = format!("{number};@0123456789abcdef0123456789abcdef");
        let contact = format!(
            r#"{{\"uri\":\"sip:{number}@127.0.0.1:9\",\"expiration_time\":\"4000000000\",\"endpoint\":\"{number}\",\"qualify_frequency\":\"0\"}}"#
        );
        let done = self.env.ask(&format!("database put registrar/contact \"{key}\" \"{contact}\""));
        assert!(done.contains("Updated database successfully"), "{done}");
    }

    /// Lists the numbers whose phones are registered.
    pub(super) fn registered(&self) -> Vec<String> {
        let answer = self.env.ask("database show registrar/contact");
        let number = |line: &str| Some(line.strip_prefix("/registrar/contact/")?.split_once(";@")?.0.to_owned());
        answer.lines().filter_map(number).collect()
    }

    /// All that is recorded of users, as one text.
    pub(super) fn rows(&self) -> String {
        let query = "select coalesce(string_agg(concat_ws(' ', email, name, number, md5(secret_sealed)), E'\n'
                     order by number), '') from users join extensions on user_id = users.id";
        let mut sql = self.env.sql();
        let there: bool = sql.query_one("select to_regclass('users') is not null", &[]).unwrap().get(0);
        if there { sql.query_one(query, &[]).unwrap().get(0) } else { String::new() }
    }

    /// The audit log of this host: run and outcome.
    pub(super) fn audit(&self) -> Vec<(i64, String)> {
        let mut sql = self.env.sql();
        let there: bool = sql.query_one("select to_regclass('apply_audit_log') is not null", &[]).unwrap().get(0);
        if !there {
            return Vec::new();
        }
        let rows =
            sql.query("select id, outcome from apply_audit_log where host = 'pbx-test' order by id", &[]).unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Temporary files, and notes of work left to do.
    pub(super) fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        let (etc, notes) = (self.env.path("asterisk/etc"), self.env.path("state/hosts"));
        walk(&etc, &mut |path| found.extend(name(path).starts_with(".reconcile-").then(|| name(path))));
        let is_kept = |name: &str| name.starts_with("last_good_") || name.starts_with("previous_");
        walk(&notes, &mut |path| found.extend((!is_kept(&name(path))).then(|| name(path))));
        found
    }

    /// Tells whether nobody holds the host.
    pub(super) fn lock_is_free(&self) -> bool {
        fs::File::open(self.env.path("asterisk/etc")).expect("a folder").try_lock().is_ok()
    }

    /// No secret, digest or key was in anything that was said.
    pub(super) fn no_secret_was_told(&mut self) {
        for word in
            [CANARY, CANARY_CHANGED, DATABASE_PASSWORD, KEY].into_iter().chain(self.digests.iter().map(String::as_str))
        {
            let told = self.said.lines().find(|line| line.contains(word));
            assert!(told.is_none(), "a secret was told: {told:?}");
        }
        self.said.clear();
    }
}

/// An apply that runs; killed where a test fails.
struct Apply(Option<Child>);

impl Apply {
    fn id(&self) -> String {
        self.0.as_ref().expect("a process").id().to_string()
    }

    fn is_stopped(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T"))
    }

    fn has_ended(&mut self) -> bool {
        self.0.as_mut().is_none_or(|child| child.try_wait().expect("a process").is_some())
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.id()]).status().expect("kill runs").success());
    }
}

impl Drop for Apply {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { walk(&path, visit) } else { visit(&path) }
    }
}

/// Marks by the kind of object that bears them.
type Marks = BTreeMap<&'static str, Vec<String>>;

/// What stands at each stage at one moment.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) rows: String,
    pub(super) files: PerFile<Option<String>>,
    /// The marks that run.
    pub(super) running: PerFile<Marks>,
    pub(super) audit: Vec<(i64, String)>,
}

impl Snapshot {
    /// Looks at every stage.
    pub(super) fn take(day: &mut Day) -> Self {
        Self { rows: day.rows(), audit: day.audit(), ..Self::without_rows(day, true) }
    }

    /// Looks at the files and, where it answers, at Asterisk.
    pub(super) fn without_rows(day: &mut Day, answers: bool) -> Self {
        let tenant: Tenant = "acme".to_owned().try_into().expect("a tenant");
        let files = PerFile::from_fn(|file| {
            let bytes = fs::read(day.env.etc(&file.path(&tenant))).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        });
        for text in files.values().flatten() {
            day.digests.extend(text.split("MD5:").skip(1).map(|rest| rest.chars().take(32).collect::<String>()));
        }
        let mut running = PerFile::<Marks>::default();
        if answers {
            for (kind, command) in
                [("aor", "pjsip list aors"), ("auth", "pjsip list auths"), ("endpoint", "pjsip list endpoints")]
            {
                let answer = day.env.ask(command);
                let words = answer.split_whitespace().filter_map(|word| word.split('/').next());
                let marks = words.filter(|word| word.starts_with(&mark_name(&tenant, "")));
                // A listing cuts long names.
                running[Endpoints]
                    .insert(kind, marks.map(|mark| mark.chars().take(30).collect()).collect::<Vec<String>>());
            }
            let answer = day.env.ask(&format!("dialplan show {}", mark_context(&tenant)));
            let marks = answer.lines().filter_map(|line| line.trim_start().strip_prefix('\'')?.split_once("' =>"));
            running[Routing].insert("dialplan", marks.map(|(mark, _)| mark.to_owned()).collect());
        }
        Self { rows: String::new(), files, running, audit: Vec::new() }
    }

    /// The marks that run where these files do.
    fn marks_of(files: &PerFile<Option<String>>) -> PerFile<Marks> {
        let tenant: Tenant = "acme".to_owned().try_into().expect("a tenant");
        let marks = files.each_ref().map(|text| parse(text.as_deref().unwrap_or_default()).mark);
        // A listing cuts the names of pjsip's.
        let name: String = mark_name(&tenant, &marks[Endpoints]).chars().take(30).collect();
        PerFile::from_fn(|file| {
            if files[file].is_none() {
                return Marks::new();
            }
            let shown = if file == Endpoints { &name } else { &marks[file] };
            file.facts().marks.iter().map(|mark| (mark.kind, vec![shown.clone()])).collect()
        })
    }

    /// Tells whether Asterisk runs exactly the files in place.
    pub(super) fn runs_its_files(&self) -> bool {
        let is_there = |(file, text): (ConfigFile, &Option<String>)| text.is_some() || file.facts().is_optional;
        self.files.iter().all(is_there) && self.running == Self::marks_of(&self.files)
    }

    /// Says what stands at each stage, between the states before and after; what is expected wins
    /// where a stage is the same before and after.
    pub(super) fn between(&self, before: &Self, after: &Self, expected: Stands) -> Stands {
        let stage = |expected: Stage, is_before: bool, is_after: bool, is_stub: bool, is_nothing: bool| {
            let all = [
                (Stage::Before, is_before),
                (Stage::After, is_after),
                (Stage::Stub, is_stub),
                (Stage::Nothing, is_nothing),
            ];
            let found = all.iter().find(|(stage, is)| *is && *stage == expected);
            found.or_else(|| all.iter().find(|(_, is)| *is)).map_or(Stage::Else, |(stage, _)| *stage)
        };
        // What the tenant never had stands as expected.
        let is_none = |file: ConfigFile| [self, before, after].iter().all(|at| at.files[file].is_none());
        let stub = |file: ConfigFile| {
            self.files[file].as_deref().is_some_and(|text| parse(text).intact && !text.contains("@example.com"))
        };
        let in_place = |file: ConfigFile| {
            if file.facts().is_optional && is_none(file) {
                return expected.files[file];
            }
            let (was, is) = (self.files[file] == before.files[file], self.files[file] == after.files[file]);
            stage(expected.files[file], was, is, stub(file), self.files[file].is_none())
        };
        let marks = Self::marks_of(&self.files);
        let running = |file: ConfigFile| {
            let found = &self.running[file];
            if file.facts().is_optional && is_none(file) {
                return expected.running[file];
            }
            if found.is_empty() {
                return Stage::Gone;
            }
            let (was, is) = (*found == before.running[file], *found == after.running[file]);
            let nothing = found.values().all(Vec::is_empty);
            stage(expected.running[file], was, is, stub(file) && *found == marks[file], nothing)
        };
        let new = self.audit.iter().skip(before.audit.len()).next_back();
        Stands {
            rows: stage(expected.rows, self.rows == before.rows, self.rows == after.rows, false, false),
            files: PerFile::from_fn(in_place),
            running: PerFile::from_fn(running),
            audit: new.map(|(_, outcome)| word(outcome)),
        }
    }
}

fn word(outcome: &str) -> &'static str {
    ["open", "recorded", "live", "rolled_back", "not_live", "interrupted"]
        .into_iter()
        .find(|word| *word == outcome)
        .unwrap_or("something else")
}
