//! What there is to count about the record of calls.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{
        counter::Counter,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// What is counted; clones count together.
#[derive(Debug, Clone)]
pub(crate) struct RecorderMetrics {
    /// Bytes that wait on the disk.
    pub(super) spool_bytes: Gauge,
    /// How long the oldest event has waited.
    pub(super) oldest: Gauge<f64, AtomicU64>,
    /// Whether the disk took the last event.
    pub(super) durable: Gauge,
    pub(super) not_durable: Counter,
    pub(super) lost: Counter,
    pub(super) damaged: Counter,
    pub(super) written: Counter,
    pub(super) failed: Counter,
    pub(super) refused: Counter,
    pub(super) batch: Histogram,
    /// Panics of the recorder's threads, each of which was started again.
    pub(super) restarts: Counter,
    /// Segments of the spool that could not be read and were renamed.
    pub(super) set_aside: Counter,
    /// Segments that vanished while the server appended to them.
    pub(super) vanished: Counter,
}

impl RecorderMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            spool_bytes: Gauge::default(),
            oldest: Gauge::default(),
            durable: Gauge::default(),
            not_durable: Counter::default(),
            lost: Counter::default(),
            damaged: Counter::default(),
            written: Counter::default(),
            failed: Counter::default(),
            refused: Counter::default(),
            // From 1 ms to some 30 s.
            batch: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            restarts: Counter::default(),
            set_aside: Counter::default(),
            vanished: Counter::default(),
        };
        let all = metrics.clone();
        registry.register(
            "call_spool_bytes",
            "Bytes of call events in the spool that are not in the database yet",
            all.spool_bytes,
        );
        let help = "Age of the oldest call in the spool";
        registry.register("call_oldest_unsent_seconds", help, all.oldest);
        let help = "Whether the last call event was written to disk; if 0, a crash may lose events";
        registry.register("call_spool_durable", help, all.durable);
        let help = "Call events that could not be written to disk; they are in memory and in the log";
        registry.register("call_events_not_durable", help, all.not_durable);
        let help = "Call events that are only in the log, because the memory for them was full";
        registry.register("call_events_lost", help, all.lost);
        let help = "Damaged lines of the spool, set aside in `*.bad`";
        registry.register("call_spool_bad_lines", help, all.damaged);
        registry.register("call_events_written", "Call events written to the database", all.written);
        registry.register(
            "call_batches_failed",
            "Batches that could not be written to the database and are tried again",
            all.failed,
        );
        let help = "Call events that the tables rejected, kept in `call_dead_letters`";
        registry.register("call_dead_letters", help, all.refused);
        registry.register("call_batch_seconds", "How long the database took for a batch", all.batch);
        let help = "Recorder threads that panicked and were restarted";
        registry.register("call_recorder_restarts", help, all.restarts);
        let help = "Segments of the spool that could not be read and were renamed to `*.unreadable`";
        registry.register("call_spool_set_aside", help, all.set_aside);
        let help = "Segments of the spool that another process removed while calls were written to them";
        registry.register("call_spool_vanished", help, all.vanished);
        metrics
    }
}
