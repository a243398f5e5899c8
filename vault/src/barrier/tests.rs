//! What the barrier promises as a whole: bindings, terms, rotation.

use std::collections::HashSet;

use super::error::BarrierError;
use super::forward::Envelope;
use super::keyring::Keyring;
use super::seeded::Seeded;
use super::tag::GRACE_ENTRIES;
use super::*;

const CLUSTER: ClusterId = [0xC1; 16];
const NAMESPACE: [u8; 16] = [0; 16];
const BATCH: [u8; 16] = [0xB1; 16];
const NONCE: [u8; 16] = [0x4E; 16];
const NOW: Time = Time::from_secs(1_700_000_000);

/// A barrier that may encrypt, and a second one over the same keys.
fn pair(seed: u64) -> (Barrier, Barrier, Seeded) {
    let mut random = Seeded::new(seed);
    let root = Key32::random(&mut random);
    let sealed = Keyring::generate(NOW, &mut random).seal(&root, &CLUSTER, &mut random);
    let open = |root: &Key32| Barrier::open(root.duplicate(), &sealed, CLUSTER, 1).unwrap();
    let (one, two) = (open(&root), open(&root));
    one.complete_reservation(one.open_reservation());
    two.complete_reservation(two.open_reservation());
    (one, two, random)
}

fn rotate(barriers: [&Barrier; 2], random: &mut Seeded, index: u64) -> u32 {
    let present = barriers[0].seal_keyring(random);
    let (term, sealed) = barriers[0].rotated_keyring(&present, NOW, random).unwrap();
    for barrier in barriers {
        assert_eq!(barrier.load_keyring(&sealed, index), Ok(term));
        barrier.complete_reservation(barrier.open_reservation());
    }
    term
}

fn not_authentic<T>(what: &'static str) -> Result<T, BarrierError> {
    Err(BarrierError::NotAuthentic { what })
}

#[test]
fn a_value_opens_on_another_node_at_its_place() {
    let (one, two, mut random) = pair(1);
    for plaintext in [&b""[..], b"x", &[7; 100_000]] {
        let sealed = one.seal_value(&NAMESPACE, b"key", &BATCH, plaintext, &mut random).unwrap();
        assert_eq!(sealed.len(), plaintext.len() + cipher::VALUE_OVERHEAD_BYTES);
        assert_eq!(two.open_value(&NAMESPACE, b"key", &sealed).unwrap().as_slice(), plaintext);
    }
}

// check 231
#[test]
fn a_value_moved_to_another_key_does_not_open() {
    let (one, two, mut random) = pair(2);
    let sealed = one.seal_value(&NAMESPACE, b"key", &BATCH, b"secret", &mut random).unwrap();
    assert_eq!(two.open_value(&NAMESPACE, b"kez", &sealed), not_authentic("value"));
}

// check 231
#[test]
fn a_value_moved_to_another_namespace_does_not_open() {
    let (one, two, mut random) = pair(3);
    let sealed = one.seal_value(&NAMESPACE, b"key", &BATCH, b"secret", &mut random).unwrap();
    assert_eq!(two.open_value(&[1; 16], b"key", &sealed), not_authentic("value"));
}

// check 231
#[test]
fn a_value_moved_to_another_cluster_with_the_same_keys_does_not_open() {
    let mut random = Seeded::new(4);
    let root = Key32::random(&mut random);
    let keyring = Keyring::generate(NOW, &mut random);
    let ours = Barrier::new(root.duplicate(), keyring.duplicate(), CLUSTER, 1);
    ours.complete_reservation(ours.open_reservation());
    let theirs = Barrier::new(root, keyring, [0xC2; 16], 1);
    let sealed = ours.seal_value(&NAMESPACE, b"key", &BATCH, b"secret", &mut random).unwrap();
    assert_eq!(theirs.open_value(&NAMESPACE, b"key", &sealed), not_authentic("value"));
}

// check 231
#[test]
fn a_value_relabelled_with_another_term_does_not_open() {
    let (one, two, mut random) = pair(5);
    let mut sealed = one.seal_value(&NAMESPACE, b"key", &BATCH, b"secret", &mut random).unwrap();
    let term = rotate([&one, &two], &mut random, 10);
    sealed[1..5].copy_from_slice(&term.to_be_bytes());
    assert_eq!(two.open_value(&NAMESPACE, b"key", &sealed), not_authentic("value"));
}

// check 231
#[test]
fn no_cut_flipped_or_extended_value_opens() {
    let (one, two, mut random) = pair(6);
    let sealed = one.seal_value(&NAMESPACE, b"key", &BATCH, b"secret", &mut random).unwrap();
    for length in 0..sealed.len() {
        assert!(two.open_value(&NAMESPACE, b"key", &sealed[..length]).is_err(), "cut to {length} bytes");
    }
    for at in 0..sealed.len() {
        let mut flipped = sealed.clone();
        flipped[at] ^= 0x10;
        assert!(two.open_value(&NAMESPACE, b"key", &flipped).is_err(), "flipped at {at}");
    }
    let extended = [sealed.as_slice(), &[0]].concat();
    assert_eq!(two.open_value(&NAMESPACE, b"key", &extended), not_authentic("value"));
}

// check 231
#[test]
fn a_value_given_another_batch_id_does_not_open() {
    let (one, two, mut random) = pair(7);
    let mut sealed = one.seal_value(&NAMESPACE, b"key", &BATCH, b"secret", &mut random).unwrap();
    sealed[5..21].copy_from_slice(&[0xB2; 16]);
    assert_eq!(two.open_value(&NAMESPACE, b"key", &sealed), not_authentic("value"));
}

// check 247
#[test]
fn every_value_gets_a_nonce_of_its_own() {
    let (one, _, mut random) = pair(8);
    let mut nonces = HashSet::new();
    for _ in 0..20_000 {
        let sealed = one.seal_value(&NAMESPACE, b"key", &BATCH, b"same", &mut random).unwrap();
        assert!(nonces.insert(sealed[21..33].to_vec()));
    }
}

#[test]
fn a_barrier_without_a_reservation_encrypts_nothing() {
    let (one, _, mut random) = pair(9);
    let fresh = Barrier::open(one.root_key().duplicate(), &one.seal_keyring(&mut random), CLUSTER, 1).unwrap();
    assert!(fresh.is_low_on_uses());
    let refused = fresh.seal_value(&NAMESPACE, b"key", &BATCH, b"x", &mut random);
    assert_eq!(refused, Err(BarrierError::NeedsReservation));
    let refused = fresh.seal_token(b"x", &mut random);
    assert_eq!(refused, Err(BarrierError::NeedsReservation));
}

#[test]
fn old_values_open_after_a_rotation_and_new_ones_use_the_new_term() {
    let (one, two, mut random) = pair(11);
    let old = one.seal_value(&NAMESPACE, b"key", &BATCH, b"old", &mut random).unwrap();
    assert_eq!(rotate([&one, &two], &mut random, 5), 2);
    let new = one.seal_value(&NAMESPACE, b"key", &BATCH, b"new", &mut random).unwrap();
    assert_eq!((cipher::term_of(&old), cipher::term_of(&new)), (Ok(1), Ok(2)));
    assert_eq!(two.open_value(&NAMESPACE, b"key", &old).unwrap().as_slice(), b"old");
    assert_eq!(two.open_value(&NAMESPACE, b"key", &new).unwrap().as_slice(), b"new");
}

#[test]
fn a_node_that_has_not_applied_the_rotation_says_that_it_lacks_the_term() {
    let (one, two, mut random) = pair(12);
    let present = one.seal_keyring(&mut random);
    let (_, sealed) = one.rotated_keyring(&present, NOW, &mut random).unwrap();
    one.load_keyring(&sealed, 5).unwrap();
    one.complete_reservation(one.open_reservation());
    let value = one.seal_value(&NAMESPACE, b"key", &BATCH, b"new", &mut random).unwrap();
    assert_eq!(two.open_value(&NAMESPACE, b"key", &value), Err(BarrierError::UnknownTerm { term: 2 }));
    let (term, tag) = one.sign_batch(b"body");
    assert_eq!(two.verify_batch(term, b"body", &tag, 6), Err(BarrierError::UnknownTerm { term: 2 }));
}

#[test]
fn a_rotation_that_was_not_applied_changes_nothing() {
    let (one, _, mut random) = pair(13);
    let present = one.seal_keyring(&mut random);
    one.rotated_keyring(&present, NOW, &mut random).unwrap();
    assert_eq!(one.active_term(), 1);
}

#[test]
fn uses_that_are_left_survive_the_loading_of_a_keyring() {
    let (one, _, mut random) = pair(14);
    let sealed = one.seal_keyring(&mut random);
    one.load_keyring(&sealed, 5).unwrap();
    assert!(one.seal_value(&NAMESPACE, b"key", &BATCH, b"x", &mut random).is_ok());
}

#[test]
fn another_clusters_keyring_is_not_loaded() {
    let (one, _, mut random) = pair(15);
    let root = one.root_key();
    let other = Keyring::generate(NOW, &mut random).seal(&root, &CLUSTER, &mut random);
    assert_eq!(one.load_keyring(&other, 5), Err(BarrierError::NotASuccessor));
}

// check 246
#[test]
fn a_tag_holds_for_its_body_alone() {
    let (one, two, _) = pair(17);
    let (term, tag) = one.sign_batch(b"body");
    assert_eq!(two.verify_batch(term, b"body", &tag, 9), Ok(()));
    assert_eq!(two.verify_batch(term, b"bodz", &tag, 9), not_authentic("batch"));
    assert_eq!(two.verify_batch(term, b"body", &tag[..31], 9), not_authentic("batch"));
    assert_eq!(two.verify_batch(term, b"body", &[0; 32], 9), not_authentic("batch"));
}

// check 246
#[test]
fn a_tag_of_the_previous_term_counts_until_the_grace_has_passed() {
    let (one, two, mut random) = pair(18);
    let (term, tag) = one.sign_batch(b"body");
    let installed = 1_000;
    rotate([&one, &two], &mut random, installed);
    assert_eq!(two.verify_batch(term, b"body", &tag, installed + 1), Ok(()));
    assert_eq!(two.verify_batch(term, b"body", &tag, installed + GRACE_ENTRIES), Ok(()));
    let late = two.verify_batch(term, b"body", &tag, installed + GRACE_ENTRIES + 1);
    assert_eq!(late, Err(BarrierError::StaleTerm { term: 1, active: 2 }));
}

// check 246
#[test]
fn a_tag_of_the_term_before_the_previous_one_never_counts() {
    let (one, two, mut random) = pair(19);
    let (term, tag) = one.sign_batch(b"body");
    rotate([&one, &two], &mut random, 10);
    rotate([&one, &two], &mut random, 11);
    assert_eq!(two.verify_batch(term, b"body", &tag, 12), Err(BarrierError::StaleTerm { term: 1, active: 3 }));
}

#[test]
fn an_old_tag_does_not_count_while_nobody_said_when_the_term_was_installed() {
    let (one, two, mut random) = pair(20);
    let (term, tag) = one.sign_batch(b"body");
    rotate([&one, &two], &mut random, 10);
    let sealed = one.seal_keyring(&mut random);
    let unsealed_later = Barrier::open(one.root_key().duplicate(), &sealed, CLUSTER, 1).unwrap();
    let stale = Err(BarrierError::StaleTerm { term: 1, active: 2 });
    assert_eq!(unsealed_later.verify_batch(term, b"body", &tag, 11), stale);
    unsealed_later.note_installed_at(2, 10);
    assert_eq!(unsealed_later.verify_batch(term, b"body", &tag, 11), Ok(()));
}

#[test]
fn loading_the_same_term_again_does_not_prolong_the_grace() {
    let (one, two, mut random) = pair(21);
    let (term, tag) = one.sign_batch(b"body");
    rotate([&one, &two], &mut random, 10);
    two.load_keyring(&one.seal_keyring(&mut random), 1_000_000).unwrap();
    let late = two.verify_batch(term, b"body", &tag, 11 + GRACE_ENTRIES);
    assert_eq!(late, Err(BarrierError::StaleTerm { term: 1, active: 2 }));
}

fn envelope() -> Envelope<'static> {
    Envelope { from: 1, to: 2, nonce: &NONCE, method: "write" }
}

/// Every envelope that differs from [`envelope`] in one respect.
fn other_envelopes() -> [Envelope<'static>; 5] {
    let right = envelope();
    [
        Envelope { from: 3, ..right },
        Envelope { to: 3, ..right },
        Envelope { nonce: &[0; 16], ..right },
        Envelope { method: "writ", ..right },
        right.turned(),
    ]
}

// check 246
#[test]
fn a_forwarded_message_opens_in_its_own_envelope_only() {
    let (one, two, mut random) = pair(22);
    let sealed = one.seal_forward(&envelope(), b"request", &mut random).unwrap();
    assert_eq!(two.open_forward(&envelope(), &sealed).unwrap().as_slice(), b"request");
    for other in other_envelopes() {
        assert_eq!(two.open_forward(&other, &sealed), not_authentic("forwarded message"));
    }
    two.raise_epoch(2);
    assert_eq!(two.open_forward(&envelope(), &sealed), not_authentic("forwarded message"));
}

// check 246
#[test]
fn an_answer_counts_for_the_nonce_that_was_asked_with_only() {
    let (one, two, _) = pair(23);
    let (term, mac) = one.sign_answer(&envelope(), b"index 7");
    assert_eq!(two.verify_answer(&envelope(), term, b"index 7", &mac), Ok(()));
    assert_eq!(two.verify_answer(&envelope(), term, b"index 8", &mac), not_authentic("answer"));
    for other in other_envelopes() {
        assert_eq!(two.verify_answer(&other, term, b"index 7", &mac), not_authentic("answer"));
    }
    two.raise_epoch(2);
    assert_eq!(two.verify_answer(&envelope(), term, b"index 7", &mac), not_authentic("answer"));
}

#[test]
fn nodes_hear_each_other_across_one_rotation_and_no_more() {
    let (one, two, mut random) = pair(24);
    let sealed = one.seal_forward(&envelope(), b"request", &mut random).unwrap();
    let (term, mac) = one.sign_answer(&envelope(), b"body");
    rotate([&one, &two], &mut random, 10);
    assert!(two.open_forward(&envelope(), &sealed).is_ok());
    assert!(two.verify_answer(&envelope(), term, b"body", &mac).is_ok());
    rotate([&one, &two], &mut random, 11);
    let stale = BarrierError::StaleTerm { term: 1, active: 3 };
    assert_eq!(two.open_forward(&envelope(), &sealed), Err(stale));
    assert_eq!(two.verify_answer(&envelope(), term, b"body", &mac), Err(stale));
    assert_eq!(two.verify_answer(&envelope(), 9, b"body", &mac), Err(BarrierError::UnknownTerm { term: 9 }));
}

#[test]
fn a_batch_token_opens_on_every_node_until_the_epoch_changes() {
    let (one, two, mut random) = pair(25);
    let sealed = one.seal_token(b"content", &mut random).unwrap();
    rotate([&one, &two], &mut random, 10);
    assert_eq!(two.open_token(&sealed).unwrap().as_slice(), b"content");
    two.raise_epoch(2);
    assert_eq!(two.open_token(&sealed), not_authentic("batch token"));
}

#[test]
fn an_epoch_never_goes_back() {
    let (one, _, _) = pair(26);
    one.raise_epoch(5);
    one.raise_epoch(4);
    assert_eq!(one.epoch(), 5);
}

// check 188
#[test]
fn dropping_the_barrier_wipes_its_root_key() {
    let (one, two, _) = pair(27);
    let weak = Arc::downgrade(&one.root_key());
    drop((one, two));
    assert!(weak.upgrade().is_none(), "something still holds the root key");
}

#[test]
fn a_barrier_may_be_shared_between_threads() {
    fn is_shareable<T: Send + Sync>() {}
    is_shareable::<Barrier>();
}

/// Every 32 bytes that must be gone after revoking, in a form that the search does not find.
fn masked_keys(barrier: &Barrier) -> Vec<Vec<u8>> {
    let state = barrier.state();
    let pair = state.keyring.system().to_bytes();
    let mut keys: Vec<&[u8]> = vec![state.root.expose(), &pair[1..65], &pair[65..]];
    keys.extend(state.keyring.terms().map(|term| term.secret().expose().as_slice()));
    keys.iter().map(|key| key.iter().map(|byte| byte ^ 0x5A).collect()).collect()
}

fn is_in_memory(masked: &[u8]) -> bool {
    locked::holds(&masked.iter().map(|byte| byte ^ 0x5A).collect::<Vec<_>>())
}

#[test]
fn revoking_wipes_every_key_under_those_who_still_hold_the_barrier() {
    let mut random = Seeded::new(28);
    let root = Key32::random(&mut random);
    let barrier = Arc::new(Barrier::new(root, Keyring::generate(NOW, &mut random), CLUSTER, 1));
    rotate([&barrier, &barrier], &mut random, 10);
    let keys = masked_keys(&barrier);
    assert!(keys.iter().all(|key| is_in_memory(key)));
    let holder = Arc::clone(&barrier);
    assert!(barrier.revoke(&mut random));
    assert!(!keys.iter().any(|key| is_in_memory(key)));
    let late = holder.seal_value(&NAMESPACE, b"key", &BATCH, b"x", &mut random);
    assert_eq!(late, Err(BarrierError::NeedsReservation));
}

#[test]
fn what_is_signed_after_revoking_is_accepted_nowhere() {
    let (one, two, mut random) = pair(29);
    assert!(one.revoke(&mut random));
    let (term, tag) = one.sign_batch(b"body");
    let refused = Err(BarrierError::StaleTerm { term: 0, active: 1 });
    assert_eq!(two.verify_batch(term, b"body", &tag, 5), refused);
    let sealed = two.seal_keyring(&mut random);
    assert!(one.load_keyring(&sealed, 9).is_err(), "an applied keyring must not bring the keys back");
}

#[test]
fn revoking_says_so_if_somebody_keeps_a_key() {
    let (one, _, mut random) = pair(30);
    let kept = one.root_key();
    assert!(!one.revoke(&mut random));
    drop(kept);
}
