//! Turns: requests that keep losing races for the same records run one after another, first come first served.
//!
//! Which records a request touches is known only after it ran, so a turn is taken for what it most likely fights over:
//! its token and its path. Guards still decide; a turn only keeps those who lost from starving each other.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};

use conclave_vault::Request;
use parking_lot::Mutex;
use tokio::sync::{Mutex as Fair, OwnedMutexGuard};

/// Hands out turns.
#[derive(Default)]
pub(crate) struct Turns {
    hasher: RandomState,
    queues: Mutex<HashMap<u64, Weak<Fair<()>>>>,
}

/// A turn; the next one begins when it is dropped.
pub(crate) struct Turn {
    _held: Vec<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for the request's turn.
    pub(crate) async fn take(&self, request: &Request) -> Turn {
        let token = request.token.as_ref().map_or("", |token| token.as_str());
        // In one order for all, so that two requests never wait for each other.
        let mut keys = [self.hasher.hash_one(("token", token)), self.hasher.hash_one(("path", request.path.as_str()))];
        keys.sort_unstable();
        let mut held = Vec::with_capacity(keys.len());
        for key in keys {
            held.push(self.queue(key).lock_owned().await);
        }
        Turn { _held: held }
    }

    fn queue(&self, key: u64) -> Arc<Fair<()>> {
        let mut queues = self.queues.lock();
        if queues.len() > 4096 {
            queues.retain(|_, queue| queue.strong_count() > 0);
        }
        if let Some(queue) = queues.get(&key).and_then(Weak::upgrade) {
            return queue;
        }
        let queue = Arc::new(Fair::new(()));
        queues.insert(key, Arc::downgrade(&queue));
        queue
    }
}
