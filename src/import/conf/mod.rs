//! Asterisk's configuration files, read as Asterisk reads them.
//!
//! Templates, `[name](+)`, includes and block comments are resolved. What Asterisk would drop or reject is a fault with
//! its place: the import does not guess. No line of a file is quoted in a message, because it may hold a secret.

mod codecs;
mod dialplan;
mod loads;
mod phones;
mod reader;
mod sip;
mod voicemail;

pub(crate) use dialplan::dialplan;
pub(crate) use phones::phones;
pub(crate) use reader::{Section, read};
pub(crate) use sip::sip;
pub(crate) use voicemail::mailbox_owners;

use super::{LeftOut, Rank, Refused};

/// Where files come from. Names are as an include line writes them: below the configuration folder, or absolute.
pub(crate) trait Files {
    /// Lists the files that an include line finds, in the order in which Asterisk reads them.
    ///
    /// # Errors
    /// Why a folder cannot be looked into.
    fn find(&self, name: &str) -> Result<Vec<String>, String>;

    /// Reads a file; `None` if it does not exist or is a folder.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String>;
}

/// Which options of a file are kept.
pub(crate) enum Keep {
    /// The last value of each option.
    Options,
    /// All lines, in their order.
    Entries,
}

/// A file that was read.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// Its name below the configuration folder.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

/// A line of a file: the index of the file, and the number of the line from 1.
pub(crate) type Line = (usize, usize);

/// Something that Asterisk would drop or reject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where it is, as `file:line`.
    pub(crate) place: String,
    /// What it is, and what Asterisk makes of it.
    pub(crate) what: String,
}

/// A file and all that it includes.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// The files, in the order in which they were read first.
    pub(crate) files: Vec<SourceFile>,
    /// The sections, templates included, in their order.
    pub(crate) sections: Vec<Section>,
    /// The faults, in the order of the files.
    pub(crate) faults: Vec<Fault>,
    /// Where `#exec` lines are, which are never run.
    pub(crate) programs: Vec<String>,
}

/// How many faults a message lists.
const LISTED: usize = 20;

impl Config {
    /// Writes a line as `file:line`.
    pub(crate) fn place(&self, (file, line): Line) -> String {
        format!("{}:{line}", self.files[file].name)
    }

    /// Lists the sections that are no templates.
    pub(crate) fn real(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(|section| !section.is_template)
    }

    /// Refuses the file if Asterisk would drop or reject any of it.
    ///
    /// # Errors
    /// If there is a fault.
    pub(crate) fn require_whole(&self) -> Result<(), Refused> {
        let hint = "correct it: Asterisk does not run what the file says; or ask the running Asterisk (`--running`)";
        let programs = self.programs.iter().map(|place| format!("{place}: `#exec` is never run by an import"));
        let faults = self.faults.iter().map(|Fault { place, what }| format!("{place}: {what}"));
        let all: Vec<String> = programs.chain(faults).collect();
        if all.is_empty() {
            return Ok(());
        }
        let more = all.len().saturating_sub(LISTED);
        let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
        let hint = if self.programs.is_empty() { hint } else { "import from the running Asterisk (`--running`)" };
        Err(Refused::new(all[..all.len().min(LISTED)].join("\n") + &more, hint))
    }

    /// Lists what is not known of a file that is only looked into, such as the dialplan.
    pub(crate) fn unknown(&self, rank: Rank, of: &str) -> Vec<LeftOut> {
        let unknown = |place: &String, why: &str| LeftOut::new(rank, place, format!("{why}: {of} is not known"));
        let programs = self.programs.iter().map(|place| unknown(place, "`#exec` is not run"));
        programs.chain(self.faults.iter().map(|fault| unknown(&fault.place, &fault.what))).collect()
    }
}
