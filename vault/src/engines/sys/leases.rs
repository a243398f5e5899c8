//! `sys/leases`: leases by their ids, of tokens and of what engines lent out.
//!
//! A lease's id is the path that gave it and a name: of a token its hash, so it says nothing about the token's id. How leases
//! are kept and revoked by path is in [`crate::lease`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::engine::{Access, Call, Effect, Path};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::lease::record::Lease;
use crate::lease::{self, Origin, ending, liveness, renewal, revocation};
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

const TYPE: Field = field("type", Kind::Text, "Which leases").required().one_of(&["irrevocable"]);
/// Most irrevocable leases that are listed.
const MAX_LISTED: usize = 10_000;

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
        operations: &[(Operation::Update, revoke_force)],
        access: Access::Sudo,
        help: "Revoke all leases below a path, and forget those that cannot be taken back at once",
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
        fields: &[&[TYPE]],
        operations: &[(Operation::Read, count)],
        help: "Count the leases that could not be revoked",
        ..Path::DEFAULT
    },
    Path {
        pattern: "leases",
        fields: &[&[
            TYPE,
            field("limit", Kind::Text, "Most leases that are listed; \"none\" is as many as are listed at all")
                .or("10000"),
        ]],
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

/// What a lease id names.
enum NamedLease {
    Token(Arc<Token>),
    Lent(Box<Lease>),
}

/// What a lease id names: a token that lives, or what an engine lent out, in whatever state. A token that lives for ever has no
/// lease. After its mount moved, a lease is found under the path that gave it and under the one at which the mount is now.
fn find(call: &mut Call<'_, '_>, id: &str) -> Result<Option<NamedLease>, Error> {
    let Some((path, name)) = id.rsplit_once('/') else { return Ok(None) };
    let mounts = MountTable::load(call.store)?;
    let here = mounts.route(path).map(|mount| Origin::new(&mount.record, path));
    let is_at = |given: &str, origin: &Origin| given == path || here.as_ref() == Some(origin);
    let is_hash = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash {
        let lease = Lease::stored(call.store, name)?;
        return Ok(lease
            .filter(|lease| is_at(&lease.record.path, &lease.record.origin))
            .map(|lease| NamedLease::Lent(Box::new(lease))));
    }
    let token = token::by_hash(call.store, call.context, name)?;
    let is_here = |token: &Arc<Token>| token.expires().is_some() && is_at(&token.record.path, &token.record.origin);
    Ok(token.filter(is_here).map(NamedLease::Token))
}

/// The same, if it is still given to somebody.
fn find_live(call: &mut Call<'_, '_>, id: &str) -> Result<Option<NamedLease>, Error> {
    match find(call, id)? {
        Some(NamedLease::Lent(lease)) if !liveness::is_live(call.store, call.context, &lease)? => Ok(None),
        found => Ok(found),
    }
}

fn lookup(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let id = sent_id(call)?;
    let found = find_live(call, &id)?.ok_or_else(|| Error::invalid("invalid lease"))?;
    let (path, issued, renewed, expires, renewable) = match &found {
        NamedLease::Token(token) => {
            let record = &token.record;
            (&record.path, record.issued_nanos, record.renewed_nanos, record.expires_nanos, record.is_renewable)
        }
        NamedLease::Lent(lease) => {
            let record = &lease.record;
            (&record.path, record.issued_nanos, record.renewed_nanos, record.expires_nanos, record.is_renewable)
        }
    };
    let shown = |nanos: i64| if nanos == 0 { Value::Null } else { Time::from_nanos(nanos).to_string().into() };
    Ok(Reply::data(json!({
        "id": id,
        "path": path,
        "issue_time": shown(issued),
        "expire_time": shown(expires),
        "last_renewal": shown(renewed),
        "renewable": renewable,
        "ttl": secs_until(call.context.now, Time::from_nanos(expires)),
    })))
}

fn renew(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let id = sent_id(call)?;
    let wanted_secs = call.fields.duration("increment").unwrap_or_default().as_secs();
    match find_live(call, &id)? {
        Some(NamedLease::Token(_)) => Err(Error::invalid("tokens cannot be renewed through this endpoint")),
        Some(NamedLease::Lent(lease)) => renewal::renew(call, *lease, wanted_secs),
        None => Err(Error::invalid("lease not found")),
    }
}

fn revoke_one(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let id = sent_id(call)?;
    end_one(call, &id, false)?;
    Ok(Reply::empty())
}

/// Ends what a lease id names; whether it names anything.
fn end_one(call: &mut Call<'_, '_>, id: &str, is_forced: bool) -> Result<bool, Error> {
    match find(call, id)? {
        Some(NamedLease::Token(token)) => revoke::end(call.store, call.context.now, &token)?,
        Some(NamedLease::Lent(lease)) => ending::begin(call.store, *lease, is_forced)?,
        None => return Ok(false),
    }
    Ok(true)
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

fn revoke_prefix(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    revoke_below(call, false)
}

fn revoke_force(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    revoke_below(call, true)
}

/// One batch however many there are; a prefix may also be the whole id of one lease.
fn revoke_below(call: &mut Call<'_, '_>, is_forced: bool) -> Result<Reply, Error> {
    let prefix = prefix_of(call);
    if end_one(call, prefix.trim_end_matches('/'), is_forced)? {
        return Ok(Reply::empty());
    }
    let mounts = MountTable::load(call.store)?;
    revocation::mark(call.store, call.context, lease::below(&mounts, &prefix), is_forced)?;
    Ok(Reply::empty())
}

fn tidy(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let reply = Reply { status: Status::Accepted, ..Reply::default() };
    Ok(reply.warn("Leases are cleaned up all the time, so there is nothing to start."))
}

fn count(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    check_type(call)?;
    let total = ending::count_irrevocable(call.store)?;
    let mounts = MountTable::load(call.store)?;
    let mut counts = BTreeMap::<String, u64>::new();
    for lease in ending::irrevocable(call.store, MAX_LISTED)? {
        *counts.entry(accessor(&mounts, &lease)).or_default() += 1;
    }
    Ok(Reply::data(json!({ "lease_count": total, "counts": counts })))
}

fn irrevocable(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    check_type(call)?;
    let limit = match call.fields.text("limit") {
        None | Some("" | "none") => MAX_LISTED,
        Some(text) => text
            .parse::<usize>()
            .ok()
            .filter(|limit| *limit > 0)
            .map(|limit| limit.min(MAX_LISTED))
            .ok_or_else(|| Error::invalid("limit must be a whole number from 1 on, or \"none\""))?,
    };
    let total = ending::count_irrevocable(call.store)?;
    let mounts = MountTable::load(call.store)?;
    let shown = |lease: &Lease| json!({ "lease_id": lease.id(), "mount_id": accessor(&mounts, lease), "error": lease.record.reason });
    let leases: Vec<_> = ending::irrevocable(call.store, limit)?.iter().map(shown).collect();
    Ok(Reply::data(json!({ "lease_count": total, "leases": leases })))
}

/// The accessor of the mount that gave a lease; empty if the mount is gone.
fn accessor(mounts: &MountTable, lease: &Lease) -> String {
    mounts.by_id(&lease.record.origin.mount_id).map(|mount| mount.record.accessor.clone()).unwrap_or_default()
}

fn check_type(call: &Call<'_, '_>) -> Result<(), Error> {
    if call.fields.text("type") == Some("irrevocable") { Ok(()) } else { Err(Error::not_found()) }
}
