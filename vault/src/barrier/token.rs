//! The content of batch tokens, which are stored nowhere: the token is its own encrypted record.
//!
//! Layout: `version (1) · term (4) · nonce (12) · ciphertext · tag (16)`, AES-256-GCM under the term's batch-token key.
//! Bound to cluster and epoch, so that a restore ends every batch token made before it.

use zeroize::Zeroizing;

use super::ClusterId;
use super::aead::OVERHEAD_BYTES;
use super::error::BarrierError;
use super::header::{self, HEADER_BYTES};
use super::term::Term;
use crate::context::Random;

/// Format version.
const VERSION: u8 = 1;
/// What every token is bound to first.
const CONTEXT: &[u8] = b"conclave batch token v1";
/// How errors call it.
const WHAT: &str = "batch token";

fn bind(header: &[u8], cluster_id: &ClusterId, epoch: u64) -> Vec<u8> {
    [CONTEXT, header, cluster_id, &epoch.to_be_bytes()].concat()
}

/// Encrypts a token's content. The caller has taken the use.
pub(crate) fn seal(
    term: &Term,
    cluster_id: &ClusterId,
    epoch: u64,
    content: &[u8],
    random: &mut dyn Random,
) -> Vec<u8> {
    let mut sealed = header::begin(VERSION, term.number(), HEADER_BYTES + OVERHEAD_BYTES + content.len());
    let bound = bind(&sealed, cluster_id, epoch);
    term.keys(cluster_id).token.seal_onto(&mut sealed, &bound, content, random);
    sealed
}

/// The term under which a token was encrypted.
pub(crate) fn term_of(sealed: &[u8]) -> Result<u32, BarrierError> {
    header::term_of(sealed, VERSION, WHAT)
}

/// Decrypts a token under the term that it names.
pub(crate) fn open(
    term: &Term,
    cluster_id: &ClusterId,
    epoch: u64,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, BarrierError> {
    let (header, sealed) = header::split(sealed, WHAT)?;
    let opened = term.keys(cluster_id).token.open(&bind(header, cluster_id, epoch), sealed);
    opened.ok_or(BarrierError::NotAuthentic { what: WHAT })
}
