//! GitOps for an Asterisk phone system.
//!
//! ```text
//!  declared            recorded               rendered                    running
//!  YAML in git   -->   PostgreSQL       -->   include files         -->   Asterisk 22
//!  desired/            directory/             render/                     deploy/
//!       \____ plan/ (pure: what must change at every stage, decided before anything moves) ____/
//! ```
//!
//! A difference between two neighbours is all this program ever talks about. Each stage has a
//! module of that name; [`model`] holds the words they share, [`plan`] decides, [`cli`] talks.
//! `serve` does over HTTP what `cli` does on the command line.
//! Arrows point one way: `cli` and `serve` know everything; `deploy` knows `render` and `directory`; `plan`
//! knows `desired` and the directory's types; nothing below them knows the terminal
//! or HTTP. [`asterisk`] is the language of its configuration, which `render` writes and `deploy` reads back.

pub mod asterisk;
pub mod calls;
mod child;
pub mod cli;
pub mod deploy;
pub mod desired;
pub mod directory;
mod error;
mod input;
mod log;
pub mod model;
pub mod objects;
pub mod plan;
pub mod portal;
pub mod recorder;
pub mod render;
mod report;
mod serve;
