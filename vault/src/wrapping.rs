//! Response wrapping: a reply kept under a token that opens it exactly once.
//!
//! The reply is stored as the very bytes that would have left, so unwrapping answers what was answered. The token's one
//! use is spent by whatever it is used for, a refused request elsewhere included; the guard on its record lets one of
//! many racing callers win, wherever they run.
//!
//! What surprises: opening and wrapping anew need no caller, because whoever holds a wrapping token may use it
//! ([`Access::Presented`]); looking up is open to all ([`Access::Open`]).

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use serde_json::json;
use zeroize::{Zeroize, Zeroizing};

use crate::context::Context;
use crate::engine::{Access, Call, Effect, Path};
use crate::error::{Error, ErrorKind};
use crate::field::{Field, Kind, field, parse_duration};
use crate::idempotency;
use crate::lease::Origin;
use crate::policy::name;
use crate::reply::{Raw, Reply, Status, WrapInfo};
use crate::request::Operation;
use crate::store::Store;
use crate::time::Time;
use crate::token::record::{TokenRecord, wrapped_path};
use crate::token::{self, Token, issue, revoke};

#[cfg(test)]
mod tests;

/// A reply that waits under a wrapping token.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct WrapRecord {
    /// The path whose reply it is.
    #[prost(string, tag = "1")]
    pub creation_path: String,
    /// When the token was made, nanoseconds since the Unix epoch.
    #[prost(int64, tag = "2")]
    pub created_nanos: i64,
    /// Time to live of the token, in seconds.
    #[prost(uint64, tag = "3")]
    pub ttl_secs: u64,
    /// Status code of the reply.
    #[prost(uint32, tag = "4")]
    pub status_code: u32,
    /// Media type of the reply.
    #[prost(string, tag = "5")]
    pub content_type: String,
    /// Body of the reply; secret.
    #[prost(bytes = "vec", tag = "6")]
    pub body: Vec<u8>,
    /// Accessor of a token or secret id inside; empty if none.
    #[prost(string, tag = "7")]
    pub wrapped_accessor: String,
}

impl Drop for WrapRecord {
    fn drop(&mut self) {
        self.body.zeroize();
    }
}

const TOKEN: &[Field] = &[field("token", Kind::Text, "The wrapping token; absent is the token of the request.")];

/// The paths, for the system engine.
pub(crate) const PATHS: &[Path] = &[
    Path {
        pattern: "wrapping/wrap",
        operations: &[(Operation::Update, wrap)],
        takes_any_field: true,
        help: "Wrap the fields that are sent.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "wrapping/unwrap",
        fields: &[TOKEN],
        operations: &[(Operation::Update, unwrap)],
        access: Access::Presented,
        help: "Open a wrapped reply and spend its token.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "wrapping/lookup",
        fields: &[TOKEN],
        operations: &[(Operation::Read, lookup), (Operation::Update, lookup)],
        access: Access::Open,
        effect: Effect::Reads,
        help: "Show what a wrapping token was made for, without spending it.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "wrapping/rewrap",
        fields: &[TOKEN],
        operations: &[(Operation::Update, rewrap)],
        access: Access::Presented,
        help: "Move a wrapped reply to a new token and spend the old one.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "wrapping/pubkey",
        operations: &[(Operation::Read, public_key)],
        access: Access::Open,
        help: "The key that verifies wrapping tokens; there is none, because they are not signed.",
        ..Path::DEFAULT
    },
];

/// Puts a reply into a wrapping token if the client (`wrap`) or the engine wants it; the shorter time counts. A reply
/// that says nothing, or says what went wrong, is not wrapped.
pub(crate) fn wrap_if_wanted(call: &mut Call<'_, '_>, reply: Reply, wrap: Option<Duration>) -> Result<Reply, Error> {
    let engine = reply.wrap_secs.filter(|secs| *secs > 0).map(Duration::from_secs);
    let Some(ttl) = wrap.into_iter().chain(engine).min() else { return Ok(reply) };
    let says_nothing = reply.is_empty() && reply.raw.as_ref().is_none_or(|raw| raw.body.is_empty());
    if says_nothing || reply.status != Status::Done || reply.wrap_info.is_some() {
        return Ok(reply);
    }
    let raw = reply.render(&call.request.id);
    let record = WrapRecord {
        creation_path: call.request.path.as_str().to_owned(),
        created_nanos: call.context.now.nanos(),
        ttl_secs: (ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0)).min(call.context.system_ttl.max_secs),
        status_code: u32::from(raw.status_code),
        content_type: raw.content_type,
        body: raw.body,
        wrapped_accessor: accessor_inside(&reply).unwrap_or_default().to_owned(),
    };
    let origin = Origin::new(&call.mount.record, &record.creation_path);
    let wrapped = keep(call.store, call.context, record, origin)?;
    Ok(Reply { announcement: reply.announcement, ..wrapped })
}

/// The accessor of a token or of a secret id that the reply hands out.
fn accessor_inside(reply: &Reply) -> Option<&str> {
    match &reply.auth {
        Some(auth) => Some(&auth.accessor),
        None => reply.data.as_ref()?.get("secret_id_accessor")?.as_str(),
    }
}

/// Stores a reply under a new wrapping token, which ends with the mount that made the reply.
fn keep(store: &mut Store<'_>, context: &mut Context<'_>, record: WrapRecord, origin: Origin) -> Result<Reply, Error> {
    let token = TokenRecord {
        policies: vec![name::RESPONSE_WRAPPING.to_owned()],
        origin,
        path: record.creation_path.clone(),
        issued_nanos: record.created_nanos,
        ttl_secs: record.ttl_secs,
        explicit_max_secs: record.ttl_secs,
        expires_nanos: Time::from_nanos(record.created_nanos).plus_secs(record.ttl_secs).nanos(),
        uses_left: 1,
        ..TokenRecord::default()
    };
    let issued = issue::issue(store, context, token, None)?;
    let system = store.system();
    let hash = token::hash_of(store.barrier(), &issued.id);
    store.put(&system, &wrapped_path(&hash), &record)?;
    let info = WrapInfo {
        token: issued.id.to_string(),
        accessor: issued.record.accessor.clone(),
        ttl_secs: record.ttl_secs,
        creation_time: Time::from_nanos(record.created_nanos),
        creation_path: record.creation_path.clone(),
        wrapped_accessor: (!record.wrapped_accessor.is_empty()).then(|| record.wrapped_accessor.clone()),
    };
    Ok(Reply { wrap_info: Some(info), ..Reply::default() })
}

/// `sys/wrapping/wrap`: answers what was sent, which the request must have asked to be wrapped.
pub(crate) fn wrap(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let ttl = call.request.wrap_ttl.as_deref().and_then(parse_duration);
    if ttl.is_none_or(|ttl| ttl.is_zero()) {
        return Err(Error::invalid("endpoint requires response wrapping to be used"));
    }
    Ok(Reply { data: Some(call.request.data.clone()), ..Reply::default() })
}

/// `sys/wrapping/unwrap`: the reply as it was, and the end of its token.
pub(crate) fn unwrap(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let id = presented(call)?;
    if let Some(reply) = idempotency::replay(call.store, call.request, call.context.now, true)? {
        return Ok(reply);
    }
    let (_, mut record) = spend(call, &id)?;
    let raw = Raw {
        status_code: u16::try_from(record.status_code).unwrap_or(200),
        content_type: std::mem::take(&mut record.content_type),
        body: std::mem::take(&mut record.body),
    };
    Ok(Reply { raw: Some(raw), ..Reply::default() })
}

/// `sys/wrapping/rewrap`: the same reply under a new token with the same path and time to live.
pub(crate) fn rewrap(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let id = presented(call)?;
    if let Some(reply) = idempotency::replay(call.store, call.request, call.context.now, true)? {
        return Ok(reply);
    }
    let (token, mut record) = spend(call, &id)?;
    record.created_nanos = call.context.now.nanos();
    keep(call.store, call.context, record, token.record.origin.clone())
}

/// `sys/wrapping/lookup`: what a wrapping token was made for. Spends nothing.
pub(crate) fn lookup(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let id = presented(call)?;
    let (_, record) = open(call.store, call.context, &id)?;
    Ok(Reply::data(json!({
        "creation_path": record.creation_path,
        "creation_time": Time::from_nanos(record.created_nanos).to_string(),
        "creation_ttl": record.ttl_secs,
    })))
}

/// `sys/wrapping/pubkey`: wrapping tokens are random, so nothing is signed and there is no key to tell.
pub(crate) fn public_key(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Err(Error::not_found())
}

/// The wrapping token that a request is about: the one in its body, or the one that it carries. The core has seen to it
/// that one who names a token without carrying it may.
fn presented(call: &Call<'_, '_>) -> Result<Zeroizing<String>, Error> {
    let (own, sent) = tokens(call);
    sent.or(own).ok_or_else(no_token)
}

/// The request's own token, and the one in its body.
fn tokens(call: &Call<'_, '_>) -> (Option<Zeroizing<String>>, Option<Zeroizing<String>>) {
    let own = call.raw_token().filter(|token| !token.is_empty()).cloned();
    let sent = call.fields.text("token").filter(|token| !token.is_empty());
    (own, sent.map(|token| Zeroizing::new(token.to_owned())))
}

/// Takes the reply from under its token, which ends.
fn spend(call: &mut Call<'_, '_>, id: &str) -> Result<(Arc<Token>, WrapRecord), Error> {
    let (token, record) = open(call.store, call.context, id)?;
    revoke::end(call.store, call.context.now, &token)?;
    Ok((token, record))
}

/// A live wrapping token and the reply under it.
fn open(store: &mut Store<'_>, context: &Context<'_>, id: &str) -> Result<(Arc<Token>, WrapRecord), Error> {
    let invalid = || Error::invalid("wrapping token is not valid or does not exist");
    let token = token::find(store, context, id)?.filter(|token| token.is_wrapping()).ok_or_else(invalid)?;
    let system = store.system();
    let hash = token.hash_hex();
    let record = store.get::<WrapRecord>(&system, &wrapped_path(&hash))?.ok_or_else(invalid)?;
    Ok((token, record))
}

fn no_token() -> Error {
    Error::new(ErrorKind::Denied, "error validating wrapping token: token is empty")
}
