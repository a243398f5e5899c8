//! Folders of version 1, as this version reads them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::digest::LtHash;
use super::super::format::{
    HASH_KEY, Point, STANDING_KEY, Standing, point_key, point_row, put_standing, undo_key, undo_row, value_row,
};
use super::super::rows::{Change, Partition, Rows};
use super::rewind::{Found, rows};
use super::*;

/// What version 1 had on the disk: rows at the last entry, and what leads back.
struct Old {
    changes: Vec<Change>,
    entries: Vec<Entry>,
    /// Where it must stand once it is put back, its digest, and the rows.
    confirmed: (Applied, [u8; 32], Vec<Found>),
    /// As it was left.
    last: (Applied, [u8; 32]),
}

fn change(partition: Partition, key: Bytes, row: Bytes) -> Change {
    Change { partition, key, row: Some(row) }
}

/// Undo rows of a segment: the old row of each that is another at its end.
fn undo(segment: u64, before: &[Found], after: &[Found]) -> Vec<Change> {
    let map = |rows: &[Found]| -> BTreeMap<_, _> {
        rows.iter().map(|(partition, key, row)| ((*partition, key.clone()), Bytes::copy_from_slice(row))).collect()
    };
    let (before, after) = (map(before), map(after));
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).filter(|key| before.get(key) != after.get(key)).collect();
    let undo = |key: &(Partition, Vec<u8>)| {
        change(Partition::Undo, undo_key(segment, key.0, &key.1), undo_row(before.get(key)))
    };
    keys.into_iter().map(undo).collect()
}

impl Old {
    /// Three segments: one before the confirmed index, whose undo rows are not removed yet, and two behind it.
    fn new(is_confirmed: bool) -> Self {
        let table = super::merge::never_merged();
        let (mut entries, mut marks, mut changes) =
            (Vec::new(), vec![(table.applied(), [0; 32], rows(&table))], Vec::new());
        for segment in 0..3 {
            for number in 0..5 {
                let index = entries.len() as u64 + 1;
                let ops =
                    vec![put(&format!("d/{number}"), &format!("{segment}")), delete(&format!("d/{}", segment + 1))];
                entries.push(entry(index, &batch(index, ops)));
                table.apply(&entries[entries.len() - 1..]).unwrap();
            }
            let index = entries.len() as u64 + 1;
            let of = marks[marks.len() - 1].0.last.map_or(0, |last| last.index);
            let digest = table.digest_at(of).unwrap().filter(|_| is_confirmed).unwrap_or_default();
            let named = Checkpoint { index: of, digest: Bytes::copy_from_slice(&digest) };
            entries.push(entry(index, &Batch { checkpoint: Some(named), ..batch(index, vec![]) }));
            table.apply(&entries[entries.len() - 1..]).unwrap();
            let applied = table.applied();
            let point = Point { last: applied.last, membership: None, digest: table.digest().unwrap() };
            changes.push(change(Partition::Meta, point_key(index), point_row(&point)));
            marks.push((applied, table.digest().unwrap(), rows(&table)));
        }
        let starts: Vec<_> = marks.iter().map(|(applied, ..)| applied.last.map_or(0, |last| last.index)).collect();
        for place in 0..3 {
            changes.extend(undo(starts[place], &marks[place].2, &marks[place + 1].2));
        }
        let (applied, digest, present) = marks.pop().unwrap();
        let rewind = applied.checkpoint.map_or(0, |(_, confirmed)| confirmed);
        let mut standing = Vec::new();
        let checkpoint = applied.checkpoint;
        put_standing(&mut standing, &Standing { last: applied.last, membership: None, checkpoint, rewind });
        changes.push(change(Partition::Meta, Bytes::from_static(STANDING_KEY), standing.into()));
        changes.extend(present.into_iter().map(|(partition, key, row)| change(partition, key.into(), row.into())));
        let confirmed =
            marks.into_iter().find(|(applied, ..)| applied.last.map_or(0, |last| last.index) == rewind).unwrap();
        let there = Applied { checkpoint, ..confirmed.0 };
        let digest_there = if rewind == 0 { LtHash::empty().digest() } else { confirmed.1 };
        Self { changes, entries, confirmed: (there, digest_there, confirmed.2), last: (applied, digest) }
    }

    /// A folder as version 1 left it.
    fn folder(&self, extra: Vec<Change>) -> Folder {
        let folder = Folder::new();
        let table = folder.open();
        let copied =
            |change: &Change| Change { partition: change.partition, key: change.key.clone(), row: change.row.clone() };
        table.raw_rows().write(self.changes.iter().map(copied).collect()).unwrap();
        let hash = LtHash::over(&table.raw_rows().view()).unwrap().to_bytes();
        table.raw_rows().write(vec![change(Partition::Meta, Bytes::from_static(HASH_KEY), hash.into())]).unwrap();
        table.raw_rows().write(extra).unwrap();
        table.raw_rows().sync().unwrap();
        drop(table);
        std::fs::write(folder.data.join("table/format"), b"conclave table 1\n").unwrap();
        folder
    }
}

#[test]
fn a_folder_of_version_1_is_put_back_once_and_led_on_by_the_log() {
    for is_confirmed in [true, false] {
        let old = Old::new(is_confirmed);
        assert_eq!(old.confirmed.0.last.is_some(), is_confirmed);
        let folder = old.folder(Vec::new());
        // Also if it is opened once more before the log is applied.
        for _ in 0..2 {
            let table = folder.open();
            let (applied, digest, there) = &old.confirmed;
            assert_eq!((&table.applied(), &table.digest().unwrap(), &rows(&table)), (applied, digest, there));
            table.verify().unwrap();
            let meta = super::rewind::rows_in(&table.raw_rows().view(), &[Partition::Undo, Partition::Meta]);
            assert_eq!(meta.len(), 2, "where it stands, and the state of the digest");
            assert_eq!(std::fs::read(folder.data.join("table/format")).unwrap(), b"conclave table 2\n");
        }
        let table = folder.open();
        let from = table.applied().last.map_or(0, |last| usize::try_from(last.index).unwrap());
        table.apply(&old.entries[from..]).unwrap();
        assert_eq!((table.applied(), table.digest().unwrap()), old.last);
        table.verify().unwrap();
    }
}

#[test]
fn a_folder_whose_format_was_not_written_yet_is_put_back_again() {
    let old = Old::new(true);
    let folder = old.folder(Vec::new());
    drop(folder.open());
    std::fs::write(folder.data.join("table/format"), b"conclave table 1\n").unwrap();
    let table = folder.open();
    assert_eq!((table.applied(), table.digest().unwrap()), (old.confirmed.0, old.confirmed.1));
}

// check 246
#[test]
fn an_undo_row_that_somebody_altered_shows_in_the_digest() {
    let old = Old::new(true);
    let segment = old.confirmed.0.last.unwrap().index;
    let undo = undo_key(segment, Partition::Values, &key("d/0"));
    assert!(old.changes.iter().any(|change| change.key == undo));
    let forged = change(Partition::Undo, undo, undo_row(Some(&value_row(1, b"forged"))));
    let table = old.folder(vec![forged]).open();
    assert_eq!(table.applied(), old.confirmed.0);
    assert_ne!(table.digest().unwrap(), old.confirmed.1);
}
