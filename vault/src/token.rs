//! Tokens: who a request comes from, and whether that token still counts.
//!
//! A service token lies in the store under an HMAC of its id; a batch token is its own encrypted record and lies
//! nowhere. Nothing here knows paths or the API: issuing is in [`issue`], ending in [`revoke`], times in [`lifetime`].
//!
//! What surprises: the tree is not stored as a tree of deaths. A token counts only while every ancestor does, and each
//! request walks up and looks. So revoking is one small batch however many descendants there are: they are dead the
//! moment their ancestor's record is gone, on every node, and the leader removes what is left of them later. In the same
//! way a token counts only while the mount that made it is there, and no mark revokes the path that made it.

pub(crate) mod cidr;
mod entry;
pub(crate) mod issue;
pub(crate) mod lifetime;
pub(crate) mod pad;
pub(crate) mod record;
pub(crate) mod revoke;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(crate) use self::entry::Token;
pub(crate) use self::issue::INITIAL_ROOT_PATH;
pub use self::issue::create_root;
use crate::barrier::Barrier;
use crate::context::Context;
use crate::error::Error;
use crate::lease::mark::Revocations;
use crate::limits::{MAX_SEGMENT_BYTES, MAX_TOKEN_BYTES, MAX_TOKEN_DEPTH};
use crate::mount::table::MountTable;
use crate::store::{Store, decode};
use crate::time::Time;
use crate::token::record::{AccessorRecord, TokenRecord};

/// What a service token's id begins with.
pub(crate) const SERVICE_PREFIX: &str = "hvs.";
/// What a batch token begins with.
pub(crate) const BATCH_PREFIX: &str = "hvb.";

/// The token that a request was sent with.
///
/// # Errors
/// [`Error::bad_token`] if there is none, it expired, it or an ancestor was revoked, or the address is not permitted.
pub(crate) fn authenticate(
    store: &mut Store<'_>,
    context: &Context<'_>,
    raw: &str,
    remote: Option<IpAddr>,
) -> Result<Arc<Token>, Error> {
    let token = find(store, context, raw)?.filter(|token| token.permits(remote));
    token.ok_or_else(Error::bad_token)
}

/// The live token with an id. The id counts as it is: no white space is trimmed and no letter folded.
pub(crate) fn find(store: &mut Store<'_>, context: &Context<'_>, raw: &str) -> Result<Option<Arc<Token>>, Error> {
    if raw.is_empty() || raw.len() > MAX_TOKEN_BYTES {
        return Ok(None);
    }
    let hash = hash_of(store.barrier(), raw);
    match raw.strip_prefix(BATCH_PREFIX) {
        Some(sealed) => match open_batch(store.barrier(), sealed, &hash)? {
            Some(token) => live(store, context.now, token),
            None => Ok(None),
        },
        None => by_hash(store, context, &hash),
    }
}

/// The live service token with a hash.
pub(crate) fn by_hash(store: &mut Store<'_>, context: &Context<'_>, hash: &str) -> Result<Option<Arc<Token>>, Error> {
    match stored(store, hash)? {
        Some(token) => live(store, context.now, token),
        None => Ok(None),
    }
}

/// The live service token with an accessor.
pub(crate) fn by_accessor(
    store: &mut Store<'_>,
    context: &Context<'_>,
    accessor: &str,
) -> Result<Option<Arc<Token>>, Error> {
    if accessor.is_empty() || accessor.len() > MAX_SEGMENT_BYTES {
        return Ok(None);
    }
    let system = store.system();
    match store.get::<AccessorRecord>(&system, &record::accessor_path(accessor))? {
        Some(record) => by_hash(store, context, &record.token),
        None => Ok(None),
    }
}

/// Counts one use of a token whose uses are limited. The last one ends it. The read is a guard, so that of two requests
/// with one use left only one is served, wherever they run.
pub(crate) fn count_use(store: &mut Store<'_>, context: &Context<'_>, token: &Token) -> Result<(), Error> {
    if token.record.uses_left == 0 {
        return Ok(());
    }
    let system = store.system();
    let path = record::token_path(&token.hash);
    let mut record: TokenRecord = store.get(&system, &path)?.ok_or_else(Error::bad_token)?;
    if record.uses_left <= 1 {
        return revoke::end(store, context.now, token);
    }
    record.uses_left -= 1;
    store.put(&system, &path, &record)
}

/// Whether a token is still there, after what the request did so far; a batch token always is.
pub(crate) fn is_kept(store: &mut Store<'_>, token: &Token) -> Result<bool, Error> {
    if token.is_batch {
        return Ok(true);
    }
    Ok(stored(store, &token.hash)?.is_some_and(|token| !token.record.is_tombstone))
}

/// Whether a token has no parent, or one whose end it outlived.
pub(crate) fn is_orphan(store: &mut Store<'_>, token: &Token) -> Result<bool, Error> {
    if token.record.parent.is_empty() {
        return Ok(true);
    }
    Ok(stored(store, &token.record.parent)?.is_some_and(|parent| parent.record.is_tombstone))
}

/// What stands for a token's id in the store: hexadecimal HMAC-SHA256 under the system's index key.
pub(crate) fn hash_of(barrier: &Barrier, raw: &str) -> String {
    hex::encode(barrier.system_index("token", raw.as_bytes()))
}

/// What is stored for a token, dead or alive.
pub(crate) fn stored(store: &mut Store<'_>, hash: &str) -> Result<Option<Arc<Token>>, Error> {
    let system = store.system();
    store.get_cached(&system, &record::token_path(hash), |bytes| Token::new(decode(bytes)?, hash, false))
}

/// The content of a batch token, if it is one of this cluster and epoch.
fn open_batch(barrier: &Barrier, sealed: &str, hash: &str) -> Result<Option<Arc<Token>>, Error> {
    let Some(content) = URL_SAFE_NO_PAD.decode(sealed).ok().and_then(|sealed| barrier.open_token(&sealed).ok()) else {
        return Ok(None);
    };
    Ok(Some(Arc::new(Token::new(decode(&content)?, hash, true)?)))
}

/// The token, if it and all its ancestors count.
fn live(store: &mut Store<'_>, now: Time, token: Arc<Token>) -> Result<Option<Arc<Token>>, Error> {
    let grounds = Grounds { now, mounts: MountTable::load(store)?, revocations: Revocations::load(store)? };
    if token.record.is_tombstone || grounds.end(&token) {
        return Ok(None);
    }
    let mut current = Arc::clone(&token);
    for _ in 0..=MAX_TOKEN_DEPTH {
        if current.record.parent.is_empty() {
            return Ok(Some(token));
        }
        let Some(parent) = stored(store, &current.record.parent)? else { return Ok(None) };
        if parent.record.is_tombstone {
            // A batch token has no record in which it could be made an orphan for good, so it ends with its parent.
            return Ok((!current.is_batch).then_some(token));
        }
        if grounds.end(&parent) {
            return Ok(None);
        }
        current = parent;
    }
    Ok(None)
}

/// What can end a token although its record is there.
struct Grounds {
    now: Time,
    mounts: Arc<MountTable>,
    revocations: Arc<Revocations>,
}

impl Grounds {
    fn end(&self, token: &Token) -> bool {
        let origin = &token.record.origin;
        let is_mount_gone = !origin.mount_id.is_empty() && self.mounts.by_id(&origin.mount_id).is_none();
        // A batch token has no lease that could be revoked.
        let is_revoked = !token.is_batch && self.revocations.end(origin, token.record.generation);
        token.is_expired(self.now) || is_mount_gone || is_revoked
    }
}
