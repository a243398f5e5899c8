//! Initialisation: every key of a new cluster, and the records and shares that keep them.
//!
//! It makes them in memory. The batch that writes the records decides whether this initialisation or another won, and
//! only then are the shares handed out.

use super::error::SealError;
use super::record::{FIRST_EPOCH, Outside, SealRecord};
use super::shamir;
use super::share::Share;
use super::wrap::wrap;
use crate::barrier::keyring::Keyring;
use crate::barrier::{Barrier, ClusterId, Key32};
use crate::context::Random;
use crate::time::Time;

pub(crate) use super::shamir::Parameters;

/// A new seal's generation.
pub(super) const FIRST_GENERATION: u64 = 1;

/// A new cluster. Has no `Debug`, because of its shares.
pub struct Initialized {
    /// For the operators. They are nowhere else.
    pub shares: Vec<Share>,
    /// Open, with the few uses that the first batch takes; see [`crate::barrier::uses`].
    pub barrier: Barrier,
    /// Records outside the barrier, by name.
    pub records: Vec<(&'static str, Vec<u8>)>,
}

/// Makes a new cluster's keys.
///
/// # Errors
/// [`SealError::InvalidParameters`].
pub fn initialize(
    parameters: Parameters,
    random: &mut dyn Random,
    now: Time,
    cluster_id: ClusterId,
) -> Result<Initialized, SealError> {
    let (unseal_key, root_key) = (Key32::random(random), Key32::random(random));
    let shares = shamir::split(&unseal_key, parameters, random)?;
    let wrapped = wrap(&unseal_key, &root_key, &cluster_id, FIRST_GENERATION, random);
    let threshold = parameters.threshold as u32;
    let seal = SealRecord::new(&shares, threshold, FIRST_GENERATION, &cluster_id, wrapped, random);
    let keyring = Keyring::generate(now, random);
    let sealed_keyring = keyring.seal(&root_key, &cluster_id, random);
    let barrier = Barrier::new(root_key, keyring, cluster_id, FIRST_EPOCH);
    barrier.lend_uses();
    let records = Outside { cluster_id, epoch: FIRST_EPOCH, seal, keyring: sealed_keyring }.encode();
    Ok(Initialized { shares, barrier, records })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barrier::seeded::Seeded;

    fn initialized(seed: u64, shares: u64, threshold: u64) -> Initialized {
        let parameters = Parameters { shares, threshold };
        initialize(parameters, &mut Seeded::new(seed), Time::from_secs(1), [7; 16]).unwrap()
    }

    fn outside(initialized: &Initialized) -> Outside {
        let [cluster, seal, keyring] = initialized.records.as_slice() else { panic!("there are three records") };
        Outside::decode(&cluster.1, &seal.1, &keyring.1).unwrap()
    }

    #[test]
    fn the_shares_open_what_was_encrypted_at_initialisation() {
        let initialized = initialized(1, 5, 3);
        let sealed = initialized.barrier.seal_value(&[0; 16], b"key", &[1; 16], b"first", &mut Seeded::new(2)).unwrap();
        let chosen: Vec<&Share> = initialized.shares.iter().skip(1).take(3).collect();
        let outside = outside(&initialized);
        let root_key = outside.unwrap_root_key(&shamir::combine(&chosen).unwrap()).unwrap();
        let barrier = outside.open_barrier(root_key).unwrap();
        assert_eq!(barrier.open_value(&[0; 16], b"key", &sealed).unwrap().as_slice(), b"first");
        assert_eq!(barrier.system_names().encrypt("a", b""), initialized.barrier.system_names().encrypt("a", b""));
    }

    #[test]
    fn only_own_shares_are_recognised() {
        let (ours, theirs) = (initialized(3, 3, 2), initialized(4, 3, 2));
        let outside = outside(&ours);
        assert!(ours.shares.iter().all(|share| outside.is_own_share(share)));
        assert!(!theirs.shares.iter().any(|share| outside.is_own_share(share)));
    }

    // check 104
    #[test]
    fn no_record_holds_a_key_or_a_share() {
        let initialized = initialized(5, 3, 2);
        let mut secrets: Vec<Vec<u8>> = initialized.shares.iter().map(|share| share.expose()[..32].to_vec()).collect();
        secrets.push(initialized.barrier.root_key().expose().to_vec());
        secrets.push(initialized.barrier.system_keys().to_bytes()[1..33].to_vec());
        for (name, bytes) in &initialized.records {
            for secret in &secrets {
                assert!(!bytes.windows(8).any(|window| window == &secret[..8]), "the {name} record holds a secret");
            }
        }
    }

    #[test]
    fn impossible_parameters_make_no_cluster() {
        let parameters = Parameters { shares: 2, threshold: 3 };
        let refused = initialize(parameters, &mut Seeded::new(6), Time::from_secs(1), [7; 16]);
        assert!(matches!(refused.err(), Some(SealError::InvalidParameters { .. })));
    }
}
