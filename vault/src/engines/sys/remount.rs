//! `sys/remount`: moving a mount to another path.
//!
//! Keys hold a mount's id, never its path, so a move edits one record and is done when its batch is. Clients know it as
//! a job with a status, so the last moves are remembered.

use prost::Message;
use serde_json::json;

use super::mounts::{self, is_reserved, with_slash};
use crate::engine::{Access, Call, Path};
use crate::error::Error;
use crate::field::{Kind, field};
use crate::mount::class_of;
use crate::mount::table::MountTable;
use crate::quota;
use crate::reply::Reply;
use crate::request::Operation;

/// Where the last moves lie in the system area.
const MOVES: &[&str] = &["core", "moves"];
/// Moves that are remembered; older ones are forgotten.
const MAX_MOVES: usize = 100;

/// One move.
#[derive(Clone, PartialEq, Message)]
struct Move {
    /// A UUID.
    #[prost(string, tag = "1")]
    id: String,
    /// Where the mount was.
    #[prost(string, tag = "2")]
    from: String,
    /// Where it is.
    #[prost(string, tag = "3")]
    to: String,
}

/// The last moves, oldest first.
#[derive(Clone, PartialEq, Message)]
struct Moves {
    #[prost(message, repeated, tag = "1")]
    moves: Vec<Move>,
}

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "remount",
        fields: &[&[
            field("from", Kind::MountPath, "Path of the mount").required(),
            field("to", Kind::MountPath, "Path it moves to").required(),
        ]],
        operations: &[(Operation::Update, remount)],
        access: Access::Sudo,
        help: "Move a mount to another path",
        ..Path::DEFAULT
    },
    Path {
        pattern: "remount/status/{migration_id}",
        fields: &[&[field("migration_id", Kind::Text, "Id that the move was answered with")]],
        operations: &[(Operation::Read, status)],
        help: "Read how a move went",
        ..Path::DEFAULT
    },
];

fn remount(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let sent = |name| call.fields.text(name).unwrap_or_default().trim_matches('/');
    let (from, to) = (sent("from"), sent("to"));
    if from.is_empty() || to.is_empty() {
        return Err(Error::invalid("both 'from' and 'to' path must be specified as a string"));
    }
    let (from, to) = (with_slash(from), with_slash(to));
    check(&from, &to)?;
    let table = MountTable::load(call.store)?;
    if table.at(&from).is_none() {
        return Err(Error::invalid(format!("no matching mount at {from:?}")));
    }
    let lies_across = |other: &str| other != from && (other.starts_with(&to) || to.starts_with(other));
    if let Some(other) = table.iter().find(|mount| lies_across(&mount.record.path)) {
        return Err(Error::invalid(format!("path already in use at {:?}", other.record.path)));
    }
    let mut records = table.records();
    for record in records.iter_mut().filter(|record| record.path == from) {
        record.path.clone_from(&to);
    }
    mounts::save(call, records)?;
    quota::move_mount(call.store, &from, &to)?;
    let announcement = format!("the mount at {from} is moved to {to}");
    let id = remember(call, from, to)?;
    Ok(Reply::data(json!({ "migration_id": id }))
        .injected()
        .announce(announcement)
        .warn("The mount was moved. Its policies, which name paths, were not changed."))
}

fn check(from: &str, to: &str) -> Result<(), Error> {
    if is_reserved(from) {
        return Err(Error::invalid(format!("cannot remount {from:?}")));
    }
    if is_reserved(to) {
        return Err(Error::invalid(format!("cannot remount to {to:?}")));
    }
    if class_of(from) != class_of(to) {
        return Err(Error::invalid("an auth method moves only below auth/, a secret engine only outside of it"));
    }
    if to.len() > mounts::MAX_PATH_BYTES {
        return Err(Error::invalid(format!(
            "the path is too long: a mount's path has at most {} bytes",
            mounts::MAX_PATH_BYTES
        )));
    }
    // What a request could not name would be out of reach.
    crate::path::CanonicalPath::new(to).map_err(|error| Error::invalid(error.to_string())).map(|_| ())
}

fn remember(call: &mut Call<'_, '_>, from: String, to: String) -> Result<String, Error> {
    let system = call.store.system();
    let mut moves = call.store.get::<Moves>(&system, MOVES)?.unwrap_or_default();
    let id = call.context.uuid();
    moves.moves.push(Move { id: id.clone(), from, to });
    let excess = moves.moves.len().saturating_sub(MAX_MOVES);
    moves.moves.drain(..excess);
    call.store.put(&system, MOVES, &moves)?;
    Ok(id)
}

fn status(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let system = call.store.system();
    let moves = call.store.get::<Moves>(&system, MOVES)?.unwrap_or_default();
    let id = call.fields.text("migration_id").unwrap_or_default();
    let found = moves.moves.iter().find(|known| known.id == id).ok_or_else(Error::not_found)?;
    Ok(Reply::data(json!({
        "migration_id": found.id,
        "migration_info": { "source_mount": found.from, "target_mount": found.to, "status": "success" },
    })))
}
