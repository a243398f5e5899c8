//! The nodes as operators see them: under one name everywhere, and with what must be known before one is removed.
//!
//! A node's name is the `node_id` of its configuration, or its id if it has none. Whether it is sealed and how far it is
//! says the node itself, asked at that moment: one that does not answer is shown as such.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_raft::{CallError, Member, Peer, node_id};
use futures::future::join_all;
use prost::Message;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::keeper::State;
use crate::seal::Seal;
use crate::{host, version, view};

/// Asks a member how it is.
pub(crate) const METHOD: &str = "node-state";
/// How long the answer may take.
const TIMEOUT: Duration = Duration::from_secs(1);

/// What a node says of itself.
#[derive(Clone, PartialEq, Message)]
struct NodeState {
    #[prost(bool, tag = "1")]
    is_sealed: bool,
    #[prost(string, tag = "2")]
    hostname: String,
    #[prost(string, tag = "3")]
    version: String,
    #[prost(uint64, tag = "4")]
    applied: u64,
    /// What the keeper calls it. Empty from a node of an older version.
    #[prost(string, tag = "5")]
    state: String,
}

/// One node of a list.
struct Row<'a> {
    member: &'a Member,
    is_leader: bool,
    /// `None` if it does not answer.
    state: Option<&'a NodeState>,
    /// When it was heard last; `None` for this node, and for one that was never heard.
    last_heard: Option<Instant>,
    /// Entries that it lacks of those that this node knows to be committed.
    lag: Option<u64>,
}

fn own_state(seal: &Seal) -> NodeState {
    let raft = &seal.replica.raft;
    // An operator must see this of a sealed node too.
    let state = if raft.rolled_back_from().is_some() { State::RolledBack } else { seal.state.state() };
    NodeState {
        is_sealed: seal.state.is_sealed(),
        hostname: host::name(),
        version: version::API_VERSION.to_owned(),
        applied: raft.applied_index(),
        state: state.name().to_owned(),
    }
}

/// Answers a member that wants to know how this node is.
pub(crate) fn answer(seal: &Seal, from: Peer) -> Result<Bytes, CallError> {
    if from.id.is_none() {
        return Err(CallError::Denied("only members ask for this".into()));
    }
    Ok(own_state(seal).encode_to_vec().into())
}

/// How each member is; those that do not answer are left out.
async fn states(seal: &Arc<Seal>, members: &[Member]) -> BTreeMap<u64, NodeState> {
    let own = seal.replica.identity.id();
    let asked = members.iter().map(|member| async move {
        if member.id == own {
            return Some((own, own_state(seal)));
        }
        let answer = seal.replica.raft.call(member.id, METHOD, Bytes::new(), Instant::now() + TIMEOUT).await.ok()?;
        Some((member.id, NodeState::decode(answer).ok()?))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Whether each member is sealed; those that do not answer are left out.
pub(crate) async fn sealed_members(seal: &Arc<Seal>) -> BTreeMap<u64, bool> {
    let members = seal.replica.raft.status().members;
    states(seal, &members).await.into_iter().map(|(id, state)| (id, state.is_sealed)).collect()
}

async fn list<T>(seal: &Arc<Seal>, show: impl Fn(&Row<'_>) -> T) -> Vec<T> {
    let status = seal.replica.status();
    let states = states(seal, &status.members).await;
    let leader = status.leader.map(|leader| leader.id);
    let row = |member: &Member| {
        let state = states.get(&member.id);
        show(&Row {
            member,
            is_leader: Some(member.id) == leader,
            state,
            last_heard: seal.replica.raft.last_heard(member.id).filter(|_| member.id != seal.replica.identity.id()),
            lag: state.map(|state| status.committed.saturating_sub(state.applied)),
        })
    };
    status.members.iter().map(row).collect()
}

/// A member as autopilot judges it.
pub(crate) struct MemberHealth {
    pub(crate) id: u64,
    pub(crate) address: String,
    pub(crate) is_own: bool,
    pub(crate) is_leader: bool,
    pub(crate) is_voter: bool,
    /// Whether it answered just now.
    pub(crate) is_alive: bool,
    /// The last entry that it applied, by its own account; 0 if it does not answer.
    pub(crate) applied: u64,
    /// Entries that it lacks; `None` if it does not answer.
    pub(crate) lag: Option<u64>,
    pub(crate) version: String,
}

/// How each member is, asked at this moment.
pub(crate) async fn standings(seal: &Arc<Seal>) -> Vec<MemberHealth> {
    let own = seal.replica.identity.id();
    let show = |row: &Row<'_>| MemberHealth {
        id: row.member.id,
        address: row.member.cluster_addr.clone(),
        is_own: row.member.id == own,
        is_leader: row.is_leader,
        is_voter: row.member.voter,
        is_alive: row.state.is_some(),
        applied: row.state.map_or(0, |state| state.applied),
        lag: row.lag,
        version: row.state.map(|state| state.version.clone()).unwrap_or_default(),
    };
    list(seal, show).await
}

/// The nodes with their addresses and versions: `sys/ha-status`.
pub(crate) async fn ha_status(seal: &Arc<Seal>) -> Map<String, Value> {
    let show = |row: &Row<'_>| {
        let version = row.state.map(|state| state.version.as_str());
        let mut node = json!({
            "hostname": row.state.map_or("", |state| state.hostname.as_str()),
            "api_address": row.member.api_addr,
            "cluster_address": seal.replica.cluster_url(&row.member.cluster_addr),
            "active_node": row.is_leader,
            "last_echo": row.last_heard.map(echo),
            "version": version.unwrap_or(""),
            "upgrade_version": version.unwrap_or(""),
            "redundancy_zone": "",
        });
        add_common(&mut node, seal, row);
        node
    };
    Map::from_iter([("nodes".to_owned(), Value::Array(list(seal, show).await))])
}

/// The nodes that replicate: `sys/storage/raft/configuration`.
pub(crate) async fn configuration(seal: &Arc<Seal>) -> Map<String, Value> {
    let show = |row: &Row<'_>| {
        let mut server = json!({
            "address": row.member.cluster_addr,
            "leader": row.is_leader,
            "voter": row.member.voter,
            "protocol_version": "3",
        });
        add_common(&mut server, seal, row);
        server
    };
    let servers = list(seal, show).await;
    let index = seal.replica.raft.applied_index();
    Map::from_iter([("config".to_owned(), json!({ "index": index, "servers": servers }))])
}

/// What both lists say of a node.
fn add_common(node: &mut Value, seal: &Seal, row: &Row<'_>) {
    node["node_id"] = seal.replica.node_name(row.member.id).into();
    node["id"] = node_id(row.member.id).into();
    node["alive"] = row.state.is_some().into();
    node["sealed"] = row.state.map(|state| state.is_sealed).into();
    node["state"] = row.state.map(|state| state.state.as_str()).into();
    node["last_contact"] = row.last_heard.map(|heard| format!("{} ms", heard.elapsed().as_millis())).into();
    node["lag"] = row.lag.into();
}

/// A moment in the past as the time of day.
fn echo(heard: Instant) -> String {
    let ago = i64::try_from(heard.elapsed().as_nanos()).unwrap_or(i64::MAX);
    conclave_vault::Time::from_nanos(view::now().nanos().saturating_sub(ago)).to_string()
}
