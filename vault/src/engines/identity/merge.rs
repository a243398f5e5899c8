//! `entity/merge`: several entities become one.
//!
//! The one that stays keeps its name, its metadata and its policies; it gets the aliases and the places in groups of the
//! others, whose policies end with them. Tokens of the others are tokens of the one that stays.

use serde_json::{Value, json};

use crate::engine::Call;
use crate::engines::identity::metadata::mount_of;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::identity::alias::{self, OF_ENTITIES};
use crate::identity::record::{AliasRecord, EntityRecord, MERGED, PlaceRecord};
use crate::identity::{entity, group, membership};
use crate::mount::table::MountTable;
use crate::reply::{Reply, Status};

/// Most entities that are merged into one at once.
const MAX_MERGED: usize = 100;

pub(super) const FIELDS: &[Field] = &[
    field("from_entity_ids", Kind::CommaList, "Ids of the entities that end.").required(),
    field("to_entity_id", Kind::Text, "Id of the entity that stays.").required(),
    field("force", Kind::Bool, "Accepted, without effect: what conflicts is decided by conflicting_alias_ids_to_keep."),
    field(
        "conflicting_alias_ids_to_keep",
        Kind::CommaList,
        "Where both have an alias on one mount, the ids of those that stay; then from_entity_ids names one entity.",
    ),
];

/// `entity/merge`
pub(super) fn merge(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let from_ids = call.fields.list("from_entity_ids").unwrap_or_default().to_vec();
    let to_id = call.fields.text_or_empty("to_entity_id").to_owned();
    check(&from_ids, &to_id)?;
    let area = call.mount.area.clone();
    let to = entity::get(call.store, &area, &to_id)?;
    let mut to = to.ok_or_else(|| Error::invalid("entity id to merge to is invalid"))?;
    let mut others = Vec::with_capacity(from_ids.len());
    for id in &from_ids {
        let other = entity::get(call.store, &area, id)?;
        others.push(other.ok_or_else(|| Error::invalid("entity id to merge from is invalid"))?);
    }
    let kept = call.fields.list("conflicting_alias_ids_to_keep").unwrap_or_default().to_vec();
    if let Some(conflict) = decide(call, &mut to, &mut others, &kept)? {
        return Ok(conflict);
    }
    for other in others {
        absorb(call, &mut to, other)?;
    }
    to.updated_nanos = call.context.now.nanos();
    entity::save(call.store, &area, &to)?;
    Ok(Reply::empty())
}

fn check(from_ids: &[String], to_id: &str) -> Result<(), Error> {
    if to_id.is_empty() {
        return Err(Error::invalid("missing entity id to merge to"));
    }
    if from_ids.is_empty() {
        return Err(Error::invalid("missing entity ids to merge from"));
    }
    if from_ids.iter().any(|id| id == to_id) {
        return Err(Error::invalid("to_entity_id should not be present in from_entity_ids"));
    }
    let mut sorted: Vec<&String> = from_ids.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != from_ids.len() {
        return Err(Error::invalid("from_entity_ids names an entity more than once"));
    }
    match from_ids.len() <= MAX_MERGED {
        true => Ok(()),
        false => Err(Error::invalid(format!("at most {MAX_MERGED} entities are merged at once"))),
    }
}

/// Takes away the aliases that lose where several are on one mount. What cannot be decided is the reply.
fn decide(
    call: &mut Call<'_, '_>,
    to: &mut EntityRecord,
    others: &mut [EntityRecord],
    kept: &[String],
) -> Result<Option<Reply>, Error> {
    let mounts = MountTable::load(call.store)?;
    let (mut clashes, mut losers) = (Vec::new(), Vec::new());
    let mut seen: Vec<(AliasRecord, EntityRecord)> =
        to.aliases.iter().map(|alias| (alias.clone(), to.clone())).collect();
    let others_count = others.len();
    for other in others.iter() {
        for alias in &other.aliases {
            let rival = seen.iter().find(|(rival, _)| rival.mount_accessor == alias.mount_accessor);
            let Some((rival, owner)) = rival else {
                seen.push((alias.clone(), other.clone()));
                continue;
            };
            match (kept.contains(&rival.id), kept.contains(&alias.id)) {
                (true, false) if others_count == 1 => losers.push(alias.clone()),
                (false, true) if others_count == 1 => losers.push(rival.clone()),
                _ => clashes.extend([shown(&mounts, rival, owner), shown(&mounts, alias, other)]),
            }
        }
    }
    if !clashes.is_empty() {
        return Ok(Some(undecided(clashes)));
    }
    for loser in &losers {
        alias::displace(call.store, &call.mount.area, &OF_ENTITIES, loser);
        for record in others.iter_mut().chain([&mut *to]) {
            record.aliases.retain(|alias| alias.id != loser.id);
        }
    }
    Ok(None)
}

fn shown(mounts: &MountTable, alias: &AliasRecord, owner: &EntityRecord) -> Value {
    let (path, kind) = mount_of(mounts, alias);
    json!({
        "alias": alias.name, "entity": owner.name, "entity_id": owner.id, "mount": kind, "mount_path": path,
    })
}

/// Two aliases on one mount, and nobody said which of them stays.
fn undecided(clashes: Vec<Value>) -> Reply {
    let message = "two of the entities have aliases with the same mount accessor; name one entity in from_entity_ids, and in \
                   conflicting_alias_ids_to_keep the aliases that stay";
    let reply = Reply::data(json!({ "errors": [message], "data": clashes }));
    Reply { status: Status::Invalid, plain: true, ..reply }
}

/// Makes an entity a part of the one that stays.
fn absorb(call: &mut Call<'_, '_>, to: &mut EntityRecord, mut other: EntityRecord) -> Result<(), Error> {
    let area = call.mount.area.clone();
    let group_ids = membership::of(call.store, &area, &other.id)?.group_ids.clone();
    let aliases = std::mem::take(&mut other.aliases);
    let merged_ids = std::mem::take(&mut other.merged_ids);
    entity::remove(call.store, &area, &other)?;
    for group_id in &group_ids {
        membership::join(call.store, &area, &to.id, group_id)?;
        if let Some(mut group) = group::get(call.store, &area, group_id)? {
            // One member went, and one came.
            group::save(call.store, call.context, &area, &mut group)?;
            group::save(call.store, call.context, &area, &mut group)?;
        }
    }
    for mut alias in aliases {
        alias.merged_from_ids.push(other.id.clone());
        alias.updated_nanos = call.context.now.nanos();
        alias::place(call.store, &area, &OF_ENTITIES, &alias, &to.id)?;
        to.aliases.push(alias);
    }
    for id in merged_ids.into_iter().chain([other.id]) {
        let place = PlaceRecord { owner_id: to.id.clone(), detail: String::new() };
        call.store.put(&area, &[MERGED, &id], &place)?;
        to.merged_ids.push(id);
    }
    Ok(())
}
