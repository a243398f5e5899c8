//! The disk alone: append to a file and sync its data, again and again. No log that acknowledges what is durable does it with less.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::error::BenchError;

/// What a write of a secret adds to the log, in bytes, about.
const ENTRY_BYTES: usize = 800;

/// Appends for a time; how long each append with its sync took, in microseconds.
pub(crate) fn append(folder: &Path, duration: Duration) -> Result<Histogram<u64>, BenchError> {
    let path = folder.join("append");
    let failed = || BenchError::system("appending to a file");
    let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed())?;
    let mut times = Histogram::new_with_max(60_000_000, 3).expect("these bounds are sound");
    let (entry, end) = (vec![0x5a; ENTRY_BYTES], Instant::now() + duration);
    loop {
        let begun = Instant::now();
        if begun >= end {
            return Ok(times);
        }
        file.write_all(&entry).and_then(|()| file.sync_data()).map_err(failed())?;
        times.saturating_record(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
}

/// Bytes that the files of a folder take on the disk.
pub(crate) fn used_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of_one = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path();
        // One that is gone meanwhile takes nothing.
        let data = std::fs::symlink_metadata(&path).ok()?;
        Some(if data.is_dir() { used_bytes(&path) } else { data.blocks() * 512 })
    };
    entries.filter_map(of_one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_are_counted_and_take_room() {
        let folder = tempfile::tempdir().unwrap();
        let times = append(folder.path(), Duration::from_millis(50)).unwrap();
        assert!(!times.is_empty());
        assert!(used_bytes(folder.path()) >= times.len() * ENTRY_BYTES as u64);
        assert_eq!(used_bytes(&folder.path().join("nothing")), 0);
    }
}
