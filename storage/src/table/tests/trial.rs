//! Trying on a copy what must not disturb the table.

use proptest::prelude::*;

use super::super::revisioned::RevisionedTable;
use super::super::rows::{Change, Home, Partition, Rows};
use super::*;

/// A table that remembers what it was given, to be led forward again.
struct Told<'a, H: Home> {
    table: &'a RevisionedTable<H>,
    entries: Vec<Entry>,
}

impl<H: Home> Told<'_, H> {
    fn next(&self) -> u64 {
        self.table.applied().last.map_or(1, |last| last.index + 1)
    }

    fn tell(&mut self, batch: &Batch) -> u64 {
        let index = self.next();
        let entry = entry(index, batch);
        self.table.apply(std::slice::from_ref(&entry)).unwrap();
        self.entries.push(entry);
        index
    }

    fn run(&mut self, ops: Vec<Op>) -> u64 {
        self.tell(&batch(self.next(), ops))
    }

    fn checkpoint(&mut self, of: u64) -> u64 {
        let digest = self.table.digest_at(of).unwrap().unwrap_or_default();
        let checkpoint = Checkpoint { index: of, digest: Bytes::copy_from_slice(&digest) };
        self.tell(&Batch { checkpoint: Some(checkpoint), ..batch(self.next(), vec![]) })
    }

    /// Takes a copy, rewinds it and leads it forward by the log; whether it came out as it was.
    fn is_repeated(&self) -> bool {
        let before = self.table.applied();
        let trial = self.table.trial().unwrap();
        let rewound = trial.table().rewind().unwrap();
        let from = rewound.applied.last.map_or(0, |last| last.index + 1);
        let again: Vec<_> = self.entries.iter().filter(|entry| entry.id.index >= from).cloned().collect();
        trial.table().apply(&again).unwrap();
        assert_eq!(self.table.applied(), before, "the trial has changed the table");
        let is_repeated = trial.is_as_taken().unwrap();
        assert!(!is_repeated || trial.table().digest().unwrap() == self.table.digest().unwrap());
        is_repeated
    }
}

for_both_tables!(
    a_copy_is_led_back_and_forth_and_the_table_stays,
    a_row_that_somebody_altered_shows_in_the_copy,
    the_table_goes_on_while_it_is_tried,
);

fn a_copy_is_led_back_and_forth_and_the_table_stays<H: Home>(table: &RevisionedTable<H>) {
    let mut told = Told { table, entries: Vec::new() };
    told.run(vec![put("a/b", "1"), put("c", "2")]);
    assert!(told.is_repeated(), "from the first entry");
    let first = told.checkpoint(0);
    told.run(vec![put("a/b", "3"), delete("c"), put("e/f/g", "4")]);
    told.checkpoint(first);
    assert!(told.is_repeated(), "at the entry that confirms");
    told.run(vec![delete("e/f/g"), delete("a/b"), put("h", "5")]);
    assert!(told.is_repeated(), "behind it");
}

fn a_row_that_somebody_altered_shows_in_the_copy<H: Home>(table: &RevisionedTable<H>) {
    let mut told = Told { table, entries: Vec::new() };
    let first = told.run(vec![put("a", "1")]);
    let mark = told.checkpoint(0);
    let next = told.checkpoint(mark);
    told.run(vec![put("b", "2")]);
    assert!(told.is_repeated());
    let row = super::super::format::value_row(first, b"9");
    let change = Change { partition: Partition::Values, key: key("a"), row: Some(row) };
    table.raw_rows().write(vec![change]).unwrap();
    // What is published is a point in time from before; the next base shows the rows as they are.
    told.checkpoint(next);
    table.sync().unwrap();
    assert_eq!(value(table, "a"), Some((first, "9".to_owned())));
    assert!(!told.is_repeated());
}

fn the_table_goes_on_while_it_is_tried<H: Home>(table: &RevisionedTable<H>) {
    let mut told = Told { table, entries: Vec::new() };
    told.run(vec![put("a", "1")]);
    let trial = table.trial().unwrap();
    told.run(vec![put("a", "2"), put("b", "1")]);
    trial.table().rewind().unwrap();
    told.run(vec![delete("b")]);
    trial.table().apply(&told.entries[..1]).unwrap();
    assert!(trial.is_as_taken().unwrap());
    assert_eq!(value(table, "a"), Some((2, "2".to_owned())));
    assert!(told.is_repeated());
}

proptest! {
    #[test]
    fn whatever_was_applied_is_repeated(steps in prop::collection::vec((0..6u8, 0..5u8, 0..4u8), 1..60)) {
        let table = MemoryTable::new();
        let mut told = Told { table: &table, entries: Vec::new() };
        let mut mark = 0;
        for (what, first, second) in steps {
            let path = if first % 2 == 0 { format!("k{first}") } else { format!("d{first}/k{second}") };
            match what {
                0 => mark = told.checkpoint(mark),
                1 => drop(told.run(vec![delete(&path)])),
                _ => drop(told.run(vec![put(&path, &format!("{second}"))])),
            }
        }
        prop_assert!(told.is_repeated());
    }
}
