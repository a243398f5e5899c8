use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::*;
use crate::barrier::keyring::Keyring;
use crate::barrier::seeded::Seeded;
use crate::time::Time;

const OCCASION: Occasion = Occasion { cluster_id: [7; 16], epoch: 3, sender: 11, receiver: 22, nonce: [9; 16] };
const GENERATION: u64 = 5;

/// A sender, a receiver's boot key, and the receiver's node key.
struct Stage {
    barrier: Barrier,
    boot: BootKey,
    node: Ed25519KeyPair,
    random: Seeded,
}

impl Stage {
    fn new() -> Self {
        let mut random = Seeded::new(1);
        let root_key = Key32::random(&mut random);
        let keyring = Keyring::generate(Time::from_secs(1), &mut random);
        let barrier = Barrier::new(root_key, keyring, OCCASION.cluster_id, OCCASION.epoch);
        let boot = BootKey::generate(&mut random);
        let node = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        Self { barrier, boot, node, random }
    }

    fn offer(&self, occasion: &Occasion) -> Offer {
        self.boot.offer(occasion, |statement| self.node.sign(statement).as_ref().to_vec())
    }

    fn node_key(&self) -> Vec<u8> {
        self.node.public_key().as_ref().to_vec()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.boot.fingerprint(OCCASION.receiver, &self.node_key())
    }

    /// Seals for the node, which was confirmed.
    fn seal(&mut self, occasion: &Occasion, offer: &Offer) -> Result<SealedRootKey, HandoverError> {
        let confirmed = BTreeSet::from([self.fingerprint()]);
        self.seal_if(occasion, offer, &confirmed)
    }

    fn seal_if(
        &mut self,
        occasion: &Occasion,
        offer: &Offer,
        confirmed: &BTreeSet<Fingerprint>,
    ) -> Result<SealedRootKey, HandoverError> {
        let node_key = self.node_key();
        seal(&self.barrier, occasion, GENERATION, offer, &node_key, confirmed, &mut self.random)
    }

    fn sealed(&mut self) -> SealedRootKey {
        let offer = self.offer(&OCCASION);
        self.seal(&OCCASION, &offer).unwrap()
    }
}

/// Every occasion that differs from [`OCCASION`] in one respect.
fn other_occasions() -> [Occasion; 5] {
    [
        Occasion { cluster_id: [8; 16], ..OCCASION },
        Occasion { epoch: 4, ..OCCASION },
        Occasion { sender: 12, ..OCCASION },
        Occasion { receiver: 23, ..OCCASION },
        Occasion { nonce: [8; 16], ..OCCASION },
    ]
}

#[test]
fn the_receiver_gets_the_senders_root_key() {
    let mut stage = Stage::new();
    let sealed = SealedRootKey::decode(stage.sealed().encode_to_vec().as_slice()).unwrap();
    let root_key = stage.boot.open(&OCCASION, GENERATION, &sealed).unwrap();
    assert!(root_key.is_same(&stage.barrier.root_key()));
}

#[test]
fn an_offer_for_another_occasion_is_refused() {
    let mut stage = Stage::new();
    for other in other_occasions() {
        let offer = stage.offer(&other);
        assert_eq!(stage.seal(&OCCASION, &offer), Err(HandoverError::BadSignature));
    }
}

#[test]
fn an_offer_with_another_boot_key_or_node_key_is_refused() {
    let mut stage = Stage::new();
    let mut swapped = stage.offer(&OCCASION);
    swapped.public_key = BootKey::generate(&mut stage.random).public.to_vec();
    assert_eq!(stage.seal(&OCCASION, &swapped), Err(HandoverError::BadSignature));
    let stranger = Ed25519KeyPair::from_seed_unchecked(&[4; 32]).unwrap();
    let forged = stage.boot.offer(&OCCASION, |statement| stranger.sign(statement).as_ref().to_vec());
    assert_eq!(stage.seal(&OCCASION, &forged), Err(HandoverError::BadSignature));
}

#[test]
fn a_root_key_does_not_open_on_another_occasion() {
    let mut stage = Stage::new();
    let sealed = stage.sealed();
    for other in other_occasions() {
        assert_eq!(stage.boot.open(&other, GENERATION, &sealed).err(), Some(HandoverError::NotAuthentic));
    }
}

#[test]
fn a_root_key_does_not_open_after_the_receiver_restarted() {
    let mut stage = Stage::new();
    let sealed = stage.sealed();
    let rebooted = BootKey::generate(&mut stage.random);
    assert_eq!(rebooted.open(&OCCASION, GENERATION, &sealed).err(), Some(HandoverError::NotAuthentic));
    assert_ne!(rebooted.fingerprint(OCCASION.receiver, &stage.node_key()), stage.fingerprint());
}

#[test]
fn a_sender_with_an_older_seal_is_refused() {
    let mut stage = Stage::new();
    let sealed = stage.sealed();
    assert!(stage.boot.open(&OCCASION, GENERATION - 1, &sealed).is_ok());
    let old = HandoverError::OldGeneration { expected: GENERATION + 1, got: GENERATION };
    assert_eq!(stage.boot.open(&OCCASION, GENERATION + 1, &sealed).err(), Some(old));
}

#[test]
fn a_relabelled_generation_does_not_open() {
    let mut stage = Stage::new();
    let mut sealed = stage.sealed();
    sealed.generation = GENERATION + 1;
    let opened = stage.boot.open(&OCCASION, GENERATION + 1, &sealed);
    assert_eq!(opened.err(), Some(HandoverError::NotAuthentic));
}

#[test]
fn a_changed_message_does_not_open() {
    let mut stage = Stage::new();
    let sealed = stage.sealed();
    for at in 0..sealed.sealed.len() {
        let mut flipped = sealed.clone();
        flipped.sealed[at] ^= 1;
        assert!(stage.boot.open(&OCCASION, GENERATION, &flipped).is_err(), "flipped at {at}");
    }
    let mut other_key = sealed.clone();
    other_key.public_key = BootKey::generate(&mut stage.random).public.to_vec();
    assert!(stage.boot.open(&OCCASION, GENERATION, &other_key).is_err());
    assert!(stage.boot.open(&OCCASION, GENERATION, &SealedRootKey::default()).is_err());
}

// A public key of low order makes the shared secret zero, which everybody knows (RFC 7748, section 6.1).
#[test]
fn a_public_key_of_low_order_is_refused() {
    let mut stage = Stage::new();
    stage.boot.public = [0; 32];
    let offer = stage.offer(&OCCASION);
    assert_eq!(stage.seal(&OCCASION, &offer), Err(HandoverError::NotAuthentic));
}

#[test]
fn both_sides_show_the_same_fingerprint() {
    let stage = Stage::new();
    assert_eq!(stage.offer(&OCCASION).verify(&OCCASION, &stage.node_key()), Ok(stage.fingerprint()));
}

#[test]
fn a_node_that_was_not_confirmed_gets_nothing() {
    let mut stage = Stage::new();
    let offer = stage.offer(&OCCASION);
    let unconfirmed = HandoverError::NotConfirmed(stage.fingerprint());
    assert_eq!(stage.seal_if(&OCCASION, &offer, &BTreeSet::new()), Err(unconfirmed));
    // Nor does it help that an earlier process of it, or its boot key under another node's name, was.
    let earlier = BootKey::generate(&mut stage.random).fingerprint(OCCASION.receiver, &stage.node_key());
    let other = stage.boot.fingerprint(OCCASION.receiver + 1, &stage.node_key());
    assert_eq!(stage.seal_if(&OCCASION, &offer, &BTreeSet::from([earlier, other])), Err(unconfirmed));
}

#[test]
fn two_answers_to_one_offer_share_nothing() {
    let mut stage = Stage::new();
    let (one, two) = (stage.sealed(), stage.sealed());
    assert_ne!(one.public_key, two.public_key);
    assert_ne!(one.sealed[12..], two.sealed[12..]);
}
