//! `reconcile serve`: the portal API, on a real PostgreSQL and a real Asterisk.

mod apply;
mod apply_cut;
mod auth;
mod bodies;
mod database;
mod ends;
mod errors;
mod hostile;
mod operate;
mod routing;
mod schemathesis;
pub(crate) mod server;
mod session;
mod strangers;
mod tls;
mod unit;
mod users;
mod webhook;
