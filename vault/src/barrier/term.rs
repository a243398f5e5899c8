//! A key term: one random secret, and the keys for five purposes that are derived from it.
//!
//! Keys of different purposes are independent although they share a secret, because HKDF separates them by label. They
//! are derived when first asked for, so a keyring with thousands of old terms costs nothing to open.

use std::sync::OnceLock;

use super::aead::Aead;
use super::derivation::derive;
use super::locked::Secret;
use super::mac::MacKey;
use super::uses::UseCounter;
use super::{ClusterId, Key32};
use crate::context::Random;
use crate::time::Time;

/// HKDF labels; the term's number (4 bytes, big-endian) follows each.
pub(super) mod label {
    pub(super) const DATA: &[u8] = b"conclave data key v1";
    pub(super) const TAG: &[u8] = b"conclave tag key v1";
    pub(super) const FORWARD: &[u8] = b"conclave forward key v1";
    pub(super) const ANSWER: &[u8] = b"conclave answer key v1";
    pub(super) const TOKEN: &[u8] = b"conclave batch token key v1";

    /// All of them, by the names of their keys, for the test vectors.
    #[cfg(test)]
    pub(crate) const ALL: [(&str, &[u8]); 5] = [
        ("data key", DATA),
        ("tag key", TAG),
        ("forward key", FORWARD),
        ("answer key", ANSWER),
        ("batch-token key", TOKEN),
    ];
}

/// The keys of a term.
pub(crate) struct TermKeys {
    /// Encrypts values.
    pub(crate) data: Aead,
    /// Tags batches.
    pub(crate) tag: MacKey,
    /// Encrypts requests and replies between nodes.
    pub(crate) forward: Aead,
    /// Authenticates answers between nodes.
    pub(crate) answer: MacKey,
    /// Encrypts batch tokens.
    pub(crate) token: Aead,
}

/// A term of the keyring.
pub struct Term {
    number: u32,
    secret: Key32,
    made_at_millis: u64,
    keys: OnceLock<TermKeys>,
    uses: UseCounter,
}

impl Term {
    pub(crate) fn new(number: u32, secret: Key32, made_at_millis: u64) -> Self {
        Self { number, secret, made_at_millis, keys: OnceLock::new(), uses: UseCounter::default() }
    }

    pub(crate) fn generate(number: u32, now: Time, random: &mut dyn Random) -> Self {
        Self::new(number, Secret::random(random), now.millis())
    }

    /// 1 for the first; counts up.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// When it was made, by the clock of the node that made it.
    pub fn made_at(&self) -> Time {
        Time::from_millis(self.made_at_millis)
    }

    /// This node's budget of encryptions under it.
    pub fn uses(&self) -> &UseCounter {
        &self.uses
    }

    pub(crate) fn secret(&self) -> &Key32 {
        &self.secret
    }

    pub(crate) fn made_at_millis(&self) -> u64 {
        self.made_at_millis
    }

    /// The derived keys. A term belongs to one cluster, so the first caller's cluster id is every caller's.
    pub(crate) fn keys(&self, cluster_id: &ClusterId) -> &TermKeys {
        self.keys.get_or_init(|| {
            let key = |label| derive(cluster_id, self.secret.expose(), &[label, &self.number.to_be_bytes()]);
            TermKeys {
                data: Aead::new(key(label::DATA).expose()),
                tag: MacKey::new(key(label::TAG).expose()),
                forward: Aead::new(key(label::FORWARD).expose()),
                answer: MacKey::new(key(label::ANSWER).expose()),
                token: Aead::new(key(label::TOKEN).expose()),
            }
        })
    }
}
