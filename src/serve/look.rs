//! The status check for `/metrics`: whether each stage is in step, and which phones are registered and
//! reachable.
//!
//! A scrape never asks Asterisk itself. It writes down what the last look found, with its age, and
//! begins another one if that is a minute old: so an Asterisk that hangs delays no scrape, and any
//! number of scrapes cost one look a minute for each tenant that is scraped. The first scrape after the
//! start finds nothing yet.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use prometheus_client::registry::Registry;

use super::{
    State,
    error::Failure,
    gauge::{Label, gauge},
};
use crate::{
    deploy::{self, ApplyError, HostStatus},
    directory::Directory,
    model::Tenant,
    notify::{Problem, problems_of},
    plan::{self, Allowance},
};

/// How old a look may become before a scrape begins another one.
const RENEWED: Duration = Duration::from_mins(1);

/// What was found, and when.
pub(super) struct Look {
    ended: Instant,
    status: HostStatus,
    asterisk_up: bool,
    callers_behind: bool,
}

impl Look {
    /// Lists what is wrong.
    pub(super) fn problems(&self) -> Vec<Problem> {
        problems_of(&self.status, self.asterisk_up, self.callers_behind)
    }
}

/// The last look at a tenant.
struct Looked {
    begun: Instant,
    /// What it found; of an earlier one if it failed.
    found: Option<Arc<Look>>,
}

/// The last look at each tenant that is scraped.
#[derive(Default)]
pub(super) struct Looks {
    tenants: Mutex<BTreeMap<Tenant, Looked>>,
    /// Whether one is under way: there is never more than one.
    under_way: AtomicBool,
}

impl Looks {
    /// Returns what the last look found, and tells whether another one is due.
    fn last(&self, tenant: &Tenant) -> (Option<Arc<Look>>, bool) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tenants.get_mut(tenant);
        let due = known.as_ref().is_none_or(|known| known.begun.elapsed() >= RENEWED);
        let begins = due && !self.under_way.swap(true, Ordering::AcqRel);
        let begun = Instant::now();
        let Some(known) = known else {
            if begins {
                tenants.insert(tenant.clone(), Looked { begun, found: None });
            }
            return (None, begins);
        };
        if begins {
            known.begun = begun;
        }
        (known.found.clone(), begins)
    }

    /// Keeps what a look found.
    fn end(&self, tenant: &Tenant, found: Option<Look>) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(known), Some(found)) = (tenants.get_mut(tenant), found) {
            known.found = Some(Arc::new(found));
        }
        self.under_way.store(false, Ordering::Release);
    }
}

/// Writes what the last look at a tenant found, and begins another one if that is due.
pub(super) fn gauges(registry: &mut Registry, state: &Arc<State>, tenant: &Tenant) {
    let (found, begins) = state.looks.last(tenant);
    if begins {
        begin(Arc::clone(state), tenant.clone());
    }
    if let Some(found) = found {
        write(registry, &found, &[("tenant", tenant.as_str().to_owned()), ("host", state.host.name.clone())]);
    }
}

fn begin(state: Arc<State>, tenant: Tenant) {
    tokio::spawn(async move {
        let (here, whose) = (Arc::clone(&state), tenant.clone());
        let look = Arc::clone(&state.pool).run_long(move |directory| look(&here, &whose, directory)).await;
        let found = look.unwrap_or_else(|failure| {
            tracing::warn!("the status check for /metrics failed: {failure}");
            None
        });
        state.looks.end(&tenant, found);
    });
}

/// Looks at the files and at Asterisk. `None` if the tenant is not recorded.
pub(super) fn look(state: &State, tenant: &Tenant, directory: &mut Directory) -> Result<Option<Look>, Failure> {
    let recorded = directory.read(tenant)?;
    let Some(plan) = plan::as_recorded(tenant, &recorded) else { return Ok(None) };
    let survey = state.host.survey(tenant).map_err(ApplyError::from)?;
    let comparison = deploy::compare_plan(plan, &recorded, &survey, &Allowance::new(), Vec::new())
        .map_err(|error| Failure::internal(error.to_string()))?;
    let (status, silent) = deploy::status(&state.host, tenant, survey, &comparison, Timestamp::now());
    let callers_behind = comparison.callers_behind;
    Ok(Some(Look { ended: Instant::now(), status, asterisk_up: silent.is_none(), callers_behind }))
}

fn write(registry: &mut Registry, look: &Look, labels: &[Label]) {
    let Look { ended, status, asterisk_up, callers_behind } = look;
    let with = |name: &'static str, value: &str| {
        labels.iter().cloned().chain([(name, value.to_owned())]).collect::<Vec<Label>>()
    };
    let one = |value: f64| [(labels.to_vec(), value)];
    let is = |yes: bool| f64::from(u8::from(yes));
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));

    let help = "Age of the status check that the values of this host come from";
    gauge(registry, "last_look_age_seconds", help, one(ended.elapsed().as_secs_f64()));
    gauge(registry, "asterisk_up", "Whether Asterisk answers", one(is(*asterisk_up)));
    let running = status.running.as_ref();
    let arrive = running.is_none_or(|running| running.carriers.values().all(deploy::TrunkRegistration::may_arrive));
    let stages = [
        ("rendered", status.rendered()),
        ("running", *asterisk_up && status.running()),
        ("inbound", !callers_behind && arrive),
    ];
    let stages = stages.map(|(stage, in_step)| (with("stage", stage), is(in_step)));
    gauge(registry, "in_step", "Whether a stage is in step with the one before it, on this host", stages);
    let help = "Sections of other files that change generated objects";
    gauge(registry, "overrides", help, one(count(status.overrides.len())));
    let Some(running) = running else { return };
    let registered = running.registrations.values().filter(|contacts| **contacts > 0).count();
    gauge(registry, "phones_registered", "Phones that are registered", one(count(registered)));
    let help = "Registered phones that do not answer Asterisk's probes";
    gauge(registry, "phones_unreachable", help, one(count(running.probed.unreachable.len())));
    let help = "Names of contexts, extensions, prompts and transports that Asterisk does not have";
    gauge(registry, "missing_names", help, one(count(running.missing_names.len())));
    let trunks = running.carriers.iter().map(|(name, trunk)| (with("trunk", name), is(trunk.is_registered())));
    gauge(registry, "trunk_registered", "Whether a trunk is registered at its carrier", trunks);
}
