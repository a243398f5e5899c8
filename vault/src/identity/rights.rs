//! What a token may do: its own policies, and those of the entity behind it and of all groups that this is in.

use std::net::IpAddr;
use std::sync::Arc;

use crate::context::Context;
use crate::error::Error;
use crate::identity::entity::{self, Entity};
use crate::identity::group::{self, Group};
use crate::identity::membership;
use crate::policy::acl::Acl;
use crate::policy::records;
use crate::policy::template::{AliasValues, EntityValues, GroupValues, Subject, TemplateValues};
use crate::reply::Auth;
use crate::store::Store;
use crate::time::Time;
use crate::token::{self, Token};

/// Who is behind a token at one point in time.
#[derive(Default)]
pub(crate) struct Standing {
    /// `None` if the token has no entity, or that is gone.
    pub(crate) entity: Option<Arc<Entity>>,
    /// Groups that the entity is in, those above others included, nearest first.
    groups: Vec<Arc<Group>>,
}

/// The merged policies of a token as they are now.
///
/// # Errors
/// [`Error::bad_token`] if the entity behind the token is gone or disabled.
pub(crate) fn of(store: &mut Store<'_>, token: &Token, now: Time) -> Result<Arc<Acl>, Error> {
    let entity_id = &token.record.entity_id;
    if entity_id.is_empty() {
        return records::acl_of(store, &token.policies, &Standing::default(), now);
    }
    let standing = Standing::admitted(store, entity_id)?;
    // Root is root only alone, so nothing is put beside it.
    if token.is_root() || standing.policies().next().is_none() {
        return records::acl_of(store, &token.policies, &standing, now);
    }
    records::acl_of(store, &standing.beside(&token.policies), &standing, now)
}

/// The token that a request was sent with, where nothing but its validity is asked for.
///
/// # Errors
/// [`Error::bad_token`] if it does not count, or the entity behind it is gone or disabled.
pub fn authenticate(
    store: &mut Store<'_>,
    context: &Context<'_>,
    raw: &str,
    remote: Option<IpAddr>,
) -> Result<Arc<Token>, Error> {
    let token = token::authenticate(store, context, raw, remote)?;
    Standing::admitted(store, &token.record.entity_id)?;
    Ok(token)
}

/// Adds what identity gives to what a client is told of its token.
pub(crate) fn tell(store: &mut Store<'_>, auth: &mut Auth) -> Result<(), Error> {
    let standing = Standing::of(store, &auth.entity_id)?;
    auth.identity_policies = standing.beside(&[]);
    auth.policies = standing.beside(&auth.policies);
    Ok(())
}

impl Standing {
    /// Who is behind an entity's id, disabled or not.
    pub(crate) fn of(store: &mut Store<'_>, entity_id: &str) -> Result<Self, Error> {
        if entity_id.is_empty() {
            return Ok(Self::default());
        }
        let area = super::area(store)?;
        let Some(entity) = entity::find(store, &area, entity_id)? else { return Ok(Self::default()) };
        let membership = membership::of(store, &area, &entity.record.id)?;
        let groups = match membership.group_ids.as_slice() {
            [] => Vec::new(),
            ids => group::with_above(store, &area, ids)?,
        };
        Ok(Self { entity: Some(entity), groups })
    }

    /// The same, if its tokens are good for something.
    ///
    /// # Errors
    /// [`Error::bad_token`] if the entity is gone or disabled.
    pub(crate) fn admitted(store: &mut Store<'_>, entity_id: &str) -> Result<Self, Error> {
        let standing = Self::of(store, entity_id)?;
        let is_barred = standing.entity.as_ref().is_none_or(|entity| entity.record.is_disabled);
        if is_barred && !entity_id.is_empty() { Err(Error::bad_token()) } else { Ok(standing) }
    }

    /// Names of the policies of entity and groups, in no order, some more than once.
    fn policies(&self) -> impl Iterator<Item = &String> {
        let own = self.entity.iter().flat_map(|entity| &entity.record.policies);
        own.chain(self.groups.iter().flat_map(|group| &group.record.policies))
    }

    /// These policies and those of identity, sorted, each once.
    pub(crate) fn beside(&self, policies: &[String]) -> Vec<String> {
        let mut all: Vec<String> = self.policies().chain(policies).cloned().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Ids of the groups that are only above groups which the entity is in.
    pub(crate) fn inherited<'g>(&'g self, direct: &'g [String]) -> impl Iterator<Item = &'g str> {
        let ids = self.groups.iter().map(|group| group.record.id.as_str());
        ids.filter(|id| direct.binary_search_by(|own| own.as_str().cmp(id)).is_err())
    }

    /// Ids of the groups that there are among those.
    pub(crate) fn direct<'g>(&'g self, direct: &'g [String]) -> impl Iterator<Item = &'g str> {
        let ids = self.groups.iter().map(|group| group.record.id.as_str());
        ids.filter(|id| direct.binary_search_by(|own| own.as_str().cmp(id)).is_ok())
    }
}

impl Standing {
    /// Ids of all groups, nearest first.
    pub(crate) fn group_ids(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| group.record.id.as_str())
    }

    /// Names of all groups, nearest first.
    pub(crate) fn group_names(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| group.record.name.as_str())
    }
}

impl Subject for Standing {
    fn fingerprint(&self, key: &mut Vec<u8>) {
        let Some(entity) = &self.entity else { return };
        key.extend_from_slice(&entity.digest);
        self.groups.iter().for_each(|group| key.extend_from_slice(&group.digest));
    }

    fn values(&self) -> TemplateValues {
        let Some(Entity { record, .. }) = self.entity.as_deref() else { return TemplateValues::default() };
        let alias = |alias: &crate::identity::record::AliasRecord| {
            let values = AliasValues {
                id: alias.id.clone(),
                name: alias.name.clone(),
                metadata: alias.metadata.clone(),
                custom_metadata: alias.custom_metadata.clone(),
            };
            (alias.mount_accessor.clone(), values)
        };
        let entity = EntityValues {
            id: record.id.clone(),
            name: record.name.clone(),
            metadata: record.metadata.clone(),
            aliases: record.aliases.iter().map(alias).collect(),
        };
        let group = |group: &Arc<Group>| GroupValues {
            id: group.record.id.clone(),
            name: group.record.name.clone(),
            metadata: group.record.metadata.clone(),
        };
        TemplateValues { entity: Some(entity), groups: self.groups.iter().map(group).collect() }
    }
}
