//! `reconcile serve`: the portal API, on a real PostgreSQL and a real Asterisk.

mod database;
mod schemathesis;
mod server;
mod users;
