//! Roles: what tokens of a purpose hold, and which key signs them.

use prost::Message;
use serde_json::json;

use crate::engine::Call;
use crate::engines::identity::oidc::key;
use crate::engines::identity::oidc::template;
use crate::engines::listing;
use crate::engines::terms::whole_secs;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::reply::Reply;
use crate::store::{Area, Store};

/// Directory of the roles.
const FOLDER: &str = "oidc-role";
/// Most roles.
const MAX_ROLES: u64 = 1_000;
/// Symbols of a client id.
pub(super) const CLIENT_ID_SYMBOLS: usize = 26;

pub(super) const NAME: Field = field("name", Kind::Text, "Name of the role.");
pub(super) const FIELDS: &[Field] = &[
    NAME,
    field("key", Kind::Text, "Name of the key that signs its tokens.").required(),
    field(
        "template",
        Kind::Text,
        "Claims, as JSON in which {{identity.entity.name}} and the like stand for values; or that in base 64.",
    ),
    field("client_id", Kind::Text, "The audience of its tokens; drawn if it is not given."),
    field("ttl", Kind::Duration, "Time to live of its tokens; at most the key's verification_ttl.").or("24h"),
];

/// A role as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OidcRoleRecord {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) template: String,
    #[prost(string, tag = "3")]
    pub(super) client_id: String,
    #[prost(uint64, tag = "4")]
    pub(super) ttl_secs: u64,
}

pub(super) fn find(store: &mut Store<'_>, area: &Area, name: &str) -> Result<Option<OidcRoleRecord>, Error> {
    store.get(area, &[FOLDER, name])
}

/// Names of the roles, sorted, and what they are.
fn all(call: &mut Call<'_, '_>) -> Result<Vec<(String, OidcRoleRecord)>, Error> {
    let area = call.mount.area.clone();
    let mut roles = Vec::new();
    for name in call.store.list(&area, &[FOLDER])?.iter() {
        roles.extend(find(call.store, &area, &name.name)?.map(|role| (name.name.to_string(), role)));
    }
    Ok(roles)
}

/// Names of the roles whose tokens a key signs.
pub(super) fn using(call: &mut Call<'_, '_>, key: &str) -> Result<Vec<String>, Error> {
    Ok(all(call)?.into_iter().filter(|(_, role)| role.key == key).map(|(name, _)| name).collect())
}

/// Refuses a verification time of a key that is shorter than the life of a role's tokens.
pub(super) fn check_ttls(call: &mut Call<'_, '_>, key: &str, verification_secs: u64) -> Result<(), Error> {
    match all(call)?.iter().find(|(_, role)| role.key == key && role.ttl_secs > verification_secs) {
        Some((name, _)) => Err(Error::invalid(format!(
            "unable to update key {key:?} because it is currently referenced by role {name:?}, whose token ttl is longer than \
             verification_ttl"
        ))),
        None => Ok(()),
    }
}

/// `oidc/role`
pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let names = call.store.list(&call.mount.area, &[FOLDER])?;
    listing::page_of(&names, &call.fields)
}

/// `oidc/role/{name}`
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let role =
        find(call.store, &call.mount.area, call.fields.text_or_empty(NAME.name))?.ok_or_else(Error::not_found)?;
    Ok(Reply::data(json!({
        "client_id": role.client_id, "key": role.key, "template": role.template, "ttl": role.ttl_secs,
    })))
}

/// `oidc/role/{name}`
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (area, name) = (call.mount.area.clone(), call.fields.text_or_empty(NAME.name).to_owned());
    let found = find(call.store, &area, &name)?;
    if found.is_none() && call.store.count(&area, &[FOLDER])? >= MAX_ROLES {
        return Err(Error::invalid(format!("there are {MAX_ROLES} roles, the most that there are; delete some first")));
    }
    let mut role = found.unwrap_or_else(|| OidcRoleRecord { ttl_secs: 24 * 3600, ..OidcRoleRecord::default() });
    if let Some(key) = call.fields.text("key") {
        key.clone_into(&mut role.key);
    }
    if role.key.is_empty() {
        return Err(Error::invalid("the key parameter is required"));
    }
    if let Some(template) = call.fields.text("template") {
        template.clone_into(&mut role.template);
        template::check(template)?;
    }
    if let Some(id) = call.fields.text("client_id") {
        id.clone_into(&mut role.client_id);
    }
    if role.client_id.is_empty() {
        role.client_id = call.context.base62(CLIENT_ID_SYMBOLS);
    }
    role.ttl_secs = whole_secs(&call.fields, "ttl").unwrap_or(role.ttl_secs);
    let key = key::find(call.store, &area, &role.key)?;
    let key = key.ok_or_else(|| Error::invalid(format!("cannot find key {:?}", role.key)))?;
    if role.ttl_secs > key.verification_secs {
        return Err(Error::invalid(
            "a role's token ttl cannot be longer than the verification_ttl of the key it references",
        ));
    }
    call.store.put(&area, &[FOLDER, &name], &role)?;
    Ok(Reply::empty())
}

/// `oidc/role/{name}`
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = call.fields.text_or_empty(NAME.name).to_owned();
    call.store.delete(&call.mount.area, &[FOLDER, &name]);
    Ok(Reply::empty())
}
