//! The front of everything encrypted under a term: `version (1) · term (4, big-endian)`, in clear and authenticated.

use super::aead::OVERHEAD_BYTES;
use super::error::BarrierError;

/// Bytes of the header.
pub(crate) const HEADER_BYTES: usize = 1 + 4;

/// Writes a header into a buffer with room for the whole message.
pub(crate) fn begin(version: u8, term: u32, capacity: usize) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(capacity);
    sealed.push(version);
    sealed.extend_from_slice(&term.to_be_bytes());
    sealed
}

/// Reads the term. The version comes first, because a newer one may have another shape.
pub(crate) fn term_of(sealed: &[u8], version: u8, what: &'static str) -> Result<u32, BarrierError> {
    let (&found, rest) = sealed.split_first().ok_or(BarrierError::Malformed { what })?;
    check_version(u32::from(found), u32::from(version), what)?;
    if sealed.len() < HEADER_BYTES + OVERHEAD_BYTES {
        return Err(BarrierError::Malformed { what });
    }
    rest.first_chunk().map(|term| u32::from_be_bytes(*term)).ok_or(BarrierError::Malformed { what })
}

/// Splits the header off.
pub(crate) fn split<'a>(sealed: &'a [u8], what: &'static str) -> Result<(&'a [u8], &'a [u8]), BarrierError> {
    sealed.split_at_checked(HEADER_BYTES).ok_or(BarrierError::Malformed { what })
}

/// Refuses every version but the one that this program writes.
pub(crate) fn check_version(got: u32, expected: u32, what: &'static str) -> Result<(), BarrierError> {
    if got == expected { Ok(()) } else { Err(BarrierError::UnknownVersion { what, expected, got }) }
}
