//! Renewing tokens, by the limits that are in force now.

use std::sync::Arc;

use crate::engine::Call;
use crate::engines::login::gone;
use crate::engines::token::{Target, accessed, invalid_accessor, named, own as calling, role, sent_id};
use crate::error::Error;
use crate::identity::rights::{self, Standing};
use crate::mount::table::MountTable;
use crate::reply::Reply;
use crate::task::calendar;
use crate::time::Time;
use crate::token::issue::auth_of;
use crate::token::lifetime::{Bounds, smallest};
use crate::token::record::{TokenRecord, token_path};
use crate::token::{self, revoke::EXPIRY};

/// `renew`: a token by its id.
pub(super) fn by_id(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let id = sent_id(call).ok_or_else(|| Error::invalid("missing token ID"))?;
    let target = named(call, &id)?.ok_or_else(not_found)?;
    renew(call, &target)
}

/// `renew-self`.
pub(super) fn own(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let target = calling(call)?;
    renew(call, &target)
}

/// `renew-accessor`.
pub(super) fn by_accessor(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let target = accessed(call)?.ok_or_else(invalid_accessor)?;
    renew(call, &target)
}

fn renew(call: &mut Call<'_, '_>, target: &Target) -> Result<Reply, Error> {
    if target.token.is_batch() {
        return Err(Error::invalid("batch tokens cannot be renewed"));
    }
    let hash = target.token.hash_hex();
    let system = call.store.system();
    // Read again: this very request may have counted a use.
    let mut record: TokenRecord = call.store.get(&system, &token_path(&hash))?.ok_or_else(not_found)?;
    if !record.is_renewable || record.expires_nanos == 0 {
        return Err(Error::invalid("lease is not renewable"));
    }
    Standing::admitted(call.store, &record.entity_id)?;
    let Some(bounds) = bounds(call, &record)? else { return Ok(Reply::empty()) };
    let increment = call.fields.duration("increment").map_or(0, |increment| increment.as_secs());
    let wanted_secs = smallest([increment]).or(smallest([record.renewal_secs])).unwrap_or(record.ttl_secs);
    let now = call.context.now;
    let life = bounds.lifetime(Time::from_nanos(record.issued_nanos), now, wanted_secs);
    let life = life.map_err(|error| Error::invalid(error.to_string()))?;
    calendar::unschedule(call.store, Time::from_nanos(record.expires_nanos), &EXPIRY, &hash);
    calendar::schedule(call.store, life.expires, &EXPIRY, &hash)?;
    record.expires_nanos = life.expires.nanos();
    record.renewed_nanos = now.nanos();
    record.renewal_secs = wanted_secs;
    call.store.put(&system, &token_path(&hash), &record)?;
    let mut auth = auth_of(&record, &target.shown_id, false, now);
    auth.orphan = token::is_orphan(call.store, &target.token)?;
    rights::tell(call.store, &mut auth)?;
    Ok(Reply { warnings: life.warnings, ..Reply::auth(auth) })
}

/// What bounds a token now: the mount that made it, its role, and itself. `None` if it is to be left as it is.
fn bounds(call: &mut Call<'_, '_>, record: &TokenRecord) -> Result<Option<Bounds>, Error> {
    let mounts = MountTable::load(call.store)?;
    let mount = mounts.by_id(&record.origin.mount_id).map_or(&call.mount, |entry| &entry.mount);
    let mut bounds = Bounds {
        role_max_secs: record.max_secs,
        explicit_max_secs: record.explicit_max_secs,
        period_secs: record.period_secs,
        ..Bounds::of_mount(call.context, &mount.record)
    };
    if !record.method_role.is_empty() {
        return method_bounds(call, record, &mounts, bounds);
    }
    if !record.role.is_empty() {
        let role = role::load(call, &record.role)?;
        let role = role.ok_or_else(|| {
            Error::invalid("the token's role does not exist any more, so the token cannot be renewed")
        })?;
        bounds.explicit_max_secs = smallest([bounds.explicit_max_secs, role.token_explicit_max_secs]).unwrap_or(0);
        bounds.period_secs = smallest([bounds.period_secs, role.token_period_secs]).unwrap_or(0);
    }
    Ok(Some(bounds))
}

/// What the role of an auth method says now. Without the method there is no renewal.
fn method_bounds(
    call: &mut Call<'_, '_>,
    record: &TokenRecord,
    mounts: &MountTable,
    bounds: Bounds,
) -> Result<Option<Bounds>, Error> {
    let entry = mounts.by_id(&record.origin.mount_id).ok_or_else(gone)?;
    let renewal = entry.engine.life.renewal.ok_or_else(gone)?;
    renewal(&mut call.work_on(Arc::clone(&entry.mount)), record, bounds)
}

fn not_found() -> Error {
    Error::invalid("token not found")
}
