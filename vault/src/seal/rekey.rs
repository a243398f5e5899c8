//! New keys at the top: a new root key under the same shares, or new shares with a new root key.
//!
//! Pure: makes the records that one batch then writes. The new root key is not in that batch in any form that an old
//! term opens; other unsealed nodes fetch it from a peer, or seal. Terms stay as they are.

use super::error::SealError;
use super::record::{Outside, SealRecord};
use super::shamir::{self, Parameters};
use super::share::Share;
use super::wrap::wrap;
use crate::barrier::{Barrier, Key32};
use crate::context::Random;

/// New keys. Has no `Debug`, because of the shares.
pub struct Rekeyed {
    /// The new shares; empty if the shares stay.
    pub shares: Vec<Share>,
    /// The new root key, for [`Barrier::adopt_root_key`] once the batch is applied.
    pub root_key: Key32,
    /// The new records outside the barrier.
    pub outside: Outside,
}

/// Makes a new unseal key, new shares and a new root key.
pub fn rekey(
    barrier: &Barrier,
    outside: &Outside,
    parameters: Parameters,
    random: &mut dyn Random,
) -> Result<Rekeyed, SealError> {
    let (unseal_key, root_key) = (Key32::random(random), Key32::random(random));
    let shares = shamir::split(&unseal_key, parameters, random)?;
    let generation = outside.seal.generation + 1;
    let wrapped = wrap(&unseal_key, &root_key, &outside.cluster_id, generation, random);
    let threshold = parameters.threshold as u32;
    let seal = SealRecord::new(&shares, threshold, generation, &outside.cluster_id, wrapped, random);
    let keyring = barrier.seal_keyring_under(&root_key, random);
    Ok(Rekeyed { shares, root_key, outside: Outside { seal, keyring, ..outside.clone() } })
}

/// Makes a new root key; the shares, and so the unseal key that they combine to, stay.
///
/// # Errors
/// [`SealError::CannotCombine`] or [`SealError::WrongUnsealKey`] if the shares are not those of this seal.
pub fn rotate_root_key(
    barrier: &Barrier,
    outside: &Outside,
    shares: &[&Share],
    random: &mut dyn Random,
) -> Result<Rekeyed, SealError> {
    let unseal_key = shamir::combine(shares)?;
    // The new root key must not be wrapped under a key that the shares' holders cannot make again.
    outside.unwrap_root_key(&unseal_key)?;
    let root_key = Key32::random(random);
    let generation = outside.seal.generation + 1;
    let wrapped_root_key = wrap(&unseal_key, &root_key, &outside.cluster_id, generation, random);
    let seal = SealRecord { generation, wrapped_root_key, ..outside.seal.clone() };
    let keyring = barrier.seal_keyring_under(&root_key, random);
    Ok(Rekeyed { shares: Vec::new(), root_key, outside: Outside { seal, keyring, ..outside.clone() } })
}

#[cfg(test)]
mod tests {
    use super::super::init::{self, Initialized};
    use super::*;
    use crate::barrier::seeded::Seeded;
    use crate::time::Time;

    const OLD: Parameters = Parameters { shares: 3, threshold: 2 };
    const NEW: Parameters = Parameters { shares: 5, threshold: 4 };

    fn cluster() -> (Initialized, Outside, Seeded) {
        let mut random = Seeded::new(1);
        let initialized = init::initialize(OLD, &mut random, Time::from_secs(1), [7; 16]).unwrap();
        let records = &initialized.records;
        let outside = Outside::decode(&records[0].1, &records[1].1, &records[2].1).unwrap();
        (initialized, outside, random)
    }

    fn opens(outside: &Outside, shares: &[Share], threshold: usize) -> bool {
        let chosen: Vec<&Share> = shares.iter().take(threshold).collect();
        let root_key = shamir::combine(&chosen).and_then(|unseal_key| outside.unwrap_root_key(&unseal_key));
        root_key.and_then(|root_key| outside.open_barrier(root_key)).is_ok()
    }

    // check 181
    #[test]
    fn after_a_rekey_the_new_shares_open_and_the_old_ones_do_not() {
        let (old, outside, mut random) = cluster();
        let new = rekey(&old.barrier, &outside, NEW, &mut random).unwrap();
        assert_eq!(new.outside.seal.generation, 2);
        assert!(opens(&new.outside, &new.shares, 4));
        assert!(!opens(&new.outside, &old.shares, 2));
        assert!(!old.shares.iter().any(|share| new.outside.is_own_share(share)));
    }

    // check 181
    #[test]
    fn until_the_rekeys_batch_is_applied_the_old_shares_open() {
        let (old, outside, mut random) = cluster();
        let new = rekey(&old.barrier, &outside, NEW, &mut random).unwrap();
        assert!(opens(&outside, &old.shares, 2));
        assert!(!opens(&outside, &new.shares, 4));
    }

    // check 181
    #[test]
    fn rotating_the_root_key_keeps_the_shares() {
        let (old, outside, mut random) = cluster();
        let given: Vec<&Share> = old.shares.iter().skip(1).collect();
        let new = rotate_root_key(&old.barrier, &outside, &given, &mut random).unwrap();
        assert!(new.shares.is_empty());
        assert_eq!(new.outside.seal.generation, 2);
        assert!(opens(&new.outside, &old.shares, 2));
        assert!(old.shares.iter().all(|share| new.outside.is_own_share(share)));
        assert!(!new.root_key.is_same(&old.barrier.root_key()));
    }

    #[test]
    fn the_root_key_is_not_rotated_with_wrong_shares() {
        let (old, outside, mut random) = cluster();
        let stranger = init::initialize(OLD, &mut random, Time::from_secs(1), [7; 16]).unwrap();
        let given: Vec<&Share> = stranger.shares.iter().take(2).collect();
        let refused = rotate_root_key(&old.barrier, &outside, &given, &mut random);
        assert_eq!(refused.err(), Some(SealError::WrongUnsealKey));
    }

    #[test]
    fn an_unsealed_node_adopts_the_new_root_key_and_keeps_its_terms() {
        let (old, outside, mut random) = cluster();
        let value = old.barrier.seal_value(&[0; 16], b"key", &[1; 16], b"before", &mut random).unwrap();
        let new = rekey(&old.barrier, &outside, NEW, &mut random).unwrap();
        let other = outside.open_barrier(old.barrier.root_key().duplicate()).unwrap();
        assert_eq!(other.adopt_root_key(new.root_key, &new.outside.keyring, 9), Ok(1));
        assert_eq!(other.open_value(&[0; 16], b"key", &value).unwrap().as_slice(), b"before");
    }
}
