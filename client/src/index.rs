//! The newest `X-Vault-Index` values that writes were answered with.
//!
//! They let a later read, on any node, ask to see those writes. They are not understood here: an index is opaque, so
//! two of them cannot be compared. What surprises: several are kept, because writes that run side by side may be
//! answered in either order; a server takes the newest of a repeated header.

use http::HeaderValue;

/// More writes than this at once make the oldest index drop out; reads are linearizable without it anyway.
const MAX_KEPT: usize = 8;

#[derive(Default)]
pub(crate) struct IndexMemory {
    /// Oldest first, each with the number of its arrival.
    kept: Vec<(u64, HeaderValue)>,
    /// How many arrived so far.
    arrived: u64,
}

impl IndexMemory {
    /// To be noted when a write begins, and given back with its index.
    pub(crate) fn mark(&self) -> u64 {
        self.arrived
    }

    /// Keeps a write's index. Whatever had arrived before that write began is older, and is dropped.
    pub(crate) fn remember(&mut self, mark: u64, index: HeaderValue) {
        self.kept.retain(|(arrival, _)| *arrival > mark);
        if self.kept.len() == MAX_KEPT {
            self.kept.remove(0);
        }
        self.arrived += 1;
        self.kept.push((self.arrived, index));
    }

    /// What the next read should send.
    pub(crate) fn values(&self) -> Vec<HeaderValue> {
        self.kept.iter().map(|(_, index)| index.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    #[test]
    fn a_later_write_replaces_the_index_of_an_earlier_one() {
        let mut memory = IndexMemory::default();
        memory.remember(memory.mark(), index("one"));
        memory.remember(memory.mark(), index("two"));
        assert_eq!(memory.values(), [index("two")]);
    }

    #[test]
    fn the_indexes_of_writes_side_by_side_are_both_kept() {
        let mut memory = IndexMemory::default();
        let (first, second) = (memory.mark(), memory.mark());
        memory.remember(second, index("two"));
        memory.remember(first, index("one"));
        assert_eq!(memory.values(), [index("two"), index("one")]);
    }

    #[test]
    fn no_more_than_the_limit_is_kept() {
        let mut memory = IndexMemory::default();
        for _ in 0..MAX_KEPT * 2 {
            memory.remember(0, index("same"));
        }
        assert_eq!(memory.values().len(), MAX_KEPT);
    }
}
