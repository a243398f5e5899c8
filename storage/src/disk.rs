//! A disk in memory that forgets what was not synced: for tests, simulation and development.
//!
//! A write is visible at once and durable after a sync of its file. [`Disk::crash`] takes away what was not, whole
//! or in pieces. Names are durable at once, which a real folder does not promise: code that renames must sync the
//! folder, and this disk cannot tell whether it did.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

/// Unit in which a real disk writes, in bytes: a crash keeps or loses each whole.
const SECTOR_BYTES: usize = 512;

/// What a crash leaves of writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// Everything.
    Everything,
    /// The first writes, and the beginning of the next one; how much is drawn from the seed.
    Prefix(u64),
    /// Any sectors; which is drawn from the seed.
    Sectors(u64),
}

/// An operation that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A write, which leaves nothing.
    Write,
    /// A sync, after which what was written is still not durable.
    Sync,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct Disk {
    state: Arc<Mutex<DiskState>>,
}

#[derive(Default)]
struct DiskState {
    files: BTreeMap<String, File>,
    /// How many operations of a kind still succeed before one fails.
    faults: BTreeMap<Fault, u64>,
}

#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    /// Not yet synced, oldest first.
    pending: Vec<Pending>,
}

/// A write, and what it replaced.
struct Pending {
    offset: usize,
    new: Vec<u8>,
    old: Vec<u8>,
    old_length: usize,
    /// Length after it, for a write that cuts.
    cut: Option<usize>,
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The whole file; `None` if there is none.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.state.lock().files.get(name).map(|file| file.bytes.clone())
    }

    /// Length of a file in bytes; 0 if there is none.
    #[must_use]
    pub fn length(&self, name: &str) -> u64 {
        self.state.lock().files.get(name).map_or(0, |file| file.bytes.len() as u64)
    }

    /// Names of all files.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        self.state.lock().files.keys().cloned().collect()
    }

    /// Writes at the end of a file, which is made if there is none.
    ///
    /// # Errors
    ///
    /// Only those asked for with [`Disk::fail`]; so with every operation.
    pub fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        state.charge(Fault::Write)?;
        let file = state.files.entry(name.to_owned()).or_default();
        file.write(file.bytes.len(), bytes);
        Ok(())
    }

    /// Writes at an offset; a gap before it is zeros.
    ///
    /// # Errors
    ///
    /// See [`Disk::append`].
    pub fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        state.charge(Fault::Write)?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        state.files.entry(name.to_owned()).or_default().write(offset, bytes);
        Ok(())
    }

    /// Cuts a file to a length.
    ///
    /// # Errors
    ///
    /// See [`Disk::append`].
    pub fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.charge(Fault::Write)?;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        if let Some(file) = state.files.get_mut(name) {
            file.cut(length);
        }
        Ok(())
    }

    /// Makes what was written to a file durable.
    ///
    /// # Errors
    ///
    /// See [`Disk::append`].
    pub fn sync(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.charge(Fault::Sync)?;
        if let Some(file) = state.files.get_mut(name) {
            file.pending.clear();
        }
        Ok(())
    }

    /// Gives a file another name, in the place of what had it.
    ///
    /// # Errors
    ///
    /// See [`Disk::append`]; also if there is no such file.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        state.charge(Fault::Write)?;
        let file = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.to_owned(), file);
        Ok(())
    }

    /// Removes a file, if there is one.
    pub fn remove(&self, name: &str) {
        self.state.lock().files.remove(name);
    }

    /// Lets `successes` more operations of a kind succeed and the one behind them fail.
    pub fn fail(&self, fault: Fault, successes: u64) {
        self.state.lock().faults.insert(fault, successes);
    }

    /// Power is lost and comes back; pending faults are forgotten.
    pub fn crash(&self, keep: Keep) {
        let mut state = self.state.lock();
        state.faults.clear();
        for (place, file) in state.files.values_mut().enumerate() {
            file.crash(keep, place as u64);
        }
    }

    /// Changes durable bytes behind the back of who wrote them.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(file) = self.state.lock().files.get_mut(name) {
            file.pending.clear();
            change(&mut file.bytes);
        }
    }
}

impl DiskState {
    fn charge(&mut self, fault: Fault) -> io::Result<()> {
        match self.faults.get_mut(&fault) {
            Some(0) => {
                self.faults.remove(&fault);
                Err(io::Error::other("this operation was asked to fail"))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl File {
    fn write(&mut self, offset: usize, new: &[u8]) {
        let old_length = self.bytes.len();
        let end = offset + new.len();
        let old = self.bytes.get(offset..end.min(old_length)).unwrap_or_default().to_vec();
        self.bytes.resize(old_length.max(end), 0);
        self.bytes[offset..end].copy_from_slice(new);
        self.pending.push(Pending { offset, new: new.to_vec(), old, old_length, cut: None });
    }

    fn cut(&mut self, length: usize) {
        let old_length = self.bytes.len();
        let old = self.bytes.get(length..).unwrap_or_default().to_vec();
        self.bytes.truncate(length);
        self.pending.push(Pending { offset: length, new: Vec::new(), old, old_length, cut: Some(length) });
    }

    fn crash(&mut self, keep: Keep, place: u64) {
        let pending = std::mem::take(&mut self.pending);
        if keep == Keep::Everything {
            return;
        }
        for write in pending.iter().rev() {
            self.bytes.resize(write.old_length, 0);
            self.bytes[write.offset.min(write.old_length)..][..write.old.len()].copy_from_slice(&write.old);
        }
        match keep {
            Keep::Nothing | Keep::Everything => {}
            Keep::Prefix(seed) => self.keep_prefix(&pending, seed.wrapping_add(place)),
            Keep::Sectors(seed) => self.keep_sectors(&pending, seed.wrapping_add(place)),
        }
        self.pending.clear();
    }

    fn keep_prefix(&mut self, pending: &[Pending], mut seed: u64) {
        let whole = usize::try_from(draw(&mut seed)).unwrap_or(usize::MAX) % (pending.len() + 1);
        for (place, write) in pending.iter().enumerate().take(whole + 1) {
            let length = match (place < whole, write.cut) {
                (true, Some(length)) => {
                    self.cut(length);
                    continue;
                }
                (true, None) => write.new.len(),
                (false, _) => usize::try_from(draw(&mut seed)).unwrap_or(usize::MAX) % (write.new.len() + 1),
            };
            if length > 0 {
                self.write(write.offset, &write.new[..length]);
            }
        }
    }

    fn keep_sectors(&mut self, pending: &[Pending], mut seed: u64) {
        for write in pending {
            let mut at = write.offset;
            let end = write.offset + write.new.len();
            while at < end {
                let next = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
                if draw(&mut seed).is_multiple_of(2) {
                    let piece = at - write.offset..next.min(end) - write.offset;
                    self.write(at, &write.new[piece]);
                }
                at = next;
            }
        }
    }
}

/// The next number of a sequence that a seed determines (Steele, Lea and Flood, "SplitMix64", 2014).
pub(crate) fn draw(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Disk {
        let disk = Disk::new();
        disk.append("f", b"synced").unwrap();
        disk.sync("f").unwrap();
        disk.append("f", b" and not").unwrap();
        disk.write_at("f", 0, b"S").unwrap();
        disk
    }

    #[test]
    fn a_crash_takes_what_was_not_synced() {
        let disk = written();
        assert_eq!(disk.read("f").unwrap(), b"Synced and not");
        disk.crash(Keep::Nothing);
        assert_eq!(disk.read("f").unwrap(), b"synced");
    }

    #[test]
    fn a_crash_may_leave_what_was_not_synced() {
        let disk = written();
        disk.crash(Keep::Everything);
        assert_eq!(disk.read("f").unwrap(), b"Synced and not");
        disk.crash(Keep::Nothing);
        assert_eq!(disk.read("f").unwrap(), b"Synced and not");
    }

    #[test]
    fn a_torn_write_leaves_a_beginning_of_what_was_not_synced() {
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let disk = written();
            disk.crash(Keep::Prefix(seed));
            let left = disk.read("f").unwrap();
            assert!(left[1..].starts_with(b"ynced") && b"Synced and not"[1..].starts_with(&left[1..]), "{left:?}");
            lengths.insert(left.len());
        }
        assert!(lengths.len() > 4, "{lengths:?}");
    }

    #[test]
    fn a_cut_that_was_not_synced_is_undone() {
        let disk = written();
        disk.sync("f").unwrap();
        disk.truncate("f", 3).unwrap();
        assert_eq!(disk.read("f").unwrap(), b"Syn");
        disk.crash(Keep::Nothing);
        assert_eq!(disk.read("f").unwrap(), b"Synced and not");
    }

    #[test]
    fn an_operation_fails_when_asked_to_and_not_before() {
        let disk = Disk::new();
        disk.fail(Fault::Sync, 1);
        disk.sync("f").unwrap();
        disk.sync("f").unwrap_err();
        disk.sync("f").unwrap();
    }
}
