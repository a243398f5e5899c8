//! The bytes on disk, as `docs/internals/log.md` prints them.

use super::super::record::{chain_start, decode, encode};
use super::*;

/// The hex words of the code block behind a heading of a page.
pub(crate) fn vector(page: &str, heading: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/internals").join(page);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let (_, behind) = text.split_once(heading).unwrap_or_else(|| panic!("{page} has no {heading:?}"));
    let block = behind.split("```").nth(1).unwrap();
    let lines = block.lines().skip(1).map(|line| line.split('#').next().unwrap_or_default());
    lines.flat_map(str::split_whitespace).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_record_is_what_the_page_says() {
    let entry =
        Entry { id: LogId { term: 3, leader: 258, index: 1 }, payload: Payload::Batch(Bytes::from_static(b"abc")) };
    let (record, chain) = encode(&entry, &chain_start(None));
    assert_eq!(hex(&record), vector("log.md", "### Test vector: record"));
    let decoded = decode(&record).unwrap();
    assert!(decoded.entry == entry && decoded.chain == chain && decoded.previous == chain_start(None));
}

#[test]
fn a_record_is_refused_if_any_bit_of_it_changes() {
    let (record, _) = encode(&entry(1, 7), &chain_start(None));
    for at in 0..record.len() * 8 {
        let mut changed = record.to_vec();
        changed[at / 8] ^= 1 << (at % 8);
        assert!(decode(&changed.into()).is_none(), "bit {at}");
    }
    for length in 0..record.len() {
        assert!(decode(&record.slice(..length)).is_none(), "{length} bytes");
    }
}

#[test]
fn a_tail_slot_is_what_the_page_says() {
    let folder = Folder::new();
    let log = folder.open().unwrap();
    log.save_vote(Bytes::from_static(b"v")).unwrap();
    append(
        &log,
        vec![Entry {
            id: LogId { term: 3, leader: 258, index: 1 },
            payload: Payload::Batch(Bytes::from_static(b"abc")),
        }],
    );
    drop(log);
    let tail = std::fs::read(folder.path().join("log/tail")).unwrap();
    // The third write, after those of an empty log and of the vote.
    assert_eq!(hex(&tail[4096..4096 + 106]), vector("log.md", "### Test vector: tail slot"));
}

#[test]
fn the_files_of_a_log_are_what_the_page_says() {
    let folder = Folder::new();
    let log = folder.open().unwrap();
    log.save_vote(Bytes::from_static(b"v")).unwrap();
    append(
        &log,
        vec![Entry {
            id: LogId { term: 3, leader: 258, index: 1 },
            payload: Payload::Batch(Bytes::from_static(b"abc")),
        }],
    );
    drop(log);
    assert_eq!(std::fs::read(folder.path().join("log/format")).unwrap(), b"conclave log 1\n");
    assert_eq!(hex(&std::fs::read(&folder.files()[0]).unwrap()), vector("log.md", "### Test vector: file"));
}
