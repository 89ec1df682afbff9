//! The events that the disk did not take: in memory until the disk or the database has them.

use std::{
    collections::VecDeque,
    ops::Deref,
    sync::{MutexGuard, PoisonError},
};

use super::{KEPT, Shared};
use crate::{
    calls::{Event, What},
    model::{Caller, document},
};

/// Events taken out of memory to be written. Unless they are [`done`](Self::done), they go back when this is
/// dropped, by an error or by a panic.
pub(super) struct TakenEvents<'a> {
    shared: &'a Shared,
    events: Vec<Event>,
}

impl TakenEvents<'_> {
    /// Says that the events are written.
    pub(super) fn done(mut self) {
        self.events.clear();
    }
}

impl Deref for TakenEvents<'_> {
    type Target = [Event];

    fn deref(&self) -> &[Event] {
        &self.events
    }
}

impl Drop for TakenEvents<'_> {
    fn drop(&mut self) {
        if self.events.is_empty() {
            return;
        }
        // In front of the events that came meanwhile.
        let mut kept = self.shared.kept();
        self.events.drain(..).rev().for_each(|event| kept.push_front(event));
    }
}

impl Shared {
    /// Keeps an event that the disk does not take, and writes it to the log.
    pub(super) fn keep(&self, event: &Event) {
        let record = document::write(&redacted(event)).unwrap_or_else(|error| format!("it cannot be written: {error}"));
        tracing::error!(call_sid = event.call_sid, record, "an event of a call cannot be written to disk");
        self.metrics.not_durable.inc();
        let mut kept = self.kept();
        if kept.len() >= KEPT {
            kept.pop_front();
            self.metrics.lost.inc();
        }
        kept.push_back(event.clone());
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the oldest events, `at_most` of them.
    pub(super) fn take_kept(&self, at_most: usize) -> TakenEvents<'_> {
        let mut kept = self.kept();
        let count = kept.len().min(at_most);
        let events = kept.drain(..count).collect();
        drop(kept);
        TakenEvents { shared: self, events }
    }
}

/// An event for the log: of numbers, the last four digits.
pub(super) fn redacted(event: &Event) -> Event {
    let mut event = event.clone();
    if let What::Answered(answer) = &mut event.what {
        for number in [&mut answer.from, &mut answer.to] {
            *number = Caller::new(number).to_string();
        }
    }
    event
}
