//! Packets in files, one for each directed link, in the form that `tcpdump -r` reads.
//!
//! The form is libpcap's (draft-ietf-opsawg-pcap, "PCAP Capture File Format"), with link type 101: packets begin with their IP header. What surprises:
//! only what arrives is written, so a file holds what its reader could have seen.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Most bytes that are written for one link; what comes after is not.
const MAX_LINK_BYTES: u64 = 256 * 1024 * 1024;
/// "Little endian, microseconds".
const MAGIC: u32 = 0xa1b2_c3d4;
/// Packets begin with their IP header.
const LINK_TYPE_RAW: u32 = 101;
/// Most bytes of a packet.
const SNAPSHOT_BYTES: u32 = 65_535;

/// The files of a switch.
pub(super) struct Capture {
    folder: PathBuf,
    files: BTreeMap<(usize, usize), (BufWriter<File>, u64)>,
}

impl Capture {
    /// Writes into a folder, which is made.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), files: BTreeMap::new() })
    }

    /// Adds a packet of a link.
    pub(super) fn write(&mut self, from: usize, to: usize, packet: &[u8]) -> io::Result<()> {
        let (file, written) = match self.files.entry((from, to)) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert((begin(&self.folder, from, to)?, 0)),
        };
        *written += packet.len() as u64;
        if *written > MAX_LINK_BYTES {
            return Ok(());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let length = u32::try_from(packet.len()).unwrap_or(SNAPSHOT_BYTES);
        // The form has 32 bits for the seconds.
        for number in [now.as_secs() as u32, now.subsec_micros(), length, length] {
            file.write_all(&number.to_le_bytes())?;
        }
        file.write_all(packet)
    }

    /// Makes the files complete.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.files.values_mut().try_for_each(|(file, _)| file.flush())
    }
}

fn begin(folder: &Path, from: usize, to: usize) -> io::Result<BufWriter<File>> {
    let mut file = BufWriter::new(File::create(folder.join(format!("port{from}-to-port{to}.pcap")))?);
    file.write_all(&MAGIC.to_le_bytes())?;
    for number in [2_u16, 4] {
        file.write_all(&number.to_le_bytes())?;
    }
    for number in [0, 0, SNAPSHOT_BYTES, LINK_TYPE_RAW] {
        file.write_all(&number.to_le_bytes())?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_link_has_a_file_with_its_packets_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut capture = Capture::new(folder.path()).unwrap();
        capture.write(0, 1, b"first").unwrap();
        capture.write(1, 0, b"other").unwrap();
        capture.write(0, 1, b"second").unwrap();
        capture.flush().unwrap();
        let bytes = std::fs::read(folder.path().join("port0-to-port1.pcap")).unwrap();
        assert_eq!(bytes.len(), 24 + 16 + 5 + 16 + 6);
        assert_eq!((&bytes[40..45], &bytes[61..]), (&b"first"[..], &b"second"[..]));
    }
}
