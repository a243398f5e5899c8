//! `group-alias`: what a mount calls an external group. Whoever logs in there and is in the mount's group is in this one.
//!
//! What surprises: a group that loses its alias, or gets another name or mount by it, loses its members too. The method will
//! say who is in it, at the next login of each.

use serde_json::json;

use crate::engine::Call;
use crate::engines::identity::alias::{ACCESSOR, ID, NAME, OWNER, check_identified};
use crate::engines::identity::group::empty;
use crate::engines::identity::metadata::{check_accessor, shown_alias, shown_in_list};
use crate::engines::listing;
use crate::error::Error;
use crate::field::Field;
use crate::identity::alias::{self, OF_GROUPS};
use crate::identity::group;
use crate::identity::record::{AliasRecord, GROUP_ALIASES, GroupRecord};
use crate::mount::table::MountTable;
use crate::reply::Reply;

pub(super) const FIELDS: &[Field] = &[ID, NAME, ACCESSOR, OWNER];

/// `group-alias`, `group-alias/id/{id}`
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let area = call.mount.area.clone();
    let [id, name, accessor, owner] =
        [ID, NAME, ACCESSOR, OWNER].map(|field| call.fields.text_or_empty(field.name).to_owned());
    let before = match id.is_empty() {
        true => None,
        false => Some(by_id(call, &id)?.ok_or_else(|| Error::invalid("invalid alias ID"))?),
    };
    let (name, accessor) = match &before {
        Some((_, alias)) => (or(name, &alias.name), or(accessor, &alias.mount_accessor)),
        None => (name, accessor),
    };
    check_identified(&name, &accessor)?;
    check_accessor(call, &accessor)?;
    alias::check_name(&name)?;
    let holder = alias::owner_by_name(call.store, &area, &OF_GROUPS, &accessor, &name)?.map(|place| place.owner_id);
    let own = before.as_ref().map(|(group, _)| group.id.clone()).or_else(|| holder.clone());
    let target = match (owner.is_empty(), own) {
        (false, _) => owner,
        (true, Some(own)) => own,
        (true, None) => String::new(),
    };
    let mut group = match target.is_empty() {
        true => GroupRecord { is_external: true, ..group::new(call.context, "") },
        false => {
            let found = group::get(call.store, &area, &target)?;
            found.ok_or_else(|| Error::invalid("invalid group ID given in 'canonical_id'"))?
        }
    };
    if !group.is_external {
        return Err(Error::invalid("alias can't be set on an internal group"));
    }
    if holder.is_some_and(|holder| holder != group.id) {
        return Err(Error::invalid("another group has this alias; delete that one first"));
    }
    if let Some((mut other, _)) = before.filter(|(other, _)| other.id != group.id) {
        take_away(call, &mut other)?;
    }
    set(call, &mut group, &accessor, &name)
}

fn or(sent: String, present: &str) -> String {
    if sent.is_empty() { present.to_owned() } else { sent }
}

/// Gives a group its alias, in place of one that it has.
fn set(call: &mut Call<'_, '_>, group: &mut GroupRecord, accessor: &str, name: &str) -> Result<Reply, Error> {
    let area = call.mount.area.clone();
    let before = group.alias.take();
    let is_same = before.as_ref().is_some_and(|alias| alias.mount_accessor == accessor && alias.name == name);
    let mut alias = alias::new(call.context, accessor, name);
    if let Some(before) = before {
        alias::displace(call.store, &area, &OF_GROUPS, &before);
        (alias.id, alias.created_nanos) = (before.id, before.created_nanos);
        if !is_same {
            empty(call, &group.id)?;
        }
    }
    alias::place(call.store, &area, &OF_GROUPS, &alias, &group.id)?;
    let reply = Reply::data(json!({ "canonical_id": group.id, "id": alias.id }));
    group.alias = Some(alias);
    group::save(call.store, call.context, &area, group)?;
    Ok(reply)
}

/// Takes a group's alias away, and the members that came by it.
fn take_away(call: &mut Call<'_, '_>, group: &mut GroupRecord) -> Result<(), Error> {
    let area = call.mount.area.clone();
    if let Some(alias) = group.alias.take() {
        alias::displace(call.store, &area, &OF_GROUPS, &alias);
    }
    empty(call, &group.id)?;
    group::save(call.store, call.context, &area, group)
}

/// An alias by its id, and its group.
pub(super) fn by_id(call: &mut Call<'_, '_>, id: &str) -> Result<Option<(GroupRecord, AliasRecord)>, Error> {
    let area = call.mount.area.clone();
    let Some(owner) = alias::owner_by_id(call.store, &area, &OF_GROUPS, id)? else { return Ok(None) };
    let Some(group) = group::get(call.store, &area, &owner)? else { return Ok(None) };
    let alias = group.alias.clone();
    Ok(alias.map(|alias| (group, alias)))
}

fn named(call: &mut Call<'_, '_>) -> Result<Option<(GroupRecord, AliasRecord)>, Error> {
    let id = call.fields.text_or_empty(ID.name).to_owned();
    by_id(call, &id)
}

/// `group-alias/id/{id}`
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (group, alias) = named(call)?.ok_or_else(Error::not_found)?;
    let mounts = MountTable::load(call.store)?;
    let mut shown = shown_alias(&mounts, &alias, &group.id);
    shown["namespace_id"] = "root".into();
    Ok(Reply::data(shown))
}

/// `group-alias/id/{id}`
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    if let Some((mut group, _)) = named(call)? {
        take_away(call, &mut group)?;
    }
    Ok(Reply::empty())
}

/// `group-alias/id`
pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let names = call.store.list(&call.mount.area, &[GROUP_ALIASES])?;
    let mounts = MountTable::load(call.store)?;
    let page = listing::page_of(&names, &call.fields)?;
    listing::with_details(page, |id| {
        Ok(by_id(call, id)?.map(|(group, alias)| shown_in_list(&mounts, &alias, &group.id)))
    })
}
