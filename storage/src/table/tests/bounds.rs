//! What changes may take in memory.

use std::sync::Arc;

use super::super::memory::{MemoryHome, MemoryRows};
use super::super::revisioned::RevisionedTable;
use super::merge::never_merged;
use super::rewind::{checkpoint, rows};
use super::*;

const BYTES: usize = 200_000;

fn bounded() -> MemoryTable {
    RevisionedTable::start_bounded(MemoryHome, Arc::new(MemoryRows::default()), BYTES).unwrap()
}

fn write(table: &MemoryTable, number: usize) -> Result<u64, TableError> {
    let index = table.applied().last.map_or(1, |last| last.index + 1);
    let batch = batch(index, vec![put(&format!("d/{number}"), &"v".repeat(2_000))]);
    table.apply(&[entry(index, &batch)]).map(|_| index)
}

#[test]
fn changes_that_nothing_confirms_end_apply_before_they_fill_the_memory_and_none_is_lost() {
    let table = bounded();
    let mut written = 0;
    let error = loop {
        match write(&table, written) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, TableError::Unconfirmed { .. }) && error.to_string().contains("checkpoint"), "{error}");
    assert!((BYTES..BYTES * 2).contains(&table.unconfirmed_bytes()), "{}", table.unconfirmed_bytes());
    assert!(written > 40 && listing(&table, "d").len() == written);
    assert!(write(&table, written).is_err(), "also when it is tried again");
    table.verify().unwrap();
}

#[test]
fn changes_that_are_confirmed_make_room() {
    let (table, mut mark) = (bounded(), 0);
    for number in 0..400 {
        write(&table, number).unwrap();
        if number % 20 == 19 {
            mark = checkpoint(&table, mark, vec![]);
        }
        assert!(table.inner.published().state.stack.bytes() < BYTES * 2);
    }
    assert_eq!(listing(&table, "d").len(), 400);
}

#[test]
fn a_table_that_nothing_confirms_keeps_few_segments_and_can_be_confirmed_still() {
    let (table, other) = (MemoryTable::new(), never_merged());
    let mut marks = Vec::new();
    for number in 0..200 {
        for table in [&table, &other] {
            let (put_one, delete_one) = (format!("e/{}", number % 5), format!("e/{}", (number + 1) % 5));
            run(
                table,
                vec![put(&format!("d/{}", number % 7), &number.to_string()), put(&put_one, ""), delete(&delete_one)],
            );
        }
        let named = Checkpoint { index: 1, digest: Bytes::from_static(&[0; 32]) };
        let index = table.applied().last.unwrap().index + 1;
        for table in [&table, &other] {
            apply_from(table, index, &[Batch { checkpoint: Some(named.clone()), ..batch(index, vec![]) }]);
        }
        marks.push((index, table.digest().unwrap()));
    }
    assert!(table.inner.published().state.stack.closed().len() <= 64);
    for (index, digest) in &marks[140..] {
        assert_eq!(table.digest_at(*index).unwrap(), Some(*digest));
    }
    assert_eq!(table.digest_at(marks[0].0).unwrap(), None);
    let (last, digest) = *marks.last().unwrap();
    checkpoint(&table, last, vec![]);
    table.sync().unwrap();
    assert_eq!((table.rewind_index(), table.digest_at(last).unwrap()), (last, Some(digest)));
    checkpoint(&other, last, vec![]);
    assert_eq!(rows(&table), rows(&other));
    table.verify().unwrap();
}
