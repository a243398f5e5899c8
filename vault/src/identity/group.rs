//! Groups: found by id and by name, written, removed, and one put below another.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::context::Context;
use crate::error::Error;
use crate::identity::alias;
use crate::identity::entity::{drawn_name, rename, sha256};
use crate::identity::record::{GROUP_NAMES, GROUPS, GroupRecord, PlaceRecord};
use crate::limits::MAX_GROUPS_ABOVE;
use crate::spelling;
use crate::store::{Area, Store, decode};

/// A group, decoded once for many requests. The default is none.
#[derive(Default)]
pub(crate) struct Group {
    /// As stored; its id is empty if there is none.
    pub(crate) record: GroupRecord,
    /// SHA-256 of what is stored.
    pub(crate) digest: [u8; 32],
}

impl Group {
    fn new(bytes: &[u8]) -> Result<Self, Error> {
        Ok(Self { record: decode(bytes)?, digest: sha256(bytes) })
    }
}

/// A group by its id.
pub(crate) fn find(store: &mut Store<'_>, area: &Area, id: &str) -> Result<Option<Arc<Group>>, Error> {
    let group = store.get_cached_or_default(area, &[GROUPS, id], Group::new)?;
    Ok(Some(group).filter(|group| !group.record.id.is_empty()))
}

/// A group by its id, for an edit.
pub(crate) fn get(store: &mut Store<'_>, area: &Area, id: &str) -> Result<Option<GroupRecord>, Error> {
    Ok(find(store, area, id)?.map(|group| group.record.clone()))
}

/// A group by its name, in upper or lower case.
pub(crate) fn by_name(store: &mut Store<'_>, area: &Area, name: &str) -> Result<Option<GroupRecord>, Error> {
    let place: Option<PlaceRecord> = store.get(area, &[GROUP_NAMES, &spelling::lower(name)])?;
    match place {
        Some(place) => get(store, area, &place.owner_id),
        None => Ok(None),
    }
}

/// A new group, which is not stored yet. An empty name is drawn.
pub(crate) fn new(context: &mut Context<'_>, name: &str) -> GroupRecord {
    let name = if name.is_empty() { drawn_name(context, "group") } else { name.to_owned() };
    GroupRecord { id: context.uuid(), name, created_nanos: context.now.nanos(), ..GroupRecord::default() }
}

/// Writes a group that was changed, and the name that leads to it.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] if another group has the name.
pub(crate) fn save(
    store: &mut Store<'_>,
    context: &Context<'_>,
    area: &Area,
    record: &mut GroupRecord,
) -> Result<(), Error> {
    record.modify_index += 1;
    record.updated_nanos = context.now.nanos();
    let before = get(store, area, &record.id)?.map(|before| before.name);
    rename(store, area, GROUP_NAMES, before.as_deref(), &record.name, &record.id)?;
    store.put(area, &[GROUPS, &record.id], record)
}

/// Removes a group, with its name, its alias and its places in other groups; its members are the caller's. Those groups are
/// not counted as changed, as clients know it.
pub(crate) fn remove(store: &mut Store<'_>, area: &Area, record: &GroupRecord) -> Result<(), Error> {
    for parent in &record.parent_group_ids {
        if let Some(mut parent) = get(store, area, parent)? {
            parent.member_group_ids.retain(|member| *member != record.id);
            store.put(area, &[GROUPS, &parent.id], &parent)?;
        }
    }
    for member in &record.member_group_ids {
        if let Some(mut member) = get(store, area, member)? {
            member.parent_group_ids.retain(|parent| *parent != record.id);
            store.put(area, &[GROUPS, &member.id], &member)?;
        }
    }
    if let Some(alias) = &record.alias {
        alias::displace(store, area, &alias::OF_GROUPS, alias);
    }
    store.delete(area, &[GROUP_NAMES, &spelling::lower(&record.name)]);
    store.delete(area, &[GROUPS, &record.id]);
    Ok(())
}

/// The groups themselves and all above them, each once, nearest first. Ids of groups that are gone count for nothing.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] if there are more than [`MAX_GROUPS_ABOVE`].
pub(crate) fn with_above(store: &mut Store<'_>, area: &Area, ids: &[String]) -> Result<Vec<Arc<Group>>, Error> {
    let mut groups: Vec<Arc<Group>> = Vec::new();
    let mut open: Vec<String> = ids.to_vec();
    let mut seen: BTreeSet<String> = open.iter().cloned().collect();
    while !open.is_empty() {
        let mut next = Vec::new();
        for id in open {
            let Some(group) = find(store, area, &id)? else { continue };
            next.extend(group.record.parent_group_ids.iter().filter(|id| seen.insert((*id).clone())).cloned());
            groups.push(group);
        }
        if groups.len() > MAX_GROUPS_ABOVE {
            return Err(Error::invalid(format!(
                "the entity is in more than {MAX_GROUPS_ABOVE} groups; take it, or groups that it is in, out of some"
            )));
        }
        open = next;
    }
    Ok(groups)
}
