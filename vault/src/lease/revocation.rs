//! Revoking all that lies below a path, however many: a [`mark`](super::mark), and a chore that removes what it ended.
//!
//! The record of the marks is small and rarely changes. How far a removal came is therefore not in it but in the task that goes on
//! with it ([`END_MARKED`]); the mark goes when nothing that it ended is left.

use bytes::Bytes;

use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::lease::mark::{Mark, Revocations};
use crate::lease::record::Lease;
use crate::lease::walk::Found;
use crate::lease::{self, Origin, ending, walk};
use crate::limits::MAX_MARKS;
use crate::mount::table::RouteEntry;
use crate::mount::upkeep;
use crate::store::Store;
use crate::task::chore::{self, Chore, ChoreRecord};
use crate::token::{self, revoke};

/// A mark ended what was given at a place before its generation: removes those leases, then the mark.
pub(crate) static END_MARKED: Chore = Chore { word: "leases", step: end_marked };
/// A mount is gone: removes the leases that it gave.
pub(crate) static END_OF_MOUNT: Chore = Chore { word: "mount-leases", step: end_of_mount };

/// Ends everything that was given below a full path, which ends with a slash or is empty. `is_forced` has what engines lent
/// out forgotten after one attempt to take it back.
///
/// # Errors
/// [`ErrorKind::TooMany`] if [`MAX_MARKS`] earlier ones are still being worked off.
pub(crate) fn mark(
    store: &mut Store<'_>,
    context: &Context<'_>,
    origins: Vec<Origin>,
    is_forced: bool,
) -> Result<(), Error> {
    let mut revocations = (*Revocations::load(store)?).clone();
    let generation = revocations.generation + 1;
    for origin in origins {
        if !lease::is_any(store, &origin)? {
            continue;
        }
        // A later mark at the same place, or above it, says all that an earlier one said.
        for mark in revocations.marks.extract_if(.., |mark| origin.covers(&mark.origin)) {
            chore::forget(store, &END_MARKED, &chore_name(mark.generation, &mark.origin));
        }
        add_chore(store, context, generation, &origin, Vec::new(), is_forced)?;
        revocations.marks.push(Mark { generation, origin });
        revocations.generation = generation;
    }
    if revocations.marks.len() > MAX_MARKS {
        let message = format!(
            "{MAX_MARKS} revocations by path are still being worked off, the most at a time; \
             try again in a minute, or name a path above them"
        );
        return Err(Error::new(ErrorKind::TooMany, message));
    }
    if revocations.generation == generation { revocations.save(store) } else { Ok(()) }
}

/// Has the leases of a mount ended and its records deleted, that the same batch takes out of the mount table. What it lent out
/// is taken back first, for which the mount is kept aside.
pub(crate) fn end_mount(store: &mut Store<'_>, context: &Context<'_>, mount: &RouteEntry) -> Result<(), Error> {
    let is_any = lease::is_any(store, &Origin::whole(mount.record.id.clone()))?;
    if is_any {
        add_mount_chore(store, context, &mount.record.id, Vec::new())?;
    }
    match is_any && mount.engine.life.lease.is_some() {
        true => ending::keep_mount(store, context, mount),
        false => upkeep::drop_mount(store, context, mount),
    }
}

fn add_mount_chore(
    store: &mut Store<'_>,
    context: &Context<'_>,
    mount_id: &[u8],
    after: Vec<String>,
) -> Result<(), Error> {
    let mut record = ChoreRecord::default();
    record.mount_id = Bytes::copy_from_slice(mount_id);
    record.path = after;
    chore::add(store, context.now, &END_OF_MOUNT, &hex::encode(mount_id), record)
}

/// A mark begins a generation at one place of a mount, so the two tell chores apart.
fn chore_name(generation: u64, origin: &Origin) -> String {
    format!("{generation}.{}", hex::encode(&origin.mount_id))
}

fn add_chore(
    store: &mut Store<'_>,
    context: &Context<'_>,
    generation: u64,
    origin: &Origin,
    after: Vec<String>,
    is_forced: bool,
) -> Result<(), Error> {
    let mut record = ChoreRecord::default();
    record.mount_id = Bytes::copy_from_slice(&origin.mount_id);
    record.name.clone_from(&origin.path);
    record.generation = generation;
    record.path = after;
    record.is_forced = is_forced;
    chore::add(store, context.now, &END_MARKED, &chore_name(generation, origin), record)
}

/// Looks at some leases behind those of the last step. The ones that are newer than the mark stay.
fn end_marked<'s>(
    store: &mut Store<'s>,
    context: &mut Context<'s>,
    chore: &ChoreRecord,
    limit: usize,
) -> Result<usize, Error> {
    let (generation, origin) =
        (chore.generation, Origin { mount_id: chore.mount_id.to_vec(), path: chore.name.clone() });
    let found = walk::leases(store, &origin, &chore.path, limit)?;
    for lease in &found {
        end_one(store, context, lease, chore.is_forced, |given| given < generation)?;
    }
    match found.last().filter(|_| found.len() >= limit) {
        Some(last) => add_chore(store, context, generation, &origin, last.cursor(&origin), chore.is_forced)?,
        None => unmark(store, generation, &origin)?,
    }
    Ok(found.len())
}

/// Ends what an entry names, if it was given in a generation of which that is wanted. What is lent out keeps its entry until
/// it is taken back.
fn end_one(
    store: &mut Store<'_>,
    context: &Context<'_>,
    entry: &Found,
    is_forced: bool,
    is_meant: impl Fn(u64) -> bool,
) -> Result<(), Error> {
    if let Some(token) = token::stored(store, entry.name())? {
        return if is_meant(token.record.generation) { revoke::end(store, context.now, &token) } else { Ok(()) };
    }
    match Lease::stored(store, entry.name())? {
        Some(lease) if is_meant(lease.record.generation) => ending::begin(store, lease, is_forced),
        Some(_) => Ok(()),
        None => {
            entry.remove(store);
            Ok(())
        }
    }
}

/// Takes a mark back, once nothing that it ended is left.
fn unmark(store: &mut Store<'_>, generation: u64, origin: &Origin) -> Result<(), Error> {
    let mut revocations = (*Revocations::load(store)?).clone();
    revocations.marks.retain(|mark| mark.generation != generation || mark.origin != *origin);
    revocations.save(store)
}

fn end_of_mount<'s>(
    store: &mut Store<'s>,
    context: &mut Context<'s>,
    chore: &ChoreRecord,
    limit: usize,
) -> Result<usize, Error> {
    let origin = Origin::whole(chore.mount_id.to_vec());
    // Behind what is gone already: the table would walk over all of it again, each time.
    let found = walk::leases(store, &origin, &chore.path, limit)?;
    for lease in &found {
        end_one(store, context, lease, false, |_| true)?;
    }
    if let Some(last) = found.last().filter(|_| found.len() >= limit) {
        add_mount_chore(store, context, &origin.mount_id, last.cursor(&origin))?;
    }
    Ok(found.len())
}
