//! The keys that are written now. Each is given up after some operations, so that a key's history stays short enough to
//! be searched, and what the server did with it long ago cannot hide anything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Operations on one key; a search for an order stays cheap up to about 300.
const OPERATIONS: u64 = 200;

/// A few keys that all clients share.
pub struct Keys {
    prefix: &'static str,
    slots: Vec<Mutex<Arc<Key>>>,
    next: AtomicU64,
}

/// One key, while it is in use.
pub struct Key {
    name: String,
    operations: AtomicU64,
    /// The newest version that somebody saw; where a check-and-set has a chance.
    newest: AtomicU64,
}

impl Keys {
    /// Keys with this prefix, `count` of them in use at any time.
    pub fn new(prefix: &'static str, count: u64) -> Self {
        let slots = (0..count).map(|number| Mutex::new(Arc::new(Key::new(prefix, number)))).collect();
        Self { prefix, slots, next: AtomicU64::new(count) }
    }

    /// All keys that were ever in use.
    pub fn all(&self) -> Vec<Key> {
        (0..self.next.load(Ordering::Relaxed)).map(|number| Key::new(self.prefix, number)).collect()
    }

    /// A key for one operation; `choice` picks among those in use.
    pub fn take(&self, choice: usize) -> Arc<Key> {
        // A key is replaced whole, so a panic elsewhere leaves it valid.
        let mut slot = self.slots[choice % self.slots.len()].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if slot.operations.fetch_add(1, Ordering::Relaxed) >= OPERATIONS {
            *slot = Arc::new(Key::new(self.prefix, self.next.fetch_add(1, Ordering::Relaxed)));
        }
        Arc::clone(&slot)
    }
}

impl Key {
    fn new(prefix: &str, number: u64) -> Self {
        Self { name: format!("{prefix}{number}"), operations: AtomicU64::new(0), newest: AtomicU64::new(0) }
    }

    /// The key's name below the mount.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The newest version that somebody saw.
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Relaxed)
    }

    /// Notes a version that was seen.
    pub fn saw(&self, version: u64) {
        self.newest.fetch_max(version, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_given_up_after_its_operations() {
        let keys = Keys::new("k", 2);
        let first = keys.take(0).name().to_owned();
        let names: Vec<_> = (0..OPERATIONS).map(|_| keys.take(0).name().to_owned()).collect();
        assert_eq!(names.iter().filter(|name| **name == first).count() as u64, OPERATIONS - 1);
        assert_eq!(names.last().unwrap(), "k2");
        assert_eq!(keys.take(1).name(), "k1");
    }
}
