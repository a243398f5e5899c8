//! Aliases: what leads from the name that a mount knows to the entity or group that is meant.
//!
//! The alias itself lies in the record of its owner; here are the two places that lead there, by the alias's id and by
//! mount and name.

use crate::context::Context;
use crate::error::Error;
use crate::identity::record::{ALIAS_NAMES, ALIASES, AliasRecord, GROUP_ALIAS_NAMES, GROUP_ALIASES, PlaceRecord};
use crate::limits::MAX_SEGMENT_BYTES;
use crate::store::{Area, Store};

/// Directories of one kind of alias.
pub(crate) struct AliasFolders {
    /// By id.
    pub(crate) ids: &'static str,
    /// By accessor and name.
    pub(crate) names: &'static str,
}

/// Where aliases of entities are found.
pub(crate) static OF_ENTITIES: AliasFolders = AliasFolders { ids: ALIASES, names: ALIAS_NAMES };
/// Where aliases of groups are found.
pub(crate) static OF_GROUPS: AliasFolders = AliasFolders { ids: GROUP_ALIASES, names: GROUP_ALIAS_NAMES };

/// The owner of an alias by its id.
pub(crate) fn owner_by_id(
    store: &mut Store<'_>,
    area: &Area,
    folders: &AliasFolders,
    id: &str,
) -> Result<Option<String>, Error> {
    let place: Option<PlaceRecord> = store.get(area, &[folders.ids, id])?;
    Ok(place.map(|place| place.owner_id))
}

/// The owner of an alias, and the alias's id, by what a mount knows it by.
pub(crate) fn owner_by_name(
    store: &mut Store<'_>,
    area: &Area,
    folders: &AliasFolders,
    accessor: &str,
    name: &str,
) -> Result<Option<PlaceRecord>, Error> {
    store.get(area, &[folders.names, accessor, name])
}

/// A new alias, which nothing leads to yet.
pub(crate) fn new(context: &mut Context<'_>, accessor: &str, name: &str) -> AliasRecord {
    let now = context.now.nanos();
    AliasRecord {
        id: context.uuid(),
        name: name.to_owned(),
        mount_accessor: accessor.to_owned(),
        created_nanos: now,
        updated_nanos: now,
        ..AliasRecord::default()
    }
}

/// Has an alias lead to an owner.
pub(crate) fn place(
    store: &mut Store<'_>,
    area: &Area,
    folders: &AliasFolders,
    alias: &AliasRecord,
    owner_id: &str,
) -> Result<(), Error> {
    let owner_id = owner_id.to_owned();
    store.put(area, &[folders.ids, &alias.id], &PlaceRecord { owner_id: owner_id.clone(), detail: String::new() })?;
    let place = PlaceRecord { owner_id, detail: alias.id.clone() };
    store.put(area, &[folders.names, &alias.mount_accessor, &alias.name], &place)
}

/// Has an alias lead nowhere.
pub(crate) fn displace(store: &mut Store<'_>, area: &Area, folders: &AliasFolders, alias: &AliasRecord) {
    store.delete(area, &[folders.ids, &alias.id]);
    store.delete(area, &[folders.names, &alias.mount_accessor, &alias.name]);
}

/// Refuses what cannot be the name of an alias.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::invalid("the name of an alias must not be empty"));
    }
    match name.len() <= MAX_SEGMENT_BYTES {
        true => Ok(()),
        false => Err(Error::invalid(format!("the name of an alias is longer than {MAX_SEGMENT_BYTES} bytes"))),
    }
}
