//! Requests and replies between unsealed nodes, encrypted so that a sealed or compromised node in between learns
//! nothing.
//!
//! Layout: `version (1) · term (4) · nonce (12) · ciphertext · tag (16)`, AES-256-GCM under the term's forward key,
//! bound to the [`Envelope`]. A reply travels in the request's envelope turned around, so it can answer no other
//! request. It does not find a replayed request: the receiver remembers nonces, and refuses what is older than its memory.

use zeroize::Zeroizing;

use super::ClusterId;
use super::aead::OVERHEAD_BYTES;
use super::error::BarrierError;
use super::header::{self, HEADER_BYTES};
use super::term::Term;
use crate::context::Random;

/// Format version.
const VERSION: u8 = 1;
/// What every message is bound to first.
const CONTEXT: &[u8] = b"conclave forward v1";
/// Bytes that encryption adds to a message.
pub(crate) const FORWARD_OVERHEAD_BYTES: usize = HEADER_BYTES + OVERHEAD_BYTES;
/// How errors call it.
const WHAT: &str = "forwarded message";

/// Who says something to whom, and in answer to what.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The node that speaks.
    pub from: u64,
    /// The node that is spoken to.
    pub to: u64,
    /// Chosen at random by whoever asked; the same in the question and in its answer.
    pub nonce: &'a [u8; 16],
    /// What is asked for, such as `read-point`.
    pub method: &'a str,
}

impl Envelope<'_> {
    /// The envelope of the answer.
    pub fn turned(&self) -> Self {
        Self { from: self.to, to: self.from, ..*self }
    }

    /// `epoch (8) · from (8) · to (8) · nonce (16) · length of the method (2) · method`.
    pub(super) fn encode(&self, epoch: u64) -> Vec<u8> {
        let length = u16::try_from(self.method.len()).expect("methods are short constants");
        let mut bytes = Vec::with_capacity(42 + self.method.len());
        bytes.extend_from_slice(&epoch.to_be_bytes());
        bytes.extend_from_slice(&self.from.to_be_bytes());
        bytes.extend_from_slice(&self.to.to_be_bytes());
        bytes.extend_from_slice(self.nonce);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(self.method.as_bytes());
        bytes
    }
}

fn bind(header: &[u8], cluster_id: &ClusterId, epoch: u64, envelope: &Envelope<'_>) -> Vec<u8> {
    [CONTEXT, header, cluster_id, &envelope.encode(epoch)].concat()
}

/// Encrypts a message. The caller has taken the use.
pub(crate) fn seal(
    term: &Term,
    cluster_id: &ClusterId,
    epoch: u64,
    envelope: &Envelope<'_>,
    message: &[u8],
    random: &mut dyn Random,
) -> Vec<u8> {
    let mut sealed = header::begin(VERSION, term.number(), FORWARD_OVERHEAD_BYTES + message.len());
    let bound = bind(&sealed, cluster_id, epoch, envelope);
    term.keys(cluster_id).forward.seal_onto(&mut sealed, &bound, message, random);
    sealed
}

/// The term under which a message was encrypted.
pub(crate) fn term_of(sealed: &[u8]) -> Result<u32, BarrierError> {
    header::term_of(sealed, VERSION, WHAT)
}

/// Decrypts a message under the term that it names.
pub(crate) fn open(
    term: &Term,
    cluster_id: &ClusterId,
    epoch: u64,
    envelope: &Envelope<'_>,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, BarrierError> {
    let (header, sealed) = header::split(sealed, WHAT)?;
    let opened = term.keys(cluster_id).forward.open(&bind(header, cluster_id, epoch, envelope), sealed);
    opened.ok_or(BarrierError::NotAuthentic { what: WHAT })
}
