//! What an unsealed node keeps in memory: decoded objects under their key and revision, and the encrypted keys of paths.
//!
//! Exact by construction. An object answers for a view if the table says that its key was not written between the point
//! where the object was last seen and the view; otherwise the view is asked for the key's revision, and the object
//! answers only if it is of that one. So an entry is never stale, and a newer one does not answer for an older view. Objects
//! are what every request needs (tokens, policies, mounts, names of directories), never secrets of users. Of each key
//! only the newest object is kept, and all are bounded in bytes: a directory that changes all the time costs one list,
//! not one for each change. The encrypted key of a path never changes, because the ciphers of names do not rotate.

use crate::limits::{MAX_CACHE_BYTES, MAX_CACHED_KEYS_BYTES, MAX_CACHED_PATH_BYTES};
use std::any::{Any, TypeId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use conclave_batch::View;
use quick_cache::Weighter;
use quick_cache::sync::Cache as Entries;

/// What the cache itself needs for an entry, in bytes, roughly.
const ENTRY_BYTES: u64 = 128;
/// Size that an object is expected to have, in bytes; only a start for the table's own size.
const USUAL_BYTES: usize = 2 * 1024;
/// As above, for a path and its key.
const USUAL_KEY_BYTES: usize = 512;

/// The cache of one unsealed node; dropped when it seals.
pub struct Cache {
    entries: Entries<Key, Arc<CacheEntry>, ByBytes>,
    keys: Entries<Box<[u8]>, Bytes, ByBytes>,
}

/// A key of the store, and what was made of it: a record and a directory may lie under one key.
type Key = (Bytes, TypeId);

struct CacheEntry {
    revision: u64,
    /// The table that the revision is one of.
    lineage: u64,
    /// Highest index at which the key was seen at this revision.
    seen_at: AtomicU64,
    bytes: u64,
    object: Arc<dyn Any + Send + Sync>,
}

impl CacheEntry {
    /// Whether the key certainly has this revision in a view.
    fn is_of(&self, key: &[u8], view: &dyn View) -> bool {
        let (seen_at, index) = (self.seen_at.load(Ordering::Acquire), view.index());
        self.lineage == view.lineage()
            && if seen_at <= index { !view.may_have_changed(key, seen_at) } else { self.revision <= index }
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Arc<CacheEntry>> for ByBytes {
    fn weight(&self, (key, _): &Key, entry: &Arc<CacheEntry>) -> u64 {
        ENTRY_BYTES + key.len() as u64 + entry.bytes
    }
}

impl Weighter<Box<[u8]>, Bytes> for ByBytes {
    fn weight(&self, path: &Box<[u8]>, key: &Bytes) -> u64 {
        ENTRY_BYTES + path.len() as u64 + key.len() as u64
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::with_bytes(MAX_CACHE_BYTES, MAX_CACHED_KEYS_BYTES)
    }
}

impl Cache {
    /// One that keeps at most so many bytes of objects, and of keys.
    fn with_bytes(objects: u64, keys: u64) -> Self {
        let expected = |bytes: u64, usual: usize| usize::try_from(bytes).unwrap_or(usize::MAX).div_ceil(usual);
        Self {
            entries: Entries::with_weighter(expected(objects, USUAL_BYTES), objects, ByBytes),
            keys: Entries::with_weighter(expected(keys, USUAL_KEY_BYTES), keys, ByBytes),
        }
    }

    /// The object that a key has in a view, and its revision, if that is certain without a look at the table.
    pub fn current<T: Send + Sync + 'static>(&self, key: &Bytes, view: &dyn View) -> Option<(u64, Arc<T>)> {
        let entry = self.entry::<T>(key)?;
        if entry.is_of(key, view) { Some((entry.revision, entry.object.clone().downcast().ok()?)) } else { None }
    }

    /// The object that was kept for a key at the revision that it has in a view.
    pub fn get<T: Send + Sync + 'static>(&self, key: &Bytes, revision: u64, view: &dyn View) -> Option<Arc<T>> {
        let entry = self.entry::<T>(key)?;
        if (entry.revision, entry.lineage) != (revision, view.lineage()) {
            return None;
        }
        entry.seen_at.fetch_max(view.index(), Ordering::AcqRel);
        entry.object.clone().downcast().ok()
    }

    /// What was kept for a key, and the highest index at which it is known to have been so, if a view is not older.
    pub fn earlier<T: Send + Sync + 'static>(&self, key: &Bytes, view: &dyn View) -> Option<(u64, Arc<T>)> {
        let entry = self.entry::<T>(key)?;
        let seen_at = entry.seen_at.load(Ordering::Acquire);
        if entry.lineage != view.lineage() || seen_at > view.index() {
            return None;
        }
        Some((seen_at, entry.object.clone().downcast().ok()?))
    }

    /// Keeps an object of about `bytes` of a key that has a revision in a view, in place of an older one. One older than
    /// what is kept is not.
    pub fn put<T: Send + Sync + 'static>(
        &self,
        key: &Bytes,
        revision: u64,
        view: &dyn View,
        object: Arc<T>,
        bytes: usize,
    ) {
        let (seen_at, lineage) = (AtomicU64::new(view.index()), view.lineage());
        let is_newer = |kept: &Arc<CacheEntry>| kept.lineage == lineage && kept.revision > revision;
        if !self.entry::<T>(key).is_some_and(|kept| is_newer(&kept)) {
            let entry = CacheEntry { revision, lineage, seen_at, bytes: bytes as u64, object };
            self.entries.insert((key.clone(), TypeId::of::<T>()), Arc::new(entry));
        }
    }

    /// What was made from several records, under a key that names them all by their content.
    pub fn derived<T: Send + Sync + 'static>(&self, key: &Bytes) -> Option<Arc<T>> {
        self.entry::<T>(key)?.object.clone().downcast().ok()
    }

    /// Keeps what [`Cache::derived`] finds.
    pub fn put_derived<T: Send + Sync + 'static>(&self, key: &Bytes, object: Arc<T>, bytes: usize) {
        let entry = CacheEntry { revision: 0, lineage: 0, seen_at: AtomicU64::new(0), bytes: bytes as u64, object };
        self.entries.insert((key.clone(), TypeId::of::<T>()), Arc::new(entry));
    }

    /// The encrypted key of a path, if it is known.
    pub fn known_key(&self, path: &[u8]) -> Option<Bytes> {
        self.keys.get(path)
    }

    /// The encrypted key of a path, which is made if it is not known.
    pub fn key_of(&self, path: Vec<u8>, make: impl FnOnce() -> Bytes) -> Bytes {
        if path.len() > MAX_CACHED_PATH_BYTES {
            return make();
        }
        if let Some(key) = self.keys.get(path.as_slice()) {
            return key;
        }
        let key = make();
        self.keys.insert(path.into_boxed_slice(), key.clone());
        key
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.entries.clear();
        self.keys.clear();
    }

    fn entry<T: 'static>(&self, key: &Bytes) -> Option<Arc<CacheEntry>> {
        self.entries.get(&(key.clone(), TypeId::of::<T>()))
    }

    /// Bytes of all objects that are kept.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.weight()
    }

    /// Bytes of all keys that are kept.
    #[cfg(test)]
    pub(crate) fn key_bytes(&self) -> u64 {
        self.keys.weight()
    }
}

#[cfg(test)]
mod tests;
