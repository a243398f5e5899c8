//! `entity-alias`: what a mount knows an entity by.
//!
//! Who may write aliases could bring a login of their own under an entity of their choice, and so get its policies. So an alias is
//! given to an entity that is there, or changes its name or mount, which does the same, only for those who may merge entities.
//! Without that right an alias can be made together with a new entity, noted about, and deleted.

use serde_json::json;

use crate::engine::Call;
use crate::engines::identity::metadata::{CUSTOM_METADATA, check_accessor, pairs, shown_alias, shown_in_list};
use crate::engines::listing;
use crate::error::{Error, ErrorKind};
use crate::field::{Field, Kind, field};
use crate::identity::alias::{self, OF_ENTITIES};
use crate::identity::entity;
use crate::identity::record::{ALIASES, AliasRecord, EntityRecord};
use crate::mount::table::MountTable;
use crate::reply::Reply;

pub(super) const ID: Field = field("id", Kind::Text, "Id of the alias.");
pub(super) const NAME: Field = field("name", Kind::Text, "What the mount knows its owner by; case counts.");
pub(super) const ACCESSOR: Field = field("mount_accessor", Kind::Text, "Accessor of the auth method.");
pub(super) const OWNER: Field =
    field("canonical_id", Kind::Text, "Id of its owner; a new one is made if none is named.");
const OLD_OWNER: Field = field("entity_id", Kind::Text, "Old name of canonical_id.").renamed_to("canonical_id");

pub(super) const FIELDS: &[Field] = &[ID, NAME, ACCESSOR, OWNER, OLD_OWNER, CUSTOM_METADATA];
/// The path whose right is asked for where an alias brings other logins to an entity.
const MERGE: &str = "identity/entity/merge";

/// `entity-alias`, `entity-alias/id/{id}`
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let area = call.mount.area.clone();
    let [id, name, accessor, owner, old_owner] =
        [ID, NAME, ACCESSOR, OWNER, OLD_OWNER].map(|field| call.fields.text_or_empty(field.name).to_owned());
    let owner = if owner.is_empty() { old_owner } else { owner };
    let found = match id.is_empty() {
        true => {
            check_identified(&name, &accessor)?;
            check_accessor(call, &accessor)?;
            let place = alias::owner_by_name(call.store, &area, &OF_ENTITIES, &accessor, &name)?;
            place.map(|place| (place.owner_id, place.detail))
        }
        false => {
            let owner = alias::owner_by_id(call.store, &area, &OF_ENTITIES, &id)?;
            Some((owner.ok_or_else(|| Error::invalid("invalid alias ID"))?, id))
        }
    };
    match found {
        Some((holder, id)) => change(call, &holder, &id, &owner),
        None => create(call, &owner, &accessor, &name),
    }
}

pub(super) fn check_identified(name: &str, accessor: &str) -> Result<(), Error> {
    match name.is_empty() || accessor.is_empty() {
        true => Err(Error::invalid("'id' or 'mount_accessor' and 'name' must be provided")),
        false => Ok(()),
    }
}

fn create(call: &mut Call<'_, '_>, owner: &str, accessor: &str, name: &str) -> Result<Reply, Error> {
    alias::check_name(name)?;
    let mut alias = alias::new(call.context, accessor, name);
    alias.custom_metadata = pairs(&call.fields, CUSTOM_METADATA.name)?.unwrap_or_default();
    let record = match owner.is_empty() {
        true => entity::new(call.context, ""),
        false => {
            check_may_merge(call)?;
            owned(call, owner)?
        }
    };
    add(call, record, alias)
}

/// The entity that is to own an alias.
fn owned(call: &mut Call<'_, '_>, id: &str) -> Result<EntityRecord, Error> {
    let record = entity::get(call.store, &call.mount.area, id)?;
    record.ok_or_else(|| Error::invalid("invalid canonical ID"))
}

/// Gives an alias to an entity that has none on the mount.
fn add(call: &mut Call<'_, '_>, mut record: EntityRecord, alias: AliasRecord) -> Result<Reply, Error> {
    if record.aliases.iter().any(|other| other.mount_accessor == alias.mount_accessor) {
        return Err(Error::invalid("Alias already exists for requested entity and mount accessor"));
    }
    let area = call.mount.area.clone();
    alias::place(call.store, &area, &OF_ENTITIES, &alias, &record.id)?;
    let reply = Reply::data(json!({ "canonical_id": record.id, "id": alias.id }));
    record.aliases.push(alias);
    record.updated_nanos = call.context.now.nanos();
    entity::save(call.store, &area, &record)?;
    Ok(reply)
}

/// Changes an alias that is there: its name, its mount, what is noted about it, and its owner.
fn change(call: &mut Call<'_, '_>, holder: &str, id: &str, owner: &str) -> Result<Reply, Error> {
    let area = call.mount.area.clone();
    let mut holder =
        entity::get(call.store, &area, holder)?.ok_or_else(|| Error::internal("an alias leads to no entity"))?;
    let place = holder.aliases.iter().position(|alias| alias.id == id);
    let place = place.ok_or_else(|| Error::internal("an entity does not have its alias"))?;
    let mut alias = holder.aliases.remove(place);
    let is_moved = !owner.is_empty() && owner != holder.id;
    let [name, accessor] = [NAME, ACCESSOR].map(|field| call.fields.text_or_empty(field.name));
    let is_other = |sent: &str, present: &str| !sent.is_empty() && sent != present;
    if is_moved || is_other(name, &alias.name) || is_other(accessor, &alias.mount_accessor) {
        check_may_merge(call)?;
    }
    alias::displace(call.store, &area, &OF_ENTITIES, &alias);
    rename(call, &mut alias)?;
    if let Some(pairs) = pairs(&call.fields, CUSTOM_METADATA.name)? {
        alias.custom_metadata = pairs;
    }
    alias.updated_nanos = call.context.now.nanos();
    if !is_moved {
        return add(call, holder, alias);
    }
    let target = owned(call, owner)?;
    entity::save(call.store, &area, &holder)?;
    add(call, target, alias)
}

/// Takes a new name or mount of an alias, if nothing else has them.
pub(super) fn rename(call: &mut Call<'_, '_>, alias: &mut AliasRecord) -> Result<(), Error> {
    let [name, accessor] = [NAME, ACCESSOR].map(|field| call.fields.text_or_empty(field.name).to_owned());
    if !accessor.is_empty() && accessor != alias.mount_accessor {
        check_accessor(call, &accessor)?;
        alias.mount_accessor = accessor;
    }
    if !name.is_empty() {
        alias::check_name(&name)?;
        alias.name = name;
    }
    let area = call.mount.area.clone();
    match alias::owner_by_name(call.store, &area, &OF_ENTITIES, &alias.mount_accessor, &alias.name)? {
        Some(other) if other.detail != alias.id => {
            Err(Error::invalid("another alias has this name on this mount; merge the entities, or delete that alias"))
        }
        _ => Ok(()),
    }
}

/// Refuses whoever may not merge entities.
fn check_may_merge(call: &Call<'_, '_>) -> Result<(), Error> {
    let capabilities = call.acl.as_ref().map(|acl| acl.capabilities(MERGE)).unwrap_or_default();
    match capabilities.iter().any(|word| matches!(*word, "root" | "update")) {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Denied,
            format!(
                "this brings the logins of an alias to an entity that is there, which needs the right to update {MERGE}"
            ),
        )),
    }
}

/// An alias by the id in the request's path, and its owner.
fn named(call: &mut Call<'_, '_>) -> Result<Option<(EntityRecord, AliasRecord)>, Error> {
    let id = call.fields.text_or_empty(ID.name).to_owned();
    by_id(call, &id)
}

/// An alias by its id, and its owner.
pub(super) fn by_id(call: &mut Call<'_, '_>, id: &str) -> Result<Option<(EntityRecord, AliasRecord)>, Error> {
    let area = call.mount.area.clone();
    let Some(owner) = alias::owner_by_id(call.store, &area, &OF_ENTITIES, id)? else { return Ok(None) };
    let Some(record) = entity::get(call.store, &area, &owner)? else { return Ok(None) };
    let alias = record.aliases.iter().find(|alias| alias.id == id).cloned();
    Ok(alias.map(|alias| (record, alias)))
}

/// `entity-alias/id/{id}`
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (owner, alias) = named(call)?.ok_or_else(Error::not_found)?;
    let mounts = MountTable::load(call.store)?;
    let mut shown = shown_alias(&mounts, &alias, &owner.id);
    shown["namespace_id"] = "root".into();
    Ok(Reply::data(shown))
}

/// `entity-alias/id/{id}`
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    if let Some((mut owner, alias)) = named(call)? {
        alias::displace(call.store, &call.mount.area, &OF_ENTITIES, &alias);
        owner.aliases.retain(|other| other.id != alias.id);
        owner.updated_nanos = call.context.now.nanos();
        entity::save(call.store, &call.mount.area, &owner)?;
    }
    Ok(Reply::empty())
}

/// `entity-alias/id`
pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let names = call.store.list(&call.mount.area, &[ALIASES])?;
    let mounts = MountTable::load(call.store)?;
    let page = listing::page_of(&names, &call.fields)?;
    listing::with_details(page, |id| {
        Ok(by_id(call, id)?.map(|(owner, alias)| shown_in_list(&mounts, &alias, &owner.id)))
    })
}
