//! Who is in which group: at the entity, where requests look, and at the group, where people do.

use std::sync::Arc;

use crate::error::Error;
use crate::identity::record::{MEMBERS, MEMBERSHIPS, MemberOfGroupRecord, MembershipRecord};
use crate::limits::MAX_GROUPS_OF_ENTITY;
use crate::store::{Area, Store, decode};

/// The groups that an entity is in without another between.
pub(crate) fn of(store: &mut Store<'_>, area: &Area, entity_id: &str) -> Result<Arc<MembershipRecord>, Error> {
    store.get_cached_or_default(area, &[MEMBERSHIPS, entity_id], decode)
}

/// Puts an entity into a group.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] if the entity is in [`MAX_GROUPS_OF_ENTITY`] already.
pub(crate) fn join(store: &mut Store<'_>, area: &Area, entity_id: &str, group_id: &str) -> Result<(), Error> {
    let mut membership = of(store, area, entity_id)?.as_ref().clone();
    let Err(place) = membership.group_ids.binary_search_by(|id| id.as_str().cmp(group_id)) else { return Ok(()) };
    if membership.group_ids.len() >= MAX_GROUPS_OF_ENTITY {
        return Err(Error::invalid(format!(
            "the entity is in {MAX_GROUPS_OF_ENTITY} groups, the most that one can be in; take it out of some first"
        )));
    }
    membership.group_ids.insert(place, group_id.to_owned());
    store.put(area, &[MEMBERSHIPS, entity_id], &membership)?;
    store.put(area, &[MEMBERS, group_id, entity_id], &MemberOfGroupRecord {})
}

/// Takes an entity out of a group; absent is as good.
pub(crate) fn leave(store: &mut Store<'_>, area: &Area, entity_id: &str, group_id: &str) -> Result<(), Error> {
    let mut membership = of(store, area, entity_id)?.as_ref().clone();
    membership.group_ids.retain(|id| id != group_id);
    match membership.group_ids.is_empty() {
        true => store.delete(area, &[MEMBERSHIPS, entity_id]),
        false => store.put(area, &[MEMBERSHIPS, entity_id], &membership)?,
    }
    store.delete(area, &[MEMBERS, group_id, entity_id]);
    Ok(())
}

/// Takes an entity out of all its groups.
pub(crate) fn leave_all(store: &mut Store<'_>, area: &Area, entity_id: &str) -> Result<(), Error> {
    for group_id in &of(store, area, entity_id)?.group_ids {
        store.delete(area, &[MEMBERS, group_id, entity_id]);
    }
    store.delete(area, &[MEMBERSHIPS, entity_id]);
    Ok(())
}

/// Ids of a group's members, sorted.
pub(crate) fn members(store: &mut Store<'_>, area: &Area, group_id: &str) -> Result<Vec<String>, Error> {
    let names = store.list(area, &[MEMBERS, group_id])?;
    Ok(names.iter().map(|name| name.name.to_string()).collect())
}

/// Takes up to a number of members out of a group that is gone; returns how many.
pub(crate) fn dissolve(store: &mut Store<'_>, area: &Area, group_id: &str, limit: usize) -> Result<usize, Error> {
    let names = store.sample(area, &[MEMBERS, group_id], limit)?;
    for name in &names {
        leave(store, area, &name.name, group_id)?;
    }
    Ok(names.len())
}
