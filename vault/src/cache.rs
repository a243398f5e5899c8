//! Decoded objects under their key and revision.
//!
//! Exact by construction: who asks names the revision that its view holds, so an entry is never stale, and a newer one
//! does not answer for an older view. Holds what every request needs (tokens, policies, mounts), never secrets of users.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use quick_cache::sync::Cache as Entries;

/// Most objects kept.
const MAX_OBJECTS: usize = 100_000;

/// The cache of one unsealed node; dropped when it seals.
pub struct Cache {
    entries: Entries<(Bytes, u64), Arc<dyn Any + Send + Sync>>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { entries: Entries::new(MAX_OBJECTS) }
    }
}

impl Cache {
    /// The object of a type that was kept for a key at a revision.
    pub fn get<T: Send + Sync + 'static>(&self, key: &Bytes, revision: u64) -> Option<Arc<T>> {
        self.entries.get(&(key.clone(), revision))?.downcast().ok()
    }

    /// Keeps an object.
    pub fn put<T: Send + Sync + 'static>(&self, key: &Bytes, revision: u64, object: Arc<T>) {
        self.entries.insert((key.clone(), revision), object);
    }

    /// Forgets everything, as after a snapshot was installed: revisions may name other values now.
    pub fn clear(&self) {
        self.entries.clear();
    }
}
