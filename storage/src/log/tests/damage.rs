//! Files changed behind the log's back: it may refuse, or find that nothing is lost; never less in silence.

use std::os::unix::fs::FileExt;

use super::*;
use crate::layout::LayoutError;

const COUNT: u64 = 400;

/// A log over several files with a purged beginning, a vote and a committed position, closed.
fn written() -> Folder {
    let folder = Folder::new();
    let log = folder.open().unwrap();
    for start in (0..COUNT).step_by(8) {
        append(&log, entries(1, start..start + 8));
    }
    log.save_vote(Bytes::from_static(b"voted")).unwrap();
    log.purge(id(1, 20)).unwrap();
    log.save_committed(Some(id(1, COUNT - 1))).unwrap();
    drop(log);
    assert!(folder.files().len() > 5, "the damage must reach closed and open files");
    folder
}

/// What became of a damaged log.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Refused,
    Whole,
}

fn verdict(folder: &Folder) -> Verdict {
    match folder.open() {
        Err(LogError::Damaged(why)) => {
            assert!(why.contains(crate::REPLACE_NODE), "it must say what to do: {why}");
            Verdict::Refused
        }
        Err(LogError::Folder(LayoutError::Damaged { .. })) => Verdict::Refused,
        Err(other) => panic!("a damage is no {other:?}"),
        Ok(log) => {
            let state = log.state();
            // A purge promises nothing, so losing one loses nothing.
            assert!(state.purged.is_none_or(|purged| purged == id(1, 20)));
            assert_eq!(state.last, Some(id(1, COUNT - 1)));
            assert_eq!(state.vote.unwrap(), &b"voted"[..]);
            assert!(same(&log.read(21..COUNT, usize::MAX).unwrap(), &entries(1, 21..COUNT)));
            Verdict::Whole
        }
    }
}

fn change(path: &Path, change: impl FnOnce(&std::fs::File, u64)) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    change(&file, length);
}

fn flip(path: &Path, at: u64, bit: u8) {
    change(path, |file, _| {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ (1 << bit)], at).unwrap();
    });
}

// check 236
#[test]
fn a_flipped_bit_anywhere_is_found() {
    let folder = written();
    let mut place = 0;
    for (number, file) in folder.files().into_iter().enumerate() {
        let length = std::fs::metadata(&file).unwrap().len();
        while place < length {
            let copy = folder.copy();
            flip(&copy.files()[number], place, u8::try_from(place % 8).unwrap());
            assert_eq!(verdict(&copy), Verdict::Refused, "bit {} of byte {place} in file {number}", place % 8);
            place += 97;
        }
        place -= length;
    }
}

// check 236
#[test]
fn a_flipped_bit_in_any_byte_of_the_last_record_is_found() {
    let folder = written();
    let file = folder.files().len() - 1;
    let length = std::fs::metadata(&folder.files()[file]).unwrap().len();
    for place in length - 250..length {
        let copy = folder.copy();
        flip(&copy.files()[file], place, 5);
        assert_eq!(verdict(&copy), Verdict::Refused, "byte {place} of {length}");
    }
}

// check 236
#[test]
fn a_cut_end_is_found() {
    let folder = written();
    let file = folder.files().len() - 1;
    let length = std::fs::metadata(&folder.files()[file]).unwrap().len();
    let mut whole = 0;
    for keep in (0..length).step_by(31) {
        let copy = folder.copy();
        change(&copy.files()[file], |file, _| file.set_len(keep).unwrap());
        // The last record is the committed position, which may be lost.
        whole += u64::from(verdict(&copy) == Verdict::Whole);
    }
    assert!(whole <= 5, "{whole} cuts took nothing");
}

// check 236
#[test]
fn a_zeroed_page_is_found() {
    let folder = written();
    for number in 0..folder.files().len() {
        for at in [0, 700, 2048] {
            let copy = folder.copy();
            if std::fs::metadata(&copy.files()[number]).unwrap().len() <= at {
                continue;
            }
            change(&copy.files()[number], |file, length| {
                let zeros = vec![0; usize::try_from((length - at).min(512)).unwrap()];
                file.write_all_at(&zeros, at).unwrap();
            });
            assert_eq!(verdict(&copy), Verdict::Refused, "512 zeros from {at} in file {number}");
        }
    }
}

// check 236
#[test]
fn zeros_up_to_the_end_are_found() {
    let folder = written();
    let file = folder.files().len() - 1;
    let length = std::fs::metadata(&folder.files()[file]).unwrap().len();
    for from in [0, length / 2, length - 400] {
        let copy = folder.copy();
        change(&copy.files()[file], |file, _| {
            let zeros = vec![0; usize::try_from(length - from).unwrap()];
            file.write_all_at(&zeros, from).unwrap();
        });
        assert_eq!(verdict(&copy), Verdict::Refused, "zeros from {from} of {length}");
    }
}

// check 236
#[test]
fn a_missing_file_is_found() {
    let folder = written();
    for number in 0..folder.files().len() {
        let copy = folder.copy();
        std::fs::remove_file(&copy.files()[number]).unwrap();
        assert_eq!(verdict(&copy), Verdict::Refused, "file {number}");
    }
    let copy = folder.copy();
    copy.files().iter().for_each(|file| std::fs::remove_file(file).unwrap());
    assert_eq!(verdict(&copy), Verdict::Refused, "all files");
    for name in ["log/tail", "log/format"] {
        let copy = folder.copy();
        std::fs::remove_file(copy.path().join(name)).unwrap();
        assert_eq!(verdict(&copy), Verdict::Refused, "{name}");
    }
}

#[test]
fn an_older_copy_of_the_log_under_a_newer_tail_is_found() {
    let folder = written();
    let older = folder.copy();
    let log = folder.open().unwrap();
    append(&log, entries(2, COUNT..COUNT + 1));
    drop(log);
    std::fs::copy(folder.path().join("log/tail"), older.path().join("log/tail")).unwrap();
    assert_eq!(verdict(&older), Verdict::Refused);
}

#[test]
fn an_older_vote_under_a_newer_tail_is_found() {
    let folder = written();
    let older = folder.copy();
    folder.open().unwrap().save_vote(Bytes::from_static(b"another")).unwrap();
    std::fs::copy(folder.path().join("log/tail"), older.path().join("log/tail")).unwrap();
    assert_eq!(verdict(&older), Verdict::Refused);
}

#[test]
fn another_history_of_the_same_length_is_found() {
    let folder = written();
    let other = folder.copy();
    let log = other.open().unwrap();
    log.truncate_after(Some(id(1, COUNT - 2))).unwrap();
    append(&log, entries(9, COUNT - 1..COUNT));
    drop(log);
    std::fs::copy(folder.path().join("log/tail"), other.path().join("log/tail")).unwrap();
    assert_eq!(verdict(&other), Verdict::Refused);
}

#[test]
fn a_file_of_another_history_is_found() {
    let histories = [2, 3].map(|term| {
        let folder = Folder::new();
        let log = folder.open().unwrap();
        append(&log, entries(1, 0..10));
        (10..COUNT).for_each(|index| append(&log, entries(term, index..index + 1)));
        append(&log, entries(4, COUNT..COUNT + 50));
        drop(log);
        folder
    });
    let [one, other] = &histories;
    assert_eq!(one.files().len(), other.files().len());
    std::fs::copy(&other.files()[3], &one.files()[3]).unwrap();
    assert!(matches!(one.open(), Err(LogError::Damaged(why)) if why.contains("does not follow")));
}

#[test]
fn a_torn_slot_of_the_tail_costs_nothing() {
    let folder = written();
    for slot in [0, super::super::tail::SLOT_DISTANCE] {
        let copy = folder.copy();
        flip(&copy.path().join("log/tail"), slot + 20, 0);
        assert_eq!(verdict(&copy), Verdict::Whole, "slot at {slot}");
    }
    for slot in [0, super::super::tail::SLOT_DISTANCE] {
        flip(&folder.path().join("log/tail"), slot + 20, 0);
    }
    assert_eq!(verdict(&folder), Verdict::Refused, "both slots");
}

#[test]
fn what_a_killed_process_leaves_is_whole_and_its_loss_is_found() {
    let folder = Folder::new();
    let log = folder.open().unwrap();
    append(&log, entries(1, 0..20));
    // Not closed, so the tail was not synced; it was written.
    let killed = folder.copy();
    drop(log);
    let file = killed.files().len() - 1;
    let cut = killed.copy();
    assert!(same(&killed.open().unwrap().read(0..20, usize::MAX).unwrap(), &entries(1, 0..20)));
    change(&cut.files()[file], |file, length| file.set_len(length - 1).unwrap());
    assert!(matches!(cut.open(), Err(LogError::Damaged(_))));
}

#[test]
fn a_torn_write_that_was_never_synced_is_cut_off() {
    let folder = written();
    change(&folder.files()[folder.files().len() - 1], |file, length| {
        file.write_all_at(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 2, 3], length).unwrap();
    });
    assert_eq!(verdict(&folder), Verdict::Whole);
    let log = folder.open().unwrap();
    append(&log, entries(2, COUNT..COUNT + 10));
    drop(log);
    assert!(same(&folder.open().unwrap().read(COUNT..COUNT + 10, usize::MAX).unwrap(), &entries(2, COUNT..COUNT + 10)));
}
