//! Leading the rows on the disk on: nobody sees that it happens.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::memory::{MemoryHome, MemoryRows};
use super::super::revisioned::{RevisionedTable, load};
use super::super::rows::{Home, Partition, RowView};
use super::rewind::{checkpoint, rows};
use super::*;
use crate::limits::CHANGES_MAX_BYTES;

/// A table whose rows stay in memory, whatever is confirmed.
pub(super) fn never_merged() -> MemoryTable {
    let rows = Arc::new(MemoryRows::default());
    let (state, _) = load(rows.as_ref()).unwrap();
    RevisionedTable::start_trial(MemoryHome, rows, state, CHANGES_MAX_BYTES).unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Ops(Vec<(u8, bool)>),
    Checkpoint,
    /// The process ends, and the log leads the table on.
    Reopen,
    /// The table goes back and forth.
    Rewind,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => prop::collection::vec((0..9u8, any::<bool>()), 0..5).prop_map(Step::Ops),
        3 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
        1 => Just(Step::Rewind),
    ];
    prop::collection::vec(step, 1..60)
}

fn path(number: u8) -> String {
    format!("{}/{number}", number % 3)
}

/// Everything that readers can see, and pages of it.
fn same<H: Home, I: Home>(one: &RevisionedTable<H>, other: &RevisionedTable<I>) -> Result<(), TestCaseError> {
    prop_assert_eq!((one.applied(), one.digest().unwrap()), (other.applied(), other.digest().unwrap()));
    prop_assert_eq!(rows(one), rows(other));
    for directory in ["", "0", "1", "2"] {
        prop_assert_eq!(listing(one, directory), listing(other, directory));
        for number in 0..9u8 {
            let after = |table: &dyn Table| {
                let after = number.to_string();
                table.view().unwrap().names(&key(directory), Some(after.as_bytes()), 2).unwrap()
            };
            prop_assert_eq!(after(one), after(other));
        }
    }
    for number in 0..9 {
        prop_assert_eq!(value(one, &path(number)), value(other, &path(number)));
    }
    one.verify().unwrap();
    Ok(())
}

/// Leads a table to where another stands.
fn lead_on<H: Home>(table: &RevisionedTable<H>, entries: &[Entry]) {
    let from = table.applied().last.map_or(0, |last| last.index);
    let later = entries.iter().filter(|entry| entry.id.index > from);
    later.for_each(|entry| drop(table.apply(std::slice::from_ref(entry)).unwrap()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_table_that_merges_at_every_checkpoint_is_the_one_that_never_does(steps in steps()) {
        let (mut merged, never) = (MemoryTable::new(), never_merged());
        let (mut entries, mut mark) = (Vec::new(), 0);
        for step in steps {
            let index = never.applied().last.map_or(1, |last| last.index + 1);
            let batch = match step {
                Step::Ops(ops) => {
                    let mut seen = std::collections::BTreeSet::new();
                    let ops = ops.into_iter().filter(|(number, _)| seen.insert(*number));
                    let op = |(number, puts)| if puts { put(&path(number), "v") } else { delete(&path(number)) };
                    batch(index, ops.map(op).collect())
                }
                Step::Checkpoint => {
                    let digest = never.digest_at(mark).unwrap().unwrap();
                    prop_assert_eq!(merged.digest_at(mark).unwrap(), Some(digest));
                    let named = Checkpoint { index: mark, digest: Bytes::copy_from_slice(&digest) };
                    mark = index;
                    Batch { checkpoint: Some(named), ..batch(index, vec![put("marks", &index.to_string())]) }
                }
                Step::Reopen => {
                    let rows = merged.raw_rows();
                    drop(merged);
                    merged = RevisionedTable::start(MemoryHome, rows).unwrap();
                    prop_assert_eq!(merged.rewind_index(), never.applied().checkpoint.map_or(0, |(_, index)| index));
                    lead_on(&merged, &entries);
                    same(&merged, &never)?;
                    continue;
                }
                Step::Rewind => {
                    merged.rewind().unwrap();
                    lead_on(&merged, &entries);
                    same(&merged, &never)?;
                    continue;
                }
            };
            let entry = entry(index, &batch);
            prop_assert_eq!(merged.apply(std::slice::from_ref(&entry)).unwrap(), never.apply(std::slice::from_ref(&entry)).unwrap());
            entries.push(entry);
            merged.sync().unwrap();
            same(&merged, &never)?;
        }
    }
}

#[test]
fn each_row_that_differs_is_written_once_and_none_that_does_not() {
    let table = never_merged();
    for number in 0..40 {
        let mut ops = vec![put("hot", &number.to_string()), put(&format!("d/{number}"), "1")];
        ops.extend((number != 7).then(|| delete("d/7")));
        run(&table, ops);
    }
    let mark = checkpoint(&table, 0, vec![]);
    run(&table, vec![put("behind", "1")]);
    let stack = table.inner.published().state.stack.clone();
    let (changes, at, hash) = stack.difference(mark).unwrap();
    assert_eq!((at.index(), hash.digest()), (mark, table.digest_at(mark).unwrap().unwrap()));
    let mut keys: Vec<_> = changes.iter().map(|change| (change.partition, change.key.clone())).collect();
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count);
    let of = |partition| changes.iter().filter(|change| change.partition == partition).count();
    // `d/7` came and went, so nothing of it is left to write.
    assert_eq!((of(Partition::Values), of(Partition::Names), of(Partition::Directories)), (40, 41, 2));
    assert!(changes.iter().all(|change| change.row.is_some()));
    assert_eq!((of(Partition::Identities), of(Partition::Clock)), (41, 1));
    assert!(stack.base().view.get(Partition::Values, &key("hot")).unwrap().is_none());
}
