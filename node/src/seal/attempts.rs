//! All that shares are entered for on this node.

use tokio::time::Instant;

use super::rekeying::Rekeying;
use super::root_token::RootGeneration;
use super::shares::Shares;

/// What was entered of this node's own seal, by what for.
#[derive(Default)]
pub(crate) struct Attempts {
    /// Unseals this node, or others.
    pub(crate) unseal: Shares,
    /// Sets cluster time.
    pub(crate) time: Shares,
    /// Makes a root token.
    pub(super) root: Option<RootGeneration>,
    /// Makes new shares.
    pub(super) rekey: Option<Rekeying>,
}

impl Attempts {
    /// Wipes all.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Wipes what waited too long for another share. Answers whether there was any.
    pub(crate) fn forget_old(&mut self, now: Instant) -> bool {
        let was_root = self.root.take_if(|root| root.is_over(now)).is_some();
        let was_rekey = self.rekey.take_if(|rekey| rekey.is_over(now)).is_some();
        let was_for_time = self.time.forget_old(now);
        self.unseal.forget_old(now) || was_for_time || was_root || was_rekey
    }
}
