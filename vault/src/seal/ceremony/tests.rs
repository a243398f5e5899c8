use super::super::init::{self, Initialized};
use super::super::shamir::Parameters;
use super::*;
use crate::barrier::seeded::Seeded;
use crate::time::Time;

const OPERATOR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const COLLEAGUE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 9));

/// A sealed node and the shares that open it.
struct Node {
    ceremony: Ceremony,
    outside: Outside,
    random: Seeded,
    shares: Vec<Share>,
}

fn fingerprints(numbers: &[u8]) -> BTreeSet<Fingerprint> {
    numbers.iter().map(|number| Fingerprint::from_bytes([*number; 16])).collect()
}

fn initialized(seed: u64, shares: u64, threshold: u64) -> Initialized {
    init::initialize(Parameters { shares, threshold }, &mut Seeded::new(seed), Time::from_secs(1), [7; 16]).unwrap()
}

impl Node {
    fn new(shares: u64, threshold: u64) -> Self {
        let Initialized { shares, records, .. } = initialized(1, shares, threshold);
        let outside = Outside::decode(&records[0].1, &records[1].1, &records[2].1).unwrap();
        Self { ceremony: Ceremony::default(), outside, random: Seeded::new(2), shares }
    }

    fn enter_text(&mut self, text: &str, address: IpAddr) -> Result<Entered, ShareError> {
        self.confirm_text(text, address, &[])
    }

    fn confirm_text(&mut self, text: &str, address: IpAddr, confirmed: &[u8]) -> Result<Entered, ShareError> {
        let entry = Entry { key: text, address, confirmed: fingerprints(confirmed) };
        self.ceremony.enter(entry, &self.outside, &mut self.random)
    }

    fn reset(&mut self, key: Option<&str>, address: IpAddr) -> Result<(), ResetRefused> {
        self.ceremony.reset(key, address, &self.outside)
    }

    fn enter(&mut self, share: usize, address: IpAddr) -> Result<Entered, ShareError> {
        let text = self.shares[share].to_hex();
        self.enter_text(&text, address)
    }

    /// Enters a share that is not the last one needed.
    fn enter_early(&mut self, share: usize, address: IpAddr) -> Progress {
        match self.enter(share, address) {
            Ok(Entered::Progress(progress)) => progress,
            Ok(Entered::Unsealed { .. }) => panic!("the share unsealed"),
            Err(error) => panic!("{error}"),
        }
    }

    fn entered(&self) -> usize {
        self.ceremony.progress(&self.outside).entered
    }
}

fn error_of(result: Result<Entered, ShareError>) -> ShareError {
    result.err().expect("the share must be refused")
}

#[test]
fn the_last_share_needed_unseals() {
    let mut node = Node::new(5, 3);
    assert_eq!(node.enter_early(4, OPERATOR).entered, 1);
    assert_eq!(node.enter_early(0, COLLEAGUE).entered, 2);
    let Ok(Entered::Unsealed { barrier, .. }) = node.enter(2, OPERATOR) else { panic!("the third share unseals") };
    assert_eq!((barrier.active_term(), barrier.epoch(), barrier.cluster_id()), (1, 1, &[7; 16]));
    assert_eq!(node.ceremony.progress(&node.outside), Progress { entered: 0, threshold: 3, nonce: String::new() });
}

// check 183
#[test]
fn a_single_share_unseals_at_once() {
    let mut node = Node::new(1, 1);
    assert!(matches!(node.enter(0, OPERATOR), Ok(Entered::Unsealed { .. })));
}

#[test]
fn the_nonce_appears_with_the_first_share_and_stays() {
    let mut node = Node::new(5, 3);
    assert_eq!(node.ceremony.progress(&node.outside).nonce, "");
    let nonce = node.enter_early(0, OPERATOR).nonce;
    assert_eq!((nonce.len(), &nonce[14..15]), (36, "4"));
    assert_eq!(node.enter_early(1, COLLEAGUE).nonce, nonce);
}

// check 182
#[test]
fn a_duplicate_share_changes_nothing() {
    let mut node = Node::new(5, 3);
    let first = node.enter_early(0, OPERATOR);
    assert_eq!(node.enter_early(0, STRANGER), first);
    let base64 = node.shares[0].to_base64();
    let Ok(Entered::Progress(again)) = node.enter_text(&base64, OPERATOR) else { panic!("a duplicate is no error") };
    assert_eq!(again, first);
}

#[test]
fn after_a_reset_the_next_attempt_has_a_new_nonce() {
    let mut node = Node::new(5, 3);
    let nonce = node.enter_early(0, OPERATOR).nonce;
    node.reset(None, OPERATOR).unwrap();
    assert_eq!(node.ceremony.progress(&node.outside), Progress { entered: 0, threshold: 3, nonce: String::new() });
    let next = node.enter_early(0, OPERATOR);
    assert_eq!(next.entered, 1);
    assert_ne!(next.nonce, nonce);
}

/// Everything that check 182 calls a wrong share.
fn wrong_shares(node: &Node) -> Vec<String> {
    let valid = node.shares[3].expose();
    let mut flipped = valid.to_vec();
    flipped[7] ^= 1;
    let mut at_zero = valid.to_vec();
    at_zero[32] = 0;
    let other = initialized(99, 5, 3);
    vec![
        hex::encode(&flipped),
        hex::encode(&at_zero),
        hex::encode(&valid[..32]),
        hex::encode(&valid[..20]),
        hex::encode([valid, &[1]].concat()),
        other.shares[0].to_hex().to_string(),
        other.shares[0].to_base64().to_string(),
        format!("  {} ", *other.shares[1].to_hex()),
    ]
}

// check 182
#[test]
fn every_wrong_share_gets_the_same_answer() {
    let mut node = Node::new(5, 3);
    for wrong in wrong_shares(&node) {
        assert_eq!(error_of(node.enter_text(&wrong, STRANGER)), ShareError::Wrong);
    }
    node.enter_early(0, OPERATOR);
    for wrong in wrong_shares(&node) {
        assert_eq!(error_of(node.enter_text(&wrong, STRANGER)), ShareError::Wrong);
    }
}

#[test]
fn a_wrong_share_is_refused_in_the_words_that_clients_know() {
    let expected = "unable to retrieve stored keys: invalid key: failed to decrypt keys from storage: cipher: message \
                    authentication failed";
    assert_eq!(ShareError::Wrong.to_string(), expected);
    assert_eq!(ShareError::Unreadable.to_string(), "'key' must be a valid hex or base64 string");
}

// check 182
#[test]
fn a_wrong_share_that_would_not_complete_the_set_leaves_the_attempt_alone() {
    let mut node = Node::new(5, 3);
    node.enter_early(0, OPERATOR);
    for wrong in wrong_shares(&node) {
        error_of(node.enter_text(&wrong, OPERATOR));
        assert_eq!(node.entered(), 1);
    }
}

// check 182
#[test]
fn a_wrong_last_share_from_a_stranger_leaves_the_attempt_alone() {
    let mut node = Node::new(5, 3);
    node.enter_early(0, OPERATOR);
    node.enter_early(1, COLLEAGUE);
    for wrong in wrong_shares(&node) {
        error_of(node.enter_text(&wrong, STRANGER));
        assert_eq!(node.entered(), 2);
    }
    assert!(matches!(node.enter(2, STRANGER), Ok(Entered::Unsealed { .. })));
}

// check 182
#[test]
fn a_wrong_last_share_from_an_address_with_a_valid_one_starts_the_attempt_over() {
    let mut node = Node::new(5, 3);
    for wrong in wrong_shares(&node) {
        node.enter_early(0, OPERATOR);
        node.enter_early(1, COLLEAGUE);
        assert_eq!(error_of(node.enter_text(&wrong, COLLEAGUE)), ShareError::Wrong);
        assert_eq!(node.ceremony.progress(&node.outside), Progress { entered: 0, threshold: 3, nonce: String::new() });
    }
}

// check 182
#[test]
fn a_duplicate_does_not_make_a_strangers_address_known() {
    let mut node = Node::new(5, 3);
    node.enter_early(0, OPERATOR);
    node.enter_early(1, OPERATOR);
    let wrong = wrong_shares(&node).remove(0);
    node.enter_early(1, STRANGER);
    error_of(node.enter_text(&wrong, STRANGER));
    assert_eq!(node.entered(), 2);
}

#[test]
fn nobody_resets_the_attempt_of_others() {
    let mut node = Node::new(5, 3);
    let valid = node.shares[4].to_hex().to_string();
    let wrong = wrong_shares(&node).remove(0);
    assert_eq!(node.reset(None, STRANGER), Ok(()), "there is nothing yet that it could disturb");
    node.enter_early(0, OPERATOR);
    for key in [None, Some(wrong.as_str()), Some("no share")] {
        assert_eq!(node.reset(key, STRANGER), Err(ResetRefused));
        assert_eq!(node.entered(), 1);
    }
    assert_eq!(node.reset(Some(&valid), STRANGER), Ok(()), "whoever has a share takes part");
    assert_eq!(node.entered(), 0);
    node.enter_early(0, OPERATOR);
    assert_eq!(node.reset(None, "::ffff:10.0.0.1".parse().unwrap()), Ok(()));
    assert_eq!(node.entered(), 0);
}

/// Enters three shares, each with what its holder confirms, and answers what a hand-over may use.
fn confirmed_by(each: [&[u8]; 3]) -> BTreeSet<Fingerprint> {
    let mut node = Node::new(5, 3);
    for (share, confirmed) in each.into_iter().enumerate() {
        let text = node.shares[share].to_hex();
        if let Ok(Entered::Unsealed { confirmed, .. }) = node.confirm_text(&text, OPERATOR, confirmed) {
            return confirmed;
        }
    }
    panic!("three shares unseal")
}

#[test]
fn only_who_was_confirmed_with_every_share_may_receive_the_root_key() {
    assert_eq!(confirmed_by([&[1, 2], &[1, 2], &[1, 2]]), fingerprints(&[1, 2]));
    assert_eq!(confirmed_by([&[1, 2], &[2, 3], &[2, 1]]), fingerprints(&[2]));
    // Neither one holder nor all but one decide.
    assert_eq!(confirmed_by([&[], &[], &[1]]), fingerprints(&[]));
    assert_eq!(confirmed_by([&[1], &[], &[1]]), fingerprints(&[]));
}

#[test]
fn a_holder_who_enters_the_share_again_confirms_anew() {
    let mut node = Node::new(2, 2);
    let texts: Vec<_> = node.shares.iter().map(|share| share.to_hex().to_string()).collect();
    for confirmed in [&[1][..], &[2]] {
        assert!(node.confirm_text(&texts[0], OPERATOR, confirmed).is_ok());
    }
    let Ok(Entered::Unsealed { confirmed, .. }) = node.confirm_text(&texts[1], COLLEAGUE, &[1, 2]) else {
        panic!("two shares unseal")
    };
    assert_eq!(confirmed, fingerprints(&[2]));
}

#[test]
fn an_address_is_the_same_in_its_mapped_form() {
    let mut node = Node::new(5, 3);
    node.enter_early(0, OPERATOR);
    node.enter_early(1, OPERATOR);
    let wrong = wrong_shares(&node).remove(0);
    let mapped = "::ffff:10.0.0.1".parse().unwrap();
    error_of(node.enter_text(&wrong, mapped));
    assert_eq!(node.entered(), 0);
}

#[test]
fn text_that_is_no_encoding_never_ends_an_attempt() {
    let mut node = Node::new(5, 3);
    node.enter_early(0, OPERATOR);
    node.enter_early(1, OPERATOR);
    for text in ["", "zz", "not hex", &"a".repeat(10_000)] {
        assert_eq!(error_of(node.enter_text(text, OPERATOR)), ShareError::Unreadable);
    }
    assert_eq!(node.entered(), 2);
}

#[test]
fn shares_of_a_superseded_seal_do_not_count_towards_the_new_one() {
    let mut node = Node::new(5, 3);
    node.enter_early(0, OPERATOR);
    node.enter_early(1, OPERATOR);
    let Initialized { shares, records, .. } = initialized(50, 5, 3);
    let mut next = Outside::decode(&records[0].1, &records[1].1, &records[2].1).unwrap();
    next.seal.generation = 2;
    node.outside = next;
    node.shares = shares;
    assert_eq!(node.entered(), 0);
    assert_eq!(node.enter_early(0, OPERATOR).entered, 1);
}

#[test]
fn damaged_records_are_told_from_wrong_shares() {
    let mut node = Node::new(5, 3);
    let last = node.outside.keyring.len() - 1;
    node.outside.keyring[last] ^= 1;
    node.enter_early(0, OPERATOR);
    node.enter_early(1, OPERATOR);
    assert!(matches!(error_of(node.enter(2, OPERATOR)), ShareError::Damaged(SealError::Keyring(_))));
    assert_eq!(node.entered(), 0);
}

// check 187
#[test]
fn no_error_repeats_what_was_entered() {
    let mut node = Node::new(5, 3);
    for wrong in wrong_shares(&node).into_iter().chain(["canary-canary".to_owned()]) {
        let error = error_of(node.enter_text(&wrong, OPERATOR));
        let text = format!("{error} {error:?}");
        assert!(!text.contains(wrong.trim()) && !text.contains("canary"));
    }
}
