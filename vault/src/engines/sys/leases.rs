//! `sys/leases`: leases by their ids. Tokens are the only ones that have leases so far.
//!
//! A token's lease id is the path that made it and its hash, so it says nothing about the token's id. How leases are kept
//! and revoked by path is in [`crate::lease`].

use std::sync::Arc;

use serde_json::{Value, json};

use crate::engine::{Access, Call, Effect, Path};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::lease::{self, Origin, revocation};
use crate::mount::table::MountTable;
use crate::reply::{Reply, Status};
use crate::request::Operation;
use crate::time::Time;
use crate::token::lifetime::secs_until;
use crate::token::{self, Token, revoke};

const LEASE_FIELDS: &[Field] = &[
    field("lease_id", Kind::Text, "Id of the lease"),
    field("increment", Kind::Duration, "How much longer it shall live"),
    field("sync", Kind::Bool, "Accepted, without effect: a revocation is done when it is answered"),
];

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "leases/lookup",
        fields: &[LEASE_FIELDS],
        operations: &[(Operation::Update, lookup)],
        effect: Effect::Reads,
        help: "Read a lease",
        ..Path::DEFAULT
    },
    Path {
        pattern: "leases/lookup/{prefix..?}",
        operations: &[(Operation::List, list)],
        access: Access::Sudo,
        help: "List the leases below a path",
        ..Path::DEFAULT
    },
    Path {
        pattern: "leases/renew/{url_lease_id..?}",
        fields: &[LEASE_FIELDS],
        operations: &[(Operation::Update, renew)],
        help: "Renew a lease",
        ..Path::DEFAULT
    },
    Path {
        pattern: "leases/revoke/{url_lease_id..?}",
        fields: &[LEASE_FIELDS],
        operations: &[(Operation::Update, revoke_one)],
        help: "Revoke a lease",
        ..Path::DEFAULT
    },
    Path {
        pattern: "leases/revoke-prefix/{prefix..}",
        fields: &[LEASE_FIELDS],
        operations: &[(Operation::Update, revoke_prefix)],
        access: Access::Sudo,
        help: "Revoke all leases below a path",
        ..Path::DEFAULT
    },
    Path {
        pattern: "leases/revoke-force/{prefix..}",
        operations: &[(Operation::Update, revoke_prefix)],
        access: Access::Sudo,
        help: "Revoke all leases below a path, whatever their engines say",
        ..Path::DEFAULT
    },
    Path {
        pattern: "leases/tidy",
        operations: &[(Operation::Update, tidy)],
        help: "Clean up leases, which goes on by itself",
        ..Path::DEFAULT
    },
    Path {
        pattern: "leases/count",
        fields: &[&[field("type", Kind::Text, "\"irrevocable\"")]],
        operations: &[(Operation::Read, count)],
        help: "Count the leases that could not be revoked",
        ..Path::DEFAULT
    },
    Path {
        pattern: "leases",
        fields: &[&[field("type", Kind::Text, "\"irrevocable\"")]],
        operations: &[(Operation::Read, irrevocable)],
        access: Access::Sudo,
        help: "List the leases that could not be revoked",
        ..Path::DEFAULT
    },
];

/// The lease id that was sent, in the path or in the body.
fn sent_id(call: &Call<'_, '_>) -> Result<String, Error> {
    let in_path = call.fields.text("url_lease_id").filter(|id| !id.is_empty());
    let id = in_path.or(call.fields.text("lease_id")).unwrap_or_default();
    if id.is_empty() { Err(Error::invalid("lease_id must be specified")) } else { Ok(id.to_owned()) }
}

/// The live token of a lease id. A token that lives for ever has no lease. After its mount moved, a lease is found under
/// the path that gave it and under the one at which the mount is now.
fn find(call: &mut Call<'_, '_>, id: &str) -> Result<Option<Arc<Token>>, Error> {
    let Some((path, hash)) = id.rsplit_once('/') else { return Ok(None) };
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let token = if is_hash { token::by_hash(call.store, call.context, hash)? } else { None };
    let mounts = MountTable::load(call.store)?;
    let is_at = |token: &Token| {
        let origin = &token.record.origin;
        let mount = mounts.route(path).map(|mount| Origin::new(&mount.record, path));
        token.record.path == path || mount.as_ref() == Some(origin)
    };
    Ok(token.filter(|token| token.expires().is_some() && is_at(token)))
}

fn lookup(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let id = sent_id(call)?;
    let token = find(call, &id)?.ok_or_else(|| Error::invalid("invalid lease"))?;
    let record = &token.record;
    let shown = |nanos: i64| if nanos == 0 { Value::Null } else { Time::from_nanos(nanos).to_string().into() };
    Ok(Reply::data(json!({
        "id": id,
        "path": record.path,
        "issue_time": shown(record.issued_nanos),
        "expire_time": shown(record.expires_nanos),
        "last_renewal": shown(record.renewed_nanos),
        "renewable": record.is_renewable,
        "ttl": token.expires().map_or(0, |expires| secs_until(call.context.now, expires)),
    })))
}

fn renew(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let id = sent_id(call)?;
    match find(call, &id)? {
        Some(_) => Err(Error::invalid("tokens cannot be renewed through this endpoint")),
        None => Err(Error::invalid("lease not found")),
    }
}

fn revoke_one(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let id = sent_id(call)?;
    if let Some(token) = find(call, &id)? {
        revoke::end(call.store, call.context.now, &token)?;
    }
    Ok(Reply::empty())
}

/// The full path that a request names, with a slash at the end, or empty.
fn prefix_of(call: &Call<'_, '_>) -> String {
    match call.fields.text("prefix").unwrap_or_default().trim_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    }
}

fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mounts = MountTable::load(call.store)?;
    let prefix = prefix_of(call);
    Reply::keys(lease::list(call.store, &mounts, &prefix)?)
}

/// One batch however many there are; a prefix may also be the whole id of one lease.
fn revoke_prefix(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let prefix = prefix_of(call);
    if let Some(token) = find(call, prefix.trim_end_matches('/'))? {
        revoke::end(call.store, call.context.now, &token)?;
        return Ok(Reply::empty());
    }
    let mounts = MountTable::load(call.store)?;
    revocation::mark(call.store, call.context, lease::below(&mounts, &prefix))?;
    Ok(Reply::empty())
}

fn tidy(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let reply = Reply { status: Status::Accepted, ..Reply::default() };
    Ok(reply.warn("Leases are cleaned up all the time, so there is nothing to start."))
}

/// There is nothing yet whose revocation could fail.
fn count(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    check_type(call)?;
    Ok(Reply::data(json!({ "lease_count": 0, "counts": {} })))
}

fn irrevocable(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    check_type(call)?;
    Ok(Reply::data(json!({ "lease_count": 0, "leases": [] })))
}

fn check_type(call: &Call<'_, '_>) -> Result<(), Error> {
    if call.fields.text("type") == Some("irrevocable") { Ok(()) } else { Err(Error::not_found()) }
}
