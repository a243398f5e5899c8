//! Reads a snapshot's archive, and says what it is and whether it is whole: gzip (RFC 1952) with stored blocks, as the
//! server writes it, around ustar (POSIX.1-2001).

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

/// Bytes of a block of an archive.
const BLOCK_BYTES: usize = 512;

/// The list of digests of a snapshot's files.
pub const SUMS: &str = "SHA256SUMS";
/// What vouches for that list.
pub const SEALED_SUMS: &str = "SHA256SUMS.sealed";

/// A snapshot's files by their names.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What the archive says of itself, with its size.
///
/// # Errors
/// Why it is no whole snapshot.
pub fn inspect(bytes: &[u8]) -> Result<Value, &'static str> {
    let files = read(bytes)?;
    let meta = files.get("meta.json").ok_or("it does not say what it is")?;
    let mut meta: Value = serde_json::from_slice(meta).map_err(|_| "what it says of itself is no JSON")?;
    meta["Size"] = bytes.len().into();
    Ok(meta)
}

/// The files, each of which is what the list of digests says. Who made that list is not known here.
///
/// # Errors
/// Why it is no whole snapshot.
pub fn read(bytes: &[u8]) -> Result<Files, &'static str> {
    let files = files(&stored(bytes)?)?;
    let file = |name: &str| files.get(name).map(Vec::as_slice);
    let sums = file(SUMS).ok_or("it has no list of digests")?;
    if file(SEALED_SUMS).is_none_or(<[u8]>::is_empty) {
        return Err("nothing vouches for its list of digests: the transfer ended early");
    }
    let sums = std::str::from_utf8(sums).map_err(|_| "its list of digests is no text")?;
    let mut listed = 0;
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").ok_or("its list of digests is malformed")?;
        let content = file(name).ok_or("a file of its list is missing")?;
        if hex::encode(digest(&SHA256, content)) != sum {
            return Err("a file is not what its list says");
        }
        listed += 1;
    }
    if listed + 2 != files.len() {
        return Err("it has a file that is not in its list");
    }
    Ok(files)
}

/// The content of stored blocks.
fn stored(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    let head: &[u8; 10] = bytes.first_chunk().ok_or("it is too short")?;
    if head[..4] != [0x1f, 0x8b, 8, 0] {
        return Err("it is no gzip file that this server wrote");
    }
    let (mut at, mut content, mut is_last) = (head.len(), Vec::with_capacity(bytes.len()), false);
    while !is_last {
        let block: &[u8; 5] = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or("it is cut short")?;
        let length = u16::from_le_bytes([block[1], block[2]]);
        if block[0] > 1 || !length != u16::from_le_bytes([block[3], block[4]]) {
            return Err("it was compressed anew, or damaged");
        }
        is_last = block[0] == 1;
        at += block.len();
        let end = at + usize::from(length);
        content.extend_from_slice(bytes.get(at..end).ok_or("it is cut short")?);
        at = end;
    }
    // What follows are a checksum and a length; the digests say more.
    if bytes.len() == at + 8 { Ok(content) } else { Err("it is cut short, or goes on behind its end") }
}

/// The files by name.
fn files(archive: &[u8]) -> Result<Files, &'static str> {
    let (mut files, mut at) = (BTreeMap::new(), 0);
    loop {
        let header = archive.get(at..at + BLOCK_BYTES).ok_or("its archive is cut short")?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(files);
        }
        let text = |range: std::ops::Range<usize>| {
            let field = header[range].split(|byte| *byte == 0).next().unwrap_or_default();
            std::str::from_utf8(field).map_err(|_| "its archive has a name that is no text")
        };
        let (name, size) = (text(0..100)?.to_owned(), text(124..136)?);
        let size = usize::from_str_radix(size.trim(), 8).map_err(|_| "its archive is malformed")?;
        at += BLOCK_BYTES;
        let end = at.checked_add(size).ok_or("its archive is malformed")?;
        let content = archive.get(at..end).ok_or("its archive is cut short")?.to_vec();
        if files.insert(name, content).is_some() {
            return Err("it has a file twice");
        }
        at = end.next_multiple_of(BLOCK_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive with stored blocks, as the server writes it.
    fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = Vec::new();
        for (name, content) in files {
            let mut header = [0; BLOCK_BYTES];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
            archive.extend_from_slice(&header);
            archive.extend_from_slice(content);
            archive.resize(archive.len().next_multiple_of(BLOCK_BYTES), 0);
        }
        archive.resize(archive.len() + 2 * BLOCK_BYTES, 0);
        let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        for (number, block) in archive.chunks(1000).enumerate() {
            let length = u16::try_from(block.len()).unwrap();
            bytes.push(u8::from((number + 1) * 1000 >= archive.len()));
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&(!length).to_le_bytes());
            bytes.extend_from_slice(block);
        }
        bytes.extend_from_slice(&[0; 8]);
        bytes
    }

    fn whole() -> Vec<(&'static str, Vec<u8>)> {
        let meta = b"{\"Index\": 7}".to_vec();
        let sums = format!("{}  meta.json\n", hex::encode(digest(&SHA256, &meta))).into_bytes();
        vec![("meta.json", meta), ("SHA256SUMS", sums), ("SHA256SUMS.sealed", vec![1])]
    }

    fn inspected(files: &[(&'static str, Vec<u8>)]) -> Result<Value, &'static str> {
        let files: Vec<_> = files.iter().map(|(name, content)| (*name, content.as_slice())).collect();
        inspect(&packed(&files))
    }

    #[test]
    fn a_whole_snapshot_says_what_it_is() {
        let meta = inspected(&whole()).unwrap();
        assert_eq!(meta["Index"], 7);
        assert!(meta["Size"].as_u64() > Some(1000));
    }

    // check 235
    #[test]
    fn what_is_cut_changed_or_added_to_is_no_snapshot() {
        let bytes = packed(&whole().iter().map(|(name, content)| (*name, content.as_slice())).collect::<Vec<_>>());
        for length in [0, 9, 20, bytes.len() / 2, bytes.len() - 1] {
            assert!(inspect(&bytes[..length]).is_err(), "{length}");
        }
        let mut files = whole();
        files[0].1[2] ^= 1;
        assert_eq!(inspected(&files).unwrap_err(), "a file is not what its list says");
        let mut files = whole();
        files.push(("../evil", vec![1]));
        assert_eq!(inspected(&files).unwrap_err(), "it has a file that is not in its list");
        assert!(inspected(&whole()[..2]).is_err(), "nothing vouches for it");
    }
}
