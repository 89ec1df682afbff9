//! What a file declares beside users and settings: objects, each of a kind.
//!
//! Pure: no file, clock or socket. Knows `model` only. Reading YAML is the business of `desired`, the decision
//! about a call of `calls`, Asterisk's syntax of `render`.

mod check;
pub(crate) mod destination;
pub(crate) mod dialer;
pub(crate) mod hours;
pub(crate) mod rule;
mod set;
pub(crate) mod trunk;

pub use check::InboundPlaces;
pub(crate) use check::{Checked, Keys, Known, Names, check};
pub use destination::Target;
pub(crate) use destination::{
    check::target,
    file::{TargetName, TargetText},
};
pub use dialer::{CallerId, Dialer, DialerTarget, NumberSource};
pub use hours::{Hours, OpenRange, Timezone};
pub use rule::{Called, CallerMatch, Entry, Rule};
pub(crate) use rule::{loops, route_loop};
pub use set::Routes;
pub use trunk::Trunk;
pub(crate) use trunk::without_port;
