//! When keys were last written, roughly and without a look at the rows: what caches ask before they answer.
//!
//! A fixed number of slots, each with the highest index of an entry that wrote a key which falls there. Two keys that
//! share a slot cost each other a look at the rows, nothing else. Apply marks before it publishes, so whoever holds a view
//! finds the marks of everything up to it.
//!
//! Besides, the keys that were written last are remembered whole, so that whoever keeps a list of a directory can bring it
//! up to date by them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

/// Slots, eight bytes each. A power of two.
const SLOTS: usize = 1 << 15;
/// Bytes at the end of a key that choose its slot.
const TAIL_BYTES: usize = 16;
/// Most bytes of the keys that are remembered, and of what it costs to remember each.
const RECENT_BYTES: usize = 4 * 1024 * 1024;
/// What a remembered key costs besides its own bytes, in bytes.
const RECENT_KEY_BYTES: usize = 64;
/// 2^64 over the golden ratio: multiplied by it, neighbours lie far apart (Knuth, The Art of Computer Programming, 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The last lineage that was given away.
static LINEAGES: AtomicU64 = AtomicU64::new(0);

/// The marks of one table.
pub(crate) struct Touched {
    lineage: u64,
    slots: Box<[AtomicU64]>,
    recent: Mutex<Recent>,
}

/// The keys that were written last, oldest first, each with the index of the entry that did it.
#[derive(Default)]
struct Recent {
    keys: VecDeque<(u64, Bytes)>,
    bytes: usize,
    /// Highest index of which a key is forgotten.
    forgotten: u64,
}

impl Recent {
    fn push(&mut self, key: &[u8], index: u64) {
        // A key of an entry shares the entry's buffer, which would stay in memory with it.
        self.keys.push_back((index, Bytes::copy_from_slice(key)));
        self.bytes += key.len() + RECENT_KEY_BYTES;
        while self.bytes > RECENT_BYTES
            && let Some((index, key)) = self.keys.pop_front()
        {
            self.bytes -= key.len() + RECENT_KEY_BYTES;
            self.forgotten = index;
        }
    }
}

impl Touched {
    /// For rows that were just opened, put back or received.
    pub(crate) fn new() -> Self {
        let lineage = LINEAGES.fetch_add(1, Ordering::Relaxed) + 1;
        let slots = std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect();
        Self { lineage, slots, recent: Mutex::default() }
    }

    /// Tells these marks from all others of the process.
    pub(crate) fn lineage(&self) -> u64 {
        self.lineage
    }

    /// Notes that entries up to an index write keys. Indexes ascend.
    pub(crate) fn note(&self, keys: &[Bytes], index: u64) {
        let mut recent = self.recent.lock();
        for key in keys {
            self.slots[slot(key)].store(index, Ordering::Release);
            recent.push(key, index);
        }
    }

    /// The segments below a directory through which keys were written behind an index, each once, in the order of their
    /// bytes; `None` if some of the keys are forgotten.
    pub(crate) fn written_below(&self, directory: &[u8], since: u64) -> Option<Vec<Bytes>> {
        let recent = self.recent.lock();
        if since < recent.forgotten {
            return None;
        }
        let later = recent.keys.iter().rev().take_while(|(index, _)| *index > since);
        let mut segments: Vec<Bytes> = later.filter_map(|(_, key)| segment_below(directory, key)).collect();
        segments.sort_unstable();
        segments.dedup();
        Some(segments)
    }

    /// Whether a key may have been written behind an index.
    pub(crate) fn is_behind(&self, key: &[u8], index: u64) -> bool {
        self.slots[slot(key)].load(Ordering::Acquire) > index
    }
}

/// The segment of a key that follows a directory.
fn segment_below(directory: &[u8], key: &Bytes) -> Option<Bytes> {
    let (length, rest) = key.strip_prefix(directory)?.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length))).map(|segment| key.slice_ref(segment))
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
        touched.note(&[Bytes::from_static(b"a")], 7);
        assert!(touched.is_behind(b"a", 6) && !touched.is_behind(b"a", 7));
        assert!(!touched.is_behind(b"b", 0), "these two share no slot");
        assert_ne!(touched.lineage(), Touched::new().lineage());
    }

    fn key(segments: &[&str]) -> Bytes {
        let mut key = Vec::new();
        segments.iter().for_each(|segment| conclave_batch::key::push_segment(&mut key, segment.as_bytes()));
        key.into()
    }

    #[test]
    fn what_was_written_below_a_directory_is_told_until_it_is_forgotten() {
        let touched = Touched::new();
        touched.note(&[key(&["d", "one"]), key(&["other", "two"])], 5);
        touched.note(&[key(&["d", "two", "deep"]), key(&["d"]), key(&["d", "two", "deeper"]), key(&["de", "x"])], 7);
        let below = |since| touched.written_below(&key(&["d"]), since);
        assert_eq!(below(0), Some(vec![Bytes::from("one"), Bytes::from("two")]));
        assert_eq!(below(5), Some(vec![Bytes::from("two")]));
        assert_eq!(below(7), Some(Vec::new()));
        let long = "x".repeat(1000);
        for index in 8..8 + (RECENT_BYTES / 1000) as u64 {
            touched.note(&[key(&["other", &long])], index);
        }
        assert_eq!(below(5), None, "what was written at 7 is forgotten");
        assert_eq!(below(8 + (RECENT_BYTES / 1000) as u64), Some(Vec::new()));
        assert!(touched.recent.lock().bytes <= RECENT_BYTES);
    }

    #[test]
    fn keys_spread_over_the_slots() {
        let used: std::collections::BTreeSet<_> =
            (0..SLOTS as u64).map(|number| slot(blake3::hash(&number.to_be_bytes()).as_bytes())).collect();
        // A random spread fills 1 - 1/e of them.
        assert!(used.len() > SLOTS / 2, "{} of {SLOTS}", used.len());
    }
}
