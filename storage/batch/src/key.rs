//! Storage keys: a path of opaque segments.
//!
//! A key is the concatenation of its segments, each written as a big-endian `u16` length and that many
//! bytes. So the children of a directory are contiguous, a parent is found without knowing what a
//! segment means, and nothing here can tell a name from its ciphertext.

use bytes::Bytes;

use crate::limits::{MAX_KEY_BYTES, MAX_SEGMENTS};

/// Appends one segment to an encoded key. Panics if it is longer than 65,535 bytes, which no caller makes.
pub fn push_segment(key: &mut Vec<u8>, segment: &[u8]) {
    let len = u16::try_from(segment.len()).expect("segments are bounded far below 64 KiB by MAX_KEY_BYTES");
    key.extend_from_slice(&len.to_be_bytes());
    key.extend_from_slice(segment);
}

/// The segments of an encoded key, or `None` if it is malformed, empty or too long.
pub fn segments(key: &[u8]) -> Option<Vec<&[u8]>> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return None;
    }
    let mut rest = key;
    let mut parts = Vec::with_capacity(8);
    while !rest.is_empty() {
        let (len, tail) = rest.split_first_chunk::<2>()?;
        let (segment, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        parts.push(segment);
        rest = tail;
    }
    (parts.len() <= MAX_SEGMENTS).then_some(parts)
}

/// A key split into the directory that holds it and its last segment; the root directory is empty.
pub fn split_last(key: &Bytes) -> Option<(Bytes, Bytes)> {
    let parts = segments(key)?;
    let last = parts.last()?.len();
    let parent = key.len() - last - 2;
    Some((key.slice(..parent), key.slice(parent + 2..)))
}
