//! Leadership, membership and sealing. The core decides who may ask, the node does it.

use crate::action::Action;
use crate::engine::{Access, Call, Effect, Path};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::members;
use crate::reply::Reply;
use crate::request::Operation;
use crate::seal::proof::{Challenge, Joiner};

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
    Path {
        pattern: "storage/raft/bootstrap/challenge",
        fields: &[JOINER],
        operations: &[(Operation::Update, join_challenge)],
        access: Access::Open,
        effect: Effect::Reads,
        help: "Ask for a challenge that a node answers with the shares that were entered on it",
        ..Path::DEFAULT
    },
    Path {
        pattern: "storage/raft/bootstrap/answer",
        fields: &[
            JOINER,
            &[
                field("challenge", Kind::Text, "The challenge, in hexadecimal digits").required(),
                field("nonce", Kind::Text, "16 random bytes in hexadecimal digits").required(),
                field("proof", Kind::Text, "The answer, in hexadecimal digits").required(),
            ],
        ],
        operations: &[(Operation::Update, join_answer)],
        access: Access::Open,
        effect: Effect::Reads,
        help: "Answer a challenge, for a join token that only the answering node can read",
        ..Path::DEFAULT
    },
];

/// Who joins, as the node itself says it.
const JOINER: &[Field] = &[
    field("server_id", Kind::Text, "Id of the joining node: 16 hexadecimal digits").required(),
    field("public_key", Kind::Text, "Its node key: 64 hexadecimal digits").required(),
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

fn join_challenge(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let joiner = joiner(call)?;
    call.context.ask_node(Action::JoinChallenge(joiner))
}

fn join_answer(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let joiner = joiner(call)?;
    let challenge = Challenge::from_bytes(digits(call, "challenge")?);
    let (nonce, proof) = (digits(call, "nonce")?, digits(call, "proof")?);
    call.context.ask_node(Action::JoinAnswer { joiner, challenge, nonce, proof })
}

fn joiner(call: &Call<'_, '_>) -> Result<Joiner, Error> {
    let id = u64::from_be_bytes(digits(call, "server_id")?);
    Ok(Joiner { id, public_key: digits(call, "public_key")? })
}

/// Bytes of which exactly so many are expected.
fn digits<const N: usize>(call: &Call<'_, '_>, name: &str) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    let text = call.fields.text(name).unwrap_or_default();
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|_| Error::invalid(format!("{name} must be {} hexadecimal digits", 2 * N)))?;
    Ok(bytes)
}
