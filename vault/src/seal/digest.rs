//! Digests of shares: a wrong share is refused when it is entered, not when the threshold is met.
//!
//! `HMAC-SHA256(salt (32), "conclave share digest v1" · cluster id (16) · share)`, not truncated. A share has 256 bits
//! of randomness, so its digest tells nothing that could be tried out; the salt keeps two clusters' digests apart.

use subtle::{Choice, ConstantTimeEq};

use super::share::Share;
use crate::barrier::ClusterId;
use crate::barrier::mac::MacKey;

/// What every digest begins with.
const CONTEXT: &[u8] = b"conclave share digest v1";
/// Bytes of a digest.
pub(crate) const DIGEST_BYTES: usize = 32;
/// Bytes of a salt.
pub(crate) const SALT_BYTES: usize = 32;

/// The digest of a share.
pub(crate) fn digest(salt: &[u8; SALT_BYTES], cluster_id: &ClusterId, share: &Share) -> [u8; DIGEST_BYTES] {
    MacKey::new(salt).sign(&[CONTEXT, cluster_id, share.expose()])
}

/// Whether a digest is in the list. Looks at all of it, so the time does not tell the place.
pub(crate) fn is_listed(digests: &[Vec<u8>], digest: &[u8; DIGEST_BYTES]) -> bool {
    digests.iter().fold(Choice::from(0), |found, listed| found | listed.as_slice().ct_eq(digest)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_depends_on_salt_cluster_and_every_byte_of_the_share() {
        let share = |bytes: &[u8]| Share::from_slice(bytes).unwrap();
        let base = digest(&[1; 32], &[2; 16], &share(&[3; 33]));
        assert_ne!(base, digest(&[0; 32], &[2; 16], &share(&[3; 33])));
        assert_ne!(base, digest(&[1; 32], &[0; 16], &share(&[3; 33])));
        assert_ne!(base, digest(&[1; 32], &[2; 16], &share(&[3; 32])));
        for at in 0..33 {
            let mut other = [3; 33];
            other[at] ^= 0x80;
            assert_ne!(base, digest(&[1; 32], &[2; 16], &share(&other)), "byte {at}");
        }
    }

    #[test]
    fn a_digest_is_found_at_any_place_and_no_part_of_it_is() {
        let list = [vec![1; 32], vec![2; 32], vec![3; 32]];
        for listed in 1..=3 {
            assert!(is_listed(&list, &[listed; 32]));
        }
        assert!(!is_listed(&list, &[4; 32]));
        assert!(!is_listed(&[vec![1; 31], vec![]], &[1; 32]));
        assert!(!is_listed(&[], &[0; 32]));
    }
}
