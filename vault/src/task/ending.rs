//! Taking back what engines lent out, as the node does it: what waits, and one run for one lease after the other.
//!
//! Beside [`super::run`], because it asks the outside, which may take long or never answer. How it goes on after a failure,
//! and after a change of leaders, stands in [`crate::lease::ending`].

use std::collections::BTreeSet;

use conclave_batch::View;

use crate::context::Context;
use crate::core::{Core, Done};
use crate::error::Error;
use crate::lease::ending;
use crate::reply::Reply;

/// Names of leases that can be taken back now, a few of each target, without those that are being worked on.
///
/// # Errors
/// If the view cannot be read.
pub fn leases_to_end(core: &Core, view: &dyn View, busy: &BTreeSet<String>) -> Result<Vec<String>, Error> {
    ending::waiting(&core.store(view).passing(), busy)
}

/// One run for one lease. It ends with an errand, or with a batch, or with neither if there is nothing to do. The context's
/// errands must be those of a request: seeded, and kept over the runs.
pub fn end_lease<'a>(core: &'a Core, context: &mut Context<'a>, view: &'a dyn View, name: &str) -> Done {
    let mut store = core.store(view).passing();
    context.errands.begin_run();
    let attempted = ending::attempt(&mut store, context, name);
    if let Some(errand) = context.errands.take_asked() {
        return Done { result: Ok(Reply::empty()), batch: None, errand: Some(errand), trail: None };
    }
    match attempted.and_then(|()| store.finish(context)) {
        Ok(batch) => Done { result: Ok(Reply::empty()), batch, errand: None, trail: None },
        Err(error) => Done { result: Err(error), batch: None, errand: None, trail: None },
    }
}
