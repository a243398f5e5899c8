//! A node without a cluster that has found one: the shares that are entered on it make its proof that it may join.

use conclave_vault::seal::{ClusterId, Gathering};

use crate::config::RetryJoin;

/// A cluster that a node may join by shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where, and how it is reached.
    pub(crate) at: RetryJoin,
    pub(crate) cluster_id: ClusterId,
    /// Generation of its seal.
    pub(crate) generation: u64,
    pub(crate) shares: u64,
    pub(crate) threshold: u64,
    /// Whether the node is to replicate for good without a vote.
    pub(crate) as_non_voter: bool,
}

/// The cluster that was found, and the shares for it.
pub(crate) struct Joining {
    pub(crate) found: Found,
    pub(crate) gathering: Gathering,
}

impl Joining {
    /// Nobody has entered a share yet.
    pub(crate) fn new(found: Found) -> Self {
        Self { found, gathering: Gathering::default() }
    }

    /// How many shares are needed.
    pub(crate) fn threshold(&self) -> usize {
        usize::try_from(self.found.threshold).unwrap_or(usize::MAX)
    }

    /// Takes over what a member says now. The shares count further if it is the same seal. Answers whether it is.
    pub(crate) fn update(&mut self, found: Found) -> bool {
        let seal = |found: &Found| (found.cluster_id, found.generation, found.threshold);
        let is_same = seal(&self.found) == seal(&found);
        if !is_same {
            self.gathering = Gathering::default();
        }
        self.found = found;
        is_same
    }
}
