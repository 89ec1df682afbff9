//! `reconcile watch`: the plan again at each save of the desired state. Moves nothing, ever.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Result;
use jiff::Zoned;
use sha2::{Digest, Sha256};

use super::{
    Exit,
    plan::{Common, Planner},
    printer::Printer,
    saves::Saves,
    session,
    stop::{self, Stop},
};
use crate::{
    desired::{self, Loaded},
    error::words,
    model::shown,
};

/// Show the plan again each time the file is saved; never applies
///
/// Follows a file or a folder, even if it is replaced or does not exist yet. Reports a problem with the
/// file, the database or Asterisk, and tries again at the next save. The private database runs only
/// while a plan is made. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  reconcile watch -f pbx.yaml --no-asterisk")]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(args: &Args, printer: &mut Printer) -> Result<Exit> {
    let planner = args.common.resolve()?;
    let path = &args.common.file.file;
    if path == Path::new("-") {
        return Err(Stop::usage("standard input is read once, and cannot be watched", "name a file or a folder").into());
    }
    let mut last: Option<WatchedFiles> = None;
    loop {
        // Watched first, read second: what is saved while a plan is made ends the next wait.
        let saves = Saves::of(path)?;
        let loaded = desired::load(path);
        let mut seen = WatchedFiles::of(&loaded);
        tracing::debug!("looked at {} files", seen.files.len());
        let why = match &last {
            None => Some(format!("watching {}; nothing is applied, Ctrl-C ends it", shown(path))),
            Some(last) => seen.since(last),
        };
        if let Some(why) = why {
            printer.talk(&format!("{}  {why}", Zoned::now().strftime("%H:%M:%S")));
            seen.whole = show(&planner, shown(path), loaded, printer);
            last = Some(seen);
        }
        if printer.failed || printer.unread {
            return Ok(Exit::Done);
        }
        saves.wait()?;
    }
}

/// Shows the plan, or why there is none; tells whether the same file would only give the same again.
fn show(planner: &Planner<'_>, name: String, loaded: Loaded, printer: &mut Printer) -> bool {
    let shown =
        session::checked(name, loaded, printer).map_err(Into::into).and_then(|desired| planner.show(&desired, printer));
    match shown {
        Ok(comparison) => planner.is_whole(&comparison),
        Err(error) => {
            printer.error(&words(&error));
            stop::exit_of(&error) == Exit::Invalid
        }
    }
}

/// One save of a file: which inode, and when.
type Save = (u64, SystemTime);

/// The files as they were read at a time.
#[derive(Debug)]
struct WatchedFiles {
    /// Each file: the hash of what is in it, and the save it is from.
    files: BTreeMap<PathBuf, (Vec<u8>, Option<Save>)>,
    /// What was wrong with it.
    problems: Vec<String>,
    /// Whether it was planned with all stages at hand.
    whole: bool,
}

impl WatchedFiles {
    fn of(loaded: &Loaded) -> Self {
        let save = |path: &Path| {
            let about = fs::metadata(path).ok()?;
            Some((about.ino(), about.modified().ok()?))
        };
        let files = loaded.sources.iter().map(|source| {
            let content = Sha256::digest(source.text.as_bytes()).to_vec();
            (source.path.clone(), (content, save(&source.path)))
        });
        let problems = loaded.problems.iter().map(|problem| problem.message.clone());
        Self { files: files.collect(), problems: problems.collect(), whole: false }
    }

    /// Says what was saved since, if that is a reason to plan again.
    fn since(&self, last: &Self) -> Option<String> {
        const NAMED: usize = 3;
        let mut changed: Vec<String> = Vec::new();
        for (path, (content, save)) in &self.files {
            let name = shown(path);
            match last.files.get(path) {
                None => changed.push(format!("{name} is new")),
                Some((before, _)) if before != content => changed.push(format!("{name} saved")),
                // The same again, but last time a stage was missing.
                Some((_, before)) if before != save && !last.whole => changed.push(format!("{name} saved")),
                Some(_) => {}
            }
        }
        let gone = last.files.keys().filter(|path| !self.files.contains_key(*path));
        changed.extend(gone.map(|path| format!("{} is gone", shown(path))));
        if changed.is_empty() {
            return (self.problems != last.problems).then(|| "the errors while reading the files changed".to_owned());
        }
        if changed.len() > NAMED {
            let more = changed.split_off(NAMED).len();
            changed.push(format!("and {more} more"));
        }
        Some(changed.join(", "))
    }
}
