//! `entity`: written, read, listed and deleted, by id and by name.

use serde_json::{Value, json};

use crate::engine::Call;
use crate::engines::identity::MAX_IDS;
use crate::engines::identity::metadata::{
    METADATA, POLICIES, mount_of, pairs, policies, shown_alias, shown_pairs, shown_time,
};
use crate::engines::listing;
use crate::engines::terms::or_null;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::identity::entity;
use crate::identity::membership;
use crate::identity::record::{ENTITIES, ENTITY_NAMES, EntityRecord, PlaceRecord};
use crate::identity::rights::Standing;
use crate::mount::table::MountTable;
use crate::reply::Reply;
use crate::spelling;

pub(super) const ID: Field = field("id", Kind::Text, "Id of the entity.");
pub(super) const NAME: Field = field("name", Kind::Name, "Name of the entity; upper and lower case are one.");

pub(super) const FIELDS: &[Field] = &[
    ID,
    NAME,
    METADATA,
    POLICIES,
    field("disabled", Kind::Bool, "Whether its tokens and logins are refused; they come back with it."),
];
pub(super) const BATCH_FIELDS: &[Field] =
    &[field("entity_ids", Kind::CommaList, "Ids of the entities to delete; those that are not there are passed over.")
        .required()];

/// `entity`, `entity/id/{id}`
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (id, name) = (call.fields.text_or_empty(ID.name).to_owned(), call.fields.text_or_empty(NAME.name).to_owned());
    let area = call.mount.area.clone();
    let found = match (id.as_str(), name.as_str()) {
        ("", "") => None,
        ("", name) => entity::by_name(call.store, &area, name)?,
        (id, _) => {
            let found = entity::get(call.store, &area, id)?;
            Some(found.ok_or_else(|| Error::invalid("entity not found from id"))?)
        }
    };
    save(call, found, &name)
}

/// `entity/name/{name}`
pub(super) fn write_by_name(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = call.fields.text_or_empty(NAME.name).to_owned();
    let area = call.mount.area.clone();
    let found = entity::by_name(call.store, &area, &name)?;
    save(call, found, &name)
}

fn save(call: &mut Call<'_, '_>, found: Option<EntityRecord>, name: &str) -> Result<Reply, Error> {
    let is_new = found.is_none();
    let mut record = found.unwrap_or_else(|| entity::new(call.context, name));
    if !is_new && !name.is_empty() && spelling::lower(name) != spelling::lower(&record.name) {
        name.clone_into(&mut record.name);
    }
    if let Some(metadata) = pairs(&call.fields, METADATA.name)? {
        record.metadata = metadata;
    }
    if let Some(policies) = policies(&call.fields)? {
        record.policies = policies;
    }
    record.is_disabled = call.fields.bool("disabled").unwrap_or(record.is_disabled);
    record.updated_nanos = call.context.now.nanos();
    entity::save(call.store, &call.mount.area, &record)?;
    match is_new {
        true => Ok(Reply::data(json!({ "aliases": null, "id": record.id, "name": record.name }))),
        false => Ok(Reply::empty()),
    }
}

/// `entity/id/{id}`
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let record = entity::get(call.store, &call.mount.area, call.fields.text_or_empty(ID.name))?;
    show(call, &record.ok_or_else(Error::not_found)?)
}

/// `entity/name/{name}`
pub(super) fn read_by_name(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let record = entity::by_name(call.store, &call.mount.area, call.fields.text_or_empty(NAME.name))?;
    show(call, &record.ok_or_else(Error::not_found)?)
}

/// Everything there is to know of an entity.
pub(super) fn show(call: &mut Call<'_, '_>, record: &EntityRecord) -> Result<Reply, Error> {
    let mounts = MountTable::load(call.store)?;
    let membership = membership::of(call.store, &call.mount.area, &record.id)?;
    let standing = Standing::of(call.store, &record.id)?;
    let direct: Vec<&str> = standing.direct(&membership.group_ids).collect();
    let inherited: Vec<&str> = standing.inherited(&membership.group_ids).collect();
    let aliases: Vec<Value> = record.aliases.iter().map(|alias| shown_alias(&mounts, alias, &record.id)).collect();
    let all = [direct.as_slice(), &inherited].concat();
    Ok(Reply::data(json!({
        "aliases": aliases,
        "creation_time": shown_time(record.created_nanos),
        "direct_group_ids": direct,
        "disabled": record.is_disabled,
        "group_ids": all,
        "id": record.id,
        "inherited_group_ids": inherited,
        "last_update_time": shown_time(record.updated_nanos),
        "merged_entity_ids": or_null(&record.merged_ids),
        "metadata": shown_pairs(&record.metadata),
        "name": record.name,
        "namespace_id": "root",
        "policies": record.policies,
    })))
}

/// `entity/id/{id}`
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let record = entity::get(call.store, &call.mount.area, call.fields.text_or_empty(ID.name))?;
    remove(call, record)
}

/// `entity/name/{name}`
pub(super) fn delete_by_name(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let record = entity::by_name(call.store, &call.mount.area, call.fields.text_or_empty(NAME.name))?;
    remove(call, record)
}

/// `entity/batch-delete`
pub(super) fn delete_batch(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let ids = call.fields.list("entity_ids").unwrap_or_default().to_vec();
    if ids.is_empty() {
        return Err(Error::invalid("missing entity ids to delete"));
    }
    if ids.len() > MAX_IDS {
        return Err(Error::invalid(format!("{} entities are too many, at most {MAX_IDS} at once", ids.len())));
    }
    for id in &ids {
        let record = entity::get(call.store, &call.mount.area, id)?;
        remove(call, record)?;
    }
    Ok(Reply::empty())
}

fn remove(call: &mut Call<'_, '_>, record: Option<EntityRecord>) -> Result<Reply, Error> {
    if let Some(record) = record {
        entity::remove(call.store, &call.mount.area, &record)?;
    }
    Ok(Reply::empty())
}

/// `entity/id`
pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let area = call.mount.area.clone();
    let names = call.store.list(&area, &[ENTITIES])?;
    let mounts = MountTable::load(call.store)?;
    listing::with_details(listing::page_of(&names, &call.fields)?, |id| {
        let Some(record) = entity::get(call.store, &area, id)? else { return Ok(None) };
        let mut detail = json!({ "name": record.name });
        if !record.aliases.is_empty() {
            let shown = record.aliases.iter().map(|alias| {
                let (path, kind) = mount_of(&mounts, alias);
                json!({
                    "id": alias.id, "mount_accessor": alias.mount_accessor, "mount_path": path, "mount_type": kind,
                    "name": alias.name,
                })
            });
            detail["aliases"] = shown.collect();
        }
        Ok(Some(detail))
    })
}

/// `entity/name`
pub(super) fn list_names(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    names(call, ENTITY_NAMES)
}

/// The names in a directory as they were written.
pub(super) fn names(call: &mut Call<'_, '_>, folder: &str) -> Result<Reply, Error> {
    let area = call.mount.area.clone();
    let lowered = call.store.list(&area, &[folder])?;
    let mut names = Vec::with_capacity(lowered.len());
    for name in lowered.iter() {
        let place: Option<PlaceRecord> = call.store.get(&area, &[folder, &name.name])?;
        names.extend(place.map(|place| place.detail));
    }
    names.sort_unstable();
    listing::page(names, &call.fields)
}
