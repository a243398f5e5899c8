//! Who calls: the checks that let a member's request pass, before its message is parsed.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use tokio::time::Instant;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Status};

use crate::network::{CLUSTER, FROM, PROCESS, TO, hex};
use crate::peers::Peers;
use crate::processes::{PROCESS_BYTES, Processes};

/// What a node hears whose key no member holds, or holds no more.
const NOT_A_MEMBER: &str = "not a member of this cluster";
/// What a node hears that was a member before a recovery.
const LEFT_BEHIND: &str = "the cluster was recovered without this node";
/// Metadata of such a refusal: the index of the membership that the answering node follows, in decimal.
const MEMBERS: &str = "conclave-members";

/// Whose connection it is; attached to every request that comes over it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) public_key: [u8; 32],
    pub(crate) address: SocketAddr,
}

/// A member whose request passed the checks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) id: u64,
    pub(crate) connection: Connection,
}

/// Lets a member's request pass. Says as little as possible to others. `applied` is the index up to which this node has
/// applied the log.
pub(crate) fn admit(
    mut request: Request<()>,
    peers: &Peers,
    own_id: u64,
    processes: &Processes,
    applied: u64,
) -> Result<Request<()>, Status> {
    let refused = || Status::permission_denied(NOT_A_MEMBER);
    let connection = connection(&request)?;
    let metadata = request.metadata();
    let cluster = peers.cluster_id().map(|cluster| hex(&cluster)).ok_or_else(refused)?;
    let is_ours = text(metadata, CLUSTER) == Some(cluster.as_str());
    let id = peers.id_of(&connection.public_key).ok_or_else(|| match peers.is_left_behind(&connection.public_key) {
        true => Status::permission_denied(LEFT_BEHIND),
        false if is_ours => no_member(peers.members_index().filter(|index| *index <= applied)),
        false => refused(),
    })?;
    if !is_ours {
        return Err(Status::permission_denied("this node belongs to another cluster"));
    }
    if number(metadata, FROM) != Some(id) {
        return Err(refused());
    }
    if number(metadata, TO) != Some(own_id) {
        return Err(Status::permission_denied("the request is meant for another node"));
    }
    if let Some(process) = text(metadata, PROCESS).and_then(read_process) {
        processes.note(id, process, Instant::now());
    }
    request.extensions_mut().insert(Caller { id, connection });
    Ok(request)
}

/// Refuses somebody who knows the cluster, and so was a member once. `members` is the index of the membership that this node
/// follows, if that is committed: whoever follows an older one that names it sees that it was removed since.
fn no_member(members: Option<u64>) -> Status {
    let mut metadata = MetadataMap::new();
    if let Some(index) = members {
        metadata.insert(MEMBERS, MetadataValue::from(index));
    }
    Status::with_metadata(Code::PermissionDenied, NOT_A_MEMBER, metadata)
}

/// The committed membership that a node follows which refused this one, by its index; 0 if it does not say.
pub(crate) fn members_index(status: &Status) -> u64 {
    number(status.metadata(), MEMBERS).unwrap_or(0)
}

/// Whether a node that was asked says that a recovery has left the asker behind.
pub(crate) fn is_left_behind(status: &Status) -> bool {
    status.code() == Code::PermissionDenied && status.message() == LEFT_BEHIND
}

/// Whether a node that was asked says that the asker is no member.
pub(crate) fn is_not_a_member(status: &Status) -> bool {
    status.code() == Code::PermissionDenied && status.message() == NOT_A_MEMBER
}

/// The connection a request came over.
pub(crate) fn connection<T>(request: &Request<T>) -> Result<Connection, Status> {
    let connection = request.extensions().get::<Connection>().copied();
    connection.ok_or_else(|| Status::internal("the request came over no connection"))
}

/// Whether the cluster that a request names, if it names one, is ours, if we know ours.
pub(crate) fn is_our_cluster(metadata: &MetadataMap, ours: Option<[u8; 16]>) -> bool {
    match (text(metadata, CLUSTER), ours) {
        (Some(theirs), Some(ours)) => theirs == hex(&ours),
        _ => true,
    }
}

fn text<'a>(metadata: &'a MetadataMap, name: &str) -> Option<&'a str> {
    metadata.get(name)?.to_str().ok()
}

fn read_process(text: &str) -> Option<[u8; PROCESS_BYTES]> {
    let is_whole = text.len() == 2 * PROCESS_BYTES;
    u128::from_str_radix(text, 16).ok().filter(|_| is_whole).map(u128::to_be_bytes)
}

fn number(metadata: &MetadataMap, name: &str) -> Option<u64> {
    text(metadata, name)?.parse().ok()
}

/// Ends `input` as soon as its sender is no member any more.
pub(crate) fn while_member<T: Send + 'static>(
    input: impl Stream<Item = T> + Send + 'static,
    caller: Caller,
    peers: Arc<Peers>,
) -> impl Stream<Item = T> + Send + 'static {
    let still = move |_: &T| std::future::ready(peers.id_of(&caller.connection.public_key) == Some(caller.id));
    input.take_while(still)
}
