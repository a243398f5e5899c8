//! Who the other nodes are: their keys, their addresses, and the connections to them.
//!
//! A key counts if the membership that this node follows names it. Two additions keep a node from being locked out:
//! the members learned while joining, until the node's own membership has arrived; and the members that a known
//! member vouches for, if its membership is newer than ours. Without the second, a node that slept through a change
//! of all members could not believe the new leader, who alone can tell it of the change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use bytes::Bytes;
use conclave_storage::REPLACE_NODE;
use parking_lot::{Mutex, RwLock};
use prost::Message;
use rustls::ClientConfig;
use tokio::sync::mpsc;

use crate::config::Timing;
use crate::identity::{CLUSTER_FILE, Identity, write_durably};
use crate::limits::{MAX_CLUSTER_FILE_BYTES, MAX_SOURCES};
use crate::link::{Lane, Link};
use crate::tls::Tls;
use crate::types::{LogId, NodeRecord, StoredMembership};
use crate::wire::{self, proto};

const VERSION: u32 = 2;
/// That of files without a checksum.
const VERSION_UNCHECKED: u32 = 1;
/// In front of the checksum: its field, which is the file's last, and its length.
const CHECKSUM_HEAD: [u8; 2] = [0x7a, 0x20];

/// The other nodes, as far as this one knows them.
pub(crate) struct Peers {
    own_id: u64,
    own_key: [u8; 32],
    file: Option<PathBuf>,
    tls: Arc<Tls>,
    timing: Timing,
    known: RwLock<Known>,
    links: Mutex<Links>,
    /// Whence a member's key was proven, and whose. At most [`MAX_SOURCES`].
    sources: Mutex<HashMap<IpAddr, u64>>,
    /// Told the id of each node whose replication lane came up.
    opened: mpsc::Sender<u64>,
}

/// Each connection with the place it was dialled to.
type Links = HashMap<(u64, Lane), (NodeRecord, Arc<Link>)>;

/// `keys` is always the keys of `members` and `hints` together, without this node's own.
#[derive(Default)]
struct Known {
    cluster_id: Option<[u8; 16]>,
    members: BTreeMap<u64, NodeRecord>,
    members_id: Option<LogId>,
    hints: BTreeMap<u64, NodeRecord>,
    /// Where the hints come from: a membership with this log id, or a join if `None`.
    hints_id: Option<LogId>,
    keys: HashMap<[u8; 32], u64>,
    /// The newest entry that this node had acknowledged and has lost; 0 if it has lost none.
    rolled_back_from: u64,
    /// Whether this node has ever found itself in the membership that it follows.
    was_member: bool,
    /// `host:port` where a member said that it is, until the membership says the same.
    places: BTreeMap<u64, String>,
    /// Members of before a recovery that made this node the only one.
    left_behind: BTreeMap<u64, NodeRecord>,
}

impl Peers {
    /// Reads the cluster file, if there is one; without it no cluster is known yet.
    pub(crate) fn open(
        identity: &Identity,
        tls: Arc<Tls>,
        timing: Timing,
        opened: mpsc::Sender<u64>,
    ) -> io::Result<Self> {
        let file = identity.dir().map(|dir| dir.join(CLUSTER_FILE));
        let mut known = Known::default();
        if let Some(content) = file.as_deref().map(read).transpose()?.flatten() {
            known.cluster_id = content.cluster_id.as_ref().try_into().ok();
            known.rolled_back_from = content.rolled_back_from;
            known.was_member = content.was_member;
            known.hints = content.pins.iter().map(wire::read_member).collect::<Result<_, _>>()?;
            known.left_behind = content.left_behind.iter().map(wire::read_member).collect::<Result<_, _>>()?;
        }
        known.index_keys(&identity.public_key());
        Ok(Self {
            own_id: identity.id(),
            own_key: identity.public_key(),
            file,
            tls,
            timing,
            known: RwLock::new(known),
            links: Mutex::default(),
            sources: Mutex::default(),
            opened,
        })
    }

    /// The cluster this node belongs to.
    pub(crate) fn cluster_id(&self) -> Option<[u8; 16]> {
        self.known.read().cluster_id
    }

    /// Whether what a join brought names this node under another key, or its key under another id.
    pub(crate) fn contradicts_own(&self) -> bool {
        let known = self.known.read();
        contradicts(&known.hints, self.own_id, &self.own_key)
    }

    /// Says which cluster it is; `false` if another one is known already.
    pub(crate) fn set_cluster_id(&self, id: [u8; 16]) -> io::Result<bool> {
        let mut known = self.known.write();
        match known.cluster_id {
            Some(present) => Ok(present == id),
            None => {
                known.cluster_id = Some(id);
                self.save(&known).map(|()| true)
            }
        }
    }

    /// Takes cluster and members from the answer to a join, both or neither; they count until this node finds itself in
    /// the membership. `false` if it is a member of another cluster.
    pub(crate) fn enter(&self, id: [u8; 16], members: BTreeMap<u64, NodeRecord>) -> io::Result<bool> {
        let mut known = self.known.write();
        if !known.members.is_empty() && known.cluster_id != Some(id) {
            return Ok(false);
        }
        // What an initialisation that failed has left behind is no cluster.
        known.cluster_id = Some(id);
        if !known.members.contains_key(&self.own_id) {
            known.hints = members;
            known.hints_id = None;
            known.index_keys(&self.own_key);
        }
        self.save(&known).map(|()| true)
    }

    /// Whether this node has ever been a member, so that it may have voted.
    pub(crate) fn was_member(&self) -> bool {
        self.known.read().was_member
    }

    /// The newest entry that this node had acknowledged and has lost, for good.
    pub(crate) fn rolled_back_from(&self) -> Option<u64> {
        Some(self.known.read().rolled_back_from).filter(|index| *index > 0)
    }

    /// Keeps that this node has lost what it acknowledged up to an index. `false` if that was known.
    pub(crate) fn note_loss(&self, index: u64) -> io::Result<bool> {
        let mut known = self.known.write();
        if known.rolled_back_from > 0 {
            return Ok(false);
        }
        known.rolled_back_from = index;
        self.save(&known).map(|()| true)
    }

    /// Whether this node has joined a cluster whose membership has not arrived.
    pub(crate) fn is_entering(&self) -> bool {
        let known = self.known.read();
        known.hints_id.is_none() && !known.hints.is_empty() && !known.members.contains_key(&self.own_id)
    }

    /// Takes what a known member says of a membership that is newer than ours. A node that is still joining adds it
    /// to what it learned then, since nothing else is certain to be reachable.
    pub(crate) fn vouch(&self, id: LogId, members: BTreeMap<u64, NodeRecord>) {
        let mut known = self.known.write();
        if Some(id) <= known.members_id || Some(id) <= known.hints_id {
            return;
        }
        if known.members.contains_key(&self.own_id) {
            known.hints = members;
            known.hints_id = Some(id);
        } else {
            known.hints.extend(members);
        }
        known.index_keys(&self.own_key);
    }

    /// Takes the membership that this node follows now. Keys that it no longer names are refused from here on.
    pub(crate) fn follow(&self, membership: &StoredMembership) {
        let mut known = self.known.write();
        let had_pins = known.hints_id.is_none() && !known.hints.is_empty();
        known.members = membership.nodes().map(|(id, record)| (*id, record.clone())).collect();
        known.members_id = *membership.log_id();
        let Known { members, places, .. } = &mut *known;
        places.retain(|id, place| members.get(id).is_some_and(|record| record.cluster_addr != *place));
        let is_member = known.members.contains_key(&self.own_id);
        let is_new = is_member && !mem::replace(&mut known.was_member, true);
        let drops_hints = is_member && known.members_id >= known.hints_id;
        if drops_hints {
            known.hints.clear();
            known.hints_id = None;
        }
        if (is_new || drops_hints && had_pins)
            && let Err(error) = self.save(&known)
        {
            // Without it, the next membership is the next try.
            known.was_member = !is_new;
            tracing::warn!(%error, "the cluster file does not say that this node is a member");
        }
        known.index_keys(&self.own_key);
        let gone = |id: &u64, record: &NodeRecord| known.record(*id).is_none_or(|present| !same_place(present, record));
        self.links.lock().retain(|(id, _), (record, _)| !gone(id, record));
    }

    /// Dials every other member for what this node may have to say to it as follower, candidate or leader, so that
    /// the first word does not wait for a handshake. Not for snapshots, which are rare.
    pub(crate) fn warm(&self) {
        let members: Vec<_> = self.known.read().members.iter().map(|(id, at)| (*id, at.clone())).collect();
        for (id, record) in members.into_iter().filter(|(id, _)| *id != self.own_id) {
            for lane in [Lane::Replication, Lane::Heartbeat, Lane::Calls] {
                self.link_to(id, &record, lane);
            }
        }
    }

    /// The member that holds a key.
    pub(crate) fn id_of(&self, key: &[u8; 32]) -> Option<u64> {
        self.known.read().keys.get(key).copied()
    }

    /// Whether a key was a member's that a recovery has left behind.
    pub(crate) fn is_left_behind(&self, key: &[u8; 32]) -> bool {
        self.known.read().left_behind.values().any(|record| record.public_key == *key)
    }

    /// Whether members come from an address: one named in the membership, or one from which a key was proven.
    pub(crate) fn is_source(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let proven = self.sources.lock().get(&address).copied();
        let known = self.known.read();
        let is_named = |record: &NodeRecord| {
            record.cluster_addr.parse::<SocketAddr>().is_ok_and(|named| named.ip().to_canonical() == address)
        };
        proven.is_some_and(|id| known.keys.values().any(|known| *known == id))
            || known.members.values().chain(known.hints.values()).any(is_named)
    }

    /// Remembers that a member came from an address.
    pub(crate) fn add_source(&self, address: IpAddr, id: u64) {
        let mut sources = self.sources.lock();
        if sources.len() >= MAX_SOURCES {
            sources.clear();
        }
        sources.insert(address.to_canonical(), id);
    }

    pub(crate) fn record(&self, id: u64) -> Option<NodeRecord> {
        self.known.read().record(id).cloned()
    }

    /// Index of the membership that this node follows, committed or not; `None` before the first.
    pub(crate) fn members_index(&self) -> Option<u64> {
        self.known.read().members_id.map(|id| id.index)
    }

    /// All other nodes that are known, members and hints.
    pub(crate) fn others(&self) -> Vec<u64> {
        self.known.read().keys.values().copied().collect()
    }

    /// The connection to a known node; `None` if nobody has this id.
    pub(crate) fn link(&self, id: u64, lane: Lane) -> Option<Arc<Link>> {
        let record = self.record(id)?;
        self.link_to(id, &record, lane)
    }

    /// A member says where it is, whatever the membership says: it is dialled there from now on.
    pub(crate) fn note_place(&self, id: u64, address: &str) {
        {
            let mut known = self.known.write();
            match known.members.get(&id) {
                None => return,
                Some(record) if record.cluster_addr == address => known.places.remove(&id),
                Some(_) => known.places.insert(id, address.to_owned()),
            };
        }
        let links = self.links.lock();
        links.iter().filter(|((to, _), _)| *to == id).for_each(|(_, (_, link))| link.redirect(address));
    }

    /// Where a node is dialled, as `host:port`: where it said that it is, or else where the membership has it.
    pub(crate) fn place(&self, id: u64) -> Option<String> {
        let known = self.known.read();
        known.places.get(&id).cloned().or_else(|| known.record(id).map(|record| record.cluster_addr.clone()))
    }

    /// The connection to a node at the place that the caller knows it to be, or where it said since that it is.
    pub(crate) fn link_to(&self, id: u64, record: &NodeRecord, lane: Lane) -> Option<Arc<Link>> {
        // Before the links are locked, because whoever has locked what is known may wait for them.
        let place = self.known.read().places.get(&id).cloned();
        let mut links = self.links.lock();
        if let Some((present, link)) = links.get(&(id, lane))
            && same_place(present, record)
        {
            return Some(link.clone());
        }
        let tls = self.client_tls(Some(record.public_key))?;
        let opened = self.opened.clone();
        let on_open = move || {
            if lane == Lane::Replication {
                // If the queue is full, the peer waits for its backoff to end, which is all the harm.
                let _ = opened.try_send(id);
            }
        };
        let link =
            Arc::new(Link::dial(place.unwrap_or_else(|| record.cluster_addr.clone()), tls, self.timing, on_open));
        links.insert((id, lane), (record.clone(), link.clone()));
        Some(link)
    }

    /// TLS for dialling whoever holds `expected`, or anybody.
    pub(crate) fn client_tls(&self, expected: Option<[u8; 32]>) -> Option<Arc<ClientConfig>> {
        let config = self.tls.client(expected);
        config.inspect_err(|error| tracing::error!(%error, "TLS between nodes cannot be set up")).ok().map(Arc::new)
    }

    /// Ends all connections.
    pub(crate) fn disconnect(&self) {
        self.links.lock().clear();
    }

    fn save(&self, known: &Known) -> io::Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let pins = if known.hints_id.is_none() { known.hints.iter().collect() } else { Vec::new() };
        let left = known.left_behind.iter();
        let content = proto::ClusterFile {
            version: VERSION,
            cluster_id: known.cluster_id.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(&id)),
            pins: pins.into_iter().map(|(id, record)| wire::member(*id, record)).collect(),
            left_behind: left.map(|(id, record)| wire::member(*id, record)).collect(),
            rolled_back_from: known.rolled_back_from,
            was_member: known.was_member,
            checksum: Bytes::new(),
        };
        let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        write_durably(dir, CLUSTER_FILE, &encode(&content))
    }
}

impl Known {
    fn record(&self, id: u64) -> Option<&NodeRecord> {
        // A newer hint knows a newer address.
        let hinted = if self.hints_id > self.members_id { self.hints.get(&id) } else { None };
        hinted.or_else(|| self.members.get(&id)).or_else(|| self.hints.get(&id))
    }

    fn index_keys(&mut self, own_key: &[u8; 32]) {
        let all = self.hints.iter().chain(&self.members);
        let others = all.filter(|(_, record)| record.public_key != *own_key);
        self.keys = others.map(|(id, record)| (record.public_key, *id)).collect();
    }
}

/// Whether members name a node under another key, or its key under another id.
pub(crate) fn contradicts<'a>(
    members: impl IntoIterator<Item = (&'a u64, &'a NodeRecord)>,
    own_id: u64,
    own_key: &[u8; 32],
) -> bool {
    members.into_iter().any(|(id, record)| (*id == own_id) != (record.public_key == *own_key))
}

fn same_place(a: &NodeRecord, b: &NodeRecord) -> bool {
    a.cluster_addr == b.cluster_addr && a.public_key == b.public_key
}

/// Adds members to those that a recovery has left behind, and forgets whom this node believed besides the membership.
pub(crate) fn leave_behind(identity: &Identity, members: Vec<(u64, NodeRecord)>) -> io::Result<()> {
    let dir = identity.dir().ok_or(io::ErrorKind::InvalidInput)?;
    let mut content = read(&dir.join(CLUSTER_FILE))?.ok_or_else(|| io::Error::other("node/node.cluster is missing"))?;
    content.pins.clear();
    // What is recovered is what this node has; nobody else is there whose trust it could break.
    content.rolled_back_from = 0;
    let known: BTreeSet<u64> = content.left_behind.iter().map(|member| member.id).collect();
    let new = members.iter().filter(|(id, _)| !known.contains(id));
    content.left_behind.extend(new.map(|(id, record)| wire::member(*id, record)));
    content.version = VERSION;
    write_durably(dir, CLUSTER_FILE, &encode(&content))
}

/// Writes the cluster file of a node that has none.
pub(crate) fn found(identity: &Identity, cluster_id: [u8; 16], left_behind: Vec<(u64, NodeRecord)>) -> io::Result<()> {
    let dir = identity.dir().ok_or(io::ErrorKind::InvalidInput)?;
    if read(&dir.join(CLUSTER_FILE))?.is_some() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let content = proto::ClusterFile {
        version: VERSION,
        cluster_id: Bytes::copy_from_slice(&cluster_id),
        left_behind: left_behind.iter().map(|(id, record)| wire::member(*id, record)).collect(),
        ..proto::ClusterFile::default()
    };
    write_durably(dir, CLUSTER_FILE, &encode(&content))
}

fn encode(content: &proto::ClusterFile) -> Vec<u8> {
    let mut bytes = proto::ClusterFile { checksum: Bytes::new(), ..content.clone() }.encode_to_vec();
    let checksum = digest(&SHA256, &bytes);
    bytes.extend_from_slice(&CHECKSUM_HEAD);
    bytes.extend_from_slice(checksum.as_ref());
    bytes
}

/// The content of a cluster file; `None` if it is not what was written.
fn decode(bytes: &[u8]) -> Option<proto::ClusterFile> {
    let content = proto::ClusterFile::decode(bytes).ok()?;
    let is_whole = || {
        let (front, checksum) = bytes.split_last_chunk::<SHA256_OUTPUT_LEN>()?;
        let body = front.strip_suffix(&CHECKSUM_HEAD)?;
        Some(digest(&SHA256, body).as_ref() == checksum)
    };
    let is_sound = match content.version {
        0 => false,
        VERSION_UNCHECKED => content.checksum.is_empty(),
        VERSION => is_whole().unwrap_or(false),
        // Whoever reads it says that it is too new.
        _ => true,
    };
    (is_sound && matches!(content.cluster_id.len(), 0 | 16)).then_some(content)
}

fn read(path: &std::path::Path) -> io::Result<Option<proto::ClusterFile>> {
    let refused = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("node/node.cluster {what}"));
    let damaged = || refused(format!("is damaged; {REPLACE_NODE}"));
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(metadata) if metadata.len() > MAX_CLUSTER_FILE_BYTES => return Err(damaged()),
        Ok(_) => {}
    }
    let content = decode(&std::fs::read(path)?).ok_or_else(damaged)?;
    if content.version > VERSION {
        return Err(refused("was written by a newer version: use that one".into()));
    }
    Ok(Some(content))
}

#[cfg(test)]
mod tests;
