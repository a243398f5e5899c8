//! A new epoch: what an operator's act with a threshold of shares begins, after a lost majority, or to set cluster time right.
//!
//! One tagged batch raises the epoch in the cluster record and in the table, and makes the keyring's next term with it.
//! What was made in the old epoch and comes late is refused from then on: batches of nodes that were left behind, messages
//! between nodes, batch tokens. And two clusters that came out of one, such as a recovered one and the nodes that it left
//! behind, encrypt nothing under one key: the new epoch's batch itself is the last thing here under the old term.

use bytes::Bytes;
use conclave_batch::{Batch, NewEpoch, SignedBatch, View};
use prost::Message;

use crate::batch::{self, Proposal};
use crate::context::Context;
use crate::core::Core;
use crate::error::Error;
use crate::members::{self, MemberRecord};
use crate::rotation;
use crate::seal::record::{CLUSTER, ClusterRecord};
use crate::store::decode;
use crate::time::Time;

/// What changes with the epoch.
#[derive(Default)]
pub struct EpochChange {
    /// The only member from then on; `None` leaves the members as they are.
    pub only_member: Option<MemberRecord>,
    /// What cluster time is from then on; `None` leaves it as it is.
    pub time: Option<Time>,
}

/// The batch that begins the next epoch, and that epoch. `core` has just been opened with shares, or serves.
///
/// # Errors
/// If the records cannot be read or encrypted.
pub fn begin_epoch<'a>(
    core: &'a Core,
    context: &mut Context<'a>,
    view: &'a dyn View,
    change: EpochChange,
) -> Result<(Proposal, u64), Error> {
    let mut store = core.store(view);
    let record = store.get_open(CLUSTER)?.ok_or_else(|| Error::internal("there is no cluster record"))?;
    let record: ClusterRecord = decode(&record)?;
    let epoch = record.epoch.max(context.epoch) + 1;
    store.put_open(CLUSTER, ClusterRecord { epoch, ..record }.encode_to_vec());
    if let Some(member) = change.only_member {
        if core.barrier().is_out_of_uses() {
            core.barrier().lend_uses();
        }
        members::replace_all(&mut store, member)?;
    }
    rotation::rotate_term_if_there_is_room(&mut store, context)?;
    let proposal = store.finish(context)?.ok_or_else(|| Error::internal("a new epoch without a record"))?;
    let mut batch = unsigned(&proposal.bytes)?;
    let time_millis = change.time.map(Time::millis);
    batch.new_epoch = Some(NewEpoch { epoch, time_millis });
    if let Some(time_millis) = time_millis {
        batch.time_millis = time_millis;
    }
    Ok((batch::sign(&batch, core.barrier()), epoch))
}

fn unsigned(signed: &Bytes) -> Result<Batch, Error> {
    let signed: SignedBatch = decode(signed)?;
    decode(&signed.body)
}

#[cfg(test)]
mod tests {
    use conclave_batch::Outcome;

    use super::*;
    use crate::barrier::keyring::Keyring;
    use crate::limits::MAX_TERMS;
    use crate::seal::record::KEYRING;
    use crate::testing::{Harness, Seeded, context};

    fn begin(harness: &mut Harness, change: EpochChange) -> Outcome {
        let mut random = Seeded::new(77);
        let mut context = context(&mut random, harness.now);
        let (proposal, _) = begin_epoch(&harness.core, &mut context, &harness.table, change).unwrap();
        harness.table.apply(&proposal)
    }

    #[test]
    fn a_new_epoch_can_name_the_one_member_that_is_left() {
        let mut harness = Harness::new();
        let member = |id: u64| MemberRecord { id, public_key: vec![1; 32], ..MemberRecord::default() };
        let outcome = begin(&mut harness, EpochChange { only_member: Some(member(9)), time: None });
        assert!(matches!(outcome, Outcome::Applied { .. }));
        let mut store = harness.core.store(&harness.table);
        assert_eq!(members::load(&mut store).unwrap().members, [member(9)]);
        let record = ClusterRecord::decode(store.get_open(CLUSTER).unwrap().unwrap()).unwrap();
        assert_eq!(record.epoch, crate::seal::record::FIRST_EPOCH + 1);
    }

    // check 247
    #[test]
    fn two_clusters_that_came_out_of_one_share_no_key_under_which_they_encrypt() {
        let mut harness = Harness::new();
        assert!(matches!(begin(&mut harness, EpochChange::default()), Outcome::Applied { .. }));
        let keyring = harness.table.get(&crate::store::open_key(KEYRING)).unwrap().unwrap();
        let barrier = harness.core.barrier();
        let place = (&[0; 16], b"key".as_slice(), &[0; 16]);
        let behind = barrier.seal_value(place.0, place.1, place.2, b"old", &mut harness.random).unwrap();
        assert_eq!(barrier.load_keyring(&keyring.value, keyring.revision), Ok(2));
        let refused = barrier.seal_value(place.0, place.1, place.2, b"new", &mut harness.random);
        assert!(refused.is_err(), "the new term's encryptions are counted from its first one on");
        barrier.complete_reservation(barrier.open_reservation());
        let ahead = barrier.seal_value(place.0, place.1, place.2, b"new", &mut harness.random).unwrap();
        let term = |value: &[u8]| crate::barrier::cipher::term_of(value).unwrap();
        assert_eq!((term(&behind), term(&ahead)), (1, 2));
    }

    #[test]
    fn a_keyring_that_is_full_keeps_no_epoch_from_beginning() {
        let mut harness = Harness::new();
        let (barrier, mut random) = (harness.core.barrier(), Seeded::new(3));
        let root = barrier.root_key();
        let mut keyring = Keyring::open(&root, barrier.cluster_id(), &barrier.seal_keyring(&mut random)).unwrap();
        while keyring.rotate(harness.now, &mut random).is_ok() {}
        let full = keyring.seal(&root, barrier.cluster_id(), &mut random);
        let mut store = harness.core.store(&harness.table);
        store.put_open(KEYRING, full);
        let proposal = store.finish(&mut context(&mut random, harness.now)).unwrap().unwrap();
        assert!(harness.commit(&proposal));
        assert!(matches!(begin(&mut harness, EpochChange::default()), Outcome::Applied { .. }));
        assert_eq!(harness.core.barrier().active_term() as usize, MAX_TERMS);
    }

    #[test]
    fn of_two_new_epochs_made_at_once_one_wins() {
        let mut harness = Harness::new();
        let (mut one, mut two) = (Seeded::new(1), Seeded::new(2));
        let now = harness.now;
        let first = begin_epoch(&harness.core, &mut context(&mut one, now), &harness.table, EpochChange::default());
        let second = begin_epoch(&harness.core, &mut context(&mut two, now), &harness.table, EpochChange::default());
        let (first, second) = (first.unwrap().0, second.unwrap().0);
        assert!(matches!(harness.table.apply(&first), Outcome::Applied { .. }));
        assert!(!matches!(harness.table.apply(&second), Outcome::Applied { .. }));
    }
}
