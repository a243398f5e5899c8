//! Files of the durable table changed behind its back.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::format::HASH_KEY;
use super::super::rows::Partition;
use super::rewind::{checkpoint, write};
use super::*;
use crate::layout::LayoutError;

const COUNT: usize = 300;

fn path(number: usize) -> String {
    format!("d{}/{number}", number % 5)
}

fn expected(number: usize) -> String {
    format!("{number}-{}", "v".repeat(100))
}

/// A closed table whose rows lie in sorted files.
fn written() -> Folder {
    let folder = Folder::new();
    let table = folder.open();
    for number in 0..COUNT {
        run(&table, vec![put(&path(number), &expected(number))]);
    }
    let mark = checkpoint(&table, 0, vec![]);
    checkpoint(&table, mark, vec![]);
    table.sync().unwrap();
    table.raw_rows().flush();
    drop(table);
    folder
}

fn files_under(path: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_under(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    files
}

/// Whether every read gave the right answer or an error, and whether one gave an error.
fn finds_damage(folder: &Folder) -> bool {
    let table = match DurableTable::open(&folder.data) {
        Ok(table) => table,
        Err(TableError::Damaged(_)) => return true,
        Err(other) => panic!("a damage is no {other}"),
    };
    let mut found = false;
    let view = table.view().unwrap();
    for number in 0..COUNT {
        match view.get(&key(&path(number))) {
            Ok(record) => assert_eq!(record.unwrap().value, expected(number).as_bytes(), "value {number}"),
            Err(error) if error.0.contains("damaged") => found = true,
            Err(other) => panic!("a damage is no {other}"),
        }
    }
    for number in 0..5 {
        match view.names(&key(&format!("d{number}")), None, usize::MAX) {
            Ok(names) => assert_eq!(names.len(), COUNT / 5),
            Err(error) if error.0.contains("damaged") => found = true,
            Err(other) => panic!("a damage is no {other}"),
        }
    }
    found | table.verify().is_err()
}

// check 231
#[test]
fn a_flipped_bit_in_the_sorted_files_is_found_when_it_is_read() {
    let folder = written();
    let files: Vec<_> = files_under(&folder.data.join("table/rows-0/keyspaces/1"))
        .into_iter()
        .filter(|file| file.parent().is_some_and(|parent| parent.ends_with("tables")))
        .collect();
    assert!(!files.is_empty());
    let (mut flips, mut found) = (0, 0);
    for file in files {
        let length = std::fs::metadata(&file).unwrap().len();
        let step = usize::try_from(length / 20).unwrap().max(1);
        for at in (0..length).step_by(step) {
            let handle = std::fs::OpenOptions::new().read(true).write(true).open(&file).unwrap();
            let mut byte = [0];
            handle.read_exact_at(&mut byte, at).unwrap();
            handle.write_all_at(&[byte[0] ^ 4], at).unwrap();
            flips += 1;
            found += usize::from(finds_damage(&folder));
            handle.write_all_at(&byte, at).unwrap();
        }
    }
    assert!(!finds_damage(&folder), "all is as it was");
    assert!(found * 10 > flips * 8, "{found} of {flips} flips were found; the others were harmless");
}

#[test]
fn a_table_without_its_format_is_damage_also_before_anything_was_confirmed() {
    let folder = Folder::new();
    let table = folder.open();
    run(&table, vec![put("a", "1")]);
    drop(table);
    std::fs::remove_file(folder.data.join("table/format")).unwrap();
    let error = DurableTable::open(&folder.data).err().expect("the file says that this is a table");
    assert!(matches!(error, TableError::Folder(LayoutError::Damaged { .. })), "{error}");
}

#[test]
fn a_set_of_rows_that_is_gone_is_damage_and_not_a_new_table() {
    let folder = written();
    std::fs::rename(folder.data.join("table/rows-0"), folder.data.join("elsewhere")).unwrap();
    assert!(matches!(DurableTable::open(&folder.data), Err(TableError::Damaged(_))));
    std::fs::rename(folder.data.join("elsewhere"), folder.data.join("table/rows-0")).unwrap();
    std::fs::rename(folder.data.join("table/current"), folder.data.join("elsewhere")).unwrap();
    assert!(matches!(DurableTable::open(&folder.data), Err(TableError::Damaged(_))));
    std::fs::rename(folder.data.join("elsewhere"), folder.data.join("table/current")).unwrap();
    assert!(!finds_damage(&folder));
}

#[test]
fn a_set_of_rows_that_is_gone_takes_no_other_with_it() {
    let folder = written();
    let [current, rows] = ["current", "rows-0"].map(|name| folder.data.join("table").join(name));
    std::fs::write(&current, "rows-7\n").unwrap();
    assert!(matches!(DurableTable::open(&folder.data), Err(TableError::Damaged(_))));
    assert!(rows.exists(), "what may be all that is left of the table is kept");
    std::fs::write(&current, "rows-0\n").unwrap();
    assert!(!finds_damage(&folder));
}

#[test]
fn a_received_table_that_could_not_be_named_ends_the_table_and_the_next_start_opens_the_one_in_force() {
    let (folder, other) = (written(), written());
    let (table, sender) = (folder.open(), other.open());
    let mut export = sender.export().unwrap();
    let mut import = table.import().unwrap();
    while let Some(chunk) = export.next_chunk().unwrap() {
        import.push(&chunk).unwrap();
    }
    let obstacle = folder.data.join("table/current.new");
    std::fs::create_dir(&obstacle).unwrap();
    assert!(import.install().is_err());
    let next = table.applied().last.unwrap().index + 1;
    let refused = table.apply(&[entry(next, &batch(next, vec![put("late", "late")]))]);
    assert!(refused.is_err(), "which set the next start opens is unknown, so nothing is written to either");
    drop(table);
    std::fs::remove_dir(&obstacle).unwrap();
    assert!(!finds_damage(&folder));
}

#[test]
fn a_set_of_rows_that_does_not_hold_together_takes_no_other_with_it() {
    let folder = written();
    let table = folder.open();
    write(&table, Partition::Meta, HASH_KEY, Some("too short".into()));
    drop(table);
    let other = folder.data.join("table/rows-7");
    std::fs::create_dir(&other).unwrap();
    assert!(matches!(DurableTable::open(&folder.data), Err(TableError::Damaged(_))));
    assert!(other.exists(), "what may be all that is left of the table is kept");
}

/// A closed table whose base was led on every few entries, all in the journal, and the digest at each index where it stood.
fn led_on() -> (Folder, BTreeMap<u64, [u8; 32]>) {
    let folder = Folder::new();
    let table = folder.open();
    let mut digests = BTreeMap::from([(0, table.digest().unwrap())]);
    let mut mark = 0;
    for number in 0..COUNT {
        run(&table, vec![put(&path(number), &expected(number))]);
        if number % 10 == 9 {
            mark = checkpoint(&table, mark, vec![]);
            digests.insert(mark, table.digest().unwrap());
            table.sync().unwrap();
        }
    }
    drop(table);
    (folder, digests)
}

/// Opens what was damaged. Whether it stands, whole, where it stood once before the last time; a refusal counts as no.
fn stands_further_back(folder: &Folder, digests: &BTreeMap<u64, [u8; 32]>, how: &str) -> bool {
    // A build with debug assertions may end in one of fjall's, which is as good as a refusal.
    let Ok(opened) = std::panic::catch_unwind(|| DurableTable::open(&folder.data)) else { return false };
    match opened {
        Err(TableError::Damaged(_)) => false,
        Err(other) => panic!("a damage is no {other}"),
        Ok(table) => {
            let index = table.verify().unwrap().last.map_or(0, |last| last.index);
            assert_eq!(digests.get(&index), Some(&table.digest().unwrap()), "{how}");
            // The last mark was never confirmed.
            index < *digests.keys().rev().nth(1).unwrap()
        }
    }
}

fn journal_of(folder: &Folder) -> PathBuf {
    let files = files_under(&folder.data);
    files.into_iter().rfind(|file| file.extension().is_some_and(|end| end == "jnl")).unwrap()
}

// check 236
#[test]
fn a_damaged_journal_loses_the_newest_bases_and_says_where_the_table_stands() {
    let (folder, digests) = led_on();
    let journal = journal_of(&folder);
    let original = std::fs::read(&journal).unwrap();
    let used = original.iter().rposition(|byte| *byte != 0).unwrap();
    let mut shorter = 0;
    for at in (0..used).step_by(used / 24) {
        let mut bytes = original.clone();
        let end = (at + 512).min(used);
        bytes[at..end].fill(0);
        std::fs::write(&journal, &bytes).unwrap();
        shorter += usize::from(stands_further_back(&folder, &digests, &format!("zeros from {at}")));
        // Opening cuts the journal, and what was flushed meanwhile must go too.
        std::fs::write(&journal, &original).unwrap();
    }
    assert!(shorter > 0, "no damage was survived");
}

// What a process leaves that was killed in the middle of a merge, and a disk that lost power there.
#[test]
fn a_merge_that_was_cut_anywhere_leaves_the_base_before_it() {
    let (folder, digests) = led_on();
    let journal = journal_of(&folder);
    let original = std::fs::read(&journal).unwrap();
    let used = original.iter().rposition(|byte| *byte != 0).unwrap();
    let mut shorter = 0;
    for (number, at) in (0..used).step_by(used / 29).enumerate() {
        let zeros = number % 2 == 0;
        let mut bytes = original.clone();
        bytes.truncate(at);
        bytes.resize(if zeros { original.len() } else { at }, 0);
        std::fs::write(&journal, &bytes).unwrap();
        shorter += usize::from(stands_further_back(&folder, &digests, &format!("cut at {at}, zeros: {zeros}")));
        std::fs::write(&journal, &original).unwrap();
    }
    assert!(shorter > 10, "only {shorter} cuts were survived");
}
