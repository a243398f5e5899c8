//! Decoded objects under their key and revision.
//!
//! Exact by construction: who asks names the revision that its view holds, so an entry is never stale, and a newer one
//! does not answer for an older view. Holds what every request needs (tokens, policies, mounts, names of directories),
//! never secrets of users. Of each key only the newest object is kept, and all together are bounded in bytes: a
//! directory that changes all the time costs one list, not one for each change.

use std::any::{Any, TypeId};
use std::sync::Arc;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache as Entries;

/// Most bytes of all objects together, as their makers estimate them.
pub const MAX_CACHE_BYTES: u64 = 128 * 1024 * 1024;
/// What the cache itself needs for an entry, in bytes, roughly.
const ENTRY_BYTES: u64 = 128;
/// Size that an object is expected to have, in bytes; only a start for the table's own size.
const USUAL_BYTES: usize = 2 * 1024;

/// The cache of one unsealed node; dropped when it seals.
pub struct Cache {
    entries: Entries<Key, Entry, ByBytes>,
}

/// A key of the store, and what was made of it: a record and a directory may lie under one key.
type Key = (Bytes, TypeId);

#[derive(Clone)]
struct Entry {
    revision: u64,
    bytes: u64,
    object: Arc<dyn Any + Send + Sync>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Entry> for ByBytes {
    fn weight(&self, (key, _): &Key, entry: &Entry) -> u64 {
        ENTRY_BYTES + key.len() as u64 + entry.bytes
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::with_bytes(MAX_CACHE_BYTES)
    }
}

impl Cache {
    /// One that keeps at most so many bytes.
    fn with_bytes(most: u64) -> Self {
        let expected = usize::try_from(most).unwrap_or(usize::MAX) / USUAL_BYTES;
        Self { entries: Entries::with_weighter(expected.max(1), most, ByBytes) }
    }

    /// The object of a type that was kept for a key at a revision.
    pub fn get<T: Send + Sync + 'static>(&self, key: &Bytes, revision: u64) -> Option<Arc<T>> {
        let entry = self.entries.get(&(key.clone(), TypeId::of::<T>()))?;
        if entry.revision == revision { entry.object.downcast().ok() } else { None }
    }

    /// Keeps an object of about `bytes`, in place of an older one. One older than what is kept is not.
    pub fn put<T: Send + Sync + 'static>(&self, key: &Bytes, revision: u64, object: Arc<T>, bytes: usize) {
        let key = (key.clone(), TypeId::of::<T>());
        if self.entries.peek(&key).is_some_and(|kept| kept.revision > revision) {
            return;
        }
        self.entries.insert(key, Entry { revision, bytes: bytes as u64, object });
    }

    /// Forgets everything, as after a snapshot was installed: revisions may name other values now.
    pub fn clear(&self) {
        self.entries.clear();
    }

    /// Bytes of all that is kept.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> Bytes {
        Bytes::copy_from_slice(&number.to_be_bytes())
    }

    #[test]
    fn an_object_answers_for_its_revision_alone() {
        let cache = Cache::default();
        cache.put(&key(1), 5, Arc::new("five"), 10);
        assert_eq!(cache.get::<&str>(&key(1), 5).as_deref(), Some(&"five"));
        assert!(cache.get::<&str>(&key(1), 4).is_none() && cache.get::<&str>(&key(1), 6).is_none());
        assert!(cache.get::<String>(&key(1), 5).is_none());
        cache.put(&key(1), 4, Arc::new("late"), 10);
        assert_eq!(cache.get::<&str>(&key(1), 5).as_deref(), Some(&"five"));
        cache.put(&key(1), 6, Arc::new("six"), 10);
        assert!(cache.get::<&str>(&key(1), 5).is_none());
        cache.clear();
        assert!(cache.get::<&str>(&key(1), 6).is_none());
    }

    #[test]
    fn all_objects_together_are_bounded_in_bytes() {
        let cache = Cache::with_bytes(1 << 20);
        for number in 0..10_000 {
            cache.put(&key(number), 1, Arc::new(number), 1000);
            assert!(cache.bytes() <= 1 << 20);
        }
        assert!(cache.bytes() > 1 << 18, "it keeps what it may");
    }
}
