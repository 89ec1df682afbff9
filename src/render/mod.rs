//! Stage 3, rendered: Asterisk's include files, as text.
//!
//! Pure: the same input gives the same bytes; no clock, host name or randomness. Owns Asterisk's
//! syntax (writing and reading it back), the generation marks and the masked file diff. Putting
//! the files in place is the business of `deploy`.

mod caller;
mod calls_of_phones;
mod contexts;
mod cover;
mod diff;
mod inbound;
mod masked_boxes;
mod members;
mod menus;
mod messages;
mod needs;
mod numbered;
mod numbers;
mod parse;
mod parts;
mod pjsip;
mod queues;
mod routing;
mod targets;
mod unanswered;
mod voicemail;

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub(crate) use cover::prefix_cover;
pub(crate) use diff::diff;
pub use diff::{FileDiff, SameDigest, SectionDiff};
pub(crate) use masked_boxes::has_bare_pins;
pub use needs::Needs;
pub(crate) use numbers::{dialing_differs, numbers_between};
pub use parse::{Parsed, ParsedBox, ParsedObject, ParsedPhone, ParsedSection, parse};
pub(crate) use parse::{Present, is_as_written, section_names};
pub(crate) use pjsip::template_names;
pub(crate) use routing::code_in_words;

use crate::{
    asterisk::{BadValue, ConfigFile, Name, PerFile},
    model::{DisplayName, EndpointNames, Extension, Ha1, Identity, PhoneOverride, Secret, Settings, Tenant, hex},
    objects::{ObjectId, Routes, Target},
};

/// What one tenant's files are made of.
#[derive(Debug)]
pub struct Phonebook<'a> {
    /// The tenant.
    pub tenant: &'a Tenant,
    /// What its users share.
    pub settings: &'a Settings,
    /// The directory the users are recorded in; a placeholder stands for none.
    pub directory: Option<Uuid>,
    /// The users, by number.
    pub phones: Vec<Phone<'a>>,
    /// What is declared about inbound calls.
    pub routes: &'a Routes,
}

/// One user's phone.
#[derive(Debug)]
pub struct Phone<'a> {
    /// The address or the id, shown in a comment.
    pub email: &'a Identity,
    /// The name the callee sees.
    pub name: &'a DisplayName,
    /// The number.
    pub extension: Extension,
    /// What this phone has differently.
    pub phone: &'a PhoneOverride,
    /// Who gets the calls that nobody answers, tried in turn. `None` for the user's own voicemail box, if there is one.
    pub no_answer: Option<&'a [Target]>,
}

/// The digests to render.
#[derive(Debug, Clone, Copy)]
pub enum Digests<'a> {
    /// Placeholders for digests, marks and the directory: for plans and their ids.
    Masked,
    /// The real ones.
    Real {
        /// The digests of phones, by number.
        digests: &'a BTreeMap<Extension, Ha1>,
        /// The secrets of objects.
        secrets: &'a BTreeMap<ObjectId, Secret>,
    },
}

/// One rendered file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path below Asterisk's configuration folder.
    pub path: String,
    /// Its text.
    pub text: String,
    /// Whether it defines nothing and only some tenants have such a file: it is written only where one is in place.
    pub is_stub: bool,
}

impl Phonebook<'_> {
    /// Renders the files.
    ///
    /// # Errors
    /// When a value cannot stand in a configuration line, or a digest is missing.
    pub fn files(&self, digests: Digests<'_>) -> Result<PerFile<File>, BadValue> {
        PerFile::try_from_fn(|file| {
            let text = match file {
                ConfigFile::Voicemail => voicemail::render(self, digests),
                ConfigFile::Endpoints => pjsip::render(self, digests),
                ConfigFile::Routing => routing::render(self, digests),
                ConfigFile::Queues => queues::render(self, digests),
            };
            let is_stub = match file {
                ConfigFile::Voicemail => !self.routes.have_boxes(),
                ConfigFile::Queues => self.routes.queues.is_empty(),
                ConfigFile::Endpoints | ConfigFile::Routing => false,
            };
            Ok(File { path: file.path(self.tenant), text: text?, is_stub })
        })
    }

    /// Lists the patterns of the numbers that a user has or may get. Reserved and emergency numbers are
    /// among them only if a user has them: all others are left to the operator's contexts.
    pub(crate) fn patterns(&self) -> Vec<String> {
        let mut left_out = self.settings.pinned_only();
        for phone in &self.phones {
            left_out.remove(&phone.extension);
        }
        prefix_cover(&self.settings.range, &left_out)
    }

    /// Names the endpoint, AOR and auth of a number.
    fn endpoint(&self, extension: Extension) -> Result<Name, BadValue> {
        Name::new(endpoint_name(self.tenant, self.settings.endpoint_names, extension))
    }
}

/// Names the endpoint, AOR and auth of a number; it is also the phone's SIP user name.
pub fn endpoint_name(tenant: &Tenant, names: EndpointNames, extension: Extension) -> String {
    format!("{}{extension}", names.prefix(tenant))
}

/// The line that ends what a generation mark vouches for.
const GENERATION: &str = "; generation\n";

/// What stands for a mark where files are compared.
const MASKED_MARK: &str = "(generation)";

/// What stands for the directory where files are compared.
const MASKED_DIRECTORY: &str = "(directory)";

/// What stands for the highest number of a box where files are compared: it changes with the boxes.
const MASKED_HIGHEST: &str = "(number)";

/// Computes the mark of the bytes before it: half of their SHA-256, in hex (a section name has at
/// most 79 bytes).
pub(crate) fn mark(body: &str) -> String {
    hex(&Sha256::digest(body.as_bytes())[..16])
}

/// Computes the digest of a mark's auth, which cannot be known without reading the file.
fn mark_digest(mark: &str, directory: Uuid) -> String {
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(directory.as_bytes()) else {
        unreachable!("HMAC takes keys of any length")
    };
    mac.update(mark.as_bytes());
    hex(&mac.finalize().into_bytes()[..16])
}

/// Writes the head of a file: its tenant and its directory, so that it is not edited, nor put under another directory.
fn head(book: &Phonebook<'_>, digests: Digests<'_>) -> String {
    let directory = match (digests, book.directory) {
        (Digests::Real { .. }, Some(id)) => id.to_string(),
        _ => MASKED_DIRECTORY.to_owned(),
    };
    format!(
        "; Written by reconcile for the tenant {}: change its YAML file, the next apply replaces this one.\n\
         ; directory {directory}\n",
        book.tenant
    )
}

#[cfg(test)]
mod tests;
