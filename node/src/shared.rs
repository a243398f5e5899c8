//! What every part of the node needs to know at once: whether it is unsealed, and with which core.
//!
//! There are three states. *Sealed*: no keys in memory. *Unconfirmed*: keys, but the table is not yet known to be the one
//! the cluster agreed on, so tags are checked and nothing is served. *Serving*.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use conclave_vault::core::Core;

/// The node's seal state.
#[derive(Default)]
pub struct Shared {
    core: ArcSwapOption<Core>,
    is_confirmed: AtomicBool,
    /// The core that writes a new cluster's first batch; never serves.
    initialising: ArcSwapOption<Core>,
    /// Log index of the entry that was applied last, or is being applied.
    last_index: AtomicU64,
}

impl Shared {
    /// The core, if this node may answer with it.
    pub fn serving(&self) -> Option<Arc<Core>> {
        if self.is_confirmed.load(Ordering::Acquire) { self.core.load_full() } else { None }
    }

    /// The core, if there are keys in memory at all.
    pub fn unsealed(&self) -> Option<Arc<Core>> {
        self.core.load_full()
    }

    /// The core that can check tags now.
    pub fn verifier(&self) -> Option<Arc<Core>> {
        self.core.load_full().or_else(|| self.initialising.load_full())
    }

    /// Whether there are no keys in memory, or they may not be used yet.
    pub fn is_sealed(&self) -> bool {
        self.serving().is_none()
    }

    /// Takes keys; nothing is served until [`Shared::confirm`].
    pub fn unseal(&self, core: Arc<Core>) {
        self.is_confirmed.store(false, Ordering::Release);
        self.core.store(Some(core));
    }

    /// The table is the cluster's: serve.
    pub fn confirm(&self) {
        self.is_confirmed.store(true, Ordering::Release);
    }

    /// Keeps the keys and stops serving until the next [`Shared::confirm`].
    pub fn withdraw(&self) {
        self.is_confirmed.store(false, Ordering::Release);
    }

    /// Drops the keys. Requests that hold the core still end with it; new ones find none.
    pub fn seal(&self) {
        self.is_confirmed.store(false, Ordering::Release);
        self.core.store(None);
    }

    /// Remembers the entry that is being applied.
    pub fn note_index(&self, index: u64) {
        self.last_index.fetch_max(index, Ordering::AcqRel);
    }

    /// The entry that was applied last, or is being applied.
    pub fn last_index(&self) -> u64 {
        self.last_index.load(Ordering::Acquire)
    }

    /// Sets or drops the core of a new cluster's first batch.
    pub fn set_initialising(&self, core: Option<Arc<Core>>) {
        self.initialising.store(core);
    }
}
