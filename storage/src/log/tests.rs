//! One suite for both logs, then what only one of them can show: damaged files, lost power.

mod crash;
mod damage;
pub(crate) mod format;
mod model;
mod power;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

use bytes::Bytes;

use super::store::ChunkLimits;
use super::*;
use crate::disk::Disk;

/// Files so small that a few entries fill one.
const SMALL: ChunkLimits = ChunkLimits { bytes: 4096, records: 64 };

/// A place where a log can be opened again and again.
pub(super) trait Place {
    type Opened: Log;
    fn open(&self) -> Result<Self::Opened, LogError>;
}

pub(super) struct Folder {
    data: PathBuf,
    _temporary: tempfile::TempDir,
}

impl Folder {
    pub(super) fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        Self { data: temporary.path().join("data"), _temporary: temporary }
    }

    pub(super) fn path(&self) -> &Path {
        &self.data
    }

    /// Another folder with the same files, as a killed process would leave them.
    pub(super) fn copy(&self) -> Self {
        let copy = Self::new();
        create_private(copy.path());
        copy_all(self.path(), copy.path());
        copy
    }

    /// All files with bytes of the log in them.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let wal = std::fs::read_dir(self.path().join("log/wal")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = wal.filter(|path| path.extension().is_some_and(|end| end == "wal")).collect();
        files.sort();
        files
    }
}

fn create_private(path: &Path) {
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(path).unwrap();
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            create_private(&target);
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

impl Place for Folder {
    type Opened = DurableLog;
    fn open(&self) -> Result<DurableLog, LogError> {
        DurableLog::open_with(self.path(), SMALL)
    }
}

impl Place for Disk {
    type Opened = MemoryLog;
    fn open(&self) -> Result<MemoryLog, LogError> {
        MemoryLog::open(self.clone())
    }
}

pub(super) fn id(term: u64, index: u64) -> LogId {
    LogId { term, leader: 7, index }
}

/// An entry whose kind and length vary with its index.
pub(super) fn entry(term: u64, index: u64) -> Entry {
    let bytes = Bytes::from(vec![u8::try_from(index % 251).unwrap(); 40 + usize::try_from(index % 60).unwrap()]);
    let payload = match index % 5 {
        0 => Payload::Blank,
        1 => Payload::Membership(bytes),
        _ => Payload::Batch(bytes),
    };
    Entry { id: id(term, index), payload }
}

pub(super) fn entries(term: u64, range: Range<u64>) -> Vec<Entry> {
    range.map(|index| entry(term, index)).collect()
}

/// Appends, and answers where its result will arrive.
pub(super) fn append_later(log: &impl Log, entries: Vec<Entry>) -> Receiver<std::io::Result<()>> {
    let (done, wait) = channel();
    log.append(entries, Box::new(move |result| drop(done.send(result)))).unwrap();
    wait
}

/// Appends, and returns once it is synced.
pub(super) fn append(log: &impl Log, entries: Vec<Entry>) {
    append_later(log, entries).recv().unwrap().unwrap();
}

pub(super) fn same(found: &[Entry], expected: &[Entry]) -> bool {
    found == expected
}

macro_rules! for_both_logs {
    ($($name:ident),* $(,)?) => {
        mod durable {
            $(#[test] fn $name() { super::$name(&super::Folder::new()); })*
        }
        mod memory {
            $(#[test] fn $name() { super::$name(&crate::disk::Disk::new()); })*
        }
    };
}

for_both_logs!(
    a_new_log_is_empty,
    entries_are_readable_at_once_and_after_a_restart,
    appends_complete_in_order_and_after_their_sync,
    a_log_with_nothing_to_sync_does_not_stall,
    the_vote_survives_a_restart,
    the_committed_position_survives_a_clean_restart,
    a_truncation_takes_the_end_and_the_log_goes_on,
    a_truncation_to_nothing_empties_the_log,
    a_truncation_of_what_is_not_there_changes_nothing,
    a_truncation_to_an_entry_of_another_leader_is_refused,
    a_purge_forgets_the_beginning,
    a_purge_beyond_the_end_starts_the_log_anew_there,
    a_purge_of_everything_leaves_a_log_that_goes_on,
    a_purge_at_an_entry_of_another_leader_is_refused,
    a_gap_is_refused_and_nothing_is_appended,
    a_read_is_bounded_in_bytes_but_never_empty,
    a_read_of_what_is_not_all_there_is_refused,
    a_log_may_start_at_any_index,
    votes_and_appends_and_truncations_interleave,
);

fn a_new_log_is_empty(place: &impl Place) {
    let log = place.open().unwrap();
    assert_eq!(log.state(), LogState::default());
    assert_eq!(log.synced_index(), None);
    assert!(same(&log.read(0..0, 0).unwrap(), &[]));
}

fn entries_are_readable_at_once_and_after_a_restart(place: &impl Place) {
    let log = place.open().unwrap();
    let waiting = append_later(&log, entries(1, 0..100));
    assert!(same(&log.read(0..100, usize::MAX).unwrap(), &entries(1, 0..100)));
    waiting.recv().unwrap().unwrap();
    assert_eq!(log.synced_index(), Some(99));
    append(&log, entries(2, 100..200));
    drop(log);
    let log = place.open().unwrap();
    assert_eq!(log.state().last, Some(id(2, 199)));
    assert_eq!(log.synced_index(), Some(199));
    assert!(same(&log.read(0..100, usize::MAX).unwrap(), &entries(1, 0..100)));
    assert!(same(&log.read(150..151, usize::MAX).unwrap(), &entries(2, 150..151)));
    append(&log, entries(2, 200..201));
    assert!(same(&log.read(199..201, usize::MAX).unwrap(), &entries(2, 199..201)));
}

fn a_log_with_nothing_to_sync_does_not_stall(place: &impl Place) {
    let log = place.open().unwrap();
    assert_eq!(log.stalled_for(), std::time::Duration::ZERO);
    append(&log, vec![entry(1, 0), entry(1, 1)]);
    log.save_vote(Bytes::from_static(b"vote")).unwrap();
    assert_eq!(log.stalled_for(), std::time::Duration::ZERO);
}

fn appends_complete_in_order_and_after_their_sync(place: &impl Place) {
    let log = std::sync::Arc::new(place.open().unwrap());
    let (done, wait) = channel();
    for index in 0..200 {
        let (done, synced) = (done.clone(), log.clone());
        let on_sync = Box::new(move |result: std::io::Result<()>| {
            result.unwrap();
            assert!(synced.synced_index() >= Some(index));
            done.send(index).unwrap();
        });
        log.append(entries(1, index..index + 1), on_sync).unwrap();
    }
    drop(done);
    assert_eq!(wait.into_iter().take(200).collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
}

fn the_vote_survives_a_restart(place: &impl Place) {
    let log = place.open().unwrap();
    log.save_vote(Bytes::from_static(b"higher")).unwrap();
    log.save_vote(Bytes::from_static(b"a lower one, who knows")).unwrap();
    drop(log);
    assert_eq!(place.open().unwrap().state().vote.unwrap(), &b"a lower one, who knows"[..]);
}

#[test]
fn the_committed_position_is_on_the_disk_after_a_sync_and_soon_after_it_was_saved() {
    let folder = Folder::new();
    let log = folder.open().unwrap();
    let committed = || folder.copy().open().unwrap().state().committed;
    append(&log, entries(1, 0..3));
    log.save_committed(Some(id(1, 1))).unwrap();
    log.sync().unwrap();
    assert_eq!(committed(), Some(id(1, 1)));
    log.save_committed(Some(id(1, 2))).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while committed() != Some(id(1, 2)) {
        assert!(std::time::Instant::now() < deadline, "nobody syncs it while the log is idle");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn the_committed_position_survives_a_clean_restart(place: &impl Place) {
    let log = place.open().unwrap();
    append(&log, entries(1, 0..10));
    log.save_committed(Some(id(1, 9))).unwrap();
    log.save_committed(Some(id(1, 3))).unwrap();
    drop(log);
    let log = place.open().unwrap();
    assert_eq!(log.state().committed, Some(id(1, 3)));
    log.save_committed(None).unwrap();
    drop(log);
    assert_eq!(place.open().unwrap().state().committed, None);
}

fn a_truncation_takes_the_end_and_the_log_goes_on(place: &impl Place) {
    let log = place.open().unwrap();
    append(&log, entries(1, 0..100));
    log.save_committed(Some(id(1, 90))).unwrap();
    log.truncate_after(Some(id(1, 41))).unwrap();
    assert_eq!(log.state().last, Some(id(1, 41)));
    assert!(log.synced_index() <= Some(41));
    append(&log, entries(3, 42..50));
    assert_eq!(log.synced_index(), Some(49));
    drop(log);
    let log = place.open().unwrap();
    let expected = [entries(1, 0..42), entries(3, 42..50)].concat();
    assert!(same(&log.read(0..50, usize::MAX).unwrap(), &expected));
}

fn a_truncation_to_nothing_empties_the_log(place: &impl Place) {
    let log = place.open().unwrap();
    append(&log, entries(1, 0..10));
    log.truncate_after(None).unwrap();
    assert_eq!(log.state().last, None);
    append(&log, entries(2, 0..3));
    drop(log);
    assert!(same(&place.open().unwrap().read(0..3, usize::MAX).unwrap(), &entries(2, 0..3)));
}

fn a_truncation_of_what_is_not_there_changes_nothing(place: &impl Place) {
    let log = place.open().unwrap();
    log.truncate_after(None).unwrap();
    append(&log, entries(1, 0..10));
    log.truncate_after(Some(id(1, 9))).unwrap();
    log.truncate_after(Some(id(4, 20))).unwrap();
    assert_eq!(log.state().last, Some(id(1, 9)));
}

fn a_truncation_to_an_entry_of_another_leader_is_refused(place: &impl Place) {
    let log = place.open().unwrap();
    append(&log, entries(1, 0..10));
    assert!(matches!(log.truncate_after(Some(id(2, 5))), Err(LogError::Misuse(_))));
    assert_eq!(log.state().last, Some(id(1, 9)));
    append(&log, entries(1, 10..11));
}

fn a_purge_forgets_the_beginning(place: &impl Place) {
    let log = place.open().unwrap();
    append(&log, entries(1, 0..300));
    log.purge(id(1, 249)).unwrap();
    log.purge(id(1, 100)).unwrap();
    let state = log.state();
    assert_eq!((state.purged, state.last), (Some(id(1, 249)), Some(id(1, 299))));
    assert!(matches!(log.read(249..251, 0), Err(LogError::Misuse(_))));
    append(&log, entries(1, 300..301));
    drop(log);
    let log = place.open().unwrap();
    assert!(same(&log.read(250..301, usize::MAX).unwrap(), &entries(1, 250..301)));
    assert!(matches!(log.read(0..1, 0), Err(LogError::Misuse(_))));
    assert!(log.truncate_after(Some(id(1, 100))).is_err(), "what was purged cannot be cut");
}

fn a_purge_beyond_the_end_starts_the_log_anew_there(place: &impl Place) {
    let log = place.open().unwrap();
    append(&log, entries(1, 0..10));
    log.purge(id(5, 1000)).unwrap();
    let state = log.state();
    assert_eq!((state.purged, state.last), (Some(id(5, 1000)), Some(id(5, 1000))));
    drop(log);
    let log = place.open().unwrap();
    append(&log, entries(5, 1001..1020));
    drop(log);
    let log = place.open().unwrap();
    assert!(same(&log.read(1001..1020, usize::MAX).unwrap(), &entries(5, 1001..1020)));
}

fn a_purge_of_everything_leaves_a_log_that_goes_on(place: &impl Place) {
    let log = place.open().unwrap();
    append(&log, entries(1, 0..100));
    log.purge(id(1, 99)).unwrap();
    drop(log);
    let log = place.open().unwrap();
    assert_eq!(log.state().last, Some(id(1, 99)));
    append(&log, entries(1, 100..110));
    log.truncate_after(None).unwrap();
    assert_eq!(log.state().last, Some(id(1, 99)));
    append(&log, entries(2, 100..101));
    drop(log);
    assert!(same(&place.open().unwrap().read(100..101, 0).unwrap(), &entries(2, 100..101)));
}

fn a_purge_at_an_entry_of_another_leader_is_refused(place: &impl Place) {
    let log = place.open().unwrap();
    append(&log, entries(1, 0..10));
    assert!(matches!(log.purge(id(2, 5)), Err(LogError::Misuse(_))));
    assert!(same(&log.read(0..10, usize::MAX).unwrap(), &entries(1, 0..10)));
}

fn a_gap_is_refused_and_nothing_is_appended(place: &impl Place) {
    let log = place.open().unwrap();
    append(&log, entries(1, 0..10));
    for bad in [entries(1, 11..12), entries(1, 9..10), [entries(1, 10..11), entries(1, 12..13)].concat()] {
        assert!(matches!(log.append(bad, Box::new(|_| {})), Err(LogError::Misuse(_))));
    }
    assert_eq!(log.state().last, Some(id(1, 9)));
    append(&log, entries(1, 10..11));
}

fn a_read_is_bounded_in_bytes_but_never_empty(place: &impl Place) {
    let log = place.open().unwrap();
    append(&log, entries(1, 0..100));
    assert!(same(&log.read(10..100, 0).unwrap(), &entries(1, 10..11)));
    let some = log.read(0..100, 1000).unwrap();
    assert!((2..20).contains(&some.len()), "{} entries", some.len());
    assert!(same(&some, &entries(1, 0..some.len() as u64)));
}

fn a_read_of_what_is_not_all_there_is_refused(place: &impl Place) {
    let log = place.open().unwrap();
    assert!(matches!(log.read(0..1, 0), Err(LogError::Misuse(_))));
    append(&log, entries(1, 0..10));
    assert!(matches!(log.read(9..11, 0), Err(LogError::Misuse(_))));
}

fn a_log_may_start_at_any_index(place: &impl Place) {
    let log = place.open().unwrap();
    append(&log, entries(4, 50..60));
    assert!(log.read(0..60, usize::MAX).is_err());
    drop(log);
    let log = place.open().unwrap();
    assert!(same(&log.read(50..60, usize::MAX).unwrap(), &entries(4, 50..60)));
}

fn votes_and_appends_and_truncations_interleave(place: &impl Place) {
    let log = place.open().unwrap();
    let mut waiting = Vec::new();
    for round in 0..50 {
        let start = round * 2;
        waiting.push(append_later(&log, entries(round + 1, start..start + 4)));
        log.truncate_after(Some(id(round + 1, start + 1))).unwrap();
        if round % 10 == 0 {
            log.save_vote(Bytes::from(round.to_be_bytes().to_vec())).unwrap();
        }
    }
    for wait in waiting {
        wait.recv().unwrap().unwrap();
    }
    drop(log);
    let log = place.open().unwrap();
    assert_eq!(log.state().vote.unwrap(), &40u64.to_be_bytes()[..]);
    let read = log.read(0..100, usize::MAX).unwrap();
    let expected = (0..100).map(|index| entry(index / 2 + 1, index)).collect::<Vec<_>>();
    assert!(same(&read, &expected));
}

#[test]
fn a_range_is_read_in_pieces_to_its_end_or_its_first_error() {
    let log = MemoryLog::new();
    append(&log, entries(1, 0..5));
    let read: Vec<_> = pieces(&log, 1..5, 1).collect::<Result<_, _>>().unwrap();
    assert_eq!(read.len(), 4);
    assert!(same(&read.concat(), &entries(1, 1..5)));
    let beyond: Vec<_> = pieces(&log, 3..9, usize::MAX).collect();
    assert!(matches!(beyond[..], [Err(LogError::Misuse(_))]));
    assert_eq!(pieces(&log, 3..3, 1).count(), 0);
}

#[test]
fn the_tail_is_synced_while_writes_come_all_the_time_and_holds_nobody_up() {
    let folder = Folder::new();
    let log = folder.open().unwrap();
    let (begun, is_begun) = channel();
    let (go_on, may_go_on) = channel::<()>();
    log.before_tail_sync(move || {
        begun.send(()).unwrap();
        may_go_on.recv().unwrap();
    });
    // Writes that never leave a pause as long as the tail may wait.
    let patience = std::time::Instant::now() + Duration::from_secs(60);
    let mut next = 0;
    while is_begun.try_recv().is_err() {
        // Not waited for: the one behind which the sync is held back would never end.
        drop(append_later(&log, entries(1, next..next + 1)));
        next += 1;
        assert!(std::time::Instant::now() < patience, "the tail is never synced while writes come");
        std::thread::sleep(Duration::from_millis(2));
    }
    // The disk holds the sync of the tail back, and the log takes and gives all the same.
    let later = append_later(&log, entries(1, next..next + 1));
    assert_eq!(log.state().last, Some(id(1, next)));
    assert_eq!(log.read(next..next + 1, 1).unwrap().len(), 1);
    go_on.send(()).unwrap();
    later.recv().unwrap().unwrap();
}
