//! Phones as their source describes them, before anything is checked.

use zeroize::Zeroizing;

use super::{LeftOut, range::Elsewhere};

/// A phone or person. An empty text means that the source says nothing.
#[derive(Clone, Default)]
pub(crate) struct Candidate {
    /// Where it stands, such as `users.csv:3` or `endpoint 1001`.
    pub(crate) place: String,
    /// The endpoint that it is, in a phone system that has them.
    pub(crate) endpoint: String,
    /// The number.
    pub(crate) number: String,
    /// The display name.
    pub(crate) name: String,
    /// The e-mail address.
    pub(crate) email: String,
    /// The address or id that it has here already, if the source is a file of ours.
    pub(crate) identity: String,
    /// The digest of its secret, if that is all that is known and it may stay.
    pub(crate) digest: Zeroizing<String>,
    /// The SIP secret, as it was found.
    pub(crate) secret: Zeroizing<String>,
    /// What the phone calls itself, where that is known.
    pub(crate) login: String,
    /// The user name that it authenticates with, if it is not that of the endpoint.
    pub(crate) auth_user: String,
    /// The context that it dials in, if most phones dial in another one.
    pub(crate) context: String,
    /// The voicemail box that its lamp is for, as `number@context`.
    pub(crate) mailbox: String,
    /// The codecs in order of preference.
    pub(crate) codecs: Vec<String>,
    /// How many devices may register.
    pub(crate) devices: Option<u32>,
    pub(crate) transport: String,
}

/// All that a source holds.
#[derive(Default)]
pub(crate) struct Found {
    /// What the source is, for the head of the file.
    pub(crate) source: String,
    /// The phones, in the order of the source.
    pub(crate) candidates: Vec<Candidate>,
    /// Numbers that none of the phones has.
    pub(crate) elsewhere: Elsewhere,
    /// Whether endpoints are named after the tenant and the extension.
    pub(crate) with_prefix: bool,
    /// The digest realm of all phones, unless it is the usual one.
    pub(crate) realm: Option<String>,
    /// The operator's contexts that phones dial in.
    pub(crate) contexts: Vec<String>,
    /// What is not carried over.
    pub(crate) left_out: Vec<LeftOut>,
}
