//! What vouches for a snapshot that leaves the cluster: a MAC over its list of digests, under a key of the active term.
//!
//! `HMAC-SHA256(snapshot key, "conclave snapshot v1" · cluster id (16) · term (4) · list)`, where the key is derived from the
//! term's secret as all others are, with the label `conclave snapshot key v1`.

use super::derivation::derive;
use super::error::BarrierError;
use super::mac::MacKey;
use super::term::Term;
use super::{Barrier, ClusterId};

/// HKDF label of the key.
const LABEL: &[u8] = b"conclave snapshot key v1";
/// What the MAC is bound to first.
const CONTEXT: &[u8] = b"conclave snapshot v1";

fn key(term: &Term, cluster_id: &ClusterId) -> MacKey {
    MacKey::new(derive(cluster_id, term.secret().expose(), &[LABEL, &term.number().to_be_bytes()]).expose())
}

impl Barrier {
    /// Vouches for a list of digests; the term and the MAC.
    pub fn sign_snapshot(&self, digests: &[u8]) -> (u32, [u8; 32]) {
        let term = self.active();
        let number = term.number().to_be_bytes();
        (term.number(), key(&term, &self.cluster_id).sign(&[CONTEXT, &self.cluster_id, &number, digests]))
    }

    /// Whether this cluster vouched for a list of digests, in whatever term.
    ///
    /// # Errors
    /// [`BarrierError::UnknownTerm`], and [`BarrierError::NotAuthentic`] for another list or another cluster's.
    pub fn verify_snapshot(&self, term: u32, digests: &[u8], mac: &[u8]) -> Result<(), BarrierError> {
        let (term, number) = (self.term(term)?, term.to_be_bytes());
        let is_own = key(&term, &self.cluster_id).verify(&[CONTEXT, &self.cluster_id, &number, digests], mac);
        if is_own { Ok(()) } else { Err(BarrierError::NotAuthentic { what: "snapshot" }) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::seeded::Seeded;
    use super::super::{Key32, Keyring};
    use super::*;
    use crate::time::Time;

    fn barrier(seed: u64, cluster: u8) -> Barrier {
        let mut random = Seeded::new(seed);
        let keyring = Keyring::generate(Time::from_secs(1), &mut random);
        Barrier::new(Key32::random(&mut random), keyring, [cluster; 16], 1)
    }

    // check 234
    #[test]
    fn a_snapshot_is_its_own_clusters_and_as_it_was_made() {
        let own = barrier(1, 1);
        let (term, mac) = own.sign_snapshot(b"digests");
        assert_eq!(own.verify_snapshot(term, b"digests", &mac), Ok(()));
        assert!(own.verify_snapshot(term, b"digestS", &mac).is_err());
        assert!(own.verify_snapshot(term + 1, b"digests", &mac).is_err());
        for other in [barrier(1, 2), barrier(2, 1)] {
            assert!(other.verify_snapshot(term, b"digests", &mac).is_err());
        }
    }
}
