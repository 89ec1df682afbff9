//! Two things at the same time: a question to Asterisk mostly waits.

use std::{panic::resume_unwind, thread};

/// Does two things at the same time and returns both results. The first runs on a thread of its own.
pub(super) fn both<A: Send, B>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = second();
        (first.join().unwrap_or_else(|panic| resume_unwind(panic)), second)
    })
}
