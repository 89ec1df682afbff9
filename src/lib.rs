//! GitOps for an Asterisk phone system.
//!
//! ```text
//!  declared            recorded               rendered                    running
//!  YAML in git   -->   PostgreSQL       -->   include files         -->   Asterisk 22
//!  desired/            directory/             render/                     deploy/
//!       \____ plan/ (pure: what must change at every stage, decided before anything moves) ____/
//! ```
//!
//! Each stage has a room of its name, and the program only ever talks about differences between two neighbours.
//!
//! - `model`: the words that all rooms share. Knows no other room.
//! - `objects`: what a file declares beside users, a folder for each kind.
//! - `desired`, `plan`, `render`, `asterisk`, `calls`: pure, or nearly so. They read no database, and ask no
//!   Asterisk. `asterisk` is the language of its configuration: objects write their parts in it, `render` puts them
//!   together, `deploy` reads them back.
//! - `directory`: the rows. `deploy`: files and the running Asterisk. `portal`: users one by one.
//!   `recorder`: the record of calls.
//! - `fs` is the one way to put a file in place, `input` the one way to read what others wrote. `log` is the log,
//!   `fail_point` where tests stop an apply, `child` how other programs are run, `accounts` the machine's users and groups.
//! - `doctor`: what needs an act on a host, whatever is to be applied.
//! - `import`: what others hold, as a desired-state file. Pure, too.
//! - `report` and `error`: what is said, for people and for programs.
//! - `cli` and `serve`: the edges. `serve` does over HTTP what `cli` does on the command line, and neither
//!   does it itself.
//!
//! `tests/it/rooms.rs` lists which room may know which.

mod accounts;
pub mod asterisk;
pub mod calls;
mod child;
pub mod cli;
pub(crate) mod deploy;
pub mod desired;
pub mod directory;
pub mod doctor;
mod error;
mod fail_point;
mod fs;
mod import;
mod input;
mod log;
pub mod model;
pub mod notify;
pub mod objects;
pub mod plan;
pub mod portal;
pub mod recorder;
pub mod render;
mod report;
mod serve;
