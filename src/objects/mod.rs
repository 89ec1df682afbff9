//! What a file declares beside users and settings: objects, each of a kind.
//!
//! Pure: no file, clock or socket. Knows `model` only. Reading YAML is the business of `desired`, the decision
//! about a call of `calls`, Asterisk's syntax of `render`.

mod check;
pub(crate) mod destination;
pub(crate) mod dialer;
pub(crate) mod hours;
mod namespace;
mod object;
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
pub use dialer::Dialer;
pub use hours::{Hours, OpenRange, Timezone};
pub(crate) use object::{Fields, Object};
pub use rule::{Called, CallerMatch, Entry, Rule};
pub(crate) use rule::{loops, names, route_loop};
pub use set::Routes;
pub use trunk::Trunk;
pub(crate) use trunk::without_port;

object::kinds! {
    /// A SIP carrier.
    Trunk = "trunk" in trunks;
    /// A public number or a SIP address outside that calls can be sent to.
    Dialer = "dialer" in dialers;
    /// Opening hours.
    Hours = "hours" in hours;
    /// A rule: who gets which inbound call.
    Route = "route" in rules;
    /// Who gets a call that no rule is for.
    DefaultRoute = "default_route" in default_route;
    /// The host at which users' phones are reached from outside.
    PublicSipHost = "public_sip_host" in public_sip_host;
    /// The default caller ID.
    CallerId = "caller_id" in caller_id;
}
