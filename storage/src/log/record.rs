//! One entry as bytes, chained to the entry before it.
//!
//! Both logs store exactly these bytes, and every read and every open goes through [`decode`]. A record carries the
//! chain hash of its predecessor and its own, so it can be checked alone, and two neighbours can be checked to be
//! neighbours. The hash has no key: it finds damage and mix-ups, not forgery, which the batch's tag finds. Format:
//! `docs/internals/log.md`.

use bytes::Bytes;

use super::{Entry, LogId, Payload};
use crate::encoding::{Fields, LOG_ID_BYTES, put_log_id};

const VERSION: u8 = 1;
const KIND_BLANK: u8 = 0;
const KIND_BATCH: u8 = 1;
const KIND_MEMBERSHIP: u8 = 2;
/// Bytes before the payload: version, kind, log id, two hashes.
pub(crate) const HEAD_BYTES: usize = 2 + LOG_ID_BYTES + 32 + 32;

/// BLAKE3 over the chain hash of the entry before and this entry.
pub(crate) type Chain = [u8; 32];

/// The chain hash that the first entry behind nothing, or behind a purged entry, follows.
pub(crate) fn chain_start(purged: Option<LogId>) -> Chain {
    let mut bytes = Vec::with_capacity(LOG_ID_BYTES);
    if let Some(id) = purged {
        put_log_id(&mut bytes, id);
    }
    *blake3::hash(&bytes).as_bytes()
}

/// The record of an entry, and its chain hash.
pub(crate) fn encode(entry: &Entry, previous: &Chain) -> (Bytes, Chain) {
    let (kind, payload): (u8, &[u8]) = match &entry.payload {
        Payload::Blank => (KIND_BLANK, &[]),
        Payload::Batch(bytes) => (KIND_BATCH, bytes),
        Payload::Membership(bytes) => (KIND_MEMBERSHIP, bytes),
    };
    let mut record = Vec::with_capacity(HEAD_BYTES + payload.len());
    record.extend_from_slice(&[VERSION, kind]);
    put_log_id(&mut record, entry.id);
    let chain = chain_of(&record, previous, payload);
    record.extend_from_slice(previous);
    record.extend_from_slice(&chain);
    record.extend_from_slice(payload);
    (record.into(), chain)
}

/// An entry that was checked, and where it stands in the chain.
pub(crate) struct Decoded {
    pub(crate) entry: Entry,
    pub(crate) previous: Chain,
    pub(crate) chain: Chain,
}

/// Reads a record back; `None` if it is not what was written.
pub(crate) fn decode(record: &Bytes) -> Option<Decoded> {
    let mut fields = Fields::new(record);
    let head = fields.take(2 + LOG_ID_BYTES)?;
    let (previous, chain) = (fields.array()?, fields.array()?);
    let payload = record.slice(HEAD_BYTES..);
    if chain_of(head, &previous, &payload) != chain {
        return None;
    }
    let mut fields = Fields::new(head);
    let (version, kind, id) = (fields.u8()?, fields.u8()?, fields.log_id()?);
    let payload = match (version, kind) {
        (VERSION, KIND_BLANK) if payload.is_empty() => Payload::Blank,
        (VERSION, KIND_BATCH) => Payload::Batch(payload),
        (VERSION, KIND_MEMBERSHIP) => Payload::Membership(payload),
        _ => return None,
    };
    Some(Decoded { entry: Entry { id, payload }, previous, chain })
}

fn chain_of(head: &[u8], previous: &Chain, payload: &[u8]) -> Chain {
    *blake3::Hasher::new().update(previous).update(head).update(payload).finalize().as_bytes()
}
