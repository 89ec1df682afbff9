//! Inbound calls: which dialer or user gets a call, and why.
//!
//! Pure: routes, call and instant come in as arguments, and one function decides for Twilio, for
//! `trace`, for the expectations in the file and for the rendered dialplan alike. Does not know
//! YAML (`desired`), Asterisk's syntax (`render`) or HTTP (`serve`). Beside it, what is written down
//! about each call.

mod answer;
mod decide;
mod form;
mod live_routes;
mod record;
mod signature;
mod steps;
mod twiml;
mod walk;

pub use answer::{Incoming, Reply, Tenants, answer, confirm, refuse, status};
pub(crate) use answer::{answer_by_default, dial_result};
pub use decide::{Branch, Call, Considered, Decider, Decision, Fit, decide};
pub use form::Form;
pub use live_routes::LiveRoutes;
pub use record::{Answer, Event, Outcome, Started, Status, What};
pub(crate) use signature::is_signed;
pub use signature::{Signed, Tokens};
pub use steps::LeftOut;
pub(crate) use steps::left_out;
pub use twiml::{Dial, Gather, Noun, Reason, Response, Verb};
pub use walk::{Walked, walk};

#[cfg(test)]
mod answer_tests;
#[cfg(test)]
mod tests;
