//! How an apply fails, and the state of each stage afterwards, in words.

use super::{AsteriskError, Override};
use crate::{
    asterisk::{BadValue, ConfigFile},
    directory::{DirectoryError, PrepareError},
    fs::FileError,
    model::Hints,
    plan::RailStop,
};

/// An apply that did not end well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// Another apply holds the host.
    #[error("another apply is running on the host `{host}`{}", holder.as_ref().map(|who| format!(": {who}")).unwrap_or_default())]
    Locked {
        host: String,
        /// Who holds it and since when, where the audit log tells.
        holder: Option<String>,
    },
    /// The plan must not be applied.
    #[error(transparent)]
    Stopped(#[from] anyhow::Error),
    /// The plan is another one than the one that was shown; nothing moved.
    #[error("{0}; nothing was changed")]
    Stale(String),
    /// The directory failed; nothing moved.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Secrets could not be sealed or opened; nothing moved.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// A value cannot be rendered; nothing moved.
    #[error(transparent)]
    Render(#[from] BadValue),
    /// A file could not be read or staged; nothing moved.
    #[error(transparent)]
    File(#[from] FileError),
    /// Asterisk cannot be asked; nothing moved.
    #[error("{0}; nothing was changed")]
    Asterisk(#[from] AsteriskError),
    /// A rail that was found only under the host's lock; nothing moved.
    #[error("{0}")]
    Rail(RailStop),
    /// Rows are recorded, but Asterisk does not run them.
    #[error("{0}")]
    NotLive(Box<NotLive>),
}

impl Hints for ApplyError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Stale(_) => vec!["run the same command again, and read its plan".to_owned()],
            Self::Directory(error) => error.hints(),
            Self::File(error) => error.hints(),
            Self::Asterisk(error) => error.hints(),
            Self::NotLive(not_live) => not_live.hints(),
            // What stopped it says its own, and so does a rail.
            Self::Locked { .. } | Self::Stopped(_) | Self::Prepare(_) | Self::Render(_) | Self::Rail(_) => Vec::new(),
        }
    }
}

impl Hints for StatusError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Asterisk(error) => error.hints(),
            Self::File(error) => error.hints(),
            Self::Render(_) => Vec::new(),
        }
    }
}

impl ApplyError {
    /// Another file on this host defines a name, or leads calls elsewhere.
    pub(super) fn taken_name(message: String, hint: &str) -> Self {
        Self::Rail(RailStop { rail: "taken-names", message, hint: hint.to_owned(), allow: None })
    }
}

impl From<StatusError> for ApplyError {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::Asterisk(error) => Self::Asterisk(error),
            StatusError::File(error) => Self::File(error),
            StatusError::Render(error) => Self::Render(error),
        }
    }
}

/// A host's state cannot be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StatusError {
    /// What Asterisk must have is not known, because a value cannot be rendered.
    #[error(transparent)]
    Render(#[from] BadValue),
    /// Asterisk cannot be asked.
    #[error(transparent)]
    Asterisk(#[from] AsteriskError),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What stands where after an apply that Asterisk did not take.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says something else about a stage")]
pub(crate) struct NotLive {
    /// What went wrong.
    pub(crate) reasons: Vec<String>,
    /// What Asterisk's log says about it, scrubbed.
    pub(crate) complaints: Vec<String>,
    /// Other tenants on this host whose files it complains about.
    pub(crate) others_at_fault: Vec<String>,
    /// Sections of other files that change generated objects.
    pub(crate) overrides: Vec<Override>,
    /// How many phones ran from files of the operator's that no longer define them.
    pub(crate) taken_over: usize,
    /// Whether the last good files are back in place.
    pub(crate) restored: bool,
    /// Whether there were none yet, so that files without users are in place.
    pub(crate) first: bool,
    /// Whether they also run.
    pub(crate) rolled_back: bool,
    /// Whether Asterisk could be asked on the way back.
    pub(crate) answers: bool,
    /// The audit row.
    pub(crate) run: i64,
    /// Why the audit row could not be closed, or `None` if it was.
    pub(crate) unaudited: Option<String>,
    /// Whether our include lines are missing in the operator's files.
    pub(crate) not_included: Vec<String>,
}

impl NotLive {
    /// Says where each stage stands.
    pub(crate) fn stages(&self) -> [(&'static str, &'static str); 3] {
        let rendered = match (self.restored, self.first) {
            (true, false) => "the last good files were put back",
            (false, false) => "the last good files could not be put back",
            (true, true) => "there were no files before; files without users are in place",
            (false, true) => "there were no files before; files without users could not be put in place",
        };
        let running = match (self.answers, self.restored, self.rolled_back) {
            (false, ..) => "unknown, Asterisk does not answer",
            (true, _, true) => "Asterisk runs them, read back",
            (true, true, false) => "unknown, the read-back of these files also failed",
            (true, false, false) => "unknown",
        };
        [("recorded", "the rows are as declared"), ("rendered", rendered), ("running", running)]
    }
}

impl std::fmt::Display for NotLive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Asterisk does not run the new files: {}", self.reasons.join("; "))?;
        for complaint in &self.complaints {
            write!(f, "\n  its log: {complaint}")?;
        }
        for (stage, words) in self.stages() {
            write!(f, "\n  {stage}: {words}")?;
        }
        if let Some(error) = &self.unaudited {
            write!(f, "\n  audit: the row of run {} stays open until the next apply: {error}", self.run)?;
        }
        Ok(())
    }
}

impl std::error::Error for NotLive {}

impl Hints for NotLive {
    fn hints(&self) -> Vec<String> {
        // Their phones cannot be called meanwhile.
        let undo = (self.taken_over > 0).then(|| {
            let phones = if self.taken_over == 1 { "1 phone".to_owned() } else { format!("{} phones", self.taken_over) };
            format!(
                "{phones} ran from sections of yours that your files no longer define. To bring them back, first undo the \
                 patch (`patch -R -p1 < FILE` in the configuration folder), then run \
                 `asterisk -rx '{}'`",
                ConfigFile::Endpoints.facts().module.reload_command
            )
        });
        undo.into_iter().chain(self.next_steps()).collect()
    }
}

impl NotLive {
    fn next_steps(&self) -> Vec<String> {
        if !self.answers {
            return vec!["make sure that Asterisk runs, then run `reconcile apply --again`".to_owned()];
        }
        let lines = self.not_included.iter();
        let lines = lines.map(|line| format!("Asterisk does not read our file; add this line once: {line}"));
        let others = self.others_at_fault.iter().map(|other| {
            format!(
                "the file at fault belongs to tenant `{other}`, and Asterisk reads the files of all tenants as one: run \
                 `reconcile apply` for `{other}`, which repairs it, then `reconcile apply --again` for this tenant"
            )
        });
        let overrides = self.overrides.iter().map(|found| format!("{}: remove that section", found.words()));
        let mut hints: Vec<String> = lines.chain(others).chain(overrides).collect();
        if hints.is_empty() {
            hints.push("see Asterisk's log for the line at fault, then run `reconcile apply --again`".to_owned());
        }
        hints
    }
}
