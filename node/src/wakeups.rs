//! How one task of the node wakes another, and how all of them learn that the node stops.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What the tasks of a node wait for besides time.
#[derive(Default)]
pub(crate) struct Wakeups {
    upkeep: Notify,
    membership: Notify,
    wants_checkpoint: AtomicBool,
    stop: CancellationToken,
}

impl Wakeups {
    /// Resolves once upkeep has something to do.
    pub(crate) async fn upkeep_wanted(&self) {
        self.upkeep.notified().await;
    }

    pub(crate) fn wake_upkeep(&self) {
        self.upkeep.notify_one();
    }

    /// Resolves when the members record has changed here.
    pub(crate) async fn members_changed(&self) {
        self.membership.notified().await;
    }

    pub(crate) fn wake_membership(&self) {
        self.membership.notify_one();
    }

    pub(crate) fn request_checkpoint(&self) {
        self.wants_checkpoint.store(true, Ordering::Release);
        self.wake_upkeep();
    }

    pub(crate) fn take_checkpoint_request(&self) -> bool {
        self.wants_checkpoint.swap(false, Ordering::AcqRel)
    }

    /// Ends every task that waits for [`Wakeups::stopping`].
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    pub(crate) async fn stopping(&self) {
        self.stop.cancelled().await;
    }
}
