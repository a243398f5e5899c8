//! Ending tokens: one small batch, however large the tree below.
//!
//! [`end`] removes the record that makes the token and all its descendants reachable, and leaves a task for the rest.
//! [`end_alone`] leaves a tombstone in its place: descendants that meet it on their way up count as orphans, until a
//! task has written that into each of them.

use crate::error::Error;
use crate::store::Store;
use crate::task::{self, Expiring, Task};
use crate::time::Time;
use crate::token::Token;
use crate::token::record::{self, TokenRecord};
use crate::wrapping;

/// Ends a stored token and everything below it.
pub fn end(store: &mut Store<'_>, now: Time, token: &Token) -> Result<(), Error> {
    let system = store.system();
    forget(store, token);
    store.delete(&system, &record::token_path(&token.hash));
    if token.is_wrapping() {
        // It has neither children nor a cubbyhole, so nothing is left to be cleaned up.
        wrapping::forget(store, &token.hash);
        return Ok(());
    }
    task::add(store, now, &Task::EndToken { hash: token.hash.clone() })
}

/// Ends a stored token; its children live on as orphans.
pub fn end_alone(store: &mut Store<'_>, now: Time, token: &Token) -> Result<(), Error> {
    if token.is_wrapping() {
        return end(store, now, token);
    }
    let system = store.system();
    forget(store, token);
    let tombstone = TokenRecord { is_tombstone: true, ..TokenRecord::default() };
    store.put(&system, &record::token_path(&token.hash), &tombstone)?;
    task::add(store, now, &Task::OrphanChildren { hash: token.hash.clone() })
}

/// Removes what points to a token.
fn forget(store: &mut Store<'_>, token: &Token) {
    let system = store.system();
    store.delete(&system, &record::accessor_path(token.accessor()));
    if let Some(expires) = token.expires() {
        task::unschedule(store, expires, Expiring::Token, &token.hash);
    }
    if !token.record.parent.is_empty() {
        store.delete(&system, &record::child_path(&token.record.parent, &token.hash));
    }
}
