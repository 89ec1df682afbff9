//! Looks at each tenant of this host every few minutes, and notifies of what is wrong.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{task::spawn_blocking, time::sleep};

use super::{State, look::look};
use crate::{
    model::Tenant,
    notify::{self, Problem, Receiver, Subject},
};

/// How long the server waits between two rounds.
const PAUSE: Duration = Duration::from_mins(5);

/// Looks at all tenants in turn, for ever. A look that fails tells nothing: the log says why.
pub(super) async fn follow(state: Arc<State>, receiver: Arc<Receiver>) {
    loop {
        let tenants = Arc::clone(&state.pool).run_long(|directory| Ok(directory.tenants()?)).await;
        for tenant in
            tenants.inspect_err(|failure| tracing::warn!("the tenants are not known: {failure}")).unwrap_or_default()
        {
            if let Some(problems) = problems(&state, &tenant).await {
                tell(&state, Arc::clone(&receiver), tenant, problems).await;
            }
        }
        sleep(PAUSE).await;
    }
}

/// Lists what is wrong with a tenant, or `None` if that is not known.
async fn problems(state: &Arc<State>, tenant: &Tenant) -> Option<Vec<Problem>> {
    let (here, whose) = (Arc::clone(state), tenant.clone());
    let found = Arc::clone(&state.pool).run_long(move |directory| look(&here, &whose, directory)).await;
    let found = found.inspect_err(|failure| tracing::warn!("the status check for notifications failed: {failure}"));
    Some(found.ok()??.problems())
}

async fn tell(state: &Arc<State>, receiver: Arc<Receiver>, tenant: Tenant, problems: Vec<Problem>) {
    let state = Arc::clone(state);
    let told = spawn_blocking(move || {
        let subject = Subject { command: "serve", tenant: tenant.as_str(), host: &state.host.name, scope: "" };
        notify::tell(&receiver, &state.host.state_dir, subject, problems, Timestamp::now())
    });
    match told.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("{error}"),
        Err(error) => tracing::error!("a notification ended in a panic: {error}"),
    }
}
