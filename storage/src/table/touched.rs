//! When keys were last written, roughly and without a look at the rows: what caches ask before they answer.
//!
//! A fixed number of slots, each with the highest index of an entry that wrote a key which falls there. Two keys that
//! share a slot cost each other a look at the rows, nothing else. Apply marks before it publishes, so whoever holds a view
//! finds the marks of everything up to it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Slots, eight bytes each. A power of two.
const SLOTS: usize = 1 << 15;
/// Bytes at the end of a key that choose its slot.
const TAIL_BYTES: usize = 16;
/// 2^64 over the golden ratio: multiplied by it, neighbours lie far apart (Knuth, The Art of Computer Programming, 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The last lineage that was given away.
static LINEAGES: AtomicU64 = AtomicU64::new(0);

/// The marks of one table.
pub(crate) struct Touched {
    lineage: u64,
    slots: Box<[AtomicU64]>,
}

impl Touched {
    /// For rows that were just opened, put back or received.
    pub(crate) fn new() -> Self {
        let lineage = LINEAGES.fetch_add(1, Ordering::Relaxed) + 1;
        Self { lineage, slots: std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect() }
    }

    /// Tells these marks from all others of the process.
    pub(crate) fn lineage(&self) -> u64 {
        self.lineage
    }

    /// Notes that the entry at an index writes a key. Indexes ascend.
    pub(crate) fn mark(&self, key: &[u8], index: u64) {
        self.slots[slot(key)].store(index, Ordering::Release);
    }

    /// Whether a key may have been written behind an index.
    pub(crate) fn is_behind(&self, key: &[u8], index: u64) -> bool {
        self.slots[slot(key)].load(Ordering::Acquire) > index
    }
}

/// Keys end with ciphertext, which is as good as a hash of them; those outside the barrier are few.
fn slot(key: &[u8]) -> usize {
    let tail = &key[key.len().saturating_sub(TAIL_BYTES)..];
    let folded = tail.iter().fold(0, |folded: u64, byte| folded.rotate_left(8) ^ u64::from(*byte));
    (folded.wrapping_mul(SPREAD) >> (u64::BITS - SLOTS.trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_behind_every_index_before_its_last_write_and_no_other() {
        let touched = Touched::new();
        assert!(!touched.is_behind(b"a", 0));
        touched.mark(b"a", 7);
        assert!(touched.is_behind(b"a", 6) && !touched.is_behind(b"a", 7));
        assert!(!touched.is_behind(b"b", 0), "these two share no slot");
        assert_ne!(touched.lineage(), Touched::new().lineage());
    }

    #[test]
    fn keys_spread_over_the_slots() {
        let used: std::collections::BTreeSet<_> =
            (0..SLOTS as u64).map(|number| slot(blake3::hash(&number.to_be_bytes()).as_bytes())).collect();
        // A random spread fills 1 - 1/e of them.
        assert!(used.len() > SLOTS / 2, "{} of {SLOTS}", used.len());
    }
}
