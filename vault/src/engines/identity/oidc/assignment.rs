//! Assignments: which entities and groups may log in to the clients that name them.

use prost::Message;
use serde_json::json;

use crate::engine::Call;
use crate::engines::identity::MAX_IDS;
use crate::engines::identity::oidc::client;
use crate::engines::listing;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::identity::rights::Standing;
use crate::reply::Reply;
use crate::store::{Area, Store};

/// Directory of the assignments.
const FOLDER: &str = "oidc-assignment";
/// The assignment that is there from the start, of everybody.
const ALLOW_ALL: &str = "allow_all";
/// Stands for every id.
const ALL: &str = "*";

pub(super) const NAME: Field = field("name", Kind::Text, "Name of the assignment.");
pub(super) const FIELDS: &[Field] = &[
    NAME,
    field("entity_ids", Kind::CommaList, "Ids of entities."),
    field("group_ids", Kind::CommaList, "Ids of groups; whoever is in one, also by another group."),
];

/// An assignment as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OidcAssignmentRecord {
    #[prost(string, repeated, tag = "1")]
    entity_ids: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    group_ids: Vec<String>,
}

impl OidcAssignmentRecord {
    /// Whether somebody may log in by it.
    fn admits(&self, standing: &Standing) -> bool {
        let Some(entity) = &standing.entity else { return false };
        let is_named = |list: &[String], id: &str| list.iter().any(|other| other == ALL || other == id);
        is_named(&self.entity_ids, &entity.record.id) || standing.group_ids().any(|id| is_named(&self.group_ids, id))
    }
}

pub(super) fn find(store: &mut Store<'_>, area: &Area, name: &str) -> Result<Option<OidcAssignmentRecord>, Error> {
    if name == ALLOW_ALL {
        let all = || vec![ALL.to_owned()];
        return Ok(Some(OidcAssignmentRecord { entity_ids: all(), group_ids: all() }));
    }
    store.get(area, &[FOLDER, name])
}

/// Whether one of some assignments admits somebody.
pub(super) fn admit(call: &mut Call<'_, '_>, names: &[String], standing: &Standing) -> Result<bool, Error> {
    let area = call.mount.area.clone();
    for name in names {
        if find(call.store, &area, name)?.is_some_and(|assignment| assignment.admits(standing)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn name_of(call: &Call<'_, '_>) -> String {
    call.fields.text_or_empty(NAME.name).to_owned()
}

/// `oidc/assignment`
pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let names = call.store.list(&call.mount.area, &[FOLDER])?;
    let mut keys = listing::keys(&names);
    keys.push(ALLOW_ALL.to_owned());
    keys.sort_unstable();
    listing::page(keys, &call.fields)
}

/// `oidc/assignment/{name}`
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let record = find(call.store, &call.mount.area, &name_of(call))?.ok_or_else(Error::not_found)?;
    Ok(Reply::data(json!({ "entity_ids": record.entity_ids, "group_ids": record.group_ids })))
}

/// `oidc/assignment/{name}`
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = name_of(call);
    if name == ALLOW_ALL {
        return Err(Error::invalid("modification of assignment \"allow_all\" not allowed"));
    }
    let mut record = find(call.store, &call.mount.area, &name)?.unwrap_or_default();
    for (field, list) in [("entity_ids", &mut record.entity_ids), ("group_ids", &mut record.group_ids)] {
        let Some(sent) = call.fields.list(field) else { continue };
        if sent.len() > MAX_IDS {
            return Err(Error::invalid(format!("{field} holds {} ids, at most {MAX_IDS} are kept", sent.len())));
        }
        *list = sent.to_vec();
    }
    call.store.put(&call.mount.area, &[FOLDER, &name], &record)?;
    Ok(Reply::empty())
}

/// `oidc/assignment/{name}`
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = name_of(call);
    if name == ALLOW_ALL {
        return Err(Error::invalid("deletion of assignment \"allow_all\" not allowed"));
    }
    let users = client::using_assignment(call, &name)?;
    if !users.is_empty() {
        return Err(Error::invalid(format!(
            "unable to delete assignment {name:?} because it is currently referenced by these clients: {}",
            users.join(", ")
        )));
    }
    call.store.delete(&call.mount.area, &[FOLDER, &name]);
    Ok(Reply::empty())
}
