//! What a login does to identity: whoever proved who they are gets an entity and an alias, in the batch that makes the token.
//!
//! The alias's absence is a guard, so of two first logins at one moment, on two nodes, one makes the entity and the other
//! runs again and finds it.

use std::collections::{BTreeMap, BTreeSet};

use crate::context::Context;
use crate::error::Error;
use crate::identity::alias::{self, OF_ENTITIES, OF_GROUPS};
use crate::identity::record::{AliasRecord, EntityRecord};
use crate::identity::{entity, group, membership, rights};
use crate::limits::MAX_LOGIN_GROUPS;
use crate::mount::Mount;
use crate::reply::Auth;
use crate::store::{Area, Store};
use crate::token::issue;
use crate::token::record::TokenRecord;

/// Somebody as a mount knows them.
#[derive(Clone, Default)]
pub(crate) struct KnownAs {
    /// What tells them from all others of the mount, for ever; the method normalises it.
    pub(crate) name: String,
    /// What the method knows of them that policies may refer to. What changes from login to login does not belong here: each
    /// change is a write to the entity.
    pub(crate) metadata: BTreeMap<String, String>,
    /// Groups that the method says they are in, as external groups are known to the mount.
    pub(crate) groups: Vec<String>,
}

/// The id of the entity that logs in, which is made if the mount sees it for the first time.
///
/// # Errors
/// [`Error::bad_token`] if the entity is disabled.
pub(crate) fn enter(
    store: &mut Store<'_>,
    context: &mut Context<'_>,
    mount: &Mount,
    known: &KnownAs,
) -> Result<String, Error> {
    alias::check_name(&known.name)?;
    let area = super::area(store)?;
    let place = alias::owner_by_name(store, &area, &OF_ENTITIES, &mount.record.accessor, &known.name)?;
    let id = match place {
        Some(place) => greet(store, context, &area, &place.owner_id, known, &place.detail)?,
        None => introduce(store, context, &area, mount, known)?,
    };
    refresh_groups(store, mount, &id, &known.groups)?;
    Ok(id)
}

/// Makes the token of somebody who entered, and says what the client is told of it, with what identity gives.
pub(crate) fn issue(
    store: &mut Store<'_>,
    context: &mut Context<'_>,
    record: TokenRecord,
    is_batch: bool,
) -> Result<Auth, Error> {
    let issued = match is_batch {
        true => issue::issue_batch(store, context, record)?,
        false => issue::issue(store, context, record, None)?,
    };
    let mut auth = issued.auth(context.now);
    rights::tell(store, &mut auth)?;
    Ok(auth)
}

/// An entity that was here before.
fn greet(
    store: &mut Store<'_>,
    context: &Context<'_>,
    area: &Area,
    id: &str,
    known: &KnownAs,
    alias_id: &str,
) -> Result<String, Error> {
    let mut record = entity::get(store, area, id)?.ok_or_else(|| Error::internal("an alias leads to no entity"))?;
    if record.is_disabled {
        return Err(Error::bad_token());
    }
    let is_known = |alias: &&mut AliasRecord| alias.id == alias_id && alias.metadata != known.metadata;
    if let Some(alias) = record.aliases.iter_mut().find(is_known) {
        alias.metadata.clone_from(&known.metadata);
        alias.updated_nanos = context.now.nanos();
        entity::save(store, area, &record)?;
    }
    Ok(record.id)
}

/// An entity that was never here.
fn introduce(
    store: &mut Store<'_>,
    context: &mut Context<'_>,
    area: &Area,
    mount: &Mount,
    known: &KnownAs,
) -> Result<String, Error> {
    let mut alias = alias::new(context, &mount.record.accessor, &known.name);
    alias.metadata.clone_from(&known.metadata);
    let record = EntityRecord { aliases: vec![alias], ..entity::new(context, "") };
    alias::place(store, area, &OF_ENTITIES, &record.aliases[0], &record.id)?;
    entity::save(store, area, &record)?;
    Ok(record.id)
}

/// Puts an entity into the external groups that a mount says it is in, and out of the mount's others. A method that can ask
/// again who is where does it at renewals too.
pub(crate) fn refresh_groups(
    store: &mut Store<'_>,
    mount: &Mount,
    entity_id: &str,
    names: &[String],
) -> Result<(), Error> {
    if names.len() > MAX_LOGIN_GROUPS {
        return Err(Error::invalid(format!(
            "the login names {} groups, at most {MAX_LOGIN_GROUPS} are looked at; have the method filter them",
            names.len()
        )));
    }
    let (area, accessor) = (&super::area(store)?, &mount.record.accessor);
    let mut wanted = BTreeSet::new();
    for name in names.iter().filter(|name| alias::check_name(name).is_ok()) {
        let place = alias::owner_by_name(store, area, &OF_GROUPS, accessor, name)?;
        wanted.extend(place.map(|place| place.owner_id));
    }
    let present = membership::of(store, area, entity_id)?;
    for id in present.group_ids.iter().filter(|id| !wanted.contains(*id)) {
        let group = group::find(store, area, id)?;
        let is_of_mount = group.is_some_and(|group| {
            group.record.is_external
                && group.record.alias.as_ref().is_some_and(|alias| alias.mount_accessor == *accessor)
        });
        if is_of_mount {
            membership::leave(store, area, entity_id, id)?;
        }
    }
    for id in wanted.iter().filter(|id| !present.group_ids.contains(*id)) {
        membership::join(store, area, entity_id, id)?;
    }
    Ok(())
}
