//! Canaries: what a test planted as a secret, and where none of it may ever show. Every `TestEnv`
//! looks at all that its commands say, and in the end at what they left.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
};

/// The secrets of one test, and all that was said in it.
#[derive(Default)]
pub(crate) struct Canaries {
    planted: Mutex<BTreeSet<String>>,
    /// As good as the secrets: what Asterisk's auths held at some time.
    digests: Mutex<BTreeSet<String>>,
    told: Mutex<String>,
}

impl Canaries {
    /// Plants a secret. A short one is left alone: it would be found by chance.
    pub(crate) fn plant(&self, value: &str) {
        if value.len() >= 8 {
            self.planted.lock().unwrap().insert(value.to_owned());
        }
    }

    /// Plants the password in a database's URL.
    pub(crate) fn plant_url(&self, url: &str) {
        let config = url.parse::<postgres::Config>();
        if let Some(password) = config.as_ref().ok().and_then(postgres::Config::get_password) {
            self.plant(&String::from_utf8_lossy(password));
        }
    }

    /// Plants what `secret show` prints.
    pub(crate) fn plant_shown(&self, stdout: &str) {
        let json = serde_json::from_str::<serde_json::Value>(stdout).ok();
        let shown = json.as_ref().and_then(|json| json["secret"].as_str().or(json["token"].as_str()));
        let token = |line: &'_ str| line.starts_with("rct_");
        let text = || stdout.lines().find_map(|line| line.strip_prefix("secret ").or(token(line).then_some(line)));
        if let Some(secret) = shown.or_else(text) {
            self.plant(secret.trim());
        }
    }

    /// Fails where a command said a secret; keeps what it said for what is known later.
    #[track_caller]
    pub(crate) fn hear(&self, command: &str, said: &str) {
        let line =
            |word: &String| said.lines().find(|line| line.contains(word.as_str())).unwrap_or_default().to_owned();
        let planted = self.planted.lock().unwrap();
        let found: Vec<_> = planted.iter().filter(|word| said.contains(word.as_str())).map(line).collect();
        assert!(found.is_empty(), "`{command}` shows a secret: {found:#?}");
        self.told.lock().unwrap().push_str(said);
    }

    /// Notes the digests in the generated files below Asterisk's configuration folder.
    pub(crate) fn note_digests(&self, etc: &Path) {
        let folders = fs::read_dir(etc.join("pjsip.d")).into_iter().flatten().flatten();
        for folder in folders {
            let text = fs::read_to_string(folder.path().join("generated_endpoints.conf")).unwrap_or_default();
            let digests = text.lines().filter_map(|line| line.strip_prefix("password_digest = MD5:"));
            self.digests.lock().unwrap().extend(digests.map(str::to_owned));
        }
    }

    /// Fails where something that was said, recorded or left in our own folder holds a secret, or
    /// where a temporary file was left. The last good files, and those before, are the one place for digests there. Only a
    /// server may leave one, in its own folder, for the next to remove: tests kill it.
    pub(crate) fn look_around(&self, state: &Path, etc: &Path, audit: &str) {
        self.note_digests(etc);
        let (planted, digests) = (self.planted.lock().unwrap(), self.digests.lock().unwrap());
        let holds = |line: &&str| {
            let mut hashes = line.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() == 32);
            hashes.any(|hash| digests.contains(hash)) || planted.iter().any(|word| line.contains(word.as_str()))
        };
        for (place, text) in [("the output", self.told.lock().unwrap().as_str()), ("the audit log", audit)] {
            let found = text.lines().find(holds);
            assert!(found.is_none(), "{place} holds a secret: {found:?}");
        }
        let plain = holding(&planted, state, &[]);
        assert!(plain.is_empty(), "a plain secret stands in {plain:?}");
        let told =
            holding(&digests, state, &["--exclude=last_good_endpoints.conf", "--exclude=previous_endpoints.conf"]);
        assert!(told.is_empty(), "a digest stands in {told:?}");
        let mut left: Vec<PathBuf> = [state, etc].into_iter().flat_map(temporary).collect();
        left.retain(|path| !path.starts_with(state.join("serve")));
        assert!(left.is_empty(), "temporary files were left: {left:?}");
    }
}

/// Names the files below a folder that hold one of the words.
pub(crate) fn holding(words: &BTreeSet<String>, folder: &Path, options: &[&str]) -> Vec<String> {
    if words.is_empty() || !folder.exists() {
        return Vec::new();
    }
    let mut grep = Command::new("grep")
        .args(["-rlaF", "-f", "-"])
        .args(options)
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("grep runs");
    let list = words.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    grep.stdin.take().expect("a pipe").write_all(list.as_bytes()).expect("grep reads");
    let output = grep.wait_with_output().expect("grep ends");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Lists our temporary files below a folder.
fn temporary(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(temporary(&entry.path()));
        } else if entry.file_name().to_string_lossy().starts_with(".reconcile-") {
            found.push(entry.path());
        }
    }
    found
}
