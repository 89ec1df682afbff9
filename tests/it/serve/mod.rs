//! `reconcile serve`: the portal API, on a real PostgreSQL and a real Asterisk.

mod server;
mod users;
