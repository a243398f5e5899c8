//! A snapshot on the wire: a head, chunks, a tail with a hash over them.
//!
//! The sender reads a point in time of its table; the receiver writes into a staging folder and puts it in place only
//! after the tail was right and consensus accepted the head. A broken transfer starts again from the front.

use aws_lc_rs::digest;
use bytes::Bytes;
use conclave_storage::table::{Export, Import, Table};
use futures::Stream;
use openraft::errors::{StreamingError, Unreachable};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::machine::{Snapshot, SnapshotData};
use crate::types::{SnapshotMeta, StoredMembership, Types, Vote};
use crate::wire::{self, proto};

/// Chunks read ahead of the network, of about 1 MiB each.
const AHEAD: usize = 4;

use proto::snapshot_part::Part;

/// The messages of one transfer. The table is read on a thread of its own, no faster than the network takes it; a
/// table that cannot be read ends the stream without a tail, which the receiver refuses.
pub(crate) fn send(
    vote: Vote,
    snapshot: Snapshot,
) -> Result<impl Stream<Item = proto::SnapshotPart> + Send + 'static, StreamingError<Types>> {
    let SnapshotData::Outgoing(export) = snapshot.snapshot else {
        return Err(Unreachable::from_string("the snapshot has no contents to send").into());
    };
    let stored = &snapshot.meta.last_membership;
    let head = proto::SnapshotHead {
        vote: Some(wire::vote(&vote)),
        last: snapshot.meta.last_log_id.as_ref().map(wire::log_id),
        membership_id: stored.log_id().as_ref().map(wire::log_id),
        membership: Some(wire::membership(stored.membership())),
    };
    let (parts, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || read_out(export, head, &parts));
    Ok(ReceiverStream::new(receiver))
}

fn read_out(mut export: Box<dyn Export>, head: proto::SnapshotHead, parts: &mpsc::Sender<proto::SnapshotPart>) {
    let put = |part| parts.blocking_send(proto::SnapshotPart { part: Some(part) }).is_ok();
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut size_bytes = 0;
    if !put(Part::Head(head)) {
        return;
    }
    loop {
        match export.next_chunk() {
            Ok(Some(chunk)) => {
                hash.update(&chunk);
                size_bytes += chunk.len() as u64;
                if !put(Part::Chunk(chunk)) {
                    return;
                }
            }
            Ok(None) => break,
            Err(error) => {
                tracing::error!(%error, "the table cannot be read for a snapshot");
                return;
            }
        }
    }
    let sha256 = Bytes::copy_from_slice(hash.finish().as_ref());
    put(Part::Tail(proto::SnapshotTail { size_bytes, sha256 }));
}

/// A snapshot that was received whole and waits to be installed.
pub(crate) struct Received {
    pub(crate) vote: Vote,
    pub(crate) snapshot: Snapshot,
}

/// Takes one transfer. Nothing of it is in place yet when this returns.
pub(crate) async fn receive(
    mut parts: Streaming<proto::SnapshotPart>,
    table: &std::sync::Arc<dyn Table>,
    admit: impl Fn() -> Result<(), Status>,
) -> Result<Received, Status> {
    let Some(Part::Head(head)) = next(&mut parts).await? else {
        return Err(Status::invalid_argument("a snapshot starts with its head"));
    };
    let (vote, meta) = read_head(&head)?;
    let (chunks, receiver) = mpsc::channel(AHEAD);
    let table = table.clone();
    let writer = tokio::task::spawn_blocking(move || write_in(table, receiver));
    let tail = loop {
        // A long transfer must not outlive the sender's membership.
        admit()?;
        match next(&mut parts).await? {
            Some(Part::Chunk(chunk)) => {
                if chunks.send(chunk).await.is_err() {
                    break None;
                }
            }
            Some(Part::Tail(tail)) => break Some(tail),
            _ => return Err(Status::data_loss("the snapshot ended before its tail")),
        }
    };
    drop(chunks);
    let written = writer.await.map_err(|_| Status::internal("the snapshot could not be written"))?;
    let (import, size_bytes, sha256) = written.map_err(|error| {
        tracing::error!(%error, "a received snapshot cannot be written");
        Status::internal("the snapshot could not be written")
    })?;
    match tail {
        Some(tail) if tail.size_bytes == size_bytes && tail.sha256 == sha256 => {}
        _ => return Err(Status::data_loss("the snapshot's hash does not match")),
    }
    Ok(Received { vote, snapshot: Snapshot { meta, snapshot: SnapshotData::Incoming(import) } })
}

type Written = (Box<dyn Import>, u64, Bytes);

fn write_in(
    table: std::sync::Arc<dyn Table>,
    mut chunks: mpsc::Receiver<Bytes>,
) -> Result<Written, conclave_storage::table::TableError> {
    let mut import = table.import()?;
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut size_bytes = 0;
    while let Some(chunk) = chunks.blocking_recv() {
        hash.update(&chunk);
        size_bytes += chunk.len() as u64;
        import.push(&chunk)?;
    }
    Ok((import, size_bytes, Bytes::copy_from_slice(hash.finish().as_ref())))
}

async fn next(parts: &mut Streaming<proto::SnapshotPart>) -> Result<Option<Part>, Status> {
    Ok(parts.message().await?.and_then(|part| part.part))
}

/// Checks the head as openraft would assert it: a snapshot holds nothing beyond its sender's vote, and its membership
/// is not newer than itself.
fn read_head(head: &proto::SnapshotHead) -> Result<(Vote, SnapshotMeta), Status> {
    let invalid = |what: &str| Status::invalid_argument(format!("the snapshot's {what} cannot be right"));
    let vote = wire::read_vote(head.vote.as_ref())?;
    let last = head.last.as_ref().map(wire::read_log_id).ok_or_else(|| invalid("log id"))?;
    if !vote.committed || last.leader_id > vote.leader_id {
        return Err(invalid("vote"));
    }
    let membership_id = head.membership_id.as_ref().map(wire::read_log_id);
    let membership = head.membership.as_ref().ok_or_else(|| invalid("membership"))?;
    let membership = wire::read_membership(membership)?;
    if membership_id.is_none_or(|id| id > last) || membership.get_joint_config().is_empty() {
        return Err(invalid("membership"));
    }
    let last_membership = StoredMembership::new(membership_id, membership);
    Ok((vote, SnapshotMeta { last_log_id: Some(last), last_membership }))
}

#[cfg(test)]
mod tests;
