//! Snapshots: a point in time of the table as a stream of chunks, and back.
//!
//! Chunks carry the digest's rows and where the table stands; remembered indexes stay behind, so an imported table can rewind to
//! the imported index and no further. Each chunk ends in a hash over the one before
//! and itself: a lost, repeated or damaged chunk is found when it arrives. That the whole is what an honest cluster
//! built is not found here: it is when the digest meets a signed checkpoint. Format: `docs/internals/snapshot.md`.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use conclave_batch::key::segments;
use conclave_batch::{MAX_KEY_BYTES, MAX_VALUE_BYTES, WINDOW};

use super::digest::LtHash;
use super::format::{Standing, clock_row, put_standing, read_directory, read_identity, read_name, standing_fields};
use super::revisioned::{Inner, Published, bookkeeping, index_of, load};
use super::rows::{Change, Home, Partition, RowView, Rows};
use super::stack::Place;
use super::{Applied, Export, Import, TableError};
use crate::encoding::Fields;

const VERSION: u8 = 1;
const KIND_HEADER: u8 = 1;
const KIND_ROWS: u8 = 2;
const KIND_END: u8 = 3;
/// Rows are added to a chunk until it is this long, in bytes; one row may go over it.
const CHUNK_TARGET_BYTES: usize = 1024 * 1024 - 64 * 1024;
/// Longest chunk that is taken: one that is just short of its target, and one row more.
const CHUNK_MAX_BYTES: usize = CHUNK_TARGET_BYTES + MAX_VALUE_BYTES + MAX_KEY_BYTES + 1024;
const HASH_BYTES: usize = 32;
const ROW_HEAD_BYTES: usize = 9;

/// A table being read out.
pub(crate) struct Reading<V> {
    published: Arc<Published<V>>,
    digest: OnceLock<[u8; 32]>,
    chain: [u8; HASH_BYTES],
    sequence: u32,
    /// Rows sent.
    count: u64,
    next: Next,
}

/// What the next chunk will be.
enum Next {
    Header,
    /// Rows of these partitions, in the first one behind this key.
    Rows(VecDeque<Partition>, Option<Bytes>),
    End,
    Nothing,
}

impl<V: RowView> Reading<V> {
    pub(crate) fn new(published: Arc<Published<V>>) -> Self {
        Self { published, digest: OnceLock::new(), chain: [0; HASH_BYTES], sequence: 0, count: 0, next: Next::Header }
    }

    fn header(&self) -> Vec<u8> {
        let applied = self.applied();
        let mut body = Vec::with_capacity(256);
        body.extend_from_slice(&applied.epoch.to_be_bytes());
        body.extend_from_slice(&applied.time_millis.to_be_bytes());
        body.extend_from_slice(&self.digest());
        let (last, membership) = (applied.last, applied.membership.clone());
        put_standing(&mut body, &Standing { last, membership, checkpoint: None, rewind: index_of(applied) });
        body
    }

    /// Rows up to the target; the partitions that are left, and the last key of the first.
    fn rows(
        &mut self,
        mut partitions: VecDeque<Partition>,
        mut after: Option<Bytes>,
    ) -> Result<(Vec<u8>, Next), TableError> {
        let mut body = Vec::with_capacity(CHUNK_TARGET_BYTES);
        while let Some(partition) = partitions.front().copied() {
            let from = after.take();
            self.published.state.stack.scan(partition, &[], from.as_deref(), &mut |key, row| {
                put_row(&mut body, partition, key, row);
                self.count += 1;
                if body.len() < CHUNK_TARGET_BYTES {
                    return Ok(ControlFlow::Continue(()));
                }
                after = Some(Bytes::copy_from_slice(key));
                Ok(ControlFlow::Break(()))
            })?;
            if after.is_some() {
                return Ok((body, Next::Rows(partitions, after)));
            }
            partitions.pop_front();
        }
        Ok((body, Next::End))
    }

    fn seal(&mut self, kind: u8, body: &[u8]) -> Bytes {
        let mut chunk = Vec::with_capacity(body.len() + 64);
        chunk.extend_from_slice(&[VERSION, kind]);
        chunk.extend_from_slice(&self.sequence.to_be_bytes());
        chunk.extend_from_slice(body);
        self.chain = chained(&self.chain, &chunk);
        chunk.extend_from_slice(&self.chain);
        self.sequence += 1;
        chunk.into()
    }
}

impl<V: RowView> Export for Reading<V> {
    fn applied(&self) -> &Applied {
        &self.published.state.applied
    }

    fn digest(&self) -> [u8; 32] {
        *self.digest.get_or_init(|| self.published.state.stack.hash().digest())
    }

    fn next_chunk(&mut self) -> Result<Option<Bytes>, TableError> {
        match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Header => {
                self.next = Next::Rows(Partition::DIGESTED.into(), None);
                let body = self.header();
                Ok(Some(self.seal(KIND_HEADER, &body)))
            }
            Next::Rows(partitions, after) => {
                let (body, next) = self.rows(partitions, after)?;
                self.next = next;
                Ok(Some(self.seal(KIND_ROWS, &body)))
            }
            Next::End => {
                let body = self.count.to_be_bytes();
                Ok(Some(self.seal(KIND_END, &body)))
            }
            Next::Nothing => Ok(None),
        }
    }
}

/// A table being received.
pub(crate) struct Receiver<H: Home> {
    inner: Arc<Inner<H>>,
    staging: Option<H::Staging>,
    chain: [u8; HASH_BYTES],
    sequence: u32,
    /// Where it stands, and the digest that was announced.
    head: Option<(Applied, [u8; 32])>,
    hash: LtHash,
    count: u64,
    last_key: Option<(Partition, Bytes)>,
    is_complete: bool,
}

impl<H: Home> Receiver<H> {
    pub(crate) fn new(inner: Arc<Inner<H>>) -> Result<Self, TableError> {
        let staging = Some(inner.home.stage()?);
        Ok(Self {
            inner,
            staging,
            chain: [0; HASH_BYTES],
            sequence: 0,
            head: None,
            hash: LtHash::empty(),
            count: 0,
            last_key: None,
            is_complete: false,
        })
    }

    /// The kind and body of a chunk that is the next one, undamaged.
    fn open<'a>(&mut self, chunk: &'a [u8]) -> Result<(u8, &'a [u8]), TableError> {
        if chunk.len() > CHUNK_MAX_BYTES {
            return Err(bad(format!("it has {} bytes, and {CHUNK_MAX_BYTES} are the most", chunk.len())));
        }
        let (sealed, hash) = chunk.split_last_chunk::<HASH_BYTES>().ok_or_else(|| bad("it is cut short"))?;
        let mut fields = Fields::new(sealed);
        let head = (fields.u8(), fields.u8(), fields.u32());
        let (Some(version), Some(kind), Some(sequence)) = head else { return Err(bad("it is cut short")) };
        if version != VERSION {
            return Err(bad(format!("its version is {version}, and {VERSION} is the one known here")));
        }
        if sequence != self.sequence || self.is_complete {
            return Err(bad(format!("its number is {sequence}, and {} comes next", self.sequence)));
        }
        let expected = chained(&self.chain, sealed);
        if expected != *hash {
            return Err(bad("its hash does not follow from its bytes and the chunk before"));
        }
        self.chain = expected;
        self.sequence += 1;
        Ok((kind, fields.rest()))
    }

    fn header(&mut self, body: &[u8]) -> Result<(), TableError> {
        self.head = Some(read_header(Fields::new(body)).ok_or_else(|| bad("its header is malformed"))?);
        Ok(())
    }

    fn rows(&mut self, body: &[u8]) -> Result<(), TableError> {
        let last = self.head.as_ref().map(|(applied, _)| index_of(applied));
        let last = last.ok_or_else(|| bad("rows came before the header"))?;
        let mut changes = Vec::new();
        let mut fields = Fields::new(body);
        while !fields.is_empty() {
            let (partition, key, row) = read_row(&mut fields).ok_or_else(|| bad("a row in it is cut short"))?;
            self.check_row(partition, &key, &row, last)?;
            self.hash.add(partition, &key, &row);
            self.count += 1;
            self.last_key = Some((partition, key.clone()));
            changes.push(Change { partition, key, row: Some(row) });
        }
        self.staged()?.write(changes)
    }

    /// What the digest cannot say: that rows ascend (so none comes twice), keep the limits, and can be read.
    fn check_row(&self, partition: Partition, key: &Bytes, row: &Bytes, last: u64) -> Result<(), TableError> {
        let place = (partition, key.clone());
        if self.last_key.as_ref().is_some_and(|before| *before >= place) {
            return Err(bad("its rows are out of order"));
        }
        let is_sound = match partition {
            Partition::Values => row.len() >= 8 && row.len() <= 8 + MAX_VALUE_BYTES && segments(key).is_some(),
            Partition::Names => key.len() <= MAX_KEY_BYTES && read_name(row).is_ok(),
            Partition::Directories => key.len() <= MAX_KEY_BYTES && read_directory(row).is_ok(),
            Partition::Identities => read_identity(row).is_ok_and(|identity| {
                let is_within = identity.index <= last && identity.index + WINDOW > last;
                is_within && *key == super::window::slot_key(identity.index)
            }),
            Partition::Clock => key.is_empty() && row.len() == 16,
            Partition::Undo | Partition::Meta => false,
        };
        if is_sound { Ok(()) } else { Err(bad("it has a row that no table holds")) }
    }

    fn end(&mut self, body: &[u8]) -> Result<(), TableError> {
        if body != self.count.to_be_bytes() {
            return Err(bad(format!("the end does not agree that {} rows came", self.count)));
        }
        self.is_complete = true;
        Ok(())
    }

    fn staged(&self) -> Result<&H::Rows, TableError> {
        let staging = self.staging.as_ref().ok_or_else(|| bad("the import is over"))?;
        Ok(self.inner.home.staged(staging))
    }

    /// Where the received table stands, if it is whole and what was announced.
    fn verified(&self) -> Result<Applied, TableError> {
        let head = self.head.clone().filter(|_| self.is_complete);
        let (applied, digest) = head.ok_or_else(|| bad("the end is missing"))?;
        if self.hash.digest() != digest {
            return Err(bad("the rows do not add up to the digest that was announced"));
        }
        let clock = self.staged()?.view().get(Partition::Clock, &[])?;
        if clock != clock_row(applied.epoch, applied.time_millis) {
            return Err(bad("epoch and time are not those of the rows"));
        }
        Ok(applied)
    }
}

impl<H: Home> Import for Receiver<H> {
    fn push(&mut self, chunk: &[u8]) -> Result<(), TableError> {
        match self.open(chunk)? {
            (KIND_HEADER, body) if self.head.is_none() => self.header(body),
            (KIND_ROWS, body) => self.rows(body),
            (KIND_END, body) => self.end(body),
            (kind, _) => Err(bad(format!("a chunk of kind {kind} does not belong here"))),
        }
    }

    fn install(mut self: Box<Self>) -> Result<Applied, TableError> {
        let applied = self.verified()?;
        let at = Place { last: applied.last, membership: applied.membership.clone() };
        let staged = self.staged()?;
        staged.write(Vec::from(bookkeeping(&at, None, &self.hash)))?;
        staged.sync()?;
        let staging = self.staging.take().ok_or_else(|| bad("the import is over"))?;
        let _alone = self.inner.merging.lock();
        let mut writer = self.inner.writer.lock();
        let rows = self.inner.home.adopt(staging).inspect_err(|_| writer.has_failed = true)?;
        let replaced = std::mem::replace(&mut writer.rows, rows);
        let (state, window) = load(writer.rows.as_ref()).inspect_err(|_| writer.has_failed = true)?;
        self.inner.home.retire(&replaced);
        self.inner.replace(state, window);
        Ok(applied)
    }
}

fn read_header(mut fields: Fields<'_>) -> Option<(Applied, [u8; 32])> {
    let (epoch, time_millis, digest) = (fields.u64()?, fields.u64()?, fields.array()?);
    let Standing { last, membership, checkpoint: None, .. } = standing_fields(&mut fields)? else { return None };
    let applied = Applied { last, membership, epoch, time_millis, checkpoint: None };
    fields.is_empty().then_some((applied, digest))
}

fn put_row(out: &mut Vec<u8>, partition: Partition, key: &[u8], row: &[u8]) {
    out.reserve(ROW_HEAD_BYTES + key.len() + row.len());
    out.push(partition as u8);
    crate::encoding::put_bytes(out, key);
    crate::encoding::put_bytes(out, row);
}

fn read_row(fields: &mut Fields<'_>) -> Option<(Partition, Bytes, Bytes)> {
    Some((Partition::digested_from(fields.u8()?)?, fields.bytes()?, fields.bytes()?))
}

/// BLAKE3 over the hash of the chunk before and the bytes of this one.
fn chained(previous: &[u8; HASH_BYTES], sealed: &[u8]) -> [u8; HASH_BYTES] {
    *blake3::Hasher::new().update(previous).update(sealed).finalize().as_bytes()
}

fn bad(why: impl std::fmt::Display) -> TableError {
    TableError::Misuse(format!("the snapshot cannot be taken: {why}; start the transfer again"))
}
