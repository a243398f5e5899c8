//! `group`: written, read, listed and deleted, by id and by name; who is in it, and which groups are.

use serde_json::json;

use crate::engine::Call;
use crate::engines::identity::MAX_IDS;
use crate::engines::identity::entity::names;
use crate::engines::identity::metadata::{METADATA, POLICIES, pairs, policies, shown_alias, shown_pairs, shown_time};
use crate::engines::listing;
use crate::engines::terms::{or_null, sorted};
use crate::error::{Error, ErrorKind, multi};
use crate::field::{Field, Kind, field};
use crate::identity::group;
use crate::identity::record::{GROUP_NAMES, GROUPS, GroupRecord, MEMBERS};
use crate::identity::{entity, membership};
use crate::limits::MAX_RELATED_GROUPS;
use crate::mount::table::MountTable;
use crate::reply::Reply;
use crate::spelling;

/// Longest excerpt of an unknown id in a message, in characters.
const EXCERPT_CHARS: usize = 64;
/// Members that are taken out by the batch that deletes their group; of more the rest follows in the background.
const FEW_MEMBERS: usize = 256;

pub(super) const ID: Field = field("id", Kind::Text, "Id of the group.");
pub(super) const NAME: Field = field("name", Kind::Name, "Name of the group; upper and lower case are one.");
const TYPE: Field = field("type", Kind::Text, "Whether members are named here, or by an auth method; never changes.")
    .one_of(&["internal", "external"])
    .or("internal");
const MEMBER_ENTITIES: Field =
    field("member_entity_ids", Kind::CommaList, "Ids of all entities that are in it; of an internal group.");
const MEMBER_GROUPS: Field =
    field("member_group_ids", Kind::CommaList, "Ids of all groups whose members are in it too.");

pub(super) const FIELDS: &[Field] = &[ID, NAME, TYPE, METADATA, POLICIES, MEMBER_ENTITIES, MEMBER_GROUPS];

/// `group`, `group/id/{id}`
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (id, name) = (call.fields.text_or_empty(ID.name).to_owned(), call.fields.text_or_empty(NAME.name).to_owned());
    let area = call.mount.area.clone();
    let found = match (id.as_str(), name.as_str()) {
        ("", "") => None,
        ("", name) => group::by_name(call.store, &area, name)?,
        (id, _) => {
            let found = group::get(call.store, &area, id)?;
            Some(found.ok_or_else(|| Error::invalid("group not found from id"))?)
        }
    };
    save(call, found, &name)
}

/// `group/name/{name}`
pub(super) fn write_by_name(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = call.fields.text_or_empty(NAME.name).to_owned();
    let area = call.mount.area.clone();
    let found = group::by_name(call.store, &area, &name)?;
    save(call, found, &name)
}

fn save(call: &mut Call<'_, '_>, found: Option<GroupRecord>, name: &str) -> Result<Reply, Error> {
    let is_new = found.is_none();
    let mut record = found.unwrap_or_else(|| group::new(call.context, name));
    take_type(call, &mut record, is_new)?;
    if !is_new && !name.is_empty() && spelling::lower(name) != spelling::lower(&record.name) {
        name.clone_into(&mut record.name);
    }
    if let Some(metadata) = pairs(&call.fields, METADATA.name)? {
        record.metadata = metadata;
    }
    if let Some(policies) = policies(&call.fields)? {
        record.policies = policies;
    }
    take_member_groups(call, &mut record)?;
    let area = call.mount.area.clone();
    group::save(call.store, call.context, &area, &mut record)?;
    take_member_entities(call, &record)?;
    match is_new {
        true => Ok(Reply::data(json!({ "id": record.id, "name": record.name }))),
        false => Ok(Reply::empty()),
    }
}

fn take_type(call: &Call<'_, '_>, record: &mut GroupRecord, is_new: bool) -> Result<(), Error> {
    let is_external = match call.fields.text_or_empty(TYPE.name) {
        "" => record.is_external,
        "internal" => false,
        "external" => true,
        other => return Err(Error::invalid(format!("invalid group type {other:?}"))),
    };
    if !is_new && is_external != record.is_external {
        return Err(Error::invalid("group type cannot be changed"));
    }
    record.is_external = is_external;
    if is_external && call.fields.list(MEMBER_ENTITIES.name).is_some_and(|ids| !ids.is_empty()) {
        return Err(Error::invalid("member entities can't be set manually for external groups"));
    }
    Ok(())
}

/// Puts exactly the entities that were sent into the group.
fn take_member_entities(call: &mut Call<'_, '_>, record: &GroupRecord) -> Result<(), Error> {
    let sent = call.fields.list(MEMBER_ENTITIES.name).map(<[String]>::to_vec);
    let Some(sent) = sent.filter(|_| !record.is_external) else { return Ok(()) };
    if sent.len() > MAX_IDS {
        return Err(Error::invalid(format!("a group is given at most {MAX_IDS} members by one request")));
    }
    let area = call.mount.area.clone();
    let (mut wanted, present) = (Vec::with_capacity(sent.len()), membership::members(call.store, &area, &record.id)?);
    for id in &sent {
        let found = entity::find(call.store, &area, id)?;
        wanted.push(found.ok_or_else(|| unknown("invalid entity ID", id))?.record.id.clone());
    }
    for id in present.iter().filter(|id| !wanted.contains(id)) {
        membership::leave(call.store, &area, id, &record.id)?;
    }
    for id in wanted.iter().filter(|id| !present.contains(id)) {
        membership::join(call.store, &area, id, &record.id)?;
    }
    Ok(())
}

/// Puts exactly the groups that were sent below the group, whose own record the caller writes.
fn take_member_groups(call: &mut Call<'_, '_>, record: &mut GroupRecord) -> Result<(), Error> {
    let Some(sent) = call.fields.list(MEMBER_GROUPS.name).map(|ids| sorted(ids.to_vec())) else { return Ok(()) };
    if sent.len() > MAX_RELATED_GROUPS {
        return Err(Error::invalid(format!("a group has at most {MAX_RELATED_GROUPS} groups as members")));
    }
    let area = call.mount.area.clone();
    let above = group::with_above(call.store, &area, &record.parent_group_ids)?;
    for id in &sent {
        if *id == record.id {
            let message = format!("member group ID {id:?} is same as the ID of the group");
            return Err(Error::new(ErrorKind::Internal, multi(&message)));
        }
        if above.iter().any(|group| group.record.id == *id) {
            return Err(Error::invalid(format!("cyclic relationship detected for member group ID {id:?}")));
        }
    }
    let present = std::mem::replace(&mut record.member_group_ids, sent.clone());
    for id in sent.iter().filter(|id| !present.contains(id)) {
        let member = group::get(call.store, &area, id)?;
        let mut member = member.ok_or_else(|| unknown("invalid member group ID", id))?;
        if member.parent_group_ids.len() >= MAX_RELATED_GROUPS {
            return Err(Error::invalid(format!(
                "the group {id:?} is in {MAX_RELATED_GROUPS} groups, the most that one is in"
            )));
        }
        member.parent_group_ids.push(record.id.clone());
        group::save(call.store, call.context, &area, &mut member)?;
    }
    for id in present.iter().filter(|id| !sent.contains(id)) {
        if let Some(mut member) = group::get(call.store, &area, id)? {
            member.parent_group_ids.retain(|parent| *parent != record.id);
            group::save(call.store, call.context, &area, &mut member)?;
        }
    }
    Ok(())
}

/// Clients know this refusal as a failure of the server.
fn unknown(what: &str, id: &str) -> Error {
    let excerpt: String = id.chars().take(EXCERPT_CHARS).collect();
    Error::new(ErrorKind::Internal, multi(&format!("{what} {excerpt:?}")))
}

/// `group/id/{id}`
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let record = group::get(call.store, &call.mount.area, call.fields.text_or_empty(ID.name))?;
    show(call, &record.ok_or_else(Error::not_found)?)
}

/// `group/name/{name}`
pub(super) fn read_by_name(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let record = group::by_name(call.store, &call.mount.area, call.fields.text_or_empty(NAME.name))?;
    show(call, &record.ok_or_else(Error::not_found)?)
}

/// Everything there is to know of a group.
pub(super) fn show(call: &mut Call<'_, '_>, record: &GroupRecord) -> Result<Reply, Error> {
    let mounts = MountTable::load(call.store)?;
    let members = membership::members(call.store, &call.mount.area, &record.id)?;
    let mut alias = record.alias.as_ref().map_or_else(|| json!({}), |alias| shown_alias(&mounts, alias, &record.id));
    if let Some(alias) = alias.as_object_mut() {
        // What an entity's alias alone has.
        alias.remove("custom_metadata");
        alias.remove("local");
    }
    Ok(Reply::data(json!({
        "alias": alias,
        "creation_time": shown_time(record.created_nanos),
        "id": record.id,
        "last_update_time": shown_time(record.updated_nanos),
        "member_entity_ids": or_null(&members),
        "member_group_ids": or_null(&record.member_group_ids),
        "metadata": shown_pairs(&record.metadata),
        "modify_index": record.modify_index,
        "name": record.name,
        "namespace_id": "root",
        "parent_group_ids": or_null(&record.parent_group_ids),
        "policies": or_null(&record.policies),
        "type": if record.is_external { "external" } else { "internal" },
    })))
}

/// `group/id/{id}`
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let record = group::get(call.store, &call.mount.area, call.fields.text_or_empty(ID.name))?;
    remove(call, record)
}

/// `group/name/{name}`
pub(super) fn delete_by_name(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let record = group::by_name(call.store, &call.mount.area, call.fields.text_or_empty(NAME.name))?;
    remove(call, record)
}

fn remove(call: &mut Call<'_, '_>, record: Option<GroupRecord>) -> Result<Reply, Error> {
    let Some(record) = record else { return Ok(Reply::empty()) };
    let area = call.mount.area.clone();
    group::remove(call.store, &area, &record)?;
    empty(call, &record.id)?;
    Ok(Reply::empty())
}

/// Takes all members out of a group that gives nothing any more, or will get others.
pub(super) fn empty(call: &mut Call<'_, '_>, id: &str) -> Result<(), Error> {
    let area = call.mount.area.clone();
    if call.store.count(&area, &[MEMBERS, id])? > FEW_MEMBERS as u64 {
        return call.work().add_chore(id);
    }
    for member in membership::members(call.store, &area, id)? {
        membership::leave(call.store, &area, &member, id)?;
    }
    Ok(())
}

/// `group/id`
pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let area = call.mount.area.clone();
    let names = call.store.list(&area, &[GROUPS])?;
    listing::with_details(listing::page_of(&names, &call.fields)?, |id| {
        let Some(record) = group::get(call.store, &area, id)? else { return Ok(None) };
        let members = call.store.count(&area, &[MEMBERS, id])?;
        Ok(Some(json!({
            "name": record.name,
            "num_member_entities": members,
            "num_parent_groups": record.parent_group_ids.len(),
        })))
    })
}

/// `group/name`
pub(super) fn list_names(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    names(call, GROUP_NAMES)
}
