//! What happens to the calls that a rule matches: everything that the dialplan and the webhook need of a rule.

use super::{super::Routes, Called, Entry};
use crate::model::{Chain, ObjectName};

/// What becomes of the calls that a rule is for.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The calls, in words. Two rules may say the same if their conditions never hold at once.
    pub(crate) calls: String,
    /// How a call goes while the condition holds. Without a condition: at any time.
    pub(crate) then: Chain,
    /// How a call goes while the condition does not hold. `None` if the next rule decides.
    pub(crate) otherwise: Option<Chain>,
}

impl<'a> Entry<'a> {
    /// Returns the called numbers that it is for.
    pub(crate) fn to(&self) -> &'a Called {
        &self.rule().to
    }

    /// Returns the name of the condition that it goes by, if there is one.
    pub(crate) fn condition(&self) -> Option<&'a ObjectName> {
        self.rule().when.as_ref()
    }

    /// Describes what becomes of its calls.
    pub(crate) fn outcome(&self, routes: &Routes) -> Outcome {
        let rule = self.rule();
        Outcome {
            calls: rule.to_string(),
            then: routes.chain(&rule.route),
            otherwise: rule.otherwise.as_deref().map(|targets| routes.chain(targets)),
        }
    }
}
