//! The tests of the program as a whole: real PostgreSQL, real files, real Asterisk 22.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail")]

mod canary;
mod github;
mod sipp;
mod status;
mod support;
mod transcript;

mod affected;
mod annotations;
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
mod hostile;
mod hosts;
mod lab;
mod let_go;
mod local_users;
mod names;
mod numbers;
mod objects;
mod phone_ids;
mod phones;
mod plan;
mod portal;
mod properties;
mod pull_request;
mod questions;
mod reinstalled;
mod renames;
mod restored;
mod rooms;
mod route_names;
mod routes;
mod scenarios;
mod secrets;
mod serve;
mod taken;
mod taken_names;
mod tenants;
mod tokens;
mod trunks;
mod unlocked;
mod voicemail;
mod watch;
