//! Unsealing by shares: what one node has heard so far.
//!
//! Progress belongs to a node, not to the cluster, and lives in memory only. What surprises: a wrong share is refused
//! by its digest at once, and it ends the attempt only in one case, when it would have been the last one needed and
//! came from an address that had entered a valid share before. So an operator who mistypes starts over, as clients
//! expect, and a stranger cannot disturb the others. For the same reason only somebody who entered a share, or has one,
//! can start an attempt over.
//!
//! A ceremony may end in a hand-over. Who receives is confirmed with each share, by fingerprint, and only those that were
//! confirmed with all of them count: no less than a threshold of holders decides where the root key goes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::error::SealError;
use super::handover::Fingerprint;
use super::proof::JoinKey;
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
        /// With which nodes that join prove that they can make the unseal key; for the barrier, where members find it.
        join_key: JoinKey,
        /// The attempt's nonce, which a hand-over to other nodes is bound to.
        nonce: [u8; 16],
        /// The processes that were confirmed with every share.
        confirmed: BTreeSet<Fingerprint>,
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

/// Why an attempt was not started over (400).
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this attempt can be reset from an address that entered a valid share, or together with a valid share ('key'), and \
     from nowhere else"
)]
pub struct ResetRefused;

/// A share as somebody enters it.
pub struct Entry<'a> {
    /// The share's text.
    pub key: &'a str,
    /// Where it comes from.
    pub address: IpAddr,
    /// The processes that its holder confirms for a hand-over.
    pub confirmed: BTreeSet<Fingerprint>,
}

/// A valid share that was entered.
struct Given {
    share: Share,
    /// From where it came first.
    address: IpAddr,
    confirmed: BTreeSet<Fingerprint>,
}

/// An attempt to unseal one node.
#[derive(Default)]
pub struct Ceremony {
    /// Different ones of one generation, and never as many as the threshold: the last one opens the barrier and ends the
    /// attempt.
    given: Vec<Given>,
    /// Set if and only if there are shares.
    nonce: Option<[u8; 16]>,
    generation: u64,
}

impl Ceremony {
    /// How far the attempt is.
    pub fn progress(&self, outside: &Outside) -> Progress {
        let (entered, nonce) = if self.is_of(outside) { (self.given.len(), self.nonce) } else { (0, None) };
        progress_of(entered, outside.seal.threshold as usize, nonce)
    }

    /// Forgets all shares; the next one begins an attempt with a new nonce. Whoever wants it has entered a valid share
    /// from `address`, or has one, `key`.
    pub fn reset(&mut self, key: Option<&str>, address: IpAddr, outside: &Outside) -> Result<(), ResetRefused> {
        let holds_one = || key.is_some_and(|key| own_share(key, outside).is_ok());
        if self.is_of(outside) && !self.given.is_empty() && !self.knows(address.to_canonical()) && !holds_one() {
            return Err(ResetRefused);
        }
        *self = Self::default();
        Ok(())
    }

    /// Enters a share. The last one needed unseals.
    pub fn enter(
        &mut self,
        entry: Entry<'_>,
        outside: &Outside,
        random: &mut dyn Random,
    ) -> Result<Entered, ShareError> {
        if !self.is_of(outside) {
            // A rekey came between: the shares so far belong to a seal that is gone.
            *self = Self { generation: outside.seal.generation, ..Self::default() };
        }
        let address = entry.address.to_canonical();
        let share = match own_share(entry.key, outside) {
            Ok(share) => share,
            Err(refused) => {
                if refused == ShareError::Wrong {
                    self.note_wrong(address, outside);
                }
                return Err(refused);
            }
        };
        self.take(Given { share, address, confirmed: entry.confirmed }, random);
        if self.given.len() < outside.seal.threshold as usize {
            return Ok(Entered::Progress(self.progress(outside)));
        }
        self.finish(outside)
    }

    fn is_of(&self, outside: &Outside) -> bool {
        self.generation == outside.seal.generation
    }

    fn knows(&self, address: IpAddr) -> bool {
        self.given.iter().any(|given| given.address == address)
    }

    fn note_wrong(&mut self, address: IpAddr, outside: &Outside) {
        let would_complete = self.given.len() + 1 == outside.seal.threshold as usize;
        if would_complete && self.knows(address) {
            *self = Self::default();
        }
    }

    /// Adds a valid share. One that is there already changes nothing but what its holder confirms.
    fn take(&mut self, given: Given, random: &mut dyn Random) {
        // Both shares are known to be valid, so that they are equal is no secret.
        let known = self.given.iter_mut().find(|known| known.share.expose() == given.share.expose());
        if let Some(known) = known {
            known.confirmed = given.confirmed;
            return;
        }
        self.nonce.get_or_insert_with(|| fresh_nonce(random));
        self.given.push(given);
    }

    /// Combines, unwraps, opens. Whatever comes of it, the attempt is over and its shares are wiped.
    fn finish(&mut self, outside: &Outside) -> Result<Entered, ShareError> {
        let attempt = std::mem::take(self);
        let shares: Vec<&Share> = attempt.given.iter().map(|given| &given.share).collect();
        let unseal_key = shamir::combine(&shares).map_err(ShareError::Damaged)?;
        let opened = outside.unwrap_root_key(&unseal_key).and_then(|root_key| outside.open_barrier(root_key));
        let barrier = Box::new(opened.map_err(ShareError::Damaged)?);
        let join_key = JoinKey::of_unseal_key(&unseal_key, &outside.cluster_id, outside.seal.generation);
        let confirmed = attempt.given.into_iter().map(|given| given.confirmed);
        let confirmed = confirmed.reduce(|all, one| &all & &one).unwrap_or_default();
        Ok(Entered::Unsealed { barrier, join_key, nonce: attempt.nonce.unwrap_or_default(), confirmed })
    }
}

/// A text as one of this seal's shares.
fn own_share(key: &str, outside: &Outside) -> Result<Share, ShareError> {
    match Share::parse(key) {
        Parsed::Unreadable => Err(ShareError::Unreadable),
        Parsed::Share(share) if outside.is_own_share(&share) => Ok(share),
        Parsed::Share(_) | Parsed::WrongLength => Err(ShareError::Wrong),
    }
}

/// How far an attempt is.
pub(super) fn progress_of(entered: usize, threshold: usize, nonce: Option<[u8; 16]>) -> Progress {
    Progress { entered, threshold, nonce: nonce.map(|nonce| format_uuid(&nonce)).unwrap_or_default() }
}

/// Names a new attempt.
pub(super) fn fresh_nonce(random: &mut dyn Random) -> [u8; 16] {
    let mut nonce = [0; 16];
    random.fill(&mut nonce);
    mark_as_uuid(nonce)
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
