//! Files of the durable table changed behind its back.

use std::os::unix::fs::FileExt;
use std::path::Path;

use super::*;

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
    table.raw_rows().flush();
    table.sync().unwrap();
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

// check 236
#[test]
fn a_damaged_journal_loses_the_newest_writes_and_says_where_the_table_stands() {
    let folder = Folder::new();
    let table = folder.open();
    let mut digests = vec![table.applied().digest];
    for number in 0..COUNT {
        run(&table, vec![put(&path(number), &expected(number))]);
        digests.push(table.applied().digest);
    }
    drop(table);
    let journals: Vec<_> =
        files_under(&folder.data).into_iter().filter(|file| file.extension().is_some_and(|end| end == "jnl")).collect();
    let journal = journals.last().unwrap();
    let original = std::fs::read(journal).unwrap();
    let used = original.iter().rposition(|byte| *byte != 0).unwrap();
    let mut shorter = 0;
    for at in (0..used).step_by(used / 20) {
        let mut bytes = original.clone();
        let end = (at + 512).min(used);
        bytes[at..end].fill(0);
        std::fs::write(journal, &bytes).unwrap();
        match DurableTable::open(&folder.data) {
            Err(TableError::Damaged(_)) => {}
            Err(other) => panic!("a damage is no {other}"),
            Ok(table) => {
                let applied = table.verify().unwrap();
                let index = usize::try_from(applied.last.map_or(0, |last| last.index)).unwrap();
                assert_eq!(applied.digest, digests[index], "zeros from {at}");
                shorter += usize::from(index < COUNT);
            }
        }
        // Opening cuts the journal, and what was flushed meanwhile must go too.
        std::fs::write(journal, &original).unwrap();
    }
    assert!(shorter > 0, "no damage was survived");
}
