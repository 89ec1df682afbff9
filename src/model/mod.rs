//! The words every stage shares: extension, e-mail, tenant, display name, secret, settings.
//!
//! Each type is parsed once, at the edge, and carries its proof from then on. Nothing here reads
//! a file, a clock or the environment.

mod extension;
mod invalid;
mod secret;
mod settings;
mod text;
mod visible;

pub use extension::{Extension, ExtensionRange};
pub use invalid::Invalid;
pub(crate) use invalid::{nearest, quoted, shown};
pub use secret::{SENSITIVE, Secret, TELLING};
pub use settings::{EndpointNames, PhoneOverride, PhoneProfile, RailLimit, Settings};
pub(crate) use text::text_type;
pub use text::{Codec, DisplayName, Email, EmailKey, NAME_BYTES, ObjectName, Tenant};
pub(crate) use visible::{escaped, first_unprintable, is_unseen, printable, visible};
