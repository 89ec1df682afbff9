//! Where objects are declared.

use std::collections::BTreeMap;

use super::ObjectId;
use crate::model::Place;

/// Where everything about inbound calls is declared.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The objects that have names, and those of which there is one at most.
    pub(super) objects: BTreeMap<ObjectId, Place>,
    /// The rules, in their order.
    pub(super) rules: Vec<Place>,
    /// The internal numbers of objects.
    pub(super) extensions: BTreeMap<ObjectId, Place>,
}

impl Places {
    /// Returns where an object is declared that is no rule.
    pub(crate) fn get(&self, id: &ObjectId) -> Option<&Place> {
        self.objects.get(id)
    }

    /// Returns where the internal number of each object is declared.
    pub(crate) fn extensions(&self) -> &BTreeMap<ObjectId, Place> {
        &self.extensions
    }

    /// Returns where the rule with an index is declared.
    pub(crate) fn rule(&self, index: usize) -> Option<&Place> {
        self.rules.get(index)
    }
}
