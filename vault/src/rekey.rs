//! Rekey: the batch by which new shares take the place of the old ones.
//!
//! One batch writes the seal, the key with which nodes prove that they may join, and the keyring's next term. The term makes
//! every node ask for a checkpoint, so that a restart looks at a table that is known to have the new seal.

use prost::Message;

use crate::context::Context;
use crate::error::Error;
use crate::members::join_key;
use crate::rotation;
use crate::seal::NewSeal;
use crate::seal::record::{SEAL, SealRecord};
use crate::store::{Store, decode};

/// Writes a seal in place of the one before it. A seal that is there already changes nothing, so it can be tried again after
/// an outcome that is unknown.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] if another rekey came first.
pub fn replace_seal(store: &mut Store<'_>, context: &mut Context<'_>, new: &NewSeal) -> Result<(), Error> {
    let present = store.get_open(SEAL)?.ok_or_else(|| Error::internal("there is no seal to replace"))?;
    let present: SealRecord = decode(&present)?;
    if new.is(&present) {
        return Ok(());
    }
    let generation = new.record().generation;
    if present.generation.checked_add(1) != Some(generation) {
        return Err(Error::invalid("another rekey came first: these new shares never counted, begin again"));
    }
    store.put_open(SEAL, new.record().encode_to_vec());
    join_key::note(store, new.join_key(), generation)?;
    rotation::rotate_term_if_there_is_room(store, context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Proposal;
    use crate::seal::record::{CLUSTER, KEYRING};
    use crate::seal::{Outside, Parameters, Share, combine};
    use crate::testing::{Harness, Seeded, context};

    fn outside(harness: &Harness) -> Outside {
        let mut store = harness.core.store(&harness.table);
        let [cluster, seal, keyring] = [CLUSTER, SEAL, KEYRING].map(|name| store.get_open(name).unwrap().unwrap());
        Outside::decode(&cluster, &seal, &keyring).unwrap()
    }

    fn made(harness: &Harness, seed: u64) -> NewSeal {
        let parameters = Parameters { shares: 3, threshold: 2 };
        NewSeal::make(parameters, harness.core.barrier(), &outside(harness), &mut Seeded::new(seed)).unwrap()
    }

    fn proposal(harness: &Harness, new: &NewSeal, seed: u64) -> Result<Option<Proposal>, Error> {
        let mut random = Seeded::new(seed);
        let mut context = context(&mut random, harness.now);
        let mut store = harness.core.store(&harness.table);
        replace_seal(&mut store, &mut context, new)?;
        store.finish(&mut context)
    }

    fn opens(outside: &Outside, shares: &[Share]) -> bool {
        let chosen: Vec<&Share> = shares.iter().skip(1).take(2).collect();
        let root_key = combine(&chosen).and_then(|unseal_key| outside.unwrap_root_key(&unseal_key));
        root_key.and_then(|root_key| outside.open_barrier(root_key)).is_ok()
    }

    // check 181
    #[test]
    fn before_the_batch_the_old_shares_open_the_barrier_and_after_it_the_new_ones() {
        let mut harness = Harness::new();
        let first = made(&harness, 1);
        assert!(opens(&first.foreseen(&outside(&harness)), first.shares()), "they can be tried before they count");
        assert!(!outside(&harness).is_own_share(&first.shares()[0]));
        let batch = proposal(&harness, &first, 2).unwrap().unwrap();
        assert!(harness.commit(&batch));
        let present = outside(&harness);
        assert_eq!((present.seal.generation, present.seal.shares, present.seal.threshold), (2, 3, 2));
        assert!(opens(&present, first.shares()) && first.shares().iter().all(|share| present.is_own_share(share)));
    }

    #[test]
    fn what_was_written_is_not_written_again_and_one_that_came_late_never_counts() {
        let mut harness = Harness::new();
        let (one, other) = (made(&harness, 1), made(&harness, 2));
        let (first, second) = (proposal(&harness, &one, 3).unwrap().unwrap(), proposal(&harness, &other, 4).unwrap());
        assert!(harness.commit(&first));
        assert!(!harness.commit(&second.unwrap()), "of two at once one wins");
        assert!(proposal(&harness, &one, 5).unwrap().is_none());
        assert!(proposal(&harness, &other, 6).is_err());
        assert!(opens(&outside(&harness), one.shares()));
    }

    #[test]
    fn the_key_for_joins_belongs_to_the_new_seal() {
        let mut harness = Harness::new();
        let new = made(&harness, 1);
        let batch = proposal(&harness, &new, 2).unwrap().unwrap();
        assert!(harness.commit(&batch));
        let mut store = harness.core.store(&harness.table);
        let noted = join_key::load(&mut store, 2).unwrap().unwrap();
        assert_eq!(noted.expose(), new.join_key().expose());
        assert!(join_key::load(&mut store, 1).unwrap().is_none());
    }
}
