//! Inbound calls: which dialer or user gets a call, and why.
//!
//! Pure: routes, call and instant come in as arguments, and one function decides for Twilio, for
//! `trace`, for the expectations in the file and for the rendered dialplan alike. Does not know
//! YAML (`desired`), Asterisk's syntax (`render`) or HTTP (`serve`).

mod applied;
mod decide;
mod hours;
mod number;
mod record;
mod routes;

pub use applied::Applied;
pub use decide::{Branch, Call, Considered, Decision, Fit, decide};
pub use hours::{Hours, OpenRange, Timezone};
pub(crate) use number::WITHHELD;
pub use number::{Caller, CallerClass, E164, Prefix};
pub use record::{Answer, Event, Outcome, Started, Status, What};
pub use routes::{
    Called, CallerId, CallerMatch, Dialer, DialerTarget, Entry, NumberSource, Routes, Rule, Target, Trunk,
};

#[cfg(test)]
mod tests;
