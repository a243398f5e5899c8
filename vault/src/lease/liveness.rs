//! Whether a lease counts. As with tokens this is found out at each use, so whatever ends many leases is one small batch.

use crate::context::Context;
use crate::error::Error;
use crate::lease::mark::Revocations;
use crate::lease::record::{Lease, LeaseState};
use crate::mount::table::MountTable;
use crate::store::Store;
use crate::token;

/// Whether somebody has a lease and may go on having it.
pub(crate) fn is_live(store: &mut Store<'_>, context: &Context<'_>, lease: &Lease) -> Result<bool, Error> {
    Ok(lease.record.state() == LeaseState::Given && is_upheld(store, context, lease)?)
}

/// Whether neither its time, nor its mount, nor a mark on its path, nor its token ended a lease.
pub(super) fn is_upheld(store: &mut Store<'_>, context: &Context<'_>, lease: &Lease) -> Result<bool, Error> {
    let record = &lease.record;
    if lease.expires() <= context.now
        || MountTable::load(store)?.by_id(&record.origin.mount_id).is_none()
        || Revocations::load(store)?.end(&record.origin, record.generation)
    {
        return Ok(false);
    }
    Ok(record.token.is_empty() || token::by_hash(store, context, &record.token)?.is_some())
}
