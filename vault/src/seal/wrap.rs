//! The root key under the unseal key: AES-256-GCM, bound to the cluster and the seal's generation.
//!
//! Layout: `nonce (12) · ciphertext (32) · tag (16)`; the record around it has the version. An unseal key wraps a few
//! root keys in its life, so random nonces need no counting.

use super::error::SealError;
use crate::barrier::aead::{Aead, OVERHEAD_BYTES};
use crate::barrier::locked::Secret;
use crate::barrier::{ClusterId, Key32};
use crate::context::Random;

/// What a wrapped root key is bound to first.
const CONTEXT: &[u8] = b"conclave root key v1";
/// Bytes of a wrapped root key.
pub(crate) const WRAPPED_BYTES: usize = OVERHEAD_BYTES + 32;

fn bind(cluster_id: &ClusterId, generation: u64) -> Vec<u8> {
    [CONTEXT, cluster_id, &generation.to_be_bytes()].concat()
}

/// Wraps a root key.
pub(crate) fn wrap(
    unseal_key: &Key32,
    root_key: &Key32,
    cluster_id: &ClusterId,
    generation: u64,
    random: &mut dyn Random,
) -> Vec<u8> {
    let mut wrapped = Vec::with_capacity(WRAPPED_BYTES);
    Aead::new(unseal_key.expose()).seal_onto(&mut wrapped, &bind(cluster_id, generation), root_key.expose(), random);
    wrapped
}

/// Unwraps a root key.
pub(crate) fn unwrap(
    unseal_key: &Key32,
    wrapped: &[u8],
    cluster_id: &ClusterId,
    generation: u64,
) -> Result<Key32, SealError> {
    let opened = Aead::new(unseal_key.expose()).open(&bind(cluster_id, generation), wrapped);
    opened.and_then(|root_key| Secret::from_slice(&root_key)).ok_or(SealError::WrongUnsealKey)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barrier::seeded::Seeded;

    #[test]
    fn a_root_key_unwraps_under_its_unseal_key_cluster_and_generation_only() {
        let mut random = Seeded::new(1);
        let (unseal_key, root_key) = (Key32::random(&mut random), Key32::random(&mut random));
        let wrapped = wrap(&unseal_key, &root_key, &[1; 16], 1, &mut random);
        assert_eq!(wrapped.len(), WRAPPED_BYTES);
        assert!(unwrap(&unseal_key, &wrapped, &[1; 16], 1).unwrap().is_same(&root_key));
        let wrong = Some(SealError::WrongUnsealKey);
        assert_eq!(unwrap(&Key32::random(&mut random), &wrapped, &[1; 16], 1).err(), wrong);
        assert_eq!(unwrap(&unseal_key, &wrapped, &[2; 16], 1).err(), wrong);
        assert_eq!(unwrap(&unseal_key, &wrapped, &[1; 16], 2).err(), wrong);
        assert_eq!(unwrap(&unseal_key, &wrapped[..WRAPPED_BYTES - 1], &[1; 16], 1).err(), wrong);
    }
}
