//! A new epoch: what an operator's act with a threshold of shares begins, after a lost majority, or to set cluster time right.
//!
//! One tagged batch raises the epoch in the cluster record and in the table. What was made in the old epoch and comes late
//! is refused from then on: batches of nodes that were left behind, messages between nodes, batch tokens.

use bytes::Bytes;
use conclave_batch::{Batch, NewEpoch, SignedBatch, View};
use prost::Message;

use crate::batch::{self, Proposal};
use crate::context::Context;
use crate::core::Core;
use crate::error::Error;
use crate::members::{self, MemberRecord};
use crate::seal::record::{CLUSTER, ClusterRecord};
use crate::store::decode;
use crate::time::Time;

/// What changes with the epoch.
#[derive(Default)]
pub struct Recovery {
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
    recovery: Recovery,
) -> Result<(Proposal, u64), Error> {
    let mut store = core.store(view);
    let record = store.get_open(CLUSTER)?.ok_or_else(|| Error::internal("there is no cluster record"))?;
    let record: ClusterRecord = decode(&record)?;
    let epoch = record.epoch.max(context.epoch) + 1;
    store.put_open(CLUSTER, ClusterRecord { epoch, ..record }.encode_to_vec());
    if let Some(member) = recovery.only_member {
        if core.barrier().is_out_of_uses() {
            core.barrier().lend_uses();
        }
        members::replace_all(&mut store, member)?;
    }
    let proposal = store.finish(context)?.ok_or_else(|| Error::internal("a new epoch without a record"))?;
    let mut batch = unsigned(&proposal.bytes)?;
    let time_millis = recovery.time.map(Time::millis);
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
    use crate::testing::{Harness, Seeded, context};

    fn begin(harness: &mut Harness, recovery: Recovery) -> Outcome {
        let mut random = Seeded::new(77);
        let mut context = context(&mut random, harness.now);
        let (proposal, _) = begin_epoch(&harness.core, &mut context, &harness.table, recovery).unwrap();
        harness.table.apply(&proposal)
    }

    #[test]
    fn a_new_epoch_can_name_the_one_member_that_is_left() {
        let mut harness = Harness::new();
        let member = |id: u64| MemberRecord { id, public_key: vec![1; 32], ..MemberRecord::default() };
        let outcome = begin(&mut harness, Recovery { only_member: Some(member(9)), time: None });
        assert!(matches!(outcome, Outcome::Applied { .. }));
        let mut store = harness.core.store(&harness.table);
        assert_eq!(members::load(&mut store).unwrap().members, [member(9)]);
        let record = ClusterRecord::decode(store.get_open(CLUSTER).unwrap().unwrap()).unwrap();
        assert_eq!(record.epoch, crate::seal::record::FIRST_EPOCH + 1);
    }

    #[test]
    fn of_two_new_epochs_made_at_once_one_wins() {
        let mut harness = Harness::new();
        let (mut one, mut two) = (Seeded::new(1), Seeded::new(2));
        let now = harness.now;
        let first = begin_epoch(&harness.core, &mut context(&mut one, now), &harness.table, Recovery::default());
        let second = begin_epoch(&harness.core, &mut context(&mut two, now), &harness.table, Recovery::default());
        let (first, second) = (first.unwrap().0, second.unwrap().0);
        assert!(matches!(harness.table.apply(&first), Outcome::Applied { .. }));
        assert!(!matches!(harness.table.apply(&second), Outcome::Applied { .. }));
    }
}
