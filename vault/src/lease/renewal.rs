//! Renewing what an engine lent out: within the mount's bounds and the lease's own, and only while it is live.

use crate::engine::{Call, Work};
use crate::error::Error;
use crate::lease::ending;
use crate::lease::record::Lease;
use crate::mount::table::MountTable;
use crate::reply::Reply;
use crate::token::lifetime::Bounds;

/// Renews a live lease for some seconds from now; 0 is whatever the mount says.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] if it cannot be renewed, or its longest life is over.
pub(crate) fn renew(call: &mut Call<'_, '_>, mut lease: Lease, wanted_secs: u64) -> Result<Reply, Error> {
    if !lease.record.is_renewable {
        return Err(Error::invalid("lease is not renewable"));
    }
    let mounts = MountTable::load(call.store)?;
    let gone = || Error::invalid("lease not found");
    let mount = mounts.by_id(&lease.record.origin.mount_id).cloned().ok_or_else(gone)?;
    let bounds = Bounds { role_max_secs: lease.record.max_secs, ..Bounds::of_mount(call.context, &mount.record) };
    let now = call.context.now;
    let life = bounds.lifetime(lease.issued(), now, wanted_secs).map_err(|error| Error::invalid(error.to_string()))?;
    if let Some(renew) = mount.engine.life.lease.and_then(|leasing| leasing.renew) {
        // If nobody hears of what it does outside, the lease ends at its old time all the same.
        renew(
            &mut Work { context: call.context, store: call.store, mount: mount.mount.clone() },
            &lease,
            life.expires,
        )?;
    }
    lease.record.expires_nanos = life.expires.nanos();
    lease.record.renewed_nanos = now.nanos();
    ending::reschedule(call.store, &mut lease, Some(life.expires))?;
    lease.save(call.store)?;
    Ok(Reply {
        lease_id: lease.id(),
        renewable: true,
        lease_secs: life.ttl_secs,
        warnings: life.warnings,
        ..Reply::default()
    })
}
