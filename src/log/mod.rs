//! The log: its way to stderr, its form for programs, and what is kept out of it.

mod flat_json;
mod queue;
mod redact;

pub(crate) use flat_json::FlatJson;
pub(crate) use queue::{LogQueue, dropped, flush, start};
