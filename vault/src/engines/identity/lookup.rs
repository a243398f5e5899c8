//! `lookup/entity` and `lookup/group`: found by one thing that is known of them.

use crate::engine::Call;
use crate::engines::identity::{alias, entity as entities, group as groups, group_alias};
use crate::error::Error;
use crate::field::{Field, Fields, Kind, field};
use crate::identity::alias::{OF_ENTITIES, OF_GROUPS, owner_by_name};
use crate::identity::{entity as entity_store, group as group_store};
use crate::reply::Reply;

pub(super) const FIELDS: &[Field] = &[
    field("id", Kind::Text, "Its id."),
    field("name", Kind::Name, "Its name."),
    field("alias_id", Kind::Text, "Id of an alias of it."),
    field("alias_name", Kind::Text, "Name of an alias of it; with alias_mount_accessor."),
    field("alias_mount_accessor", Kind::Text, "Accessor of the alias's mount; with alias_name."),
];

/// The one thing that is known.
enum Known {
    Id(String),
    Name(String),
    AliasId(String),
    Alias { accessor: String, name: String },
}

impl Known {
    fn new(fields: &Fields) -> Result<Self, Error> {
        let text = |name| Some(fields.text_or_empty(name).to_owned()).filter(|text| !text.is_empty());
        let (alias, accessor) = (text("alias_name"), text("alias_mount_accessor"));
        let has_alias = alias.is_some() || accessor.is_some();
        match (text("id"), text("name"), text("alias_id"), has_alias) {
            (None, None, None, false) => Err(Error::invalid("query parameter not supplied")),
            (Some(id), None, None, false) => Ok(Self::Id(id)),
            (None, Some(name), None, false) => Ok(Self::Name(name)),
            (None, None, Some(id), false) => Ok(Self::AliasId(id)),
            (None, None, None, true) => match (accessor, alias) {
                (Some(accessor), Some(name)) => Ok(Self::Alias { accessor, name }),
                _ => Err(Error::invalid("both 'alias_name' and 'alias_mount_accessor' needs to be set")),
            },
            _ => Err(Error::invalid("query parameter conflict; please supply distinct set of query parameters")),
        }
    }
}

/// `lookup/entity`
pub(super) fn entity(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let area = call.mount.area.clone();
    let found = match Known::new(&call.fields)? {
        Known::Id(id) => entity_store::get(call.store, &area, &id)?,
        Known::Name(name) => entity_store::by_name(call.store, &area, &name)?,
        Known::AliasId(id) => alias::by_id(call, &id)?.map(|(owner, _)| owner),
        Known::Alias { accessor, name } => match owner_by_name(call.store, &area, &OF_ENTITIES, &accessor, &name)? {
            Some(place) => entity_store::get(call.store, &area, &place.owner_id)?,
            None => None,
        },
    };
    match found {
        Some(record) => entities::show(call, &record),
        None => Ok(Reply::empty()),
    }
}

/// `lookup/group`
pub(super) fn group(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let area = call.mount.area.clone();
    let found = match Known::new(&call.fields)? {
        Known::Id(id) => group_store::get(call.store, &area, &id)?,
        Known::Name(name) => group_store::by_name(call.store, &area, &name)?,
        Known::AliasId(id) => group_alias::by_id(call, &id)?.map(|(owner, _)| owner),
        Known::Alias { accessor, name } => match owner_by_name(call.store, &area, &OF_GROUPS, &accessor, &name)? {
            Some(place) => group_store::get(call.store, &area, &place.owner_id)?,
            None => None,
        },
    };
    match found {
        Some(record) => groups::show(call, &record),
        None => Ok(Reply::empty()),
    }
}
