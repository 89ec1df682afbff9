//! The webhook for inbound calls, asked as the provider asks: signed by its own package, and answers
//! read by an XML parser.

mod calls;
mod fallback;
mod load;
mod log;
pub(super) mod provider;
mod signature;
mod start;
