//! The test vectors of `docs/internals/seal.md`, computed by the code that they describe.

use super::digest::digest;
use std::collections::BTreeSet;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::handover::{self, BootKey, Occasion, Offer};
use super::shamir::{Parameters, combine, split};
use super::share::Share;
use super::wrap::wrap;
use crate::barrier::keyring::Keyring;
use crate::barrier::vectors::{Counting, assert_stated, counting};
use crate::barrier::{Barrier, Key32};
use crate::time::Time;

/// The page that must state what the code does.
const PAGE: &str = include_str!("../../../docs/internals/seal.md");
const CLUSTER: [u8; 16] = [0xC1; 16];
const OCCASION: Occasion = Occasion { cluster_id: CLUSTER, epoch: 1, sender: 1, receiver: 2, nonce: [0x4E; 16] };

fn shares() -> Vec<Share> {
    let key = Key32::copy_of(&counting(0));
    split(&key, Parameters { shares: 3, threshold: 2 }, &mut Counting(0xA0)).unwrap()
}

#[test]
fn shares_are_as_documented() {
    let shares = shares();
    for (number, share) in shares.iter().enumerate() {
        assert_stated(PAGE, &format!("share {}", number + 1), share.expose());
    }
    assert_eq!(combine(&[&shares[2], &shares[0]]).unwrap().expose(), &counting::<32>(0));
}

#[test]
fn a_share_digest_is_as_documented() {
    assert_stated(PAGE, "digest of share 1", &digest(&counting(0x60), &CLUSTER, &shares()[0]));
}

#[test]
fn a_wrapped_root_key_is_as_documented() {
    let (unseal_key, root_key) = (Key32::copy_of(&counting(0)), Key32::copy_of(&counting(0x20)));
    assert_stated(PAGE, "wrapped root key", &wrap(&unseal_key, &root_key, &CLUSTER, 1, &mut Counting(0xA0)));
}

#[test]
fn a_hand_over_is_as_documented() {
    let boot = BootKey::generate(&mut Counting(0x10));
    let node = Ed25519KeyPair::from_seed_unchecked(&counting::<32>(0x50)).unwrap();
    let node_key = node.public_key().as_ref();
    let mut signed = Vec::new();
    let offer: Offer = boot.offer(&OCCASION, |statement| {
        signed = statement.to_vec();
        node.sign(statement).as_ref().to_vec()
    });
    assert_stated(PAGE, "receiver's public key", &offer.public_key);
    assert_stated(PAGE, "signed statement", &signed);
    let fingerprint = boot.fingerprint(OCCASION.receiver, node_key);
    assert!(PAGE.contains(&fingerprint.to_string()), "the page lacks the fingerprint {fingerprint}");
    let keyring = Keyring::generate(Time::from_secs(1), &mut Counting(0));
    let barrier = Barrier::new(Key32::copy_of(&counting(0x20)), keyring, CLUSTER, 1);
    let confirmed = BTreeSet::from([fingerprint]);
    let mut random = Counting(0xA0);
    let sealed = handover::seal(&barrier, &OCCASION, 1, &offer, node_key, &confirmed, &mut random).unwrap();
    assert_stated(PAGE, "sender's public key", &sealed.public_key);
    assert_stated(PAGE, "sealed root key", &sealed.sealed);
}
