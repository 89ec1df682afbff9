//! The phases of an apply: reported while they run, and timed for the audit log.

use std::{collections::BTreeMap, time::Instant};

/// Is told what happens, while it happens.
pub(crate) trait Observer {
    /// A phase begins.
    fn phase(&mut self, name: &'static str);
}

/// Measures phases; the protocol itself never looks at a clock for a decision.
#[derive(Debug, Default)]
pub(super) struct Clock {
    pub(super) phases: BTreeMap<&'static str, u64>,
    running: Option<(&'static str, Instant)>,
}

impl Clock {
    pub(super) fn start(&mut self, name: &'static str, observer: &mut dyn Observer) {
        self.stop();
        observer.phase(name);
        self.running = Some((name, Instant::now()));
    }

    pub(super) fn stop(&mut self) {
        if let Some((name, start)) = self.running.take() {
            let millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            *self.phases.entry(name).or_default() += millis;
        }
    }
}
