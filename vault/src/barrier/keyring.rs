//! The keyring: the secret of every term, and the name and index keys of the system's area.
//!
//! It lies outside the barrier, encrypted under the root key. Terms are added and never removed: old values, snapshots
//! and batch tokens need them. Mounts' name and index keys are not here but in the mounts' own records, encrypted like
//! any record, so that making a mount is one ordinary batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;
use zeroize::{Zeroize, Zeroizing};

use super::aead::{Aead, OVERHEAD_BYTES};
use super::error::BarrierError;
use super::header::check_version;
use super::locked::{Secret, reclaim};
use super::mount_keys::MountKeys;
use super::term::Term;
use super::{ClusterId, Key32};
use crate::context::Random;
use crate::limits::MAX_TERMS;
use crate::time::Time;

/// Format version of the record and of its sealed form.
const VERSION: u8 = 1;
/// What the sealed form is bound to, before the cluster id.
const CONTEXT: &[u8] = b"conclave keyring v1";
/// How errors call it.
const WHAT: &str = "keyring";

/// A term as it is stored.
#[derive(Message)]
#[prost(skip_debug)]
struct TermRecord {
    #[prost(uint32, tag = "1")]
    number: u32,
    #[prost(bytes = "vec", tag = "2")]
    secret: Vec<u8>,
    #[prost(uint64, tag = "3")]
    made_at_millis: u64,
}

/// The keyring as it is stored.
#[derive(Message)]
#[prost(skip_debug)]
struct KeyringRecord {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(message, repeated, tag = "2")]
    terms: Vec<TermRecord>,
    #[prost(bytes = "vec", tag = "3")]
    system_keys: Vec<u8>,
}

impl Drop for TermRecord {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl Drop for KeyringRecord {
    fn drop(&mut self) {
        self.system_keys.zeroize();
    }
}

/// All terms, at least one, and the system's key pair.
pub struct Keyring {
    terms: BTreeMap<u32, Arc<Term>>,
    system: MountKeys,
}

impl Keyring {
    /// A new cluster's keyring, with term 1.
    pub fn generate(now: Time, random: &mut dyn Random) -> Self {
        let terms = BTreeMap::from([(1, Arc::new(Term::generate(1, now, random)))]);
        Self { terms, system: MountKeys::generate(random) }
    }

    /// A keyring that takes the place of a wiped one. Its only term has the number 0, which no cluster ever had.
    pub(super) fn blank(random: &mut dyn Random) -> Self {
        let terms = BTreeMap::from([(0, Arc::new(Term::generate(0, Time::from_secs(0), random)))]);
        Self { terms, system: MountKeys::generate(random) }
    }

    /// Drops every key once nobody else holds it; returns whether all are gone.
    pub(super) fn wipe(self) -> bool {
        let terms = self.terms.into_values().filter_map(|term| reclaim(term).is_none().then_some(())).count();
        (terms == 0) & self.system.wipe()
    }

    /// A keyring of one given term and pair, for test vectors.
    #[cfg(test)]
    pub(super) fn of(term: Term, system: MountKeys) -> Self {
        Self { terms: BTreeMap::from([(term.number(), Arc::new(term))]), system }
    }

    /// Adds a term and makes it the active one; returns its number.
    pub fn rotate(&mut self, now: Time, random: &mut dyn Random) -> Result<u32, BarrierError> {
        if self.terms.len() >= MAX_TERMS {
            return Err(BarrierError::TooManyTerms { terms: self.terms.len() });
        }
        let full = BarrierError::TooManyTerms { terms: self.terms.len() };
        let number = self.active().number().checked_add(1).ok_or(full)?;
        self.terms.insert(number, Arc::new(Term::generate(number, now, random)));
        Ok(number)
    }

    /// The newest term.
    pub fn active(&self) -> &Arc<Term> {
        self.terms.values().next_back().expect("a keyring is made and read with at least one term")
    }

    /// The number of the term before the active one.
    pub fn previous(&self) -> Option<u32> {
        self.terms.keys().rev().nth(1).copied()
    }

    /// A term by its number.
    pub fn term(&self, number: u32) -> Option<&Arc<Term>> {
        self.terms.get(&number)
    }

    /// All terms, oldest first.
    pub fn terms(&self) -> impl Iterator<Item = &Arc<Term>> {
        self.terms.values()
    }

    /// The key pair of the system's area.
    pub fn system(&self) -> &MountKeys {
        &self.system
    }

    /// A second holder of the same terms, with the same counts of use.
    pub(crate) fn duplicate(&self) -> Self {
        Self { terms: self.terms.clone(), system: self.system.clone() }
    }

    /// Takes over what a loaded keyring adds. Terms that are already here keep their counts of use.
    pub(crate) fn succeeded_by(&self, loaded: Self) -> Result<Self, BarrierError> {
        let keeps = |(number, term): (&u32, &Arc<Term>)| {
            loaded.terms.get(number).is_some_and(|other| other.secret().is_same(term.secret()))
        };
        if !self.terms.iter().all(keeps) || !self.system.is_same(&loaded.system) {
            return Err(BarrierError::NotASuccessor);
        }
        let mut terms = loaded.terms;
        terms.extend(self.terms.iter().map(|(number, term)| (*number, Arc::clone(term))));
        Ok(Self { terms, system: self.system.clone() })
    }

    /// Encrypts under the root key: `version · nonce · ciphertext · tag`, bound to the cluster.
    pub fn seal(&self, root_key: &Key32, cluster_id: &ClusterId, random: &mut dyn Random) -> Vec<u8> {
        let encoded = self.encode();
        let mut sealed = Vec::with_capacity(1 + OVERHEAD_BYTES + encoded.len());
        sealed.push(VERSION);
        Aead::new(root_key.expose()).seal_onto(&mut sealed, &bound_to(cluster_id), &encoded, random);
        sealed
    }

    /// Decrypts what [`Keyring::seal`] made.
    pub fn open(root_key: &Key32, cluster_id: &ClusterId, sealed: &[u8]) -> Result<Self, BarrierError> {
        let (&version, rest) = sealed.split_first().ok_or(BarrierError::Malformed { what: WHAT })?;
        check_version(u32::from(version), u32::from(VERSION), WHAT)?;
        let encoded = Aead::new(root_key.expose())
            .open(&bound_to(cluster_id), rest)
            .ok_or(BarrierError::NotAuthentic { what: WHAT })?;
        Self::decode(&encoded)
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let term = |term: &Arc<Term>| TermRecord {
            number: term.number(),
            secret: term.secret().expose().to_vec(),
            made_at_millis: term.made_at_millis(),
        };
        let record = KeyringRecord {
            version: u32::from(VERSION),
            terms: self.terms.values().map(term).collect(),
            system_keys: self.system.to_bytes().to_vec(),
        };
        Zeroizing::new(record.encode_to_vec())
    }

    fn decode(encoded: &[u8]) -> Result<Self, BarrierError> {
        let malformed = BarrierError::Malformed { what: WHAT };
        let record = KeyringRecord::decode(encoded).map_err(|_| malformed)?;
        check_version(record.version, u32::from(VERSION), WHAT)?;
        let mut terms = BTreeMap::new();
        for term in &record.terms {
            let secret = Secret::from_slice(&term.secret).ok_or(malformed)?;
            terms.insert(term.number, Arc::new(Term::new(term.number, secret, term.made_at_millis)));
        }
        if terms.is_empty() || terms.len() != record.terms.len() {
            return Err(malformed);
        }
        Ok(Self { terms, system: MountKeys::from_bytes(&record.system_keys)? })
    }
}

fn bound_to(cluster_id: &ClusterId) -> Vec<u8> {
    [CONTEXT, cluster_id].concat()
}

#[cfg(test)]
mod tests {
    use super::super::seeded::Seeded;
    use super::*;

    const CLUSTER: ClusterId = [9; 16];

    fn keyring(seed: u64) -> (Key32, Keyring, Seeded) {
        let mut random = Seeded::new(seed);
        let root = Key32::random(&mut random);
        let keyring = Keyring::generate(Time::from_secs(1_000), &mut random);
        (root, keyring, random)
    }

    fn error_of(result: Result<Keyring, BarrierError>) -> BarrierError {
        result.err().expect("the keyring must not open")
    }

    #[test]
    fn a_sealed_keyring_opens_to_the_same_terms() {
        let (root, mut keyring, mut random) = keyring(1);
        assert_eq!(keyring.rotate(Time::from_secs(2_000), &mut random), Ok(2));
        let sealed = keyring.seal(&root, &CLUSTER, &mut random);
        let opened = Keyring::open(&root, &CLUSTER, &sealed).unwrap();
        assert_eq!(opened.terms().map(|term| term.number()).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(opened.active().made_at(), Time::from_secs(2_000));
        assert!(opened.terms().zip(keyring.terms()).all(|(a, b)| a.secret().is_same(b.secret())));
        assert!(opened.system().is_same(keyring.system()));
    }

    #[test]
    fn a_keyring_does_not_open_under_another_root_key() {
        let (root, keyring, mut random) = keyring(2);
        let sealed = keyring.seal(&root, &CLUSTER, &mut random);
        let other = Key32::random(&mut random);
        assert_eq!(error_of(Keyring::open(&other, &CLUSTER, &sealed)), BarrierError::NotAuthentic { what: "keyring" });
    }

    #[test]
    fn a_keyring_does_not_open_in_another_cluster() {
        let (root, keyring, mut random) = keyring(3);
        let sealed = keyring.seal(&root, &CLUSTER, &mut random);
        assert_eq!(error_of(Keyring::open(&root, &[8; 16], &sealed)), BarrierError::NotAuthentic { what: "keyring" });
    }

    #[test]
    fn no_cut_or_flipped_keyring_opens() {
        let (root, keyring, mut random) = keyring(4);
        let sealed = keyring.seal(&root, &CLUSTER, &mut random);
        for length in 0..sealed.len() {
            assert!(Keyring::open(&root, &CLUSTER, &sealed[..length]).is_err(), "cut to {length} bytes");
        }
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(Keyring::open(&root, &CLUSTER, &flipped).is_err(), "flipped at {at}");
        }
    }

    #[test]
    fn a_newer_format_is_named_in_the_error() {
        let (root, keyring, mut random) = keyring(5);
        let mut sealed = keyring.seal(&root, &CLUSTER, &mut random);
        sealed[0] = 2;
        let expected = BarrierError::UnknownVersion { what: "keyring", expected: 1, got: 2 };
        assert_eq!(error_of(Keyring::open(&root, &CLUSTER, &sealed)), expected);
    }

    #[test]
    fn a_keyring_that_changed_a_term_is_no_successor() {
        let (_, ours, mut random) = keyring(6);
        let mut other = Keyring::generate(Time::from_secs(1), &mut random);
        other.system = ours.system.clone();
        assert_eq!(error_of(ours.succeeded_by(other)), BarrierError::NotASuccessor);
    }

    #[test]
    fn a_keyring_that_lost_a_term_is_no_successor() {
        let (_, mut ours, mut random) = keyring(7);
        let before = ours.duplicate();
        ours.rotate(Time::from_secs(1), &mut random).unwrap();
        assert!(before.succeeded_by(ours.duplicate()).is_ok());
        assert_eq!(error_of(ours.succeeded_by(before)), BarrierError::NotASuccessor);
    }

    #[test]
    fn a_keyring_takes_no_more_than_its_limit_of_terms() {
        let (root, mut keyring, mut random) = keyring(8);
        for _ in 1..MAX_TERMS {
            keyring.rotate(Time::from_secs(1), &mut random).unwrap();
        }
        assert_eq!(
            keyring.rotate(Time::from_secs(1), &mut random),
            Err(BarrierError::TooManyTerms { terms: MAX_TERMS })
        );
        assert!(keyring.seal(&root, &CLUSTER, &mut random).len() < conclave_batch::MAX_VALUE_BYTES);
    }
}
