//! Joining by shares: a node that belongs to no cluster proves that it can make the unseal key, and gets a join token.
//!
//! Both sides have a [`JoinKey`], which is derived from the unseal key. A member finds it inside the barrier, where whoever
//! unsealed by shares left it; the joiner derives it from the shares that were entered on it. Nothing secret is sent: the
//! member sends a [`Challenge`], the joiner a MAC over it, and the token comes back encrypted. What surprises: the joiner
//! has nothing to compare a share with, neither digests nor anything that is encrypted under the unseal key, so that who
//! holds some shares learns nothing about the others from any member. A wrong share shows when the proof is refused.
//!
//! A challenge is kept by nobody. The member knows its own by their MAC, so a stranger can have as many as it likes.

use std::collections::BTreeMap;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::barrier::aead::Aead;
use crate::barrier::derivation::derive;
use crate::barrier::mac::MacKey;
use crate::barrier::{ClusterId, Key32};
use crate::context::Random;
use crate::limits::MAX_ANSWERED_CHALLENGES;
use crate::time::Time;

/// Salts of the derivations.
const KEY_CONTEXT: &[u8] = b"conclave join key v1";
const CHALLENGE_CONTEXT: &[u8] = b"conclave join challenge v1";
const PROOF_CONTEXT: &[u8] = b"conclave join proof v1";
const REPLY_CONTEXT: &[u8] = b"conclave join reply v1";
/// How long a challenge can be answered, in seconds. It is asked for once the last share is there.
pub const CHALLENGE_SECS: u64 = 60;
/// Bytes of a challenge: `expires (8) · random (16) · MAC (32)`.
pub const CHALLENGE_BYTES: usize = 56;
/// Bytes of a joiner's nonce.
pub const NONCE_BYTES: usize = 16;

/// What both sides derive from the unseal key; bound to the cluster and to the seal's generation. No `Debug`.
pub struct JoinKey(Key32);

/// The node that wants to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joiner {
    /// Its id.
    pub id: u64,
    /// Its node key, Ed25519.
    pub public_key: [u8; 32],
}

/// What a joiner must answer, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge([u8; CHALLENGE_BYTES]);

/// A challenge and the joiner's own nonce: what a proof and its reply are about.
pub struct Exchange<'a> {
    /// Who joins.
    pub joiner: &'a Joiner,
    /// What the member sent.
    pub challenge: &'a Challenge,
    /// What the joiner drew.
    pub nonce: &'a [u8; NONCE_BYTES],
}

impl Challenge {
    /// The challenge as it is sent.
    pub fn to_bytes(&self) -> [u8; CHALLENGE_BYTES] {
        self.0
    }

    /// A challenge as it came.
    pub fn from_bytes(bytes: [u8; CHALLENGE_BYTES]) -> Self {
        Self(bytes)
    }

    fn expires_secs(&self) -> u64 {
        self.0.first_chunk().copied().map_or(0, u64::from_be_bytes)
    }
}

impl Exchange<'_> {
    /// `id (8) · node key (32) · challenge (56) · nonce (16)`.
    fn encode(&self) -> Vec<u8> {
        let id = self.joiner.id.to_be_bytes();
        [id.as_slice(), &self.joiner.public_key, &self.challenge.0, self.nonce].concat()
    }
}

impl JoinKey {
    /// From the key that the shares make.
    pub fn of_unseal_key(unseal_key: &Key32, cluster_id: &ClusterId, generation: u64) -> Self {
        Self(derive(KEY_CONTEXT, unseal_key.expose(), &[cluster_id, &generation.to_be_bytes()]))
    }

    /// From the bytes that a member keeps; `None` for another length.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        Key32::from_slice(bytes).map(Self)
    }

    /// The bytes.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// A challenge for a joiner.
    pub fn challenge(&self, joiner: &Joiner, now: Time, random: &mut dyn Random) -> Challenge {
        let mut bytes = [0; CHALLENGE_BYTES];
        let expires = u64::try_from(now.plus_secs(CHALLENGE_SECS).secs()).unwrap_or(0);
        bytes[..8].copy_from_slice(&expires.to_be_bytes());
        random.fill(&mut bytes[8..24]);
        let mac = self.challenge_mac(joiner, &bytes[..24]);
        bytes[24..].copy_from_slice(&mac);
        Challenge(bytes)
    }

    /// Whether a challenge was made with this key for this joiner, and can still be answered.
    pub fn is_open(&self, joiner: &Joiner, challenge: &Challenge, now: Time) -> bool {
        let is_own: bool = self.challenge_mac(joiner, &challenge.0[..24]).ct_eq(&challenge.0[24..]).into();
        is_own && u64::try_from(now.secs()).is_ok_and(|now| now < challenge.expires_secs())
    }

    fn challenge_mac(&self, joiner: &Joiner, head: &[u8]) -> [u8; 32] {
        self.mac(CHALLENGE_CONTEXT).sign(&[&joiner.id.to_be_bytes(), &joiner.public_key, head])
    }

    /// The joiner's answer.
    pub fn prove(&self, exchange: &Exchange<'_>) -> [u8; 32] {
        self.mac(PROOF_CONTEXT).sign(&[&exchange.encode()])
    }

    /// Whether an answer is right, in constant time.
    pub fn verify(&self, exchange: &Exchange<'_>, proof: &[u8]) -> bool {
        self.mac(PROOF_CONTEXT).verify(&[&exchange.encode()], proof)
    }

    /// Encrypts the join token for the joiner.
    pub fn seal_reply(&self, exchange: &Exchange<'_>, token: &str, random: &mut dyn Random) -> Vec<u8> {
        let mut sealed = Vec::new();
        self.reply_key(exchange).seal_onto(&mut sealed, &[], token.as_bytes(), random);
        sealed
    }

    /// Opens the join token. Only somebody with this key can have made it, so it is the cluster's.
    pub fn open_reply(&self, exchange: &Exchange<'_>, sealed: &[u8]) -> Option<Zeroizing<String>> {
        let opened = self.reply_key(exchange).open(&[], sealed)?;
        Some(Zeroizing::new(std::str::from_utf8(&opened).ok()?.to_owned()))
    }

    fn mac(&self, context: &[u8]) -> MacKey {
        MacKey::new(derive(context, self.0.expose(), &[]).expose())
    }

    fn reply_key(&self, exchange: &Exchange<'_>) -> Aead {
        Aead::new(derive(REPLY_CONTEXT, self.0.expose(), &[&exchange.encode()]).expose())
    }
}

/// Challenges that were answered rightly. Only those who have the shares can fill it.
#[derive(Default)]
pub struct Answered(BTreeMap<[u8; CHALLENGE_BYTES], u64>);

impl Answered {
    /// Whether a challenge is answered for the first time; from now on it is not.
    pub fn is_first(&mut self, challenge: &Challenge, now: Time) -> bool {
        let now = u64::try_from(now.secs()).unwrap_or(0);
        self.0.retain(|_, expires| *expires > now);
        self.0.len() < MAX_ANSWERED_CHALLENGES && self.0.insert(challenge.0, challenge.expires_secs()).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barrier::seeded::Seeded;

    const JOINER: Joiner = Joiner { id: 7, public_key: [8; 32] };
    const NOW: Time = Time::from_secs(1_700_000_000);
    const NONCE: [u8; NONCE_BYTES] = [9; NONCE_BYTES];

    fn key(unseal_key: u8, cluster: u8, generation: u64) -> JoinKey {
        JoinKey::of_unseal_key(&Key32::copy_of(&[unseal_key; 32]), &[cluster; 16], generation)
    }

    fn challenge() -> Challenge {
        key(1, 2, 3).challenge(&JOINER, NOW, &mut Seeded::new(1))
    }

    #[test]
    fn whoever_has_the_shares_gets_the_token_and_nobody_else() {
        let (own, challenge) = (key(1, 2, 3), challenge());
        let exchange = Exchange { joiner: &JOINER, challenge: &challenge, nonce: &NONCE };
        assert!(own.is_open(&JOINER, &challenge, NOW));
        assert!(own.verify(&exchange, &own.prove(&exchange)));
        let sealed = own.seal_reply(&exchange, "cjt.token", &mut Seeded::new(2));
        assert_eq!(own.open_reply(&exchange, &sealed).unwrap().as_str(), "cjt.token");
        for other in [key(2, 2, 3), key(1, 3, 3), key(1, 2, 4)] {
            assert!(!other.is_open(&JOINER, &challenge, NOW));
            assert!(!own.verify(&exchange, &other.prove(&exchange)));
            assert!(other.open_reply(&exchange, &sealed).is_none());
        }
    }

    #[test]
    fn a_challenge_is_for_one_node_and_one_minute() {
        let (own, challenge) = (key(1, 2, 3), challenge());
        for other in [Joiner { id: 8, ..JOINER }, Joiner { public_key: [7; 32], ..JOINER }] {
            assert!(!own.is_open(&other, &challenge, NOW));
        }
        assert!(own.is_open(&JOINER, &challenge, NOW.plus_secs(CHALLENGE_SECS - 1)));
        assert!(!own.is_open(&JOINER, &challenge, NOW.plus_secs(CHALLENGE_SECS)));
        for at in 0..CHALLENGE_BYTES {
            let mut bytes = challenge.to_bytes();
            bytes[at] ^= 1;
            assert!(!own.is_open(&JOINER, &Challenge::from_bytes(bytes), NOW), "byte {at}");
        }
    }

    #[test]
    fn an_answer_is_good_for_its_own_exchange_only() {
        let (own, challenge) = (key(1, 2, 3), challenge());
        let exchange = Exchange { joiner: &JOINER, challenge: &challenge, nonce: &NONCE };
        let (proof, sealed) = (own.prove(&exchange), own.seal_reply(&exchange, "t", &mut Seeded::new(2)));
        let later = own.challenge(&JOINER, NOW, &mut Seeded::new(3));
        let other = Joiner { id: 8, ..JOINER };
        for wrong in [
            Exchange { nonce: &[1; NONCE_BYTES], ..exchange },
            Exchange { challenge: &later, joiner: &JOINER, nonce: &NONCE },
            Exchange { joiner: &other, challenge: &challenge, nonce: &NONCE },
        ] {
            assert!(!own.verify(&wrong, &proof));
            assert!(own.open_reply(&wrong, &sealed).is_none());
        }
    }

    #[test]
    fn a_challenge_is_answered_once_and_few_are_remembered() {
        let mut answered = Answered::default();
        let own = key(1, 2, 3);
        let mut random = Seeded::new(4);
        let mut fresh = |now| own.challenge(&JOINER, now, &mut random);
        let first = fresh(NOW);
        assert!(answered.is_first(&first, NOW));
        assert!(!answered.is_first(&first, NOW));
        for _ in 1..MAX_ANSWERED_CHALLENGES {
            assert!(answered.is_first(&fresh(NOW), NOW));
        }
        assert!(!answered.is_first(&fresh(NOW), NOW), "too many at once");
        let later = NOW.plus_secs(CHALLENGE_SECS);
        assert!(answered.is_first(&fresh(later), later), "and they are forgotten when they have expired");
    }
}
