//! Fixed-width fields of our own formats: big-endian integers, length-prefixed bytes, optional log ids.
//!
//! Not a general codec: each format that uses it is written down byte by byte in `docs/internals/`. Reading
//! answers `None` for whatever is too short, so a format's reader is a chain of `?` and cannot panic.

use bytes::Bytes;

use crate::log::LogId;

/// Encoded length of a log id: term, leader, index, 8 bytes each.
pub(crate) const LOG_ID_BYTES: usize = 24;

/// Appends a log id.
pub(crate) fn put_log_id(out: &mut Vec<u8>, id: LogId) {
    out.extend_from_slice(&id.term.to_be_bytes());
    out.extend_from_slice(&id.leader.to_be_bytes());
    out.extend_from_slice(&id.index.to_be_bytes());
}

/// Appends a byte 0, or a byte 1 and a log id.
pub(crate) fn put_optional_log_id(out: &mut Vec<u8>, id: Option<LogId>) {
    out.push(u8::from(id.is_some()));
    if let Some(id) = id {
        put_log_id(out, id);
    }
}

/// Appends bytes behind their `u32` length.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("every field is bounded far below 4 GiB by a limit");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Reads fields from the front of a slice.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(length)?;
        self.rest = tail;
        Some(head)
    }

    /// The next bytes as an array.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.rest.split_first_chunk::<N>()?;
        self.rest = tail;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A presence byte; anything but 0 and 1 is malformed.
    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn log_id(&mut self) -> Option<LogId> {
        Some(LogId { term: self.u64()?, leader: self.u64()?, index: self.u64()? })
    }

    pub(crate) fn optional_log_id(&mut self) -> Option<Option<LogId>> {
        Some(if self.flag()? { Some(self.log_id()?) } else { None })
    }

    /// Bytes behind their `u32` length.
    pub(crate) fn bytes(&mut self) -> Option<Bytes> {
        let length = self.u32()?;
        self.take(usize::try_from(length).ok()?).map(Bytes::copy_from_slice)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything not yet read.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }
}
