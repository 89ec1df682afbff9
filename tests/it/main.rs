//! The tests of the program as a whole: real PostgreSQL, real files, real Asterisk 22.

mod support;

mod check;
mod plan;
