//! Taking back what was lent out. The lease is dead first, by one small batch or by none (its time, its token, its mount, a
//! mark); what was given is taken back after that, by an errand.
//!
//! A lease that is over waits at `ending / mount and target / name`. The leader's node asks what waits, and for each lease runs
//! [`attempt`], which ends with the errand, and again with its answer, which ends the lease. If it fails, the lease
//! waits in the calendar for its next attempt, twice as long each time; after [`MAX_REVOKE_ATTEMPTS`] it is irrevocable until an
//! operator revokes it again. Everything is in the store, so whoever leads next goes on; and since the engine's part does no
//! harm twice, nothing is lost where a run was stopped.
//!
//! A mount that is gone is kept here, with its keys, until nothing that it gave is left; without them nobody could reach what
//! must be reached.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::context::Context;
use crate::engine::Work;
use crate::error::Error;
use crate::lease::entry::{self, EntryRecord};
use crate::lease::origin::Origin;
use crate::lease::record::{Lease, LeaseState};
use crate::limits::{MAX_ENDING_TARGETS, MAX_ENDINGS_AT_TARGET, MAX_REASON_BYTES, MAX_REVOKE_ATTEMPTS};
use crate::mount::table::{MountTable, RouteEntry};
use crate::mount::{Mount, MountRecord, upkeep};
use crate::registry::Registry;
use crate::store::Store;
use crate::task::calendar::{self, Reminder};
use crate::time::Time;

/// A lease expires, is given up, or is to be tried again; by its name.
pub(crate) static EXPIRY: Reminder = Reminder { word: "lease", due: expire };
/// Whether a mount that is gone is still needed; by its id.
pub(crate) static FAREWELL: Reminder = Reminder { word: "farewell", due: say_farewell };

/// Directory of the leases that wait to be taken back.
const WAITING: &str = "ending";
/// Directory of the leases that could not be taken back.
const IRREVOCABLE: &str = "irrevocable";
/// Directory of the mounts that are gone and gave what is not taken back yet.
const DEPARTED: &str = "departed";
/// Wait before the second attempt, in seconds; it doubles with each.
const FIRST_PAUSE_SECS: u64 = 60;
/// How often it is looked whether a mount that is gone is still needed, in seconds.
const FAREWELL_SECS: u64 = 300;

/// Ends a lease: from now on nobody has it, and what was given is taken back. `is_forced` has it gone after one attempt.
pub(crate) fn begin(store: &mut Store<'_>, mut lease: Lease, is_forced: bool) -> Result<(), Error> {
    let is_begun = lease.record.state() == LeaseState::Ending && lease.record.due_nanos == 0;
    if is_begun && lease.record.is_forced >= is_forced {
        return Ok(());
    }
    let system = store.system();
    if lease.record.state() == LeaseState::Irrevocable {
        store.delete(&system, &[IRREVOCABLE, &lease.name]);
    }
    reschedule(store, &mut lease, None)?;
    lease.leave_token(store);
    lease.record.set_state(LeaseState::Ending);
    (lease.record.attempts, lease.record.is_forced) = (0, is_forced);
    wait(store, &lease)
}

fn wait(store: &mut Store<'_>, lease: &Lease) -> Result<(), Error> {
    let system = store.system();
    store.put(&system, &[WAITING, &place(lease), &lease.name], &EntryRecord {})?;
    lease.save(store)
}

/// The name under which the leases of one target wait.
fn place(lease: &Lease) -> String {
    format!("{}.{}", hex::encode(&lease.record.origin.mount_id), lease.record.target)
}

/// Ends a lease whose time is past, or tries again to take it back, unless it was renewed meanwhile.
fn expire<'s>(store: &mut Store<'s>, context: &mut Context<'s>, name: &str) -> Result<(), Error> {
    let Some(mut lease) = Lease::stored(store, name)? else { return Ok(()) };
    let due = lease.record.due_nanos;
    if due == 0 || due > context.now.nanos() {
        return Ok(());
    }
    match lease.record.state() {
        LeaseState::Begun | LeaseState::Given => begin(store, lease, false),
        LeaseState::Ending => {
            reschedule(store, &mut lease, None)?;
            wait(store, &lease)
        }
        LeaseState::Irrevocable => Ok(()),
    }
}

/// Moves a lease's entry in the calendar; `None` takes it out.
pub(super) fn reschedule(store: &mut Store<'_>, lease: &mut Lease, when: Option<Time>) -> Result<(), Error> {
    if lease.record.due_nanos != 0 {
        calendar::unschedule(store, Time::from_nanos(lease.record.due_nanos), &EXPIRY, &lease.name);
    }
    lease.record.due_nanos = when.map_or(0, Time::nanos);
    match when {
        Some(when) => calendar::schedule(store, when, &EXPIRY, &lease.name),
        None => Ok(()),
    }
}

/// Names of leases that can be taken back now, a few of each target, without those that are being worked on.
pub(crate) fn waiting(store: &Store<'_>, busy: &BTreeSet<String>) -> Result<Vec<String>, Error> {
    let system = store.system();
    let mut found = Vec::new();
    for target in store.sample(&system, &[WAITING], MAX_ENDING_TARGETS)? {
        let names = store.sample(&system, &[WAITING, &target.name], MAX_ENDINGS_AT_TARGET)?;
        found.extend(names.iter().map(|name| name.name.to_string()).filter(|name| !busy.contains(name)));
    }
    Ok(found)
}

/// One run of taking a lease back. If the engine asks, nothing of it counts.
pub(crate) fn attempt<'s>(store: &mut Store<'s>, context: &mut Context<'s>, name: &str) -> Result<(), Error> {
    let Some(mut lease) = Lease::stored(store, name)?.filter(|lease| lease.record.state() == LeaseState::Ending) else {
        return Ok(());
    };
    let mount = mount_of(store, &lease.record.origin)?;
    let leasing = mount.as_ref().and_then(|mount| mount.engine.life.lease);
    let Some((mount, leasing)) = mount.zip(leasing) else {
        finish(store, &lease);
        return Ok(());
    };
    let mark = store.mark();
    match (leasing.revoke)(&mut Work { context, store, mount: Arc::clone(&mount.mount) }, &lease) {
        Ok(()) => {}
        Err(_) if context.errands.is_asking() => return Ok(()),
        Err(error) => {
            store.discard_since(mark);
            if !lease.record.is_forced {
                return fail(store, context.now, &mut lease, &error);
            }
        }
    }
    finish(store, &lease);
    match leasing.ended {
        Some(ended) => ended(&mut Work { context, store, mount: Arc::clone(&mount.mount) }, &lease),
        None => Ok(()),
    }
}

/// It is taken back.
fn finish(store: &mut Store<'_>, lease: &Lease) {
    let system = store.system();
    store.delete(&system, &[WAITING, &place(lease), &lease.name]);
    lease.remove(store);
}

/// It is not; it is tried again, or not any more.
fn fail(store: &mut Store<'_>, now: Time, lease: &mut Lease, error: &Error) -> Result<(), Error> {
    let system = store.system();
    store.delete(&system, &[WAITING, &place(lease), &lease.name]);
    lease.record.attempts += 1;
    let reason = error.messages.join("; ");
    lease.record.reason = reason.chars().take(MAX_REASON_BYTES / 4).collect();
    if lease.record.attempts >= MAX_REVOKE_ATTEMPTS {
        lease.record.set_state(LeaseState::Irrevocable);
        store.put(&system, &[IRREVOCABLE, &lease.name], &EntryRecord {})?;
    } else {
        let pause = FIRST_PAUSE_SECS << (lease.record.attempts - 1);
        reschedule(store, lease, Some(now.plus_secs(pause)))?;
    }
    lease.save(store)
}

/// How many leases could not be taken back.
pub(crate) fn count_irrevocable(store: &mut Store<'_>) -> Result<u64, Error> {
    let system = store.system();
    store.count(&system, &[IRREVOCABLE])
}

/// Up to a number of the leases that could not be taken back, by name.
pub(crate) fn irrevocable(store: &mut Store<'_>, limit: usize) -> Result<Vec<Lease>, Error> {
    let system = store.system();
    let mut leases = Vec::new();
    for name in store.sample(&system, &[IRREVOCABLE], limit)? {
        leases.extend(Lease::stored(store, &name.name)?);
    }
    leases.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(leases)
}

/// Keeps a mount that the same batch takes out of the mount table, until what it gave is taken back.
pub(super) fn keep_mount(store: &mut Store<'_>, context: &Context<'_>, mount: &Mount) -> Result<(), Error> {
    let (system, name) = (store.system(), hex::encode(&mount.record.id));
    let mut record = mount.record.clone();
    record.keys = mount.keys.to_bytes().to_vec();
    store.put(&system, &[DEPARTED, &name], &record)?;
    calendar::schedule(store, context.now.plus_secs(FAREWELL_SECS), &FAREWELL, &name)
}

/// The mount that gave a lease, also if it is gone.
fn mount_of(store: &mut Store<'_>, origin: &Origin) -> Result<Option<Arc<RouteEntry>>, Error> {
    if let Some(mount) = MountTable::load(store)?.by_id(&origin.mount_id) {
        return Ok(Some(Arc::clone(mount)));
    }
    Ok(departed(store, &hex::encode(&origin.mount_id))?.map(Arc::new))
}

fn departed(store: &mut Store<'_>, name: &str) -> Result<Option<RouteEntry>, Error> {
    let (system, namespace, registry) = (store.system(), store.namespace(), Registry::of(store));
    let record = store.get::<MountRecord>(&system, &[DEPARTED, name])?;
    record.map(|record| RouteEntry::new(record, namespace, registry)).transpose()
}

fn say_farewell<'s>(store: &mut Store<'s>, context: &mut Context<'s>, name: &str) -> Result<(), Error> {
    let Some(mount) = departed(store, name)? else { return Ok(()) };
    if entry::is_any(store, &Origin::whole(mount.record.id.clone()))? {
        return calendar::schedule(store, context.now.plus_secs(FAREWELL_SECS), &FAREWELL, name);
    }
    let system = store.system();
    store.delete(&system, &[DEPARTED, name]);
    upkeep::drop_mount(store, context, &mount)
}
