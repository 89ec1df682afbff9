//! Queues as rows of the directory hold them, which name users by their rows.

use reconcile::objects::{Announcement, ExtensionClaim, Queue, QueueStrategy, Target, UserOfRow};
use uuid::Uuid;

use super::of;

pub(super) fn queue() -> Queue<UserOfRow> {
    let ana = || UserOfRow::Row(Uuid::from_u128(7));
    Queue {
        extension: Some(ExtensionClaim::Given(1200.try_into().unwrap())),
        members: vec![ana(), UserOfRow::Row(Uuid::from_u128(8))],
        strategy: QueueStrategy::LeastRecent,
        ring: 20,
        wrap_up: 5,
        max_callers: Some(20),
        timeout: Some(300),
        late: vec![Target::Voicemail(ana())],
        empty: vec![Target::Object(of("sales")), Target::Hangup],
        full: vec![Target::Busy],
        position: Some(60),
        every: Some(Announcement { prompt: of("acme/please_wait"), each: 45 }),
    }
}

pub(super) fn with_defaults() -> Queue<UserOfRow> {
    Queue {
        extension: None,
        members: vec![UserOfRow::Row(Uuid::from_u128(7))],
        strategy: QueueStrategy::RoundRobin,
        ring: 15,
        wrap_up: 0,
        max_callers: None,
        timeout: None,
        late: Vec::new(),
        empty: Vec::new(),
        full: Vec::new(),
        position: None,
        every: None,
    }
}
