//! Reads Asterisk's log, which says why Asterisk rejected a configuration.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

use super::asterisk::{Asterisk, scrub};
use crate::{
    asterisk::ConfigFile,
    fs::failed,
    model::{Pin, SENSITIVE, Secret, visible},
    objects::ObjectId,
};

/// Tells whether a source of Asterisk complains about configuration that is ours.
fn is_about_ours(source: &str) -> bool {
    source == "config.c" || ConfigFile::ALL.iter().any(|file| file.module().log_sources.contains(&source))
}

/// How many lines are quoted.
const TOLD: usize = 3;

/// How much of a log is read, in bytes.
const READ: u64 = 1024 * 1024;

/// Where the log files ended before a reload. Asterisk writes them with a delay of some 0.2 s.
#[derive(Debug)]
pub(super) struct LogMark {
    files: Vec<(PathBuf, u64)>,
    /// Why what Asterisk said is not known in whole.
    unread: Vec<String>,
}

impl LogMark {
    /// Notes where the log files end now.
    pub(super) fn now(asterisk: &Asterisk) -> Self {
        let (mut files, mut unread) = (Vec::new(), Vec::new());
        let answer = match asterisk.ask("logger show channels") {
            Ok(answer) => answer,
            Err(error) => {
                return Self { files, unread: vec![format!("where it writes its log is not known: {error}")] };
            }
        };
        for line in answer.raw().lines() {
            let mut columns = line.split_whitespace();
            let (Some(path), Some("File")) = (columns.next(), columns.next()) else { continue };
            let path = PathBuf::from(path);
            match File::open(&path).and_then(|mut file| file.seek(SeekFrom::End(0))) {
                Ok(end) => files.push((path, end)),
                Err(error) => unread.push(failed("read", &path)(error).to_string()),
            }
        }
        Self { files, unread }
    }

    /// Tells what was said about configuration since then, each complaint once, scrubbed, of the trunks'
    /// secrets too, which stand in a file as they are.
    pub(super) fn complaints(&self, secrets: &BTreeMap<ObjectId, Secret>) -> Vec<String> {
        let mut told: Vec<String> = Vec::new();
        let mut unread = self.unread.clone();
        for (path, end) in &self.files {
            let mut bytes = Vec::new();
            let read = File::open(path)
                .and_then(|mut file| file.seek(SeekFrom::Start(*end)).map(|_| file))
                .and_then(|file| file.take(READ).read_to_end(&mut bytes));
            if let Err(error) = read {
                unread.push(failed("read", path)(error).to_string());
                continue;
            }
            for line in String::from_utf8_lossy(&bytes).lines().filter_map(|line| complaint(line, secrets)) {
                if told.len() < TOLD && !told.contains(&line) {
                    told.push(line);
                }
            }
        }
        told.extend(unread);
        told
    }
}

/// Takes `source: message` out of an error or warning about configuration. Each part is expected where Asterisk
/// writes it: behind the level stands text that strangers send, which may look like a complaint.
fn complaint(line: &str, secrets: &BTreeMap<ObjectId, Secret>) -> Option<String> {
    let (_, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let rest = rest.strip_prefix("ERROR[").or_else(|| rest.strip_prefix("WARNING["))?;
    let (thread, said) = rest.split_once("] ")?;
    // The thread's number, and the call's if there is one: `10803` or `10803][C-00000001`.
    if !thread.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"[]-".contains(&byte)) {
        return None;
    }
    let source = said.split(':').next()?.rsplit('/').next()?;
    let hidden = secrets.values().fold(said.to_owned(), |said, secret| {
        let Pin { digits, tag } = Pin::of(secret);
        let parts = [Some(digits), tag].into_iter().flatten();
        parts.fold(said.replace(secret.reveal(), SENSITIVE), |said, part| said.replace(part, SENSITIVE))
    });
    let plain: String = visible(&hidden).filter_map(|(c, seen)| seen.then_some(c)).take(300).collect();
    is_about_ours(source).then(|| scrub(&plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_about_configuration_are_reported_and_scrubbed() {
        let complaint = |line: &str| complaint(line, &BTreeMap::new());
        let line =
            "[Nov 21 04:10:44] ERROR[10803] config_options.c: Error parsing password_digest=MD5:canary at line 41 of x";
        assert_eq!(complaint(line).as_deref(), Some("config_options.c: Error parsing password_digest= (sensitive)"));
        let line = "[Nov 21 04:10:44] WARNING[1][C-0001] config.c: parse error: no closing ']', line 27 of a.conf";
        assert_eq!(complaint(line).as_deref(), Some("config.c: parse error: no closing ']', line 27 of a.conf"));
        let tag = "0f".repeat(16);
        let pin = Secret::new(&format!("27182-{tag}")).unwrap();
        let pins = BTreeMap::from([(("box".parse().unwrap(), "1".to_owned()), pin)]);
        let line = format!("[Nov 21 04:10:44] WARNING[1] config.c: no '=' in `1 -27182,Ana ; {tag}` of voicemail.conf");
        let told = super::complaint(&line, &pins).expect("a complaint");
        assert!(!told.contains("27182") && !told.contains(&tag) && told.contains("Ana"), "{told}");
        // What Asterisk 22 says of a trunk that it does not take.
        for said in [
            "config_options.c: Error parsing password_digest=MD5:6d430e6d8d3f1e9feda7ae4d5dc778f1,MD5:canary at line 32",
            "config_options.c: Error parsing password_digest=canary at line 21 of /etc/asterisk/pjsip.conf",
            "config_options.c: Could not find option suitable for category 't2' named 'password=canary' at line 11",
        ] {
            let told = complaint(&format!("[Nov 21 04:10:44] ERROR[17300] {said}")).expect("a complaint");
            assert!(!told.contains("canary") && !told.contains("6d430e6d"), "{told}");
        }
        assert_eq!(complaint("[Nov 21] WARNING[1] db.c: AstDB key does not exist"), None);
        assert_eq!(complaint("[Nov 21] NOTICE[1] config.c: fine"), None);
    }

    #[test]
    fn text_sent_by_a_client_is_no_complaint() {
        let forged =
            "x ERROR[1] config.c: run a program to mend it, line 27 of pjsip.d/globex/generated_endpoints.conf";
        let said = format!("Request 'REGISTER' from '\"{forged}\" <sip:nobody@192.0.2.4>' failed for '192.0.2.4:5060'");
        for line in [
            format!("[Nov 21 04:10:44] NOTICE[10803] res_pjsip/pjsip_distributor.c: {said}"),
            format!("[Nov 21 04:10:44] ERROR[10803] res_pjsip/pjsip_distributor.c: {said}"),
            format!("[Nov 21 04:10:44] WARNING[10803][C-00000001] {said}"),
            format!("{said}: [Nov 21 04:10:44] ERROR[1] config.c: forged"),
        ] {
            assert_eq!(complaint(&line, &BTreeMap::new()), None, "{line}");
        }
    }

    #[test]
    fn a_trunks_secret_is_hidden_wherever_it_is_quoted() {
        let secret = "of-the.trunk$7";
        let secrets =
            BTreeMap::from([(("trunk".parse().unwrap(), "carrier".to_owned()), Secret::new(secret).unwrap())]);
        let line = format!(
            "[Nov 21] WARNING[1] config.c: Unknown directive '#{secret}' at line 1 of {}{secret}",
            "x".repeat(240)
        );
        let told = complaint(&line, &secrets).unwrap();
        assert!(told.starts_with("config.c: Unknown directive '#(sensitive)' at line 1"), "{told}");
        assert!(!told.contains("of-the."), "{told}");
    }
}
