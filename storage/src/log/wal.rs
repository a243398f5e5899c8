//! What we put into the crate `raft-log`: its type parameters, and their bytes.
//!
//! Its records end in a CRC-32, and it takes a record that is cut short at the end of the last file for a torn
//! write. A flipped bit in a length would look like that too, so lengths are written twice.

use std::io::{self, Read, Write};
use std::sync::mpsc::SyncSender;

use bytes::Bytes;
use conclave_batch::MAX_BATCH_BYTES;
use raft_log::codeq::{Decode, Encode};

use super::LogId;
use crate::encoding::{Fields, LOG_ID_BYTES, put_log_id, put_optional_log_id};

/// Longest block of bytes in a record.
const BLOCK_MAX_BYTES: usize = MAX_BATCH_BYTES + 64 * 1024;

/// The type parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape;

impl raft_log::Types for Shape {
    type LogId = Position;
    type LogPayload = Block;
    type Vote = Vote;
    type Callback = SyncSender<io::Result<()>>;
    type UserData = Committed;

    fn log_index(position: &Position) -> u64 {
        position.index
    }

    fn payload_size(payload: &Block) -> u64 {
        payload.0.len() as u64
    }
}

/// A log id, ordered by its index alone in effect: within one log, terms never fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    index: u64,
    term: u64,
    leader: u64,
}

impl From<LogId> for Position {
    fn from(LogId { term, leader, index }: LogId) -> Self {
        Self { index, term, leader }
    }
}

impl From<Position> for LogId {
    fn from(Position { index, term, leader }: Position) -> Self {
        Self { term, leader, index }
    }
}

impl Encode for Position {
    fn encode<W: Write>(&self, mut out: W) -> io::Result<usize> {
        let mut bytes = Vec::with_capacity(LOG_ID_BYTES);
        put_log_id(&mut bytes, (*self).into());
        out.write_all(&bytes)?;
        Ok(bytes.len())
    }
}

impl Decode for Position {
    fn decode<R: Read>(mut input: R) -> io::Result<Self> {
        let mut bytes = [0; LOG_ID_BYTES];
        input.read_exact(&mut bytes)?;
        Fields::new(&bytes).log_id().map(Self::from).ok_or_else(|| malformed("log id"))
    }
}

/// Bytes behind their length and its complement.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Block(pub(super) Bytes);

impl std::fmt::Debug for Block {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} bytes", self.0.len())
    }
}

impl Encode for Block {
    fn encode<W: Write>(&self, mut out: W) -> io::Result<usize> {
        let length = u32::try_from(self.0.len()).map_err(|_| malformed("length"))?;
        out.write_all(&length.to_be_bytes())?;
        out.write_all(&(!length).to_be_bytes())?;
        out.write_all(&self.0)?;
        Ok(8 + self.0.len())
    }
}

impl Decode for Block {
    fn decode<R: Read>(mut input: R) -> io::Result<Self> {
        let mut head = [0; 8];
        input.read_exact(&mut head)?;
        let mut fields = Fields::new(&head);
        let length = fields.u32().filter(|length| fields.u32() == Some(!length));
        let length = length.and_then(|length| usize::try_from(length).ok());
        let length = length.filter(|length| *length <= BLOCK_MAX_BYTES).ok_or_else(|| malformed("length"))?;
        let mut bytes = vec![0; length];
        input.read_exact(&mut bytes)?;
        Ok(Self(bytes.into()))
    }
}

/// A saved vote, ordered by how often one was saved before: what it says is nothing to this crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vote {
    pub(super) sequence: u64,
    pub(super) bytes: Block,
}

impl PartialOrd for Vote {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.sequence.cmp(&other.sequence))
    }
}

impl Encode for Vote {
    fn encode<W: Write>(&self, mut out: W) -> io::Result<usize> {
        out.write_all(&self.sequence.to_be_bytes())?;
        Ok(8 + self.bytes.encode(out)?)
    }
}

impl Decode for Vote {
    fn decode<R: Read>(mut input: R) -> io::Result<Self> {
        let mut sequence = [0; 8];
        input.read_exact(&mut sequence)?;
        Ok(Self { sequence: u64::from_be_bytes(sequence), bytes: Block::decode(input)? })
    }
}

/// The saved committed position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Committed(pub(super) Option<LogId>);

impl Encode for Committed {
    fn encode<W: Write>(&self, mut out: W) -> io::Result<usize> {
        let mut bytes = Vec::with_capacity(1 + LOG_ID_BYTES);
        put_optional_log_id(&mut bytes, self.0);
        bytes.resize(1 + LOG_ID_BYTES, 0);
        out.write_all(&bytes)?;
        Ok(bytes.len())
    }
}

impl Decode for Committed {
    fn decode<R: Read>(mut input: R) -> io::Result<Self> {
        let mut bytes = [0; 1 + LOG_ID_BYTES];
        input.read_exact(&mut bytes)?;
        Fields::new(&bytes).optional_log_id().map(Self).ok_or_else(|| malformed("committed position"))
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the {what} of a record is malformed"))
}
