//! Row formats of the table, byte by byte as in `docs/internals/table.md`.
//!
//! Every row whose change is a log entry's doing starts with the index of that entry, so that apply can tell from
//! the row alone whether it was touched since an index. No row has a version of its own: the folder's `format`
//! file has one for all of them.

use bytes::Bytes;
use conclave_batch::Outcome;
use conclave_batch::{Directory, Record};

use super::TableError;
use super::rows::Partition;
use crate::encoding::{Fields, put_bytes, put_log_id, put_optional_log_id};
use crate::log::LogId;

/// A value lies under the name.
pub(crate) const HAS_VALUE: u8 = 1;
/// Names lie under the name.
pub(crate) const HAS_CHILDREN: u8 = 2;

/// Key of the row in [`Partition::Meta`] that says where the table stands.
pub(crate) const STANDING_KEY: &[u8] = b"standing";
/// Key of the row in [`Partition::Meta`] that holds the state of the digest.
pub(crate) const HASH_KEY: &[u8] = b"hash";
/// Start of the keys in [`Partition::Meta`] of remembered points in version 1; the index follows, 8 bytes.
pub(crate) const POINT_PREFIX: &[u8] = b"point";

/// Index of the log entry that changed a row last; 0 if the row is too short to tell.
pub(crate) fn changed_at(row: &[u8]) -> u64 {
    row.first_chunk().map_or(0, |index| u64::from_be_bytes(*index))
}

pub(crate) fn value_row(revision: u64, value: &[u8]) -> Bytes {
    let mut row = Vec::with_capacity(8 + value.len());
    row.extend_from_slice(&revision.to_be_bytes());
    row.extend_from_slice(value);
    row.into()
}

pub(crate) fn read_value(row: &Bytes) -> Result<Record, TableError> {
    if row.len() < 8 {
        return Err(malformed("value"));
    }
    Ok(Record { revision: changed_at(row), value: row.slice(8..) })
}

/// Key of a name: the directory behind its `u16` length, then the bare segment, so that the names of one directory
/// lie together and in the order of their bytes.
pub(crate) fn name_key(directory: &[u8], segment: &[u8]) -> Vec<u8> {
    let length = u16::try_from(directory.len()).expect("keys are bounded by MAX_KEY_BYTES, below 64 KiB");
    let mut key = Vec::with_capacity(2 + directory.len() + segment.len());
    key.extend_from_slice(&length.to_be_bytes());
    key.extend_from_slice(directory);
    key.extend_from_slice(segment);
    key
}

pub(crate) fn name_row(revision: u64, flags: u8) -> Bytes {
    let mut row = [flags; 9];
    row[..8].copy_from_slice(&revision.to_be_bytes());
    Bytes::copy_from_slice(&row)
}

/// Flags of a name.
pub(crate) fn read_name(row: &[u8]) -> Result<u8, TableError> {
    match row {
        [_, _, _, _, _, _, _, _, flags @ 1..=3] => Ok(*flags),
        _ => Err(malformed("name")),
    }
}

pub(crate) fn directory_row(directory: Directory) -> Bytes {
    let mut row = [0; 16];
    row[..8].copy_from_slice(&directory.revision.to_be_bytes());
    row[8..].copy_from_slice(&directory.count.to_be_bytes());
    Bytes::copy_from_slice(&row)
}

pub(crate) fn read_directory(row: &[u8]) -> Result<Directory, TableError> {
    let mut fields = Fields::new(row);
    match (fields.u64(), fields.u64(), fields.is_empty()) {
        (Some(revision), Some(count), true) => Ok(Directory { revision, count }),
        _ => Err(malformed("directory")),
    }
}

/// Epoch and cluster time, as a row under the empty key of [`Partition::Clock`]; absent while both are 0.
pub(crate) fn clock_row(epoch: u64, time_millis: u64) -> Option<Bytes> {
    let mut row = [0; 16];
    row[..8].copy_from_slice(&epoch.to_be_bytes());
    row[8..].copy_from_slice(&time_millis.to_be_bytes());
    (row != [0; 16]).then(|| Bytes::copy_from_slice(&row))
}

/// Epoch and cluster time.
pub(crate) fn read_clock(row: Option<&[u8]>) -> Result<(u64, u64), TableError> {
    let Some(row) = row else { return Ok((0, 0)) };
    let mut fields = Fields::new(row);
    match (fields.u64(), fields.u64(), fields.is_empty()) {
        (Some(epoch), Some(time_millis), true) => Ok((epoch, time_millis)),
        _ => Err(malformed("clock")),
    }
}

/// An applied batch: the index it was seen at, its id, its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) index: u64,
    pub(crate) id: [u8; 16],
    pub(crate) outcome: Outcome,
}

pub(crate) fn identity_row(identity: &Identity) -> Bytes {
    let (tag, index) = match identity.outcome {
        Outcome::Applied { index } => (1, index),
        Outcome::Conflict { index } => (2, index),
        Outcome::TooOld => (3, 0),
        Outcome::WrongEpoch => (4, 0),
        Outcome::Malformed => (5, 0),
    };
    let mut row = Vec::with_capacity(33);
    row.extend_from_slice(&identity.index.to_be_bytes());
    row.extend_from_slice(&identity.id);
    row.push(tag);
    row.extend_from_slice(&u64::to_be_bytes(index));
    row.into()
}

pub(crate) fn read_identity(row: &[u8]) -> Result<Identity, TableError> {
    read_identity_fields(Fields::new(row)).ok_or_else(|| malformed("batch id"))
}

fn read_identity_fields(mut fields: Fields<'_>) -> Option<Identity> {
    let (index, id, tag, at) = (fields.u64()?, fields.array()?, fields.u8()?, fields.u64()?);
    let outcome = match tag {
        1 => Outcome::Applied { index: at },
        2 => Outcome::Conflict { index: at },
        3 => Outcome::TooOld,
        4 => Outcome::WrongEpoch,
        5 => Outcome::Malformed,
        _ => return None,
    };
    fields.is_empty().then_some(Identity { index, id, outcome })
}

/// Where the table stands, without what the rows and the hash state themselves say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) last: Option<LogId>,
    pub(crate) membership: Option<(LogId, Bytes)>,
    pub(crate) checkpoint: Option<(u64, u64)>,
    pub(crate) rewind: u64,
}

pub(crate) fn put_standing(out: &mut Vec<u8>, standing: &Standing) {
    put_optional_log_id(out, standing.last);
    put_membership(out, standing.membership.as_ref());
    out.push(u8::from(standing.checkpoint.is_some()));
    if let Some((entry, confirmed)) = standing.checkpoint {
        out.extend_from_slice(&entry.to_be_bytes());
        out.extend_from_slice(&confirmed.to_be_bytes());
    }
    out.extend_from_slice(&standing.rewind.to_be_bytes());
}

pub(crate) fn standing_fields(fields: &mut Fields<'_>) -> Option<Standing> {
    let last = fields.optional_log_id()?;
    let membership = membership_fields(fields)?;
    let checkpoint = if fields.flag()? { Some((fields.u64()?, fields.u64()?)) } else { None };
    Some(Standing { last, membership, checkpoint, rewind: fields.u64()? })
}

pub(crate) fn read_standing(row: &[u8]) -> Result<Standing, TableError> {
    let mut fields = Fields::new(row);
    standing_fields(&mut fields).filter(|_| fields.is_empty()).ok_or_else(|| malformed("standing"))
}

fn put_membership(out: &mut Vec<u8>, membership: Option<&(LogId, Bytes)>) {
    out.push(u8::from(membership.is_some()));
    if let Some((id, bytes)) = membership {
        put_log_id(out, *id);
        put_bytes(out, bytes);
    }
}

fn membership_fields(fields: &mut Fields<'_>) -> Option<Option<(LogId, Bytes)>> {
    Some(if fields.flag()? { Some((fields.log_id()?, fields.bytes()?)) } else { None })
}

/// A remembered index in version 1: what is needed to stand there again, and the digest to confirm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) last: Option<LogId>,
    pub(crate) membership: Option<(LogId, Bytes)>,
    pub(crate) digest: [u8; 32],
}

pub(crate) fn point_key(index: u64) -> Bytes {
    [POINT_PREFIX, &index.to_be_bytes()].concat().into()
}

/// The index of a point's key.
pub(crate) fn read_point_key(key: &[u8]) -> Result<u64, TableError> {
    let index = key.strip_prefix(POINT_PREFIX).and_then(|index| index.try_into().ok());
    index.map(u64::from_be_bytes).ok_or_else(|| malformed("point"))
}

#[cfg(test)]
pub(crate) fn point_row(point: &Point) -> Bytes {
    let mut row = Vec::with_capacity(128);
    row.extend_from_slice(&point.digest);
    put_optional_log_id(&mut row, point.last);
    put_membership(&mut row, point.membership.as_ref());
    row.into()
}

pub(crate) fn read_point(row: &[u8]) -> Result<Point, TableError> {
    read_point_fields(Fields::new(row)).ok_or_else(|| malformed("point"))
}

fn read_point_fields(mut fields: Fields<'_>) -> Option<Point> {
    let digest = fields.array()?;
    let last = fields.optional_log_id()?;
    let membership = membership_fields(&mut fields)?;
    fields.is_empty().then_some(Point { last, membership, digest })
}

#[cfg(test)]
/// Key of an undo row: the segment's start, the partition, the key there.
pub(crate) fn undo_key(segment: u64, partition: Partition, key: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(9 + key.len());
    out.extend_from_slice(&segment.to_be_bytes());
    out.push(partition as u8);
    out.extend_from_slice(key);
    out.into()
}

/// Segment, partition and key of an undo row's key.
pub(crate) fn read_undo_key(key: &[u8]) -> Result<(u64, Partition, &[u8]), TableError> {
    let mut fields = Fields::new(key);
    let segment = fields.u64();
    let partition = fields.u8().and_then(Partition::digested_from);
    segment
        .zip(partition)
        .map(|(segment, partition)| (segment, partition, fields.rest()))
        .ok_or_else(|| malformed("undo"))
}

#[cfg(test)]
/// An undo row: a byte 0 if there was no row, else a byte 1 and the row.
pub(crate) fn undo_row(old: Option<&Bytes>) -> Bytes {
    match old {
        None => Bytes::from_static(&[0]),
        Some(old) => [&[1], old.as_ref()].concat().into(),
    }
}

pub(crate) fn read_undo(row: &[u8]) -> Result<Option<Bytes>, TableError> {
    match row {
        [0] => Ok(None),
        [1, old @ ..] => Ok(Some(Bytes::copy_from_slice(old))),
        _ => Err(malformed("undo")),
    }
}

/// Says which kind of row is not what was written.
pub(crate) fn malformed(kind: &str) -> TableError {
    super::damaged(format!("a {kind} row has no form that was ever written"))
}
