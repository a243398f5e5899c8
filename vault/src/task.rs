//! Work that no request waits for: ending what expired, and removing what became unreachable.
//!
//! Everything here is already true without it: an expired token is refused at use, a dead token's children are dead,
//! an unmounted engine answers nothing. So a run may be late, lost or repeated, on any node; guards make a second
//! runner harmless. The leader's node calls [`run`] about once a second and commits what it returns, again at once
//! while it returns something.
//!
//! What surprises: an error in one piece of work is reported only by a run that found nothing else to do, so that one
//! damaged record cannot stop the rest.

mod cleanup;
mod expiry;
pub mod tree;

#[cfg(test)]
mod tests;

pub use self::cleanup::{Task, TaskRecord, add, is_ending, schedule_drop};
pub use self::expiry::{Expiring, ExpiryRecord, schedule, unschedule};

use crate::batch::Proposal;
use crate::context::Context;
use crate::core::Core;
use crate::error::Error;
use crate::store::Store;
use crate::view::View;

/// Most pieces of work in one run: tokens ended, records deleted. Each takes at most six operations of the batch.
const MAX_ITEMS: usize = 512;

/// One run: what it may still do, and what went wrong.
struct Run {
    left: usize,
    error: Option<Error>,
}

impl Run {
    /// Does one piece of work that may use up to the rest; if it fails, nothing of it remains.
    fn attempt(&mut self, store: &mut Store<'_>, work: impl FnOnce(&mut Store<'_>) -> Result<usize, Error>) {
        let mark = store.mark();
        match work(store) {
            Ok(items) => self.left = self.left.saturating_sub(items),
            Err(error) => {
                store.discard_since(mark);
                self.error.get_or_insert(error);
            }
        }
    }
}

/// One bounded chunk of what is due, as a batch to commit; `None` if nothing is. A batch that conflicts is forgotten:
/// the next run sees what came between.
///
/// # Errors
/// What stopped a piece of work, if no other was left to do.
pub fn run<'a>(core: &'a Core, context: &mut Context<'a>, view: &'a dyn View) -> Result<Option<Proposal>, Error> {
    let mut store = core.store(view);
    let mut run = Run { left: MAX_ITEMS, error: None };
    expiry::run(&mut store, context, &mut run)?;
    cleanup::run(&mut store, context, &mut run)?;
    if !store.has_writes()
        && let Some(error) = run.error
    {
        return Err(error);
    }
    store.finish(context)
}
