//! Identity: who is behind a token, whatever method they logged in by.
//!
//! An entity is a person or a machine; an alias is what one mount knows it by; a group gives policies to many. Their records
//! lie in the area of the mount at `identity/`, whose paths are in the engine; here is what every request, login and method
//! needs of them: [`login`] makes entity and alias in the batch that makes the token, [`rights`] adds the policies of entity
//! and groups to those of the token.
//!
//! Exact at once: entities, groups and memberships are decoded once and kept under their revisions, and whatever a request
//! looked at is a guard of what it writes. A token without an entity costs nothing here, one with an entity no look at the
//! table unless something changed.
//!
//! What surprises: membership is stored at the entity and as one small record for each member of a group, never in the
//! group's record. So ten thousand members log in without one of them losing a race to another.

pub(crate) mod login;
pub(crate) mod rights;

pub(crate) mod alias;
pub(crate) mod entity;
pub(crate) mod group;
pub(crate) mod membership;
pub(crate) mod record;

#[cfg(test)]
mod tests;

use crate::error::Error;
use crate::mount::table::MountTable;
use crate::store::{Area, Store};

/// Where the mount lies that every namespace has.
const MOUNT: &str = "identity/";

/// How many entities there are.
pub(crate) fn count_entities(store: &mut Store<'_>) -> Result<u64, Error> {
    let area = area(store)?;
    store.count(&area, &[record::ENTITIES])
}

/// The area in which entities, aliases and groups lie.
pub(crate) fn area(store: &mut Store<'_>) -> Result<Area, Error> {
    let mounts = MountTable::load(store)?;
    let entry = mounts.at(MOUNT).ok_or_else(|| Error::internal("there is no identity mount"))?;
    Ok(entry.area.clone())
}
