//! Unsealing by shares: what one node has heard so far.
//!
//! Progress belongs to a node, not to the cluster, and lives in memory only. What surprises: a wrong share is refused
//! by its digest at once, and it ends the attempt only in one case, when it would have been the last one needed and
//! came from an address that had entered a valid share before. So an operator who mistypes starts over, as clients
//! expect, and a stranger cannot disturb the others.

use std::net::IpAddr;

use super::error::SealError;
use super::record::Outside;
use super::shamir;
use super::share::{Parsed, Share};
use crate::barrier::Barrier;
use crate::context::Random;

/// How far a ceremony is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Valid, different shares so far.
    pub entered: usize,
    /// How many are needed.
    pub threshold: usize,
    /// Identifies the attempt: a UUID, empty before the first share.
    pub nonce: String,
}

/// What a share led to.
pub enum Entered {
    /// More are needed.
    Progress(Progress),
    /// The node is unsealed.
    Unsealed {
        /// The open barrier. The caller notes where its term came from.
        barrier: Box<Barrier>,
        /// The attempt's nonce, which a hand-over to other nodes is bound to.
        nonce: [u8; 16],
    },
}

/// Why a share was not taken. The texts go to whoever entered it; clients know them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// Neither hexadecimal nor base64 (400).
    #[error("'key' must be a valid hex or base64 string")]
    Unreadable,
    /// Not one of this seal's shares (400): another ceremony's, changed, superseded, or of a wrong length.
    #[error(
        "unable to retrieve stored keys: invalid key: failed to decrypt keys from storage: \
         cipher: message authentication failed"
    )]
    Wrong,
    /// Every share was right and the barrier did not open: the records are damaged (500).
    #[error("the shares are valid and the barrier does not open: the records outside the barrier are damaged")]
    Damaged(#[source] SealError),
}

/// An attempt to unseal one node.
#[derive(Default)]
pub struct Ceremony {
    /// Never as many as the threshold: the last one opens the barrier and ends the attempt. All of one generation.
    shares: Vec<Share>,
    /// Where valid shares came from; no longer than `shares`.
    addresses: Vec<IpAddr>,
    /// Set if and only if `shares` is not empty.
    nonce: Option<[u8; 16]>,
    generation: u64,
}

impl Ceremony {
    /// How far the attempt is.
    pub fn progress(&self, outside: &Outside) -> Progress {
        let is_current = self.generation == outside.seal.generation;
        Progress {
            entered: if is_current { self.shares.len() } else { 0 },
            threshold: outside.seal.threshold as usize,
            nonce: self.nonce.filter(|_| is_current).map(|nonce| format_uuid(&nonce)).unwrap_or_default(),
        }
    }

    /// Forgets all shares; the next one begins an attempt with a new nonce.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Enters a share that came from an address. The last one needed unseals.
    pub fn enter(
        &mut self,
        key: &str,
        address: IpAddr,
        outside: &Outside,
        random: &mut dyn Random,
    ) -> Result<Entered, ShareError> {
        if self.generation != outside.seal.generation {
            // A rekey came between: the shares so far belong to a seal that is gone.
            self.reset();
            self.generation = outside.seal.generation;
        }
        let address = address.to_canonical();
        let share = match Share::parse(key) {
            Parsed::Unreadable => return Err(ShareError::Unreadable),
            Parsed::Share(share) if outside.is_own_share(&share) => share,
            Parsed::Share(_) | Parsed::WrongLength => return Err(self.refuse(address, outside)),
        };
        self.take(share, address, random);
        if self.shares.len() < outside.seal.threshold as usize {
            return Ok(Entered::Progress(self.progress(outside)));
        }
        self.finish(outside)
    }

    fn refuse(&mut self, address: IpAddr, outside: &Outside) -> ShareError {
        let would_complete = self.shares.len() + 1 == outside.seal.threshold as usize;
        if would_complete && self.addresses.contains(&address) {
            self.reset();
        }
        ShareError::Wrong
    }

    /// Adds a valid share; one that is there already changes nothing.
    fn take(&mut self, share: Share, address: IpAddr, random: &mut dyn Random) {
        // Both shares are known to be valid, so that they are equal is no secret.
        if self.shares.iter().any(|own| own.expose() == share.expose()) {
            return;
        }
        self.nonce.get_or_insert_with(|| {
            let mut nonce = [0; 16];
            random.fill(&mut nonce);
            mark_as_uuid(nonce)
        });
        self.shares.push(share);
        if !self.addresses.contains(&address) {
            self.addresses.push(address);
        }
    }

    /// Combines, unwraps, opens. Whatever comes of it, the attempt is over and its shares are wiped.
    fn finish(&mut self, outside: &Outside) -> Result<Entered, ShareError> {
        let attempt = std::mem::take(self);
        let shares: Vec<&Share> = attempt.shares.iter().collect();
        let opened = shamir::combine(&shares)
            .and_then(|unseal_key| outside.unwrap_root_key(&unseal_key))
            .and_then(|root_key| outside.open_barrier(root_key));
        let barrier = Box::new(opened.map_err(ShareError::Damaged)?);
        Ok(Entered::Unsealed { barrier, nonce: attempt.nonce.unwrap_or_default() })
    }
}

/// Sets the version and variant of a random UUID (RFC 9562, section 5.4).
fn mark_as_uuid(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    bytes
}

fn format_uuid(bytes: &[u8; 16]) -> String {
    let text = hex::encode(bytes);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

#[cfg(test)]
mod tests;
