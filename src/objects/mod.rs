//! What a file declares beside users and settings: objects, each of a kind.
//!
//! Pure: no file, clock or socket. Knows `model` only. Reading YAML is the business of `desired`, the decision
//! about a call of `calls`, Asterisk's syntax of `render`.

mod destination;
mod dialer;
mod hours;
mod rule;
mod set;
mod trunk;

pub use destination::Target;
pub use dialer::{CallerId, Dialer, DialerTarget, NumberSource};
pub use hours::{Hours, OpenRange, Timezone};
pub use rule::{Called, CallerMatch, Entry, Rule};
pub use set::Routes;
pub use trunk::Trunk;
pub(crate) use trunk::without_port;
