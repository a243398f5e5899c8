//! `sys/leases`: leases by their ids. Tokens are the only ones that have leases so far.
//!
//! A token's lease id is the path that made it and its hash, so it needs no record and says nothing about the token's
//! id. Tokens are in no order of path, so a listing or a revocation by prefix looks at each of them, up to a limit.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::engine::{Access, Call, Effect, Path};
use crate::error::{Error, ErrorKind};
use crate::field::{Field, Kind, field};
use crate::reply::{Reply, Status};
use crate::request::Operation;
use crate::time::Time;
use crate::token::lifetime::secs_until;
use crate::token::record::token_path;
use crate::token::{self, Token, revoke};

/// Most tokens that one request looks at.
const MAX_SCANNED: u64 = 20_000;
/// Most tokens that one request revokes, so that its batch stays within the limits of one.
const MAX_REVOKED: usize = 400;

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

fn lease_id(token: &Token) -> String {
    format!("{}/{}", token.record.path, token.hash_hex())
}

/// The live token of a lease id. A token that lives for ever has no lease.
fn find(call: &mut Call<'_, '_>, id: &str) -> Result<Option<Arc<Token>>, Error> {
    let Some((path, hash)) = id.rsplit_once('/') else { return Ok(None) };
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let token = if is_hash { token::by_hash(call.store, call.context, hash)? } else { None };
    Ok(token.filter(|token| token.record.path == path && token.expires().is_some()))
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

/// The live tokens that have a lease below a prefix, which ends with a slash or is empty.
fn below(call: &mut Call<'_, '_>, prefix: &str) -> Result<Vec<Arc<Token>>, Error> {
    let system = call.store.system();
    let directory = &token_path("")[..2];
    let count = call.store.count(&system, directory)?;
    if count > MAX_SCANNED {
        let message = format!(
            "there are {count} tokens, more than the {MAX_SCANNED} that one request looks through; use accessors instead"
        );
        return Err(Error::new(ErrorKind::TooMany, message));
    }
    let names = call.store.list(&system, directory)?;
    let mut found = Vec::new();
    for name in names.iter() {
        let token = token::by_hash(call.store, call.context, &name.name)?;
        found.extend(token.filter(|token| token.expires().is_some() && lease_id(token).starts_with(prefix)));
    }
    Ok(found)
}

fn prefix_of(call: &Call<'_, '_>) -> String {
    match call.fields.text("prefix").unwrap_or_default().trim_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    }
}

fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let prefix = prefix_of(call);
    let mut keys = BTreeSet::new();
    for token in below(call, &prefix)? {
        let id = lease_id(&token);
        let rest = &id[prefix.len()..];
        keys.insert(rest.find('/').map_or(rest, |end| &rest[..=end]).to_owned());
    }
    Reply::keys(keys.into_iter().collect())
}

fn revoke_prefix(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let prefix = prefix_of(call);
    let tokens = below(call, &prefix)?;
    if tokens.len() > MAX_REVOKED {
        let message = format!(
            "{} leases lie below that path, at most {MAX_REVOKED} are revoked at once; name a longer path",
            tokens.len()
        );
        return Err(Error::invalid(message));
    }
    for token in tokens {
        revoke::end(call.store, call.context.now, &token)?;
    }
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
