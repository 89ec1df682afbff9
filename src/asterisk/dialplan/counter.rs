//! How calls that are alike are counted while they are up, so that a call that comes back again and again ends.

use super::{
    super::Name,
    expr::{Expr, call},
    step::Step,
};

/// A count of calls that are alike. Asterisk counts a channel as long as it lives.
pub(crate) struct Counter {
    /// What is counted. Its name is the tenant's, because Asterisk has one list for all.
    category: Name,
    /// What calls that are alike have in common.
    key: Expr,
}

impl Counter {
    pub(crate) fn new(category: Name, key: Expr) -> Self {
        Self { category, key }
    }

    /// Counts the channel.
    pub(crate) fn count(&self) -> Step {
        Step::Count(Expr::from(&self.category), self.key.clone())
    }

    /// Tells whether more than `most` are up.
    pub(crate) fn is_above(&self, most: u32) -> Expr {
        let counted = self.key.clone() + "@" + &self.category;
        call("GROUP_COUNT", "func_groupcount", counted) + " > " + Expr::number(most)
    }
}
