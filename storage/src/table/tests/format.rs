//! The bytes of rows, batches and chunks, as `docs/internals/` prints them.

use super::super::digest::LtHash;
use super::super::format::*;
use super::super::rows::Partition;
use super::*;
use crate::log::tests::format::{hex, vector};

fn id(index: u64) -> LogId {
    LogId { term: 3, leader: 258, index }
}

fn sample() -> Batch {
    Batch {
        id: Bytes::copy_from_slice(&batch_id(0xabcd)),
        epoch: 1,
        base: 6,
        time_millis: 1_700_000_000_000,
        guards: vec![guard("a", 5), directory_guard("", 6)],
        ops: vec![put("a/b", "v"), delete("c")],
        checkpoint: Some(Checkpoint { index: 4, digest: Bytes::from_static(&[7; 32]) }),
        new_epoch: None,
    }
}

#[test]
fn rows_are_what_the_page_says() {
    let rows: [(&str, Vec<u8>); 10] = [
        ("value", value_row(7, b"abc").to_vec()),
        ("name key", name_key(&key("a"), b"b")),
        ("name", name_row(7, HAS_VALUE | HAS_CHILDREN).to_vec()),
        ("directory", directory_row(Directory { revision: 7, count: 2 }).to_vec()),
        (
            "batch id",
            identity_row(&Identity { index: 7, id: batch_id(1), outcome: Outcome::Conflict { index: 7 } }).to_vec(),
        ),
        ("clock", clock_row(1, 1_700_000_000_000).unwrap().to_vec()),
        ("undo key", undo_key(4, Partition::Values, &key("a")).to_vec()),
        ("undo", undo_row(Some(&value_row(3, b"x"))).to_vec()),
        (
            "point",
            point_row(&Point {
                last: Some(id(4)),
                membership: Some((id(0), Bytes::from_static(b"m"))),
                digest: [7; 32],
            })
            .to_vec(),
        ),
        ("standing", {
            let mut row = Vec::new();
            let membership = Some((id(0), Bytes::from_static(b"m")));
            put_standing(&mut row, &Standing { last: Some(id(7)), membership, checkpoint: Some((6, 4)), rewind: 4 });
            row
        }),
    ];
    for (name, row) in rows {
        assert_eq!(hex(&row), vector("table.md", &format!("### Test vector: {name}\n")), "{name}");
    }
}

#[test]
fn the_digest_is_what_the_page_says() {
    let mut hash = LtHash::empty();
    hash.add(Partition::Values, &key("a"), &value_row(7, b"abc"));
    assert_eq!(hex(&hash.to_bytes()[..32]), vector("table.md", "### Test vector: element\n"));
    hash.add(Partition::Directories, b"", &directory_row(Directory { revision: 7, count: 1 }));
    assert_eq!(hex(&hash.digest()), vector("table.md", "### Test vector: digest\n"));
    hash.remove(Partition::Values, &key("a"), &value_row(7, b"abc"));
    hash.remove(Partition::Directories, b"", &directory_row(Directory { revision: 7, count: 1 }));
    assert!(hash == LtHash::empty());
}

#[test]
fn rows_of_other_lengths_are_damage() {
    let short = Bytes::from_static(&[0; 7]);
    assert!(matches!(read_value(&short), Err(TableError::Damaged(_))));
    assert!(matches!(read_name(&[0; 8]), Err(TableError::Damaged(_))));
    assert!(matches!(read_name(&[0; 9]), Err(TableError::Damaged(_))));
    assert!(matches!(read_directory(&[0; 17]), Err(TableError::Damaged(_))));
    assert!(matches!(read_identity(&[0; 33]), Err(TableError::Damaged(_))));
    assert!(matches!(read_clock(Some(&[0; 15])), Err(TableError::Damaged(_))));
    assert!(matches!(read_standing(&[2; 20]), Err(TableError::Damaged(_))));
    assert!(matches!(read_point(&[0; 31]), Err(TableError::Damaged(_))));
    assert!(matches!(read_undo(&[]), Err(TableError::Damaged(_))));
    assert!(matches!(read_undo_key(&[0; 9]), Err(TableError::Damaged(_))));
}

#[test]
fn a_batch_is_what_the_page_says() {
    let bytes = signed(&sample());
    assert_eq!(hex(&bytes), vector("batch.md", "### Test vector\n"));
    let read = SignedBatch::decode(bytes).unwrap();
    assert_eq!(Batch::decode(read.body).unwrap(), sample());
}

#[test]
fn a_snapshot_is_what_the_page_says() {
    let table = MemoryTable::new();
    table.apply(&[entry_of(0, Payload::Membership(Bytes::from_static(b"m")))]).unwrap();
    run(&table, vec![put("a", "v")]);
    let mut export = table.export().unwrap();
    for name in ["header", "rows", "end"] {
        let chunk = export.next_chunk().unwrap().unwrap();
        assert_eq!(hex(&chunk), vector("snapshot.md", &format!("### Test vector: {name}\n")), "{name}");
    }
    assert!(export.next_chunk().unwrap().is_none());
}
