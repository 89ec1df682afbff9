//! What a queue brings to the files: its section, and where a call goes on that no member took.

use super::{Announcement, Queue, QueueStrategy};
use crate::{
    asterisk::{BadValue, Name},
    model::{Chain, ObjectName, Tenant, UserKey},
    objects::{
        Routes,
        render::{QueueEntry, RenderContext},
    },
};

/// Stands before the name of a queue as an extension: `h`, `i` and others mean something else there. No endpoint of a phone
/// is named so, because no slug has a `_`.
pub(crate) const PREFIX: &str = "queue_";

/// Names a queue to a provider that sends a call there by SIP.
pub(crate) fn sip_user(queue: &ObjectName) -> String {
    format!("{PREFIX}{queue}")
}

/// Names a queue to Asterisk, all of whose tenants share one list of queues. No slug has a `_`: two tenants never name the
/// same queue. One that is made linear by a reload calls its members in no order (measured), so that it is another queue.
fn asterisk_name(tenant: &Tenant, name: &ObjectName, strategy: QueueStrategy) -> Result<Name, BadValue> {
    let end = if strategy == QueueStrategy::Linear { "-linear" } else { "" };
    Name::new(format!("{tenant}_{name}{end}"))
}

/// States of a member who cannot be called, so that callers do not wait for nobody.
const NOBODY: &str = "unavailable,invalid,unknown";

/// Writes the section of a queue.
pub(super) fn entry<'a>(
    queue: &'a Queue,
    name: &ObjectName,
    cx: &RenderContext<'_>,
) -> Result<QueueEntry<'a>, BadValue> {
    let strategy = match queue.strategy {
        QueueStrategy::All => "ringall",
        QueueStrategy::RoundRobin => "rrmemory",
        QueueStrategy::LeastRecent => "leastrecent",
        QueueStrategy::FewestCalls => "fewestcalls",
        QueueStrategy::Random => "random",
        QueueStrategy::Linear => "linear",
    };
    let mut options = vec![
        ("strategy", strategy.to_owned()),
        ("timeout", queue.ring.to_string()),
        // Asterisk takes 0 for 5.
        ("retry", "1".to_owned()),
        ("wrapuptime", queue.wrap_up.to_string()),
        ("ringinuse", "no".to_owned()),
        ("autofill", "yes".to_owned()),
        ("joinempty", NOBODY.to_owned()),
        ("leavewhenempty", NOBODY.to_owned()),
        ("reportholdtime", "no".to_owned()),
    ];
    if let Some(most) = queue.max_callers {
        options.push(("maxlen", most.to_string()));
    }
    if let Some(seconds) = queue.position {
        options.push(("announce-position", "yes".to_owned()));
        options.push(("announce-holdtime", "no".to_owned()));
        options.push(("announce-frequency", seconds.to_string()));
    }
    if let Some(Announcement { prompt, each }) = &queue.every {
        options.push(("periodic-announce", prompt.to_string()));
        options.push(("periodic-announce-frequency", each.to_string()));
    }
    let members: Vec<&UserKey> = queue.members.iter().collect();
    Ok(QueueEntry { name: asterisk_name(cx.tenant, name, queue.strategy)?, options, members })
}

/// How the calls of a queue go.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) name: ObjectName,
    /// Its name in Asterisk.
    pub(crate) queue: Name,
    /// How long a caller waits at most, in seconds.
    pub(crate) timeout: Option<u32>,
    /// How a call goes on that waited so long, while nobody can take one, and while too many wait.
    pub(crate) late: Chain,
    pub(crate) empty: Chain,
    pub(crate) full: Chain,
}

impl Waiting {
    /// Lists how calls may go on.
    pub(crate) fn chains(&self) -> [&Chain; 3] {
        [&self.late, &self.empty, &self.full]
    }
}

impl Routes {
    /// Describes how the calls of each queue go, by the names of the queues.
    ///
    /// # Errors
    /// If the name is none that `check` lets pass.
    pub(crate) fn waiting(&self, tenant: &Tenant) -> Result<Vec<Waiting>, BadValue> {
        let of_queue = |(name, queue): (&ObjectName, &Queue)| {
            Ok(Waiting {
                name: name.clone(),
                queue: asterisk_name(tenant, name, queue.strategy)?,
                timeout: queue.timeout,
                late: self.chain(&queue.late),
                empty: self.chain(&queue.empty),
                full: self.chain(&queue.full),
            })
        };
        self.queues.iter().map(of_queue).collect()
    }
}
