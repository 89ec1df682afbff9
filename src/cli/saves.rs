//! Waits for saves of the desired state: which folders to watch, and when a save is over.
//!
//! Does not know what is in the files. Folders are watched, never the files: an editor replaces a
//! file by renaming another one onto it, and a file that is not there yet can be waited for.

use std::{
    collections::{BTreeSet, VecDeque},
    ffi::{OsStr, OsString},
    fs, io,
    path::{Component, Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use notify::{
    ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};

use crate::{error::Hinted, model::shown};

/// A save is over when nothing moved for so long.
const QUIET: Duration = Duration::from_millis(200);
/// Who saves without end is looked at all the same.
const LONGEST: Duration = Duration::from_secs(2);
/// As deep as the desired state is read.
const DEEPEST: usize = 16;
/// Symbolic links behind each other, as many as the kernel follows.
const MOST_LINKS: usize = 40;

/// Watches everything that can change what is read from one path, from now until the next save.
///
/// Made anew for each wait, so that folders that come, go or are swapped need no bookkeeping: read
/// the files after this was made, and no save is missed.
pub(super) struct Saves {
    system: RecommendedWatcher,
    events: Receiver<notify::Result<Event>>,
    /// The steps of the way to the files: any change of one of them counts.
    steps: BTreeSet<PathBuf>,
    /// The folders that are read: their YAML files count, and folders that come and go.
    folders: BTreeSet<PathBuf>,
    watched: BTreeSet<PathBuf>,
}

impl Saves {
    /// Begins to watch a file or folder, which need not be there yet.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let name = shown(path);
        let (sender, events) = mpsc::channel();
        let system = notify::recommended_watcher(sender).map_err(too_many)?;
        let (steps, folders, watched) = Default::default();
        let mut saves = Self { system, events, steps, folders, watched };
        let path = std::path::absolute(path).with_context(|| format!("the path `{name}`"))?;
        if let Some(found) = saves.follow(&path)?
            && found.is_dir()
        {
            saves.folder(&found, 0)?;
        }
        Ok(saves)
    }

    /// Watches each step of a path, through symbolic links and as far as it is there; answers with
    /// where it leads. A folder is watched before it is looked into, so that nothing slips between.
    fn follow(&mut self, path: &Path) -> Result<Option<PathBuf>> {
        let mut here = PathBuf::from("/");
        let mut left: VecDeque<OsString> = parts(path).collect();
        let mut links = 0;
        while let Some(part) = left.pop_front() {
            if part == ".." {
                here.pop();
                continue;
            }
            self.watch(&here)?;
            here.push(part);
            self.steps.insert(here.clone());
            if let Ok(target) = fs::read_link(&here) {
                links += 1;
                if links > MOST_LINKS {
                    return Ok(None);
                }
                here.pop();
                if target.is_absolute() {
                    here = PathBuf::from("/");
                }
                for part in parts(&target).rev() {
                    left.push_front(part);
                }
            } else if !here.exists() {
                return Ok(None);
            }
        }
        Ok(Some(here))
    }

    /// Watches a folder, those below it, and where its links lead.
    fn folder(&mut self, folder: &Path, depth: usize) -> Result<()> {
        self.watch(folder)?;
        self.folders.insert(folder.to_owned());
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        for entry in entries.flatten().filter(|entry| !is_hidden(&entry.file_name())) {
            let path = entry.path();
            if path.is_symlink() {
                if is_yaml(&path) {
                    self.follow(&path)?;
                }
            } else if path.is_dir() && depth < DEEPEST {
                self.folder(&path, depth + 1)?;
            }
        }
        Ok(())
    }

    fn watch(&mut self, folder: &Path) -> Result<()> {
        if !self.watched.insert(folder.to_owned()) {
            return Ok(());
        }
        let Err(error) = self.system.watch(folder, RecursiveMode::NonRecursive) else { return Ok(()) };
        match &error.kind {
            // Gone again: the folder above it, watched before, tells when it is back.
            ErrorKind::PathNotFound => Ok(()),
            ErrorKind::Io(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            // A folder that may be passed through but not read: a change of that step is not seen.
            ErrorKind::Io(denied) if denied.kind() == io::ErrorKind::PermissionDenied => {
                tracing::warn!("cannot watch `{}`, so saves there are missed: {denied}", shown(folder));
                Ok(())
            }
            _ => Err(too_many(error).context(format!("cannot watch `{}`", shown(folder)))),
        }
    }

    /// Waits until something was saved and nothing moves any more.
    pub(super) fn wait(&self) -> Result<()> {
        let ended = || anyhow::anyhow!("the operating system no longer reports changed files");
        while !self.counts(&self.events.recv().map_err(|_| ended())?) {}
        let began = Instant::now();
        let mut quiet = began + QUIET;
        loop {
            let until = quiet.min(began + LONGEST);
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(event) if self.counts(&event) => quiet = Instant::now() + QUIET,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
            }
        }
    }

    /// Tells whether an event may have changed what is read. Reading, our own too, never does.
    fn counts(&self, event: &notify::Result<Event>) -> bool {
        // Events were lost: anything may have happened.
        let Ok(event) = event else { return true };
        let written = AccessKind::Close(AccessMode::Write);
        if event.kind.is_access() && event.kind != EventKind::Access(written) {
            return false;
        }
        let comes_or_goes = match event.kind {
            EventKind::Access(_) => false,
            EventKind::Modify(kind) => matches!(kind, ModifyKind::Name(_) | ModifyKind::Metadata(_)),
            _ => true,
        };
        event.need_rescan()
            || event.paths.iter().any(|path| {
                let read = path.parent().is_some_and(|parent| self.folders.contains(parent))
                    && path.file_name().is_some_and(|name| !is_hidden(name))
                    && (comes_or_goes || is_yaml(path));
                read || self.steps.contains(path)
            })
    }
}

/// The parts of a path that lead somewhere: names, and `..`.
fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    })
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|ext| ext.eq_ignore_ascii_case("yaml") || ext.eq_ignore_ascii_case("yml"))
}

fn too_many(error: notify::Error) -> anyhow::Error {
    let hint = "the system's limit may be reached: see fs.inotify.max_user_watches and max_user_instances";
    Hinted::new(error, hint).into()
}
