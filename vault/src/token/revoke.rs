//! Ending tokens: one small batch, however large the tree below.
//!
//! [`end`] removes the record that makes the token and all its descendants reachable, and leaves a task for the rest.
//! [`end_alone`] leaves a tombstone in its place: descendants that meet it on their way up count as orphans, until a
//! task has written that into each of them.

use std::sync::Arc;

use crate::context::Context;
use crate::engine::Work;
use crate::error::Error;
use crate::lease::record::Lease;
use crate::lease::{self, ending};
use crate::mount::table::MountTable;
use crate::store::Store;
use crate::task::calendar::{self, Reminder};
use crate::task::chore::{self, Chore, ChoreRecord};
use crate::time::Time;
use crate::token::record::{self, TokenRecord};
use crate::token::{self, Token};

/// A service token expires, by its hash.
pub(crate) static EXPIRY: Reminder = Reminder { word: "token", due: expire };
/// A token is gone: ends its children, then deletes what engines keep for it.
pub(crate) static END_TOKEN: Chore = Chore { word: "end", step: end_children };
/// A token left a tombstone: makes its children orphans, then deletes the tombstone and what engines keep for it.
pub(crate) static ORPHAN_CHILDREN: Chore = Chore { word: "orphan", step: orphan_children };

/// Ends a stored token and everything below it.
pub(crate) fn end(store: &mut Store<'_>, now: Time, token: &Token) -> Result<(), Error> {
    let system = store.system();
    forget(store, token);
    store.delete(&system, &record::token_path(&token.hash));
    if token.is_wrapping() {
        // It has neither children nor a cubbyhole, so nothing is left to be cleaned up.
        store.delete(&system, &record::wrapped_path(&token.hash));
        return Ok(());
    }
    if !leaves_something(store, &token.hash)? {
        return Ok(());
    }
    add_chore(store, now, &END_TOKEN, &token.hash)
}

/// Whether a token has children, or an engine keeps something for it. That there is none is a guard, so none comes later.
fn leaves_something(store: &mut Store<'_>, hash: &str) -> Result<bool, Error> {
    let system = store.system();
    if store.count(&system, &record::children_path(hash))? > 0
        || store.count(&system, &lease::record::of_token(hash))? > 0
    {
        return Ok(true);
    }
    for mount in MountTable::load(store)?.iter() {
        if let Some(keeps) = mount.engine.life.keeps_for_token
            && keeps(store, mount, hash)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Ends a stored token; its children live on as orphans.
pub(crate) fn end_alone(store: &mut Store<'_>, now: Time, token: &Token) -> Result<(), Error> {
    if token.is_wrapping() {
        return end(store, now, token);
    }
    let system = store.system();
    forget(store, token);
    let tombstone = TokenRecord { is_tombstone: true, ..TokenRecord::default() };
    store.put(&system, &record::token_path(&token.hash), &tombstone)?;
    add_chore(store, now, &ORPHAN_CHILDREN, &token.hash)
}

/// Removes what points to a token.
fn forget(store: &mut Store<'_>, token: &Token) {
    let system = store.system();
    store.delete(&system, &record::accessor_path(token.accessor()));
    if let Some(expires) = token.expires() {
        calendar::unschedule(store, expires, &EXPIRY, &token.hash);
        lease::remove(store, &token.record.origin, &token.hash);
    }
    if !token.record.parent.is_empty() {
        store.delete(&system, &record::child_path(&token.record.parent, &token.hash));
    }
}

fn add_chore(store: &mut Store<'_>, now: Time, chore: &Chore, hash: &str) -> Result<(), Error> {
    let mut record = ChoreRecord::default();
    hash.clone_into(&mut record.token);
    chore::add(store, now, chore, hash, record)
}

/// Whether what a token left is still to be removed.
pub(crate) fn is_ending(store: &mut Store<'_>, hash: &str) -> Result<bool, Error> {
    Ok(chore::is_left(store, &END_TOKEN, hash)? || chore::is_left(store, &ORPHAN_CHILDREN, hash)?)
}

/// Ends a token that expired, unless it was renewed: its own entry for that is elsewhere in the calendar.
fn expire<'s>(store: &mut Store<'s>, context: &mut Context<'s>, hash: &str) -> Result<(), Error> {
    let token = token::stored(store, hash)?;
    match token.filter(|token| token.expires().is_some_and(|expires| expires <= context.now)) {
        Some(token) => end(store, context.now, &token),
        None => Ok(()),
    }
}

fn end_children<'s>(
    store: &mut Store<'s>,
    context: &mut Context<'s>,
    chore: &ChoreRecord,
    limit: usize,
) -> Result<usize, Error> {
    let now = context.now;
    let done = each_child(store, &chore.token, limit, |store, child| match token::stored(store, child)? {
        Some(token) => end(store, now, &token),
        None => Ok(()),
    })?;
    forget_in_engines(store, context, &chore.token, limit, done)
}

fn orphan_children<'s>(
    store: &mut Store<'s>,
    context: &mut Context<'s>,
    chore: &ChoreRecord,
    limit: usize,
) -> Result<usize, Error> {
    let done = each_child(store, &chore.token, limit, make_orphan)?;
    let done = forget_in_engines(store, context, &chore.token, limit, done)?;
    if done < limit {
        let system = store.system();
        store.delete(&system, &record::token_path(&chore.token));
    }
    Ok(done)
}

/// Takes up to `limit` children off a token's list.
fn each_child(
    store: &mut Store<'_>,
    hash: &str,
    limit: usize,
    mut act: impl FnMut(&mut Store<'_>, &str) -> Result<(), Error>,
) -> Result<usize, Error> {
    let system = store.system();
    let children = store.sample(&system, &record::children_path(hash), limit)?;
    for child in &children {
        act(store, &child.name)?;
        store.delete(&system, &record::child_path(hash, &child.name));
    }
    Ok(children.len())
}

fn make_orphan(store: &mut Store<'_>, child: &str) -> Result<(), Error> {
    let system = store.system();
    let path = record::token_path(child);
    let Some(mut record) = store.get::<TokenRecord>(&system, &path)? else { return Ok(()) };
    record.parent.clear();
    store.put(&system, &path, &record)
}

/// Ends up to `limit` leases that a token held, so that what was lent out is taken back.
fn end_leases(store: &mut Store<'_>, hash: &str, limit: usize) -> Result<usize, Error> {
    let (system, directory) = (store.system(), lease::record::of_token(hash));
    let names = store.sample(&system, &directory, limit)?;
    for name in &names {
        match Lease::stored(store, &name.name)? {
            Some(lease) => ending::begin(store, lease, false)?,
            None => store.delete(&system, &[directory[0], directory[1], directory[2], &name.name]),
        }
    }
    Ok(names.len())
}

/// Goes on with what was lent to a token, and with what engines keep for it, once its children are dealt with; returns all
/// pieces done so far.
fn forget_in_engines<'s>(
    store: &mut Store<'s>,
    context: &mut Context<'s>,
    hash: &str,
    limit: usize,
    mut done: usize,
) -> Result<usize, Error> {
    if done < limit {
        done += end_leases(store, hash, limit - done)?;
    }
    for mount in MountTable::load(store)?.iter() {
        if let Some(forget) = mount.engine.life.token_ended
            && done < limit
        {
            done += forget(&mut Work { context, store, mount: Arc::clone(&mount.mount) }, hash, limit - done)?;
        }
    }
    Ok(done)
}
