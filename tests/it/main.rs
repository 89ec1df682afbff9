//! The tests of the program as a whole: real PostgreSQL, real files, real Asterisk 22.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod canary;
mod github;
mod sipp;
mod status;
mod support;

mod affected;
mod apply;
mod bad_days;
mod calls;
mod check;
mod ci;
mod clients;
mod commands;
mod commit;
mod directory;
mod docs;
mod documents;
mod expect;
mod growth;
mod handed_on;
mod hostile;
mod hosts;
mod lab;
mod let_go;
mod local_users;
mod messages;
mod names;
mod numbers;
mod phones;
mod plan;
mod portal;
mod properties;
mod pull_request;
mod reinstalled;
mod restored;
mod rooms;
mod routes;
mod secrets;
mod serve;
mod taken;
mod tenants;
mod tokens;
mod trace;
mod trunks;
mod unlocked;
mod watch;
