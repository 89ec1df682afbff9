//! Gauges that are declared at each scrape.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

/// A label: its name and its value.
pub(super) type Label = (&'static str, String);

/// Declares a gauge, once, with all its samples.
pub(super) fn gauge(
    registry: &mut Registry,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (Vec<Label>, f64)>,
) {
    let family = Family::<Vec<Label>, Gauge<f64, AtomicU64>>::default();
    for (labels, value) in samples {
        family.get_or_create(&labels).set(value);
    }
    registry.register(name, help, family);
}
