//! Entities: found by id and by name, written, removed.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use crate::context::Context;
use crate::error::Error;
use crate::identity::record::{ENTITIES, ENTITY_NAMES, EntityRecord, MERGED, PlaceRecord};
use crate::identity::{alias, membership};
use crate::limits::MAX_IDENTITY_NAME_BYTES;
use crate::printable;
use crate::spelling;
use crate::store::{Area, Store, decode};

/// An entity, decoded once for many requests. The default is none.
#[derive(Default)]
pub(crate) struct Entity {
    /// As stored; its id is empty if there is none.
    pub(crate) record: EntityRecord,
    /// SHA-256 of what is stored, by which whatever was made of it is found again.
    pub(crate) digest: [u8; 32],
}

impl Entity {
    fn new(bytes: &[u8]) -> Result<Self, Error> {
        Ok(Self { record: decode(bytes)?, digest: sha256(bytes) })
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The entity that an id stands for, also if another one was merged into it under this id.
pub(crate) fn find(store: &mut Store<'_>, area: &Area, id: &str) -> Result<Option<Arc<Entity>>, Error> {
    let entity = kept(store, area, id)?;
    if !entity.record.id.is_empty() {
        return Ok(Some(entity));
    }
    let place: Arc<PlaceRecord> = store.get_cached_or_default(area, &[MERGED, id], decode)?;
    if place.owner_id.is_empty() {
        return Ok(None);
    }
    Ok(Some(kept(store, area, &place.owner_id)?).filter(|entity| !entity.record.id.is_empty()))
}

fn kept(store: &mut Store<'_>, area: &Area, id: &str) -> Result<Arc<Entity>, Error> {
    store.get_cached_or_default(area, &[ENTITIES, id], Entity::new)
}

/// The entity with exactly this id, for an edit.
pub(crate) fn get(store: &mut Store<'_>, area: &Area, id: &str) -> Result<Option<EntityRecord>, Error> {
    Ok(Some(kept(store, area, id)?.record.clone()).filter(|record| !record.id.is_empty()))
}

/// The entity with a name, in upper or lower case.
pub(crate) fn by_name(store: &mut Store<'_>, area: &Area, name: &str) -> Result<Option<EntityRecord>, Error> {
    let place: Option<PlaceRecord> = store.get(area, &[ENTITY_NAMES, &spelling::lower(name)])?;
    match place {
        Some(place) => get(store, area, &place.owner_id),
        None => Ok(None),
    }
}

/// A new entity, which is not stored yet. An empty name is drawn.
pub(crate) fn new(context: &mut Context<'_>, name: &str) -> EntityRecord {
    let now = context.now.nanos();
    let name = if name.is_empty() { drawn_name(context, "entity") } else { name.to_owned() };
    EntityRecord { id: context.uuid(), name, created_nanos: now, updated_nanos: now, ..EntityRecord::default() }
}

/// A name for what got none.
pub(super) fn drawn_name(context: &mut Context<'_>, kind: &str) -> String {
    format!("{kind}_{}", hex::encode(context.bytes::<4>()))
}

/// Writes an entity, and the name that leads to it.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] if another entity has the name.
pub(crate) fn save(store: &mut Store<'_>, area: &Area, record: &EntityRecord) -> Result<(), Error> {
    let before = get(store, area, &record.id)?.map(|before| before.name);
    rename(store, area, ENTITY_NAMES, before.as_deref(), &record.name, &record.id)?;
    store.put(area, &[ENTITIES, &record.id], record)
}

/// Has a name lead to its entity or group, in place of the one before.
pub(super) fn rename(
    store: &mut Store<'_>,
    area: &Area,
    folder: &str,
    before: Option<&str>,
    name: &str,
    owner_id: &str,
) -> Result<(), Error> {
    if before == Some(name) {
        return Ok(());
    }
    if name.len() > MAX_IDENTITY_NAME_BYTES {
        return Err(Error::invalid(format!("the name is longer than {MAX_IDENTITY_NAME_BYTES} bytes")));
    }
    if !printable::is_printable(name) {
        return Err(Error::invalid("the name holds a character that cannot be printed"));
    }
    let path = spelling::lower(name);
    let holder: Option<PlaceRecord> = store.get(area, &[folder, &path])?;
    if holder.is_some_and(|holder| holder.owner_id != owner_id) {
        return Err(Error::invalid("the name is in use already; choose another"));
    }
    if let Some(before) = before {
        store.delete(area, &[folder, &spelling::lower(before)]);
    }
    store.put(area, &[folder, &path], &PlaceRecord { owner_id: owner_id.to_owned(), detail: name.to_owned() })
}

/// Removes an entity, with its name, its aliases and its places in groups. Its tokens are refused from then on.
pub(crate) fn remove(store: &mut Store<'_>, area: &Area, record: &EntityRecord) -> Result<(), Error> {
    for alias in &record.aliases {
        alias::displace(store, area, &alias::OF_ENTITIES, alias);
    }
    for merged in &record.merged_ids {
        store.delete(area, &[MERGED, merged]);
    }
    membership::leave_all(store, area, &record.id)?;
    store.delete(area, &[ENTITY_NAMES, &spelling::lower(&record.name)]);
    store.delete(area, &[ENTITIES, &record.id]);
    Ok(())
}
