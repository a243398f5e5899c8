//! Tables that travel.

use std::ops::ControlFlow;

use super::super::rows::{Partition, RowView, Rows};
use super::rewind::checkpoint;
use super::*;

fn chunks(table: &impl Table) -> Vec<Bytes> {
    let mut export = table.export().unwrap();
    std::iter::from_fn(|| export.next_chunk().unwrap()).collect()
}

fn import(table: &impl Table, chunks: &[Bytes]) -> Result<Applied, TableError> {
    let mut import = table.import()?;
    chunks.iter().try_for_each(|chunk| import.push(chunk))?;
    import.install()
}

/// A table with everything in it that a snapshot carries.
fn source() -> MemoryTable {
    let table = MemoryTable::new();
    table.apply(&[entry_of(0, Payload::Membership(Bytes::from_static(b"who")))]).unwrap();
    for number in 0..60 {
        run(
            &table,
            vec![put(&format!("d/{}", number % 20), &"v".repeat(60_000)), delete(&format!("d/{}", (number + 3) % 20))],
        );
    }
    let index = table.applied().last.unwrap().index + 1;
    apply_from(&table, index, &[Batch { guards: vec![guard("x", 3)], ..batch(index, vec![]) }]);
    table
}

for_both_tables!(
    an_imported_table_is_the_exported_one,
    an_import_replaces_what_was_there_and_leaves_open_views_alone,
    an_empty_table_travels_too,
    a_damaged_or_incomplete_transfer_is_refused_and_changes_nothing,
    rows_that_do_not_add_up_are_refused,
    rows_out_of_order_or_of_no_known_form_are_refused,
    an_imported_table_rewinds_to_the_imported_index,
    an_export_stays_at_its_point_in_time,
);

fn an_imported_table_is_the_exported_one(table: &impl Table) {
    let source = source();
    let installed = import(table, &chunks(&source)).unwrap();
    assert_eq!((installed.clone(), table.digest().unwrap()), (source.applied(), source.digest().unwrap()));
    assert_eq!(table.applied(), installed);
    for number in 0..20 {
        let path = format!("d/{number}");
        assert_eq!(value(table, &path), value(&source, &path));
    }
    assert_eq!((listing(table, "d"), directory(table, "d")), (listing(&source, "d"), directory(&source, "d")));
    assert_eq!(table.outcome_of(&batch_id(7)).unwrap(), Some(Outcome::Applied { index: 7 }));
    assert_eq!(table.outcome_of(&batch_id(61)).unwrap(), Some(Outcome::Conflict { index: 61 }));
    for other in [table as &dyn Table, &source as &dyn Table] {
        other.apply(&[entry(62, &batch(62, vec![put("more", "1"), delete("d/19")]))]).unwrap();
    }
    assert_eq!(table.digest().unwrap(), source.digest().unwrap());
    assert_eq!(chunks(table), chunks(&source), "bit for bit");
}

fn an_import_replaces_what_was_there_and_leaves_open_views_alone(table: &impl Table) {
    run(table, vec![put("old", "1")]);
    let view = table.view().unwrap();
    import(table, &chunks(&source())).unwrap();
    assert_eq!(value(table, "old"), None);
    assert_eq!(listing(table, ""), ["d/"]);
    assert_eq!(view.get(&key("old")).unwrap().unwrap().revision, 1);
    assert_eq!(view.index(), 1);
}

fn an_empty_table_travels_too(table: &impl Table) {
    run(table, vec![put("old", "1")]);
    let empty = MemoryTable::new();
    assert_eq!(import(table, &chunks(&empty)).unwrap(), empty.applied());
    assert_eq!(run(table, vec![put("new", "1")]), 1);
}

// check 234
fn a_damaged_or_incomplete_transfer_is_refused_and_changes_nothing(table: &impl Table) {
    run(table, vec![put("old", "1")]);
    let before = table.applied();
    let good = chunks(&source());
    assert!(good.len() >= 4, "the rows must span chunks");
    let flip = |place: usize, at: usize| {
        let mut bad = good.clone();
        let mut chunk = bad[place].to_vec();
        chunk[at] ^= 1;
        bad[place] = chunk.into();
        bad
    };
    let without = |place: usize| [&good[..place], &good[place + 1..]].concat();
    let swapped = || [&good[..1], &good[2..3], &good[1..2], &good[3..]].concat();
    let mut bad = vec![swapped(), good[..good.len() - 1].to_vec(), Vec::new(), [&good[..], &good[..1]].concat()];
    bad.extend((0..good.len()).map(without));
    bad.extend(
        (0..good.len())
            .flat_map(|place| [flip(place, 0), flip(place, 1), flip(place, 5), flip(place, good[place].len() - 1)]),
    );
    bad.push([&good[..2], &good[1..]].concat());
    bad.push([&good[..1], &[good[1].slice(..good[1].len() / 2)], &good[2..]].concat());
    for (number, bad) in bad.iter().enumerate() {
        let error = import(table, bad).unwrap_err();
        assert!(matches!(error, TableError::Misuse(_)), "transfer {number}: {error}");
    }
    assert_eq!(table.applied(), before);
    import(table, &good).unwrap();
}

/// Chunks with changed content, sealed anew as a false sender would.
fn resealed(bodies: &[Vec<u8>]) -> Vec<Bytes> {
    let mut chain = [0; 32];
    let seal = |body: &Vec<u8>| {
        chain = *blake3::Hasher::new().update(&chain).update(body).finalize().as_bytes();
        Bytes::from([&body[..], &chain].concat())
    };
    bodies.iter().map(seal).collect()
}

fn bodies(chunks: &[Bytes]) -> Vec<Vec<u8>> {
    chunks.iter().map(|chunk| chunk[..chunk.len() - 32].to_vec()).collect()
}

// check 234
fn rows_that_do_not_add_up_are_refused(table: &impl Table) {
    let small = MemoryTable::new();
    run(&small, vec![put("a", "1"), put("b", "2")]);
    let good = chunks(&small);
    assert_eq!(resealed(&bodies(&good)), good);
    let mut rows = bodies(&good);
    let at = rows[1].windows(2).position(|pair| pair == b"\x011").unwrap();
    rows[1][at + 1] = b'9';
    let error = import(table, &resealed(&rows)).unwrap_err();
    assert!(error.to_string().contains("digest"), "{error}");
    let mut header = bodies(&good);
    header[0][13] ^= 1;
    let error = import(table, &resealed(&header)).unwrap_err();
    assert!(error.to_string().contains("epoch and time"), "{error}");
}

// check 234
fn rows_out_of_order_or_of_no_known_form_are_refused(table: &impl Table) {
    let good = bodies(&chunks(&MemoryTable::new()));
    let row = |partition: Partition, key: &[u8], row: &[u8]| {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&[partition as u8][..], &length(key), key, &length(row), row].concat()
    };
    let value = |name: &str| row(Partition::Values, &key(name), &[0; 9]);
    let bad = [
        [value("b"), value("a")].concat(),
        [value("a"), value("a")].concat(),
        row(Partition::Values, &key("a"), &[0; 7]),
        row(Partition::Values, b"no key", &[0; 9]),
        row(Partition::Names, b"\0\0a", &[0, 0, 0, 0, 0, 0, 0, 1, 4]),
        row(Partition::Directories, b"", &[0; 15]),
        row(Partition::Identities, &[0; 4], &[0; 33]),
        row(Partition::Meta, b"standing", &[0; 33]),
        row(Partition::Undo, &[0; 9], &[0]),
        value("a")[..12].to_vec(),
    ];
    for (number, rows) in bad.into_iter().enumerate() {
        let mut bodies = good.clone();
        bodies[1].extend(rows);
        let mut import = table.import().unwrap();
        let chunks = resealed(&bodies);
        import.push(&chunks[0]).unwrap();
        let error = import.push(&chunks[1]).unwrap_err();
        assert!(matches!(error, TableError::Misuse(_)), "rows {number}: {error}");
    }
}

fn an_imported_table_rewinds_to_the_imported_index(table: &impl Table) {
    let source = source();
    let installed = import(table, &chunks(&source)).unwrap();
    let index = installed.last.unwrap().index;
    assert_eq!((table.rewind_index(), table.digest_at(index).unwrap()), (index, Some(source.digest().unwrap())));
    run(table, vec![put("d/1", "changed"), put("new", "1"), delete("d/19")]);
    assert_eq!(table.rewind().unwrap(), Rewound { applied: installed, digest: source.digest().unwrap() });
    assert_eq!(chunks(table), chunks(&source));
}

fn an_export_stays_at_its_point_in_time(table: &impl Table) {
    import(table, &chunks(&source())).unwrap();
    let expected = chunks(table);
    let mut export = table.export().unwrap();
    let first = export.next_chunk().unwrap().unwrap();
    run(table, vec![put("d/1", "changed"), delete("d/19")]);
    let rest = std::iter::from_fn(|| export.next_chunk().unwrap());
    assert_eq!([first].into_iter().chain(rest).collect::<Vec<_>>(), expected);
}

#[test]
fn chunks_stay_near_a_mebibyte() {
    let table = MemoryTable::new();
    run(&table, (0..4000).map(|number| put(&format!("k{number}"), &"v".repeat(500))).collect());
    run(&table, vec![put("big", &"v".repeat(MAX_VALUE_BYTES))]);
    let mut sizes: Vec<_> = chunks(&table).iter().map(Bytes::len).collect();
    sizes.sort_unstable();
    let largest = sizes.pop().unwrap();
    assert!(sizes.iter().all(|size| *size <= 1024 * 1024), "{sizes:?}");
    assert!(largest < MAX_VALUE_BYTES + 1024 * 1024, "{largest}");
    import(&MemoryTable::new(), &chunks(&table)).unwrap();
}

fn sets(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.data.join("table")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut sets: Vec<_> = names.filter(|name| name.starts_with("rows-")).collect();
    sets.sort();
    sets
}

#[test]
fn an_import_survives_a_restart_and_leaves_one_set_of_rows() {
    let folder = Folder::new();
    let table = folder.open();
    run(&table, vec![put("old", "1")]);
    let installed = import(&table, &chunks(&source())).unwrap();
    assert_eq!(sets(&folder), ["rows-1"]);
    run(&table, vec![put("after", "1")]);
    drop(table);
    let table = folder.open();
    assert_eq!(table.applied(), installed, "the log leads it on from there");
    assert_eq!((value(&table, "old"), value(&table, "after")), (None, None));
    table.verify().unwrap();
}

#[test]
fn an_open_view_keeps_a_replaced_set_until_it_is_dropped() {
    let folder = Folder::new();
    let table = folder.open();
    run(&table, vec![put("old", "1")]);
    let view = table.view().unwrap();
    import(&table, &chunks(&source())).unwrap();
    assert_eq!(sets(&folder), ["rows-0", "rows-1"]);
    drop(view);
    assert_eq!(sets(&folder), ["rows-1"]);
}

#[test]
fn an_import_that_was_not_finished_leaves_nothing() {
    let folder = Folder::new();
    let table = folder.open();
    run(&table, vec![put("old", "1")]);
    let mark = checkpoint(&table, 0, vec![]);
    checkpoint(&table, mark, vec![]);
    table.sync().unwrap();
    let good = chunks(&source());
    let mut unfinished = table.import().unwrap();
    unfinished.push(&good[0]).unwrap();
    unfinished.push(&good[1]).unwrap();
    assert_eq!(sets(&folder), ["rows-0", "rows-1"]);
    drop(unfinished);
    assert_eq!(sets(&folder), ["rows-0"]);
    drop(table);
    // As a process that died in the middle leaves it.
    std::fs::create_dir(folder.data.join("table/rows-7")).unwrap();
    std::fs::write(folder.data.join("table/rows-7/0.jnl"), b"half").unwrap();
    let table = folder.open();
    assert_eq!(sets(&folder), ["rows-0"]);
    assert_eq!(value(&table, "old"), Some((1, "1".into())));
}

#[test]
fn an_import_carries_where_it_stands_and_nothing_else_of_the_kind() {
    let table = MemoryTable::new();
    import(&table, &chunks(&source())).unwrap();
    let view = table.raw_rows().view();
    let mut keys = Vec::new();
    for partition in [Partition::Undo, Partition::Meta] {
        let visit = &mut |key: &[u8], _: &[u8]| {
            keys.push(String::from_utf8_lossy(&key[..4]).into_owned());
            Ok(ControlFlow::Continue(()))
        };
        view.scan(partition, &[], None, visit).unwrap();
    }
    assert_eq!(keys, ["hash", "stan"]);
}
