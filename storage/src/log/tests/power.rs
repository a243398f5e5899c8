//! Lost power under the durable log: its real files, put back to what a disk may hold of them.
//!
//! What a sync made durable is remembered file by file. When the power goes, files that are only appended to keep what
//! was synced and any beginning of the rest, in the order in which it was written; each slot of the tail, which lies in
//! one sector, is the old or the new one; a file is gone only if all that was written before it was removed is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use bytes::Bytes;

use super::crash::Powered;
use super::*;
use crate::disk::{Keep, draw};
use crate::layout::Folder as Layout;
use crate::log::store::{Store, Target};
use crate::log::tail::SLOT_DISTANCE;

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The files of a log under the hands of one caller, with every sync held back until it is asked for.
pub(super) struct Held {
    store: Store,
    _layout: Layout,
    place: Folder,
    /// What the last syncs made durable.
    wal: Files,
    tail: Vec<u8>,
}

impl Held {
    fn open(place: Folder) -> Result<Self, LogError> {
        // As a node opens it: with the thread that syncs, which leaves everything durable when it ends.
        drop(place.open()?);
        let mut layout = Layout::open(place.path(), "log", 1)?;
        let store = Store::open(&layout, SMALL)?;
        layout.complete()?;
        let mut held = Self { store, _layout: layout, place, wal: Files::new(), tail: Vec::new() };
        held.sync();
        held.store.sync_tail().unwrap();
        held.remember_tail();
        Ok(held)
    }

    fn tail_path(&self) -> PathBuf {
        self.place.path().join("log/tail")
    }

    fn remember_tail(&mut self) {
        self.tail = fs::read(self.tail_path()).unwrap();
    }

    /// Hands everything to the disk, as far as a file shows it: whether it stays is for the power to say. Answers with
    /// what was written last into files that are gone by now, too.
    fn write(&mut self) -> (Target, Files) {
        let (wal, links) = (self.place.path().join("log/wal"), tempfile::tempdir_in(self.place.path()).unwrap());
        for name in wal_files(&wal).into_keys() {
            fs::hard_link(wal.join(&name), links.path().join(name)).unwrap();
        }
        let (done, wait) = sync_channel(1);
        let target = self.store.start_sync(done).unwrap();
        wait.recv().unwrap().unwrap();
        self.store.wait_until_idle();
        (target, wal_files(links.path()))
    }

    fn wal(&self) -> Files {
        wal_files(&self.place.path().join("log/wal"))
    }
}

impl Powered for Held {
    // Pieces of one file behind others that are missing: the files in memory show that.
    const KINDS: u8 = 3;

    fn start() -> Self {
        Self::open(Folder::new()).unwrap()
    }

    fn state(&self) -> LogState {
        self.store.state()
    }

    fn read(&self, range: Range<u64>) -> Vec<Entry> {
        self.store.read(range, usize::MAX).unwrap()
    }

    fn append(&mut self, entries: Vec<Entry>) {
        self.store.append(&entries).unwrap();
    }

    fn sync(&mut self) {
        let (target, _) = self.write();
        self.store.finish_sync(target).unwrap();
        self.wal = self.wal();
    }

    fn truncate_after(&mut self, last: Option<LogId>) {
        self.store.truncate_after(last).unwrap();
        if self.store.is_tail_synced() {
            self.remember_tail();
        }
    }

    fn purge(&mut self, upto: LogId) {
        self.store.purge(upto).unwrap();
    }

    fn save_vote(&mut self, vote: Bytes) {
        self.store.save_vote(vote).unwrap();
        self.sync();
        self.store.sync_tail().unwrap();
        self.remember_tail();
    }

    fn crash(mut self, keep: Keep) -> Result<Self, LogError> {
        let (_, linked) = self.write();
        let (wal, tail) = (self.wal(), fs::read(self.tail_path()).unwrap());
        let (wal, tail) = match keep {
            Keep::Nothing => (self.wal.clone(), self.tail.clone()),
            Keep::Everything => (wal, tail),
            Keep::Prefix(mut seed) | Keep::Sectors(mut seed) => {
                (beginning(&self.wal, &wal, linked, &mut seed), slots(&self.tail, &tail, &mut seed))
            }
        };
        // In another folder: the log must not sync anything behind the back of the power that went.
        let place = self.place.copy();
        let folder = place.path().join("log/wal");
        for name in wal_files(&folder).into_keys() {
            fs::remove_file(folder.join(name)).unwrap();
        }
        for (name, bytes) in wal {
            fs::write(folder.join(name), bytes).unwrap();
        }
        fs::write(place.path().join("log/tail"), tail).unwrap();
        Self::open(place)
    }
}

/// The files with records, by name.
fn wal_files(folder: &Path) -> Files {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "wal"));
    files.map(|path| (PathBuf::from(path.file_name().unwrap()), fs::read(&path).unwrap())).collect()
}

/// What was durable, and any beginning of what was written behind it. A file is removed behind all of that.
fn beginning(durable: &Files, written: &Files, removed: Files, seed: &mut u64) -> Files {
    let all: Files = written.clone().into_iter().chain(removed).collect();
    let old = |name: &PathBuf| durable.get(name).map_or(&[][..], Vec::as_slice);
    let total = all.iter().map(|(name, bytes)| bytes.len() - old(name).len()).sum::<usize>();
    let mut left = usize::try_from(draw(seed) % (total as u64 + 1)).unwrap();
    if left == total && draw(seed).is_multiple_of(2) {
        return written.clone();
    }
    let mut kept = Files::new();
    for (name, bytes) in all {
        let old = old(&name);
        assert!(bytes.starts_with(old), "{name:?} was overwritten");
        let end = old.len() + left.min(bytes.len() - old.len());
        left -= end - old.len();
        // A new file whose first bytes are lost may be there by its name or not.
        if end > 0 || draw(seed).is_multiple_of(2) {
            kept.insert(name, bytes[..end].to_vec());
        }
    }
    kept
}

/// Each slot as it was or as it was written.
fn slots(durable: &[u8], written: &[u8], seed: &mut u64) -> Vec<u8> {
    let border = usize::try_from(SLOT_DISTANCE).unwrap();
    let mut kept = written.to_vec();
    for slot in [0..border, border..written.len()] {
        if draw(seed).is_multiple_of(2) {
            kept[slot.clone()].copy_from_slice(&durable[slot]);
        }
    }
    kept
}
