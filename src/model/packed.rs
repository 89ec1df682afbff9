//! Large maps in little memory.

use std::collections::BTreeMap;

/// Makes the same map anew with full nodes. The nodes of a map that was built by single insertions are about half empty,
/// and a plan of many users lives in three such maps.
pub(crate) fn packed<K: Ord, V>(map: BTreeMap<K, V>) -> BTreeMap<K, V> {
    map.into_iter().collect()
}
