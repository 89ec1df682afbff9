//! Stage 1, declared: the desired-state file, from bytes to a checked [`Declared`].
//!
//! Owns the file's types, its diagnostics and its rules. Does not know what is recorded, and reads
//! no secret: that a declared secret can be resolved is the business of `sync` and `apply`.

mod check;
mod diagnostic;
mod file;
mod gather;
mod keys;
mod load;
mod read;
mod scalar;
mod sink;
mod yaml;

use std::{collections::BTreeMap, path::Path, sync::Arc};

pub use diagnostic::{Source, Sources};
pub use file::schema;
pub(crate) use scalar::scalar;

use crate::{
    calls::Call,
    model::{
        Code, Diagnostic, DisplayName, Extension, HostName, Identity, PhoneOverride, Place, RailLimit, SecretSource,
        Settings, Severity, Tenant, UserKey,
    },
    objects::{self, ObjectId, Places, Routes, Target},
};

/// A checked desired state: every value is good, alone and together with the others.
#[derive(Debug, Clone)]
pub struct Declared {
    /// The tenant.
    pub tenant: Tenant,
    /// What all its users share.
    pub settings: Settings,
    /// What an apply may do without being told twice.
    pub rails: Rails,
    /// The users by identity.
    pub users: BTreeMap<UserKey, DeclaredUser>,
    /// Who gets inbound calls.
    pub routes: Routes,
    /// Where the secrets of objects come from.
    pub(crate) object_secrets: BTreeMap<ObjectId, SecretSource>,
    /// Where what they are made of is declared.
    pub(crate) places: Places,
    /// Where the names are declared that must exist on the Asterisk host: the first place of each.
    pub(crate) host_names: BTreeMap<HostName, Place>,
    /// The tests of the routes; all of them hold, but for a trace.
    pub(crate) expectations: Vec<Expectation>,
}

/// A test of the routes.
#[derive(Debug, Clone)]
pub(crate) struct Expectation {
    /// The call.
    pub call: Call,
    /// Who gets it first.
    pub reaches: Target,
    /// Where it is declared.
    pub place: Place,
}

/// The declared rails.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rails {
    /// Users deleted by one apply; as many voicemail boxes, and as many public numbers, may end.
    pub deletes: RailLimit,
    /// Phones that must log in again after one apply.
    pub relogins: RailLimit,
}

/// One declared user.
#[derive(Debug, Clone)]
pub struct DeclaredUser {
    /// The address or the id as written.
    pub email: Identity,
    /// The display name.
    pub name: DisplayName,
    /// The pinned number.
    pub extension: Option<Extension>,
    /// Where it is pinned.
    pub(crate) pinned_at: Option<Place>,
    /// The former address or id.
    pub previously: Option<Identity>,
    /// Where the secret comes from; generated where absent.
    pub secret: Option<SecretSource>,
    /// Whether deletion and renumbering are refused.
    pub protected: bool,
    /// What this user's phone has differently.
    pub phone: Arc<PhoneOverride>,
    /// Who gets the calls that nobody answers, tried in turn. `None` for the user's own voicemail box, if there is one.
    pub no_answer: Option<Box<[Target]>>,
    /// Where the user is declared.
    pub place: Place,
}

/// What came out of reading a desired state.
#[derive(Debug)]
pub struct Loaded {
    /// The files, for the places in diagnostics and plans.
    pub sources: Vec<Source>,
    /// The problems, in the order of their places.
    pub problems: Vec<Diagnostic>,
    /// How many problems there are beyond those: all of them errors.
    pub(crate) unlisted: usize,
    /// The desired state, if there is no error among the problems.
    pub declared: Option<Declared>,
}

impl Loaded {
    /// Finds the tenant. If something else is wrong with the file, its `tenant` is enough: `None` if the file has
    /// none, more than one, or one that is none.
    pub fn tenant(&self) -> Option<Tenant> {
        match &self.declared {
            Some(declared) => Some(declared.tenant.clone()),
            None => load::tenant(&self.sources),
        }
    }
}

/// Reads and checks the desired state in a file, a folder, or standard input (`-`). Every problem is found in one run.
pub fn load(path: &Path) -> Loaded {
    load_with(path, |_| {})
}

/// Does the same, but a failed expectation is only a warning, for commands that explain it.
pub(crate) fn load_to_trace(path: &Path) -> Loaded {
    load_with(path, |problem| {
        if problem.code == Code::FailedExpectation {
            problem.severity = Severity::Warning;
        }
    })
}

fn load_with(path: &Path, adjust: fn(&mut Diagnostic)) -> Loaded {
    let (mut sources, mut problems) = load::sources(path);
    let readable = problems.is_empty();
    let (declared, unlisted) = if readable { parse(&mut sources, &mut problems) } else { (None, 0) };
    problems.iter_mut().for_each(adjust);
    finish(sources, problems, unlisted, declared)
}

/// Checks a desired state that is already in memory, under the name its diagnostics shall show.
pub fn load_text(name: &str, text: &str) -> Loaded {
    let mut sources = vec![load::source(name.into(), name.to_owned(), text.to_owned())];
    let mut problems = Vec::new();
    let (declared, unlisted) = parse(&mut sources, &mut problems);
    finish(sources, problems, unlisted, declared)
}

/// Checks several files that are already in memory, merged as those of a folder are.
pub(crate) fn load_texts(files: &[(String, &str)]) -> Loaded {
    let mut sources: Vec<Source> =
        files.iter().map(|(name, text)| load::source(name.into(), name.clone(), (*text).to_owned())).collect();
    let mut problems = Vec::new();
    let (declared, unlisted) = parse(&mut sources, &mut problems);
    finish(sources, problems, unlisted, declared)
}

/// Reads and checks; answers with how many problems are not listed, too.
fn parse(sources: &mut [Source], problems: &mut Vec<Diagnostic>) -> (Option<Declared>, usize) {
    let Some(tree) = load::tree(sources, problems) else { return (None, 0) };
    let mut hidden = Vec::new();
    let ((file, keys), unlisted) = read::read::<file::DesiredState, objects::Keys>(&tree, problems, &mut hidden);
    for place in hidden {
        if let Some(source) = sources.get_mut(place.file as usize) {
            source.hidden.push(place.start..place.end);
        }
    }
    if file.is_none() {
        read::missing_keys(&tree, &["version", "tenant", "users"], problems);
    }
    // It may be larger than what was read from it.
    drop(tree);
    (file.zip(keys).map(|(file, keys)| check::check(file, keys, problems)), unlisted)
}

fn finish(sources: Vec<Source>, mut problems: Vec<Diagnostic>, unlisted: usize, declared: Option<Declared>) -> Loaded {
    problems.sort_by_key(|problem| (problem.place, problem.severity, problem.code));
    let problems = gather::warnings(problems);
    let failed = problems.iter().any(|problem| problem.severity == Severity::Error);
    Loaded { sources, problems, unlisted, declared: declared.filter(|_| !failed) }
}
