//! `delete/`, `undelete/` and `destroy/`: named versions of a secret.

use super::record::{VersionRecord, VersionState};
use super::{secret, version_numbers};
use crate::engine::Call;
use crate::error::Error;
use crate::reply::Reply;

/// Deletes versions, so that they can be brought back.
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (numbers, now) = (version_numbers(call, "No version number provided")?, call.context.now);
    change(call, &numbers, |version| {
        if version.is_readable(now) {
            version.deletion_nanos = now.nanos();
        }
        false
    })
}

/// Brings deleted versions back. What was destroyed stays so.
pub(super) fn undelete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let numbers = version_numbers(call, "No version number provided")?;
    change(call, &numbers, |version| {
        if !version.is_destroyed() {
            version.deletion_nanos = 0;
        }
        false
    })
}

/// Removes the data of versions for good.
pub(super) fn destroy(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let numbers = version_numbers(call, "no version number provided")?;
    change(call, &numbers, |version| {
        version.set_state(VersionState::Destroyed);
        version.checksum.clear();
        true
    })
}

/// Edits the named versions that are there; an edit says whether the data goes too.
fn change(call: &mut Call<'_, '_>, numbers: &[u64], edit: impl Fn(&mut VersionRecord) -> bool) -> Result<Reply, Error> {
    let Some(mut secret) = secret::load(call)? else { return Ok(Reply::empty()) };
    let before = secret.record.clone();
    let mut gone = Vec::new();
    for version in secret.record.versions.iter_mut().filter(|version| numbers.contains(&version.number)) {
        if edit(version) {
            gone.push(version.number);
        }
    }
    if secret.record != before {
        secret.record.updated_nanos = call.context.now.nanos();
        secret.save(call)?;
        // After the save, which brings the data of an old document to where it can be removed.
        gone.into_iter().for_each(|number| secret::remove_data(call, number));
    }
    Ok(Reply::empty())
}
