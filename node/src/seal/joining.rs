//! A node without a cluster that has found one: the shares that are entered on it make its proof that it may join.

use std::net::IpAddr;

use conclave_vault::Random;
use conclave_vault::seal::{ClusterId, Gathered, Gathering, Progress, ResetRefused, ShareError};
use tokio::time::Instant;

use super::shares::Pace;
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
    gathering: Gathering,
    pace: Pace,
}

impl Joining {
    /// Nobody has entered a share yet.
    pub(crate) fn new(found: Found) -> Self {
        Self { found, gathering: Gathering::default(), pace: Pace::default() }
    }

    /// How many shares are needed.
    fn threshold(&self) -> usize {
        usize::try_from(self.found.threshold).unwrap_or(usize::MAX)
    }

    /// Takes over what a member says now. The shares count further if it is the same seal. Answers whether it is.
    pub(crate) fn update(&mut self, found: Found) -> bool {
        let seal = |found: &Found| (found.cluster_id, found.generation, found.threshold);
        let is_same = seal(&self.found) == seal(&found);
        if !is_same {
            self.forget();
        }
        self.found = found;
        is_same
    }

    /// How far the shares are.
    pub(crate) fn progress(&self) -> Progress {
        self.gathering.progress(self.threshold())
    }

    /// Takes a share; see [`Gathering::enter`].
    pub(crate) fn enter(
        &mut self,
        key: &str,
        address: IpAddr,
        random: &mut dyn Random,
        now: Instant,
    ) -> Result<Gathered, ShareError> {
        self.forget_old(now);
        let gathered = self.gathering.enter(key, address, self.threshold(), random);
        self.pace.note(self.progress().entered, now);
        gathered
    }

    /// Starts over; see [`Gathering::reset`].
    pub(crate) fn reset(&mut self, address: IpAddr) -> Result<(), ResetRefused> {
        self.gathering.reset(address)?;
        self.forget();
        Ok(())
    }

    /// Wipes shares that waited too long for another one. Answers whether it did.
    pub(crate) fn forget_old(&mut self, now: Instant) -> bool {
        let is_over = self.pace.is_over(now);
        if is_over {
            self.forget();
        }
        is_over
    }

    fn forget(&mut self) {
        (self.gathering, self.pace) = (Gathering::default(), Pace::default());
    }
}
