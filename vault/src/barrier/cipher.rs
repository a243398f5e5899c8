//! The encryption of values: AES-256-GCM under the term's data key, bound to the one place where the value belongs.
//!
//! Layout: `version (1) · term (4) · batch id (16) · nonce (12) · ciphertext · tag (16)`. Everything in front of the
//! nonce is authenticated, and so are the cluster, the namespace and the storage key, which are not repeated in the
//! value. What it does not find: an older ciphertext of the same key, put back; the scrub against the table digest
//! does.

use zeroize::Zeroizing;

use super::ClusterId;
use super::aead::OVERHEAD_BYTES;
use super::error::BarrierError;
use super::header;
use super::term::Term;
use crate::context::Random;

/// Format version of values.
pub(crate) const VERSION: u8 = 1;
/// Bytes in front of the nonce.
const PREFIX_BYTES: usize = header::HEADER_BYTES + 16;
/// Bytes that encryption adds to a value.
pub(crate) const VALUE_OVERHEAD_BYTES: usize = PREFIX_BYTES + OVERHEAD_BYTES;
/// How errors call it.
const WHAT: &str = "value";

/// Where a value belongs.
pub(crate) struct Place<'a> {
    /// The cluster.
    pub cluster_id: &'a ClusterId,
    /// The namespace.
    pub namespace: &'a [u8; 16],
    /// The storage key, encrypted and encoded as in the table.
    pub key: &'a [u8],
}

impl Place<'_> {
    /// `cluster id (16) · namespace (16) · prefix (21) · storage key`: only the last part has a free length.
    fn bind(&self, prefix: &[u8]) -> Vec<u8> {
        let mut bound = Vec::with_capacity(32 + prefix.len() + self.key.len());
        bound.extend_from_slice(self.cluster_id);
        bound.extend_from_slice(self.namespace);
        bound.extend_from_slice(prefix);
        bound.extend_from_slice(self.key);
        bound
    }
}

/// Encrypts a value. The caller has taken the use.
pub(crate) fn seal_value(
    term: &Term,
    place: &Place<'_>,
    batch_id: &[u8; 16],
    plaintext: &[u8],
    random: &mut dyn Random,
) -> Vec<u8> {
    let mut sealed = header::begin(VERSION, term.number(), VALUE_OVERHEAD_BYTES + plaintext.len());
    sealed.extend_from_slice(batch_id);
    let bound = place.bind(&sealed);
    term.keys(place.cluster_id).data.seal_onto(&mut sealed, &bound, plaintext, random);
    sealed
}

/// The term under which a value was encrypted.
pub(crate) fn term_of(value: &[u8]) -> Result<u32, BarrierError> {
    header::term_of(value, VERSION, WHAT)
}

/// Decrypts a value under the term that it names.
pub(crate) fn open_value(term: &Term, place: &Place<'_>, value: &[u8]) -> Result<Zeroizing<Vec<u8>>, BarrierError> {
    let (prefix, sealed) = value.split_at_checked(PREFIX_BYTES).ok_or(BarrierError::Malformed { what: WHAT })?;
    let opened = term.keys(place.cluster_id).data.open(&place.bind(prefix), sealed);
    opened.ok_or(BarrierError::NotAuthentic { what: WHAT })
}
