//! What a plan leads to, as the renderer takes it.

use uuid::Uuid;

use crate::{
    plan::Plan,
    render::{Phone, Phonebook},
};

impl<'a> Phonebook<'a> {
    /// Takes what a plan leads to.
    pub(crate) fn of(plan: &'a Plan, directory: Option<Uuid>) -> Self {
        let phones = plan.users.values().map(|user| Phone {
            email: &user.email,
            name: &user.name,
            extension: user.extension,
            phone: &user.phone,
            no_answer: user.no_answer.as_deref(),
        });
        Self {
            tenant: &plan.tenant,
            settings: &plan.settings,
            directory,
            phones: phones.collect(),
            routes: &plan.routes,
        }
    }
}
