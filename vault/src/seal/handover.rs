//! Hand-over: an unsealed node gives the root key to another during a ceremony.
//!
//! The receiver has a [`BootKey`], X25519 (RFC 7748), made when it started, and offers it signed by its node key for
//! one occasion: cluster, epoch, both ids and the ceremony's nonce. The sender answers with a key pair of its own,
//! used once, and the root key under AES-256-GCM with a key that both derive. Everything is bound to the occasion, so
//! no offer and no answer is good for another one. Who may receive is decided by the members record, which the caller
//! reads, by the holders of the shares, who confirm fingerprints, and by what the members say ([`survey`]). The sender
//! needs no signature: a root key that opens the keyring is proof enough.

mod fingerprint;
pub mod survey;

use std::collections::BTreeSet;

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::signature::{self, ED25519};
use prost::Message;

use crate::barrier::aead::Aead;
use crate::barrier::derivation::derive;
use crate::barrier::locked::Secret;
use crate::barrier::{Barrier, ClusterId, Key32};
use crate::context::Random;

pub use self::fingerprint::Fingerprint;

/// What an offer's signature begins with.
const OFFER_CONTEXT: &[u8] = b"conclave hand-over offer v1";
/// Salt of the derivation.
const KEY_CONTEXT: &[u8] = b"conclave hand-over key v1";
/// Format version of both messages.
const VERSION: u32 = 1;
/// Bytes of a public key.
const PUBLIC_BYTES: usize = 32;

/// Why a hand-over did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoverError {
    /// A message that is not one of ours.
    #[error("the hand-over message is malformed, or was written by a version that this program does not know")]
    Malformed,
    /// The node key of the receiver did not sign this offer for this occasion.
    #[error("the offer is not signed by the receiving node for this hand-over")]
    BadSignature,
    /// Not every holder of a share confirmed this process of the receiver.
    #[error(
        "the node with the fingerprint {0} was not confirmed with every share: if its own `conclave status` shows that \
         fingerprint, confirm it in another ceremony (-cluster)"
    )]
    NotConfirmed(Fingerprint),
    /// The root key was sealed for another occasion, receiver, or boot.
    #[error("the root key was not sealed for this node and this hand-over")]
    NotAuthentic,
    /// The sender's seal is older than the receiver's.
    #[error("the sender's seal has generation {got}, older than {expected} of this node: unseal the sender anew")]
    OldGeneration {
        /// The receiver's.
        expected: u64,
        /// The sender's.
        got: u64,
    },
}

/// Between whom, and in which ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// Its epoch.
    pub epoch: u64,
    /// The unsealed node.
    pub sender: u64,
    /// The sealed node.
    pub receiver: u64,
    /// The ceremony's nonce.
    pub nonce: [u8; 16],
}

impl Occasion {
    /// `cluster id (16) · epoch (8) · sender (8) · receiver (8) · nonce (16)`.
    fn encode(&self) -> Vec<u8> {
        let numbers = [self.epoch, self.sender, self.receiver].map(u64::to_be_bytes).concat();
        [self.cluster_id.as_slice(), &numbers, &self.nonce].concat()
    }

    /// What the receiver's node key signs.
    fn statement(&self, public_key: &[u8]) -> Vec<u8> {
        [OFFER_CONTEXT, &self.encode(), public_key].concat()
    }

    /// What the key is derived from besides the shared secret, and what the root key is bound to.
    fn bind(&self, generation: u64, receiver_key: &[u8], sender_key: &[u8]) -> Vec<u8> {
        [self.encode().as_slice(), &generation.to_be_bytes(), receiver_key, sender_key].concat()
    }
}

/// A node's key pair for as long as the process lives. It stays private, and may serve several ceremonies.
pub struct BootKey {
    secret: Key32,
    public: [u8; PUBLIC_BYTES],
}

/// The receiver's offer.
#[derive(Clone, PartialEq, Message)]
pub struct Offer {
    /// Format version.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// The boot key's public half, 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub public_key: Vec<u8>,
    /// By the node key, over the occasion and the public key.
    #[prost(bytes = "vec", tag = "3")]
    pub signature: Vec<u8>,
}

/// The root key for one receiver.
#[derive(Clone, PartialEq, Message)]
pub struct SealedRootKey {
    /// Format version.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// Generation of the sender's seal.
    #[prost(uint64, tag = "2")]
    pub generation: u64,
    /// The sender's public key, 32 bytes, used once.
    #[prost(bytes = "vec", tag = "3")]
    pub public_key: Vec<u8>,
    /// `nonce (12) · ciphertext (32) · tag (16)`.
    #[prost(bytes = "vec", tag = "4")]
    pub sealed: Vec<u8>,
}

impl BootKey {
    /// A new key pair.
    pub fn generate(random: &mut dyn Random) -> Self {
        let secret = Key32::random(random);
        let public = private_key(&secret).compute_public_key().expect("every X25519 private key has a public key");
        let public = public.as_ref().try_into().expect("an X25519 public key has 32 bytes");
        Self { secret, public }
    }

    /// What the operator compares, for the node with this id and node key.
    pub fn fingerprint(&self, node: u64, node_key: &[u8]) -> Fingerprint {
        Fingerprint::new(node, node_key, &self.public)
    }

    /// Offers to receive. `sign` signs with the node key.
    pub fn offer(&self, occasion: &Occasion, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Offer {
        let signature = sign(&occasion.statement(&self.public));
        Offer { version: VERSION, public_key: self.public.to_vec(), signature }
    }

    /// Opens the root key that was sealed for this occasion. `generation` is that of the receiver's own seal.
    pub fn open(&self, occasion: &Occasion, generation: u64, sealed: &SealedRootKey) -> Result<Key32, HandoverError> {
        if sealed.version != VERSION || sealed.public_key.len() != PUBLIC_BYTES {
            return Err(HandoverError::Malformed);
        }
        if sealed.generation < generation {
            return Err(HandoverError::OldGeneration { expected: generation, got: sealed.generation });
        }
        let bound = occasion.bind(sealed.generation, &self.public, &sealed.public_key);
        let key = agree(&self.secret, &sealed.public_key, &bound)?;
        let root_key = Aead::new(key.expose()).open(&bound, &sealed.sealed).ok_or(HandoverError::NotAuthentic)?;
        Secret::from_slice(&root_key).ok_or(HandoverError::Malformed)
    }
}

impl Offer {
    /// Whose offer it is: what the operator compares with [`BootKey::fingerprint`] of the receiver. `node_key` is the
    /// Ed25519 key (32 bytes) that the receiver must have signed this offer with.
    pub fn verify(&self, occasion: &Occasion, node_key: &[u8]) -> Result<Fingerprint, HandoverError> {
        if self.version != VERSION || self.public_key.len() != PUBLIC_BYTES {
            return Err(HandoverError::Malformed);
        }
        let statement = occasion.statement(&self.public_key);
        if !is_signed(node_key, &statement, &self.signature) {
            return Err(HandoverError::BadSignature);
        }
        Ok(Fingerprint::new(occasion.receiver, node_key, &self.public_key))
    }
}

/// Seals the root key for the node that made an offer, if its node key (Ed25519, 32 bytes) signed it and the offer's
/// fingerprint is among those that every holder of a share confirmed. `generation` is that of the sender's seal.
pub fn seal(
    barrier: &Barrier,
    occasion: &Occasion,
    generation: u64,
    offer: &Offer,
    node_key: &[u8],
    confirmed: &BTreeSet<Fingerprint>,
    random: &mut dyn Random,
) -> Result<SealedRootKey, HandoverError> {
    let fingerprint = offer.verify(occasion, node_key)?;
    if !confirmed.contains(&fingerprint) {
        return Err(HandoverError::NotConfirmed(fingerprint));
    }
    let own = BootKey::generate(random);
    let bound = occasion.bind(generation, &offer.public_key, &own.public);
    let key = agree(&own.secret, &offer.public_key, &bound)?;
    let mut sealed = Vec::new();
    Aead::new(key.expose()).seal_onto(&mut sealed, &bound, barrier.root_key().expose(), random);
    Ok(SealedRootKey { version: VERSION, generation, public_key: own.public.to_vec(), sealed })
}

/// Checks an Ed25519 signature (RFC 8032) under a node's public key of 32 bytes.
fn is_signed(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    signature::UnparsedPublicKey::new(&ED25519, public_key).verify(message, signature).is_ok()
}

fn private_key(secret: &Key32) -> PrivateKey {
    PrivateKey::from_private_key(&X25519, secret.expose()).expect("any 32 bytes are an X25519 private key")
}

/// The key that both sides derive. A public key of low order, which would make the shared secret zero, is refused.
fn agree(secret: &Key32, public: &[u8], bound: &[u8]) -> Result<Key32, HandoverError> {
    let other = UnparsedPublicKey::new(&X25519, public);
    agreement::agree(&private_key(secret), other, HandoverError::NotAuthentic, |shared| {
        Ok(derive(KEY_CONTEXT, shared, &[bound]))
    })
}

#[cfg(test)]
mod tests;
