//! Work that no request waits for: ending what expired, and removing what became unreachable.
//!
//! Everything here is already true without it: an expired token is refused at use, a dead token's children are dead,
//! an unmounted engine answers nothing. So a run may be late, lost or repeated, on any node; guards make a second
//! runner harmless. The leader's node calls [`run_tasks`] about twice a second and commits what it returns, again at once
//! while it returns something.
//!
//! What surprises: an error in one piece of work is reported only by a run that found nothing else to do, so that one
//! damaged record cannot stop the rest.

mod budget;
pub(crate) mod calendar;
pub(crate) mod chore;
pub(crate) mod ending;
pub(crate) mod tree;

#[cfg(test)]
mod tests;

use conclave_batch::View;

use self::budget::Budget;
use self::calendar::Reminder;
use self::chore::Chore;
use crate::batch::Proposal;
use crate::context::Context;
use crate::core::Core;
use crate::error::Error;
use crate::lease::{self, revocation};
use crate::limits::MAX_TASK_ITEMS;
use crate::mount::upkeep;
use crate::token::revoke;
use crate::{idempotency, lockout, members, mfa};

/// Every kind of entry that the calendar knows.
static REMINDERS: [&Reminder; 8] = [
    &revoke::EXPIRY,
    &lease::ending::EXPIRY,
    &lease::ending::FAREWELL,
    &idempotency::EXPIRY,
    &members::EXPIRY,
    &lockout::EXPIRY,
    &mfa::EXPIRY,
    &upkeep::REMINDER,
];

/// Every kind of chore. What engines do is behind the last one.
static CHORES: [&Chore; 7] = [
    &revoke::END_TOKEN,
    &revoke::ORPHAN_CHILDREN,
    &revocation::END_MARKED,
    &revocation::END_OF_MOUNT,
    &upkeep::DROP_MOUNT,
    &upkeep::DROP_FOLDER,
    &upkeep::CHORE,
];

/// One bounded chunk of what is due, as a batch to commit; `None` if nothing is. A batch that conflicts is forgotten:
/// the next run sees what came between.
///
/// # Errors
/// What stopped a piece of work, if no other was left to do.
pub fn run_tasks<'a>(core: &'a Core, context: &mut Context<'a>, view: &'a dyn View) -> Result<Option<Proposal>, Error> {
    let mut store = core.store(view).passing();
    let mut budget = Budget { left: MAX_TASK_ITEMS, error: None };
    calendar::run(&mut store, context, &mut budget, &REMINDERS)?;
    chore::run(&mut store, context, &mut budget, &CHORES)?;
    if !store.has_writes()
        && let Some(error) = budget.error
    {
        return Err(error);
    }
    store.finish(context)
}
