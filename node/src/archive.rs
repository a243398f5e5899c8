//! Writes a gzip archive of files (RFC 1952, and ustar of POSIX.1-2001), as tools for Vault's snapshots expect it.
//!
//! Nothing is compressed: what goes in is ciphertext. So the deflate stream (RFC 1951) has stored blocks only.

/// Bytes of a block of an archive.
const BLOCK_BYTES: usize = 512;
/// Most bytes of a stored block of deflate.
const STORED_BYTES: usize = 65_535;

/// What each byte does to a CRC-32 (RFC 1952, section 8).
const CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut value, mut bit) = (byte as u32, 0);
        while bit < 8 {
            value = if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};

/// An archive being written.
pub(crate) struct Archive {
    out: Vec<u8>,
    /// What does not fill a stored block yet.
    pending: Vec<u8>,
    /// CRC-32 of all that was written, inverted as the algorithm has it.
    crc: u32,
    size: u32,
    /// Seconds since the Unix epoch, of every file.
    modified_secs: u64,
}

impl Archive {
    /// An empty one.
    pub(crate) fn new(modified_secs: u64) -> Self {
        // Deflate, no flags, no time, no hints, of an unknown system.
        let out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        Self { out, pending: Vec::new(), crc: !0, size: 0, modified_secs }
    }

    /// Bytes so far, give or take a block.
    pub(crate) fn len(&self) -> usize {
        self.out.len() + self.pending.len()
    }

    /// Adds a file. The name has at most 99 bytes.
    pub(crate) fn add(&mut self, name: &str, content: &[u8]) {
        let header = self.header(name, content.len());
        self.write(&header);
        self.write(content);
        self.write(&vec![0; content.len().next_multiple_of(BLOCK_BYTES) - content.len()]);
    }

    fn header(&self, name: &str, size: usize) -> [u8; BLOCK_BYTES] {
        let mut header = [0; BLOCK_BYTES];
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, "0000600\0");
        put(108, "0000000\0");
        put(116, "0000000\0");
        put(124, &format!("{size:011o}\0"));
        put(136, &format!("{:011o}\0", self.modified_secs));
        put(148, "        ");
        put(156, "0");
        put(257, "ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        header
    }

    fn write(&mut self, bytes: &[u8]) {
        self.crc = bytes.iter().fold(self.crc, |crc, byte| CRC[usize::from(crc as u8 ^ byte)] ^ (crc >> 8));
        self.size = self.size.wrapping_add(bytes.len() as u32);
        self.pending.extend_from_slice(bytes);
        while self.pending.len() > STORED_BYTES {
            let rest = self.pending.split_off(STORED_BYTES);
            let block = std::mem::replace(&mut self.pending, rest);
            self.store(&block, false);
        }
    }

    fn store(&mut self, block: &[u8], is_last: bool) {
        let length = block.len() as u16;
        self.out.push(u8::from(is_last));
        self.out.extend_from_slice(&length.to_le_bytes());
        self.out.extend_from_slice(&(!length).to_le_bytes());
        self.out.extend_from_slice(block);
    }

    /// The archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.write(&[0; 2 * BLOCK_BYTES]);
        let block = std::mem::take(&mut self.pending);
        self.store(&block, true);
        self.out.extend_from_slice(&(!self.crc).to_le_bytes());
        self.out.extend_from_slice(&self.size.to_le_bytes());
        self.out
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn other_programs_read_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = Archive::new(1_700_000_000);
        let large: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
        archive.add("meta.json", b"{}");
        archive.add("state/000000", &large);
        archive.add("empty", b"");
        std::fs::write(folder.path().join("a.tgz"), archive.finish()).unwrap();
        let read = Command::new("tar").args(["-xzf", "a.tgz"]).current_dir(folder.path()).output().unwrap();
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        assert_eq!(std::fs::read(folder.path().join("meta.json")).unwrap(), b"{}");
        assert_eq!(std::fs::read(folder.path().join("state/000000")).unwrap(), large);
        assert_eq!(std::fs::read(folder.path().join("empty")).unwrap(), b"");
    }
}
