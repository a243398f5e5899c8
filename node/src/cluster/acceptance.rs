//! What a leader lets in beyond what apply would do with it: a batch of a clock that can be right, and, when the disk is nearly
//! full, only what frees space or takes hardly any.

use conclave_batch::{Batch, SignedBatch};
use conclave_storage::table::Table;
use prost::Message;

use crate::config::limits::{BATCH_AGE_MAX, CLOCK_OFFSET_MAX, FULL_DISK_BATCH_BYTES, FULL_DISK_GROWTH_BYTES};

/// Whether a batch's time is one that its proposer's clock may have said, all times in milliseconds since the Unix epoch.
///
/// A batch makes cluster time at least its own, and only a new epoch sets that back, so one clock that is ahead would end every token
/// for good. At or below the present cluster time a batch does no such harm, whatever this node's clock says.
pub(crate) fn check_time(time: u64, own: u64, cluster: u64) -> Result<(), String> {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    if time > own.saturating_add(millis(CLOCK_OFFSET_MAX)).max(cluster) {
        let ahead = (time - own) / 1_000;
        return Err(format!(
            "the proposing node's clock is {ahead} s ahead of the leader's; set the clocks of both right"
        ));
    }
    if time.saturating_add(millis(BATCH_AGE_MAX)) < own {
        let behind = (own - time) / 1_000;
        return Err(format!(
            "the proposing node's clock is {behind} s behind the leader's; set the clocks of both right"
        ));
    }
    Ok(())
}

/// Whether a batch may be appended although the disk is nearly full: it deletes something and writes little, or replaces
/// records by others of about their size. So expiry, revocation, deletion and the cluster's own bookkeeping go on.
pub(crate) fn spares_space(table: &dyn Table, signed: &[u8]) -> bool {
    let Ok(batch) = SignedBatch::decode(signed).and_then(|signed| Batch::decode(signed.body)) else { return false };
    let Ok(view) = table.view() else { return false };
    let (mut written, mut growth, mut is_new, mut deletes) = (0, 0, false, false);
    for op in &batch.ops {
        let Ok(before) = view.get(&op.key) else { return false };
        match (&op.value, before) {
            (Some(value), before) => {
                written += op.key.len() + value.len();
                is_new |= before.is_none();
                growth += value.len().saturating_sub(before.map_or(0, |record| record.value.len()));
            }
            (None, before) => deletes |= before.is_some(),
        }
    }
    if deletes { written <= FULL_DISK_BATCH_BYTES } else { !is_new && growth <= FULL_DISK_GROWTH_BYTES }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use conclave_batch::key::push_segment;
    use conclave_batch::{Checkpoint, Op};
    use conclave_storage::log::{Entry, LogId, Payload};
    use conclave_storage::table::MemoryTable;

    use super::*;

    #[test]
    fn a_batch_of_a_clock_that_is_off_is_refused() {
        let own = 1_700_000_000_000;
        for (time, cluster, is_right) in [
            (own, own, true),
            (own + 5_000, own, true),
            (own + 5_001, own, false),
            (own + 31_536_000_000, own, false),
            // Cluster time ran ahead already; a batch of that time makes it no worse.
            (own + 31_536_000_000, own + 31_536_000_000, true),
            (own + 31_536_000_001, own + 31_536_000_000, false),
            // A proposal may have waited for two minutes.
            (own - 125_000, own, true),
            (own - 125_001, own, false),
            (0, 0, false),
        ] {
            assert_eq!(check_time(time, own, cluster).is_ok(), is_right, "{time} at {own} with {cluster}");
        }
        assert!(check_time(own + 9_000, own, own).unwrap_err().contains("9 s ahead"));
    }

    fn key(name: &str) -> Bytes {
        let mut key = Vec::new();
        push_segment(&mut key, name.as_bytes());
        key.into()
    }

    fn signed(ops: &[(&str, Option<usize>)], checkpoint: Option<Checkpoint>) -> Bytes {
        let value = |size: usize| Bytes::from(vec![7; size]);
        let ops = ops.iter().map(|(name, size)| Op { key: key(name), value: size.map(value) }).collect();
        let batch = Batch { id: Bytes::from_static(&[1; 16]), ops, checkpoint, ..Batch::default() };
        SignedBatch { body: batch.encode_to_vec().into(), ..SignedBatch::default() }.encode_to_vec().into()
    }

    #[test]
    fn a_nearly_full_disk_takes_deletions_and_what_hardly_grows() {
        let table = MemoryTable::new();
        let first = signed(&[("kept", Some(100)), ("large", Some(100_000))], None);
        let id = LogId { term: 1, leader: 1, index: 1 };
        table.apply(&[Entry { id, payload: Payload::Batch(first) }]).unwrap();
        let checkpoint = Checkpoint { index: 0, digest: Bytes::from_static(&[0; 32]) };
        for (ops, is_spared) in [
            (&[("large", None)][..], true),
            (&[("large", None), ("note", Some(200))], true),
            (&[("large", None), ("another", Some(70_000))], false),
            (&[("absent", None), ("note", Some(1))], false),
            (&[("new", Some(1))], false),
            (&[("kept", Some(100))], true),
            (&[("kept", Some(1_124))], true),
            (&[("kept", Some(1_125))], false),
            (&[("large", Some(10))], true),
        ] {
            assert_eq!(spares_space(&table, &signed(ops, None)), is_spared, "{ops:?}");
        }
        assert!(spares_space(&table, &signed(&[], Some(checkpoint))), "checkpoints are what lets the log be purged");
        assert!(!spares_space(&table, b"no batch"));
    }
}
