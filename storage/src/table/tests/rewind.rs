//! Back to what was confirmed, whatever happened to the disk since.

use std::ops::ControlFlow;

use proptest::prelude::*;

use super::super::format::{HASH_KEY, value_row};
use super::super::revisioned::RevisionedTable;
use super::super::rows::{Change, Home, Partition, RowView, Rows};
use super::*;

/// Partition, key and row.
pub(super) type Found = (Partition, Vec<u8>, Vec<u8>);

/// Every row of the digest, as readers see it.
pub(super) fn rows<H: Home>(table: &RevisionedTable<H>) -> Vec<Found> {
    rows_in(&table.inner.published().state.stack, &Partition::DIGESTED)
}

/// Every row of some partitions.
pub(super) fn rows_in(view: &impl RowView, partitions: &[Partition]) -> Vec<Found> {
    let mut rows = Vec::new();
    for partition in partitions {
        let visit = &mut |key: &[u8], row: &[u8]| {
            rows.push((*partition, key.to_vec(), row.to_vec()));
            Ok(ControlFlow::Continue(()))
        };
        view.scan(*partition, &[], None, visit).unwrap();
    }
    rows
}

/// Writes a row behind the table's back.
pub(super) fn write<H: Home>(table: &RevisionedTable<H>, partition: Partition, key: &[u8], row: Option<Bytes>) {
    let change = Change { partition, key: Bytes::copy_from_slice(key), row };
    table.raw_rows().write(vec![change]).unwrap();
}

/// A checkpoint entry that names an index and the digest that this table had there.
pub(super) fn checkpoint(table: &impl Table, of: u64, ops: Vec<Op>) -> u64 {
    let index = table.applied().last.map_or(1, |last| last.index + 1);
    let digest = table
        .digest_at(of)
        .unwrap()
        .map_or_else(|| Bytes::from_static(&[0; 32]), |digest| Bytes::copy_from_slice(&digest));
    let batch = Batch { checkpoint: Some(Checkpoint { index: of, digest }), ..batch(index, ops) };
    assert_eq!(apply_from(table, index, &[batch]), [Outcome::Applied { index }]);
    index
}

for_both_tables!(
    without_a_confirmed_checkpoint_everything_is_undone,
    a_rewind_leads_to_the_confirmed_index_and_the_log_leads_back,
    a_checkpoint_with_another_digest_confirms_nothing,
    a_checkpoint_that_marks_its_own_index_contradicts_nothing,
    a_contradiction_is_found_again_by_the_log_and_by_nothing_else,
    a_batch_that_conflicts_confirms_nothing,
    a_later_checkpoint_forgets_what_lies_before_the_one_it_confirms,
    what_is_confirmed_leaves_memory,
    a_row_that_somebody_altered_shows_in_the_digest,
    a_row_that_somebody_added_or_removed_shows_in_the_digest,
    a_rewind_may_be_repeated,
    several_checkpoints_in_one_call_are_as_good_as_one_each,
);

fn without_a_confirmed_checkpoint_everything_is_undone<H: Home>(table: &RevisionedTable<H>) {
    table.apply(&[entry_of(0, Payload::Membership(Bytes::from_static(b"who")))]).unwrap();
    run(table, vec![put("a/b", "1"), put("c", "2")]);
    run(table, vec![put("a/b", "3"), delete("c")]);
    let rewound = table.rewind().unwrap();
    let empty = *blake3::hash(&[0; 2048]).as_bytes();
    assert_eq!(rewound, Rewound { applied: Applied::default(), digest: empty });
    assert_eq!((table.applied(), table.digest().unwrap()), (rewound.applied, empty));
    assert!(rows(table).is_empty());
    assert_eq!(table.unconfirmed_bytes(), 0);
    assert_eq!(table.outcome_of(&batch_id(1)).unwrap(), None);
}

fn a_rewind_leads_to_the_confirmed_index_and_the_log_leads_back<H: Home>(table: &RevisionedTable<H>) {
    table.apply(&[entry_of(0, Payload::Membership(Bytes::from_static(b"first")))]).unwrap();
    run(table, vec![put("a/b", "1"), put("c", "2")]);
    let first = checkpoint(table, 0, vec![put("d", "with it")]);
    let (at_first, digest, there) = (table.applied(), table.digest().unwrap(), rows(table));
    run(table, vec![put("a/b", "3"), delete("c"), put("e/f/g", "4")]);
    let second = checkpoint(table, first, vec![put("c", "again")]);
    assert_eq!(table.applied().checkpoint, Some((second, first)));
    table.sync().unwrap();
    assert_eq!(table.rewind_index(), first);
    run(table, vec![delete("e/f/g"), delete("a/b"), put("h", "5")]);
    let now = rows(table);

    let rewound = table.rewind().unwrap();
    assert_eq!(rewound, Rewound { applied: Applied { checkpoint: Some((second, first)), ..at_first }, digest });
    assert_eq!(rows(table), there);
    assert_eq!(table.digest_at(first).unwrap(), Some(rewound.digest));
    assert_eq!(table.digest_at(second).unwrap(), None, "it has not come yet");

    run(table, vec![put("a/b", "3"), delete("c"), put("e/f/g", "4")]);
    assert_eq!(checkpoint(table, first, vec![put("c", "again")]), second);
    run(table, vec![delete("e/f/g"), delete("a/b"), put("h", "5")]);
    assert_eq!(rows(table), now);
    table.verify().unwrap();
}

fn a_checkpoint_with_another_digest_confirms_nothing<H: Home>(table: &RevisionedTable<H>) {
    run(table, vec![put("a", "1")]);
    let first = checkpoint(table, 0, vec![]);
    let false_one = Checkpoint { index: first, digest: Bytes::from_static(&[1; 32]) };
    let index = first + 1;
    apply_from(table, index, &[Batch { checkpoint: Some(false_one), ..batch(index, vec![]) }]);
    assert_eq!(table.applied().checkpoint, Some((first, 0)));
    assert_eq!(table.rewind_index(), 0);
    assert!(table.digest_at(index).unwrap().is_some(), "but it is remembered");
    let digest = table.digest_at(first).unwrap().unwrap();
    assert_eq!(table.contradiction(), Some(Contradiction { index: first, digest }));
    assert_eq!(checkpoint(table, index, vec![]), index + 1);
    assert_eq!(table.contradiction(), None, "a later one confirms all rows");
}

fn a_checkpoint_that_marks_its_own_index_contradicts_nothing<H: Home>(table: &RevisionedTable<H>) {
    run(table, vec![put("a", "1")]);
    let mark = Checkpoint { index: 0, digest: Bytes::from_static(&[0; 32]) };
    apply_from(table, 2, &[Batch { checkpoint: Some(mark), ..batch(2, vec![]) }]);
    assert_eq!(table.contradiction(), None);
}

fn a_contradiction_is_found_again_by_the_log_and_by_nothing_else<H: Home>(table: &RevisionedTable<H>) {
    run(table, vec![put("a", "1")]);
    let first = checkpoint(table, 0, vec![]);
    let false_one = Checkpoint { index: first, digest: Bytes::from_static(&[1; 32]) };
    let batch = Batch { checkpoint: Some(false_one), ..batch(first + 1, vec![]) };
    apply_from(table, first + 1, std::slice::from_ref(&batch));
    assert!(table.contradiction().is_some());
    table.rewind().unwrap();
    assert_eq!(table.contradiction(), None);
}

fn a_batch_that_conflicts_confirms_nothing<H: Home>(table: &RevisionedTable<H>) {
    run(table, vec![put("a", "1")]);
    let digest = Bytes::copy_from_slice(&table.digest_at(0).unwrap().unwrap());
    let refused = Batch { guards: vec![guard("a", 9)], ..batch(2, vec![]) };
    apply_from(table, 2, &[Batch { checkpoint: Some(Checkpoint { index: 0, digest }), ..refused }]);
    assert_eq!((table.applied().checkpoint, table.digest_at(2).unwrap()), (None, None));
}

fn a_later_checkpoint_forgets_what_lies_before_the_one_it_confirms<H: Home>(table: &RevisionedTable<H>) {
    let mut points = vec![0];
    for _ in 0..5 {
        run(table, vec![put("a", "1")]);
        points.push(checkpoint(table, points[points.len() - 1], vec![]));
    }
    let remembered: Vec<_> = points.into_iter().filter(|index| table.digest_at(*index).unwrap().is_some()).collect();
    assert_eq!(remembered, [8, 10]);
    table.sync().unwrap();
    let kept = rows_in(&table.raw_rows().view(), &[Partition::Meta, Partition::Undo]);
    assert_eq!(kept.len(), 2, "standing and hash");
}

fn what_is_confirmed_leaves_memory<H: Home>(table: &RevisionedTable<H>) {
    for number in 0..300 {
        run(table, vec![put(&format!("d/{number}"), "")]);
    }
    let first = checkpoint(table, 0, vec![]);
    let before = table.unconfirmed_bytes();
    assert!(before > 300 * 3 * 100, "{before} bytes of at least three rows a write");
    let there = table.digest_at(first).unwrap().unwrap();
    checkpoint(table, first, vec![]);
    assert!(table.unconfirmed_bytes() < before / 100);
    table.sync().unwrap();
    assert!(table.inner.published().state.stack.bytes() < before / 100);
    assert_eq!(listing(table, "d").len(), 300);
    assert_eq!(table.rewind().unwrap().digest, there);
}

/// A table with a confirmed index and changes behind it; answers the digest that a rewind should find.
fn confirmed<H: Home>(table: &RevisionedTable<H>) -> [u8; 32] {
    run(table, vec![put("a", "1"), put("b", "2")]);
    let first = checkpoint(table, 0, vec![]);
    let digest = table.digest().unwrap();
    checkpoint(table, first, vec![]);
    run(table, vec![put("b", "3")]);
    table.sync().unwrap();
    digest
}

// check 246
fn a_row_that_somebody_altered_shows_in_the_digest<H: Home>(table: &RevisionedTable<H>) {
    let expected = confirmed(table);
    write(table, Partition::Values, &key("a"), Some(value_row(1, b"forged")));
    assert!(matches!(table.verify(), Ok(_) | Err(TableError::Damaged(_))));
    assert_ne!(table.rewind().unwrap().digest, expected);
}

// check 246
fn a_row_that_somebody_added_or_removed_shows_in_the_digest<H: Home>(table: &RevisionedTable<H>) {
    let expected = confirmed(table);
    write(table, Partition::Values, &key("x"), Some(value_row(1, b"new")));
    assert_ne!(table.rewind().unwrap().digest, expected);
    write(table, Partition::Values, &key("x"), None);
    assert_eq!(table.rewind().unwrap().digest, expected);
    write(table, Partition::Values, &key("a"), None);
    assert_ne!(table.rewind().unwrap().digest, expected);
}

fn a_rewind_may_be_repeated<H: Home>(table: &RevisionedTable<H>) {
    confirmed(table);
    let once = table.rewind().unwrap();
    assert_eq!(table.rewind().unwrap(), once);
    run(table, vec![put("c", "1")]);
    assert_eq!(table.rewind().unwrap(), once);
}

fn several_checkpoints_in_one_call_are_as_good_as_one_each<H: Home>(table: &RevisionedTable<H>) {
    let single = MemoryTable::new();
    let mut last = 0;
    for number in 0..6 {
        run(&single, vec![put(&format!("d/{number}"), "1"), put("d/x", "2")]);
        last = checkpoint(&single, last, vec![delete(&format!("d/{}", number / 2))]);
    }
    let mut digest = table.digest_at(0).unwrap().unwrap();
    let mut entries = Vec::new();
    for number in 0..6 {
        let index = number * 2 + 1;
        let ops = vec![put(&format!("d/{number}"), "1"), put("d/x", "2")];
        entries.push(entry(index, &batch(index, ops)));
        let named = Checkpoint { index: index - 1, digest: Bytes::copy_from_slice(&digest) };
        let ops = vec![delete(&format!("d/{}", number / 2))];
        entries.push(entry(index + 1, &Batch { checkpoint: Some(named), ..batch(index + 1, ops) }));
        let probe = MemoryTable::new();
        probe.apply(&entries).unwrap();
        digest = probe.digest().unwrap();
    }
    table.apply(&entries).unwrap();
    assert_eq!(table.applied(), single.applied());
    assert_eq!(table.digest().unwrap(), single.digest().unwrap());
    assert_eq!(table.rewind().unwrap(), single.rewind().unwrap());
    assert_eq!(rows(table), rows(&single));
}

#[test]
fn a_table_without_the_state_of_its_digest_is_added_up_when_it_is_opened() {
    let folder = Folder::new();
    let table = folder.open();
    let expected = confirmed(&table);
    write(&table, Partition::Meta, HASH_KEY, None);
    drop(table);
    let table = folder.open();
    assert_eq!(
        (table.rewind_index(), table.digest_at(3).unwrap(), table.digest_at(2).unwrap()),
        (2, None, Some(expected))
    );
    table.verify().unwrap();
}

#[derive(Clone, Debug)]
enum Step {
    Ops(Vec<(u8, bool)>),
    Checkpoint,
    Rewind,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop::collection::vec((0..8u8, any::<bool>()), 0..4).prop_map(Step::Ops),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Rewind),
    ];
    prop::collection::vec(step, 1..50)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_rewind_always_leads_to_the_rows_of_the_confirmed_index(steps in steps()) {
        let table = MemoryTable::new();
        let mut history = vec![(table.applied(), table.digest().unwrap(), rows(&table))];
        let mut newest = 0;
        for step in steps {
            match step {
                Step::Ops(ops) => {
                    let mut seen = std::collections::BTreeSet::new();
                    let ops = ops.into_iter().filter(|(number, _)| seen.insert(*number));
                    let path = |number: u8| format!("{}/{number}", number % 3);
                    let op = |(number, puts): (u8, bool)| match puts {
                        true => put(&path(number), "v"),
                        false => delete(&path(number)),
                    };
                    run(&table, ops.map(op).collect());
                }
                Step::Checkpoint => newest = checkpoint(&table, newest, vec![]),
                Step::Rewind => {
                    let rewound = table.rewind().unwrap();
                    let index = usize::try_from(table.rewind_index()).unwrap();
                    history.truncate(index + 1);
                    newest = table.rewind_index();
                    prop_assert_eq!(rewound.digest, history[index].1);
                    prop_assert_eq!(&rewound.applied.last, &history[index].0.last);
                    prop_assert_eq!(&rows(&table), &history[index].2);
                    continue;
                }
            }
            history.push((table.applied(), table.digest().unwrap(), rows(&table)));
            table.verify().unwrap();
        }
    }
}
