//! Leadership, membership and sealing. The core decides who may ask, the node does it.

use crate::action::Action;
use crate::engine::{Access, Call, Path};
use crate::error::Error;
use crate::field::{Kind, field};
use crate::members;
use crate::reply::Reply;
use crate::request::Operation;

/// How long a join token can be redeemed where nothing is said, in seconds.
const DEFAULT_JOIN_TTL_SECS: u64 = 1800;
/// Longest id of a server, in bytes.
const MAX_SERVER_ID_BYTES: usize = 256;

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "seal",
        operations: &[(Operation::Update, seal)],
        access: Access::Sudo,
        help: "Seal this node",
        ..Path::DEFAULT
    },
    Path {
        pattern: "step-down",
        operations: &[(Operation::Update, step_down)],
        access: Access::Sudo,
        help: "Hand leadership to another node",
        ..Path::DEFAULT
    },
    Path {
        pattern: "ha-status",
        operations: &[(Operation::Read, ha_status)],
        help: "Read the nodes and their state",
        ..Path::DEFAULT
    },
    Path {
        pattern: "storage/raft/configuration",
        operations: &[(Operation::Read, configuration)],
        help: "Read the members of the cluster",
        ..Path::DEFAULT
    },
    Path {
        pattern: "storage/raft/remove-peer",
        fields: &[&[field("server_id", Kind::Text, "Id of the node, as the configuration lists it").required()]],
        operations: &[(Operation::Update, remove_peer)],
        access: Access::Sudo,
        help: "Remove a node from the cluster",
        ..Path::DEFAULT
    },
    Path {
        pattern: "storage/raft/join-token",
        fields: &[&[
            field("ttl", Kind::Duration, "How long it can be redeemed; 30 minutes if not said, at most 32 days"),
            field("uses", Kind::Int, "How many nodes can join with it; one if not said, at most 64"),
        ]],
        operations: &[(Operation::Update, join_token)],
        access: Access::Sudo,
        help: "Make a token with which nodes can join",
        ..Path::DEFAULT
    },
];

fn seal(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(Reply::empty().with_action(Action::Seal))
}

fn step_down(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(Reply::empty().with_action(Action::StepDown))
}

fn ha_status(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(call.context.ask_node(Action::HaStatus)?.injected())
}

fn configuration(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    call.context.ask_node(Action::RaftConfiguration)
}

fn remove_peer(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let server_id = call.fields.text("server_id").unwrap_or_default();
    if server_id.is_empty() {
        return Err(Error::invalid("no server id provided"));
    }
    if server_id.len() > MAX_SERVER_ID_BYTES {
        return Err(Error::invalid(format!("the server id is longer than {MAX_SERVER_ID_BYTES} bytes")));
    }
    Ok(Reply::empty().with_action(Action::RemovePeer { server_id: server_id.to_owned() }))
}

fn join_token(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let ttl_secs = call.fields.duration("ttl").map_or(DEFAULT_JOIN_TTL_SECS, |ttl| ttl.as_secs());
    // A negative number is as wrong as none.
    let uses = call.fields.int("uses").map_or(1, |uses| u64::try_from(uses).unwrap_or(0));
    members::check_token(ttl_secs, uses)?;
    call.context.ask_node(Action::JoinToken { ttl_secs, uses })
}
