//! The words every stage shares: extension, e-mail, id of a phone, tenant, display name, secret, settings.
//!
//! Each type is parsed once, at the edge, and carries its proof from then on. Nothing here reads
//! a file, a clock or the environment.

mod at;
mod box_number;
mod code;
mod diagnostic;
mod digest;
pub mod document;
mod emergency;
mod extension;
mod flow;
mod hints;
mod host;
mod host_name;
mod identity;
mod invalid;
mod menu;
mod number;
mod operators_extension;
mod packed;
mod pin;
mod secret;
mod secret_source;
mod settings;
mod text;
mod user_key;
mod visible;
mod weak;

pub(crate) use at::{AT, At, MeantKeys, NAMED, Named, TOKEN, Token, WORD, WORD_OR_LIST, WORD_OR_MAP, Word, values};
pub use box_number::{BoxNumber, OperatorsBox};
pub use code::Code;
pub use diagnostic::{Diagnostic, Place, Severity};
pub use digest::{Ha1, Prints};
pub(crate) use digest::{hex, print};
pub use document::{Document, Unreadable};
pub use emergency::Country;
pub(crate) use emergency::{emergency_calls, emergency_numbers, emergency_numbers_anywhere};
pub use extension::{Extension, ExtensionRange, ExtensionRanges};
pub(crate) use extension::{overlap, overlapping, runs, shown_stretches};
pub use flow::{CallerId, Cause, Chain, Leg, Mailbox, NamePrefix, Node, NumberSource, Outside, OutsideLine, Ring, Who};
pub use hints::Hints;
pub use host::Host;
#[cfg(test)]
pub(crate) use host_name::GENERATED_CONTEXTS;
pub use host_name::HostName;
pub(crate) use host_name::{MENU_CONTEXT, is_generated};
pub use identity::{Identity, PhoneId};
pub use invalid::Invalid;
pub(crate) use invalid::{invisible_hint, is_direction_mark, nearest, quoted, shown};
pub use menu::{MenuKey, Prompt};
pub(crate) use number::WITHHELD;
pub use number::{Caller, CallerClass, E164, Prefix};
pub use operators_extension::{ExtensionName, OperatorsExtension};
pub(crate) use packed::packed;
pub use pin::Pin;
pub(crate) use pin::{is_tag, tagged};
pub use secret::Secret;
pub(crate) use secret::{SENSITIVE, TELLING};
pub use secret_source::{SecretSource, SourceName};
pub use settings::{EndpointNames, Mode, PhoneOverride, PhoneProfile, RailLimit, Settings};
pub(crate) use text::NAME_BYTES;
pub(crate) use text::text_type;
pub use text::{Codec, DisplayName, Email, ObjectName, Tenant};
pub use user_key::UserKey;
pub(crate) use visible::{escaped, first_unprintable, is_unseen, printable, visible};
pub(crate) use weak::{Guessable, weaknesses};
