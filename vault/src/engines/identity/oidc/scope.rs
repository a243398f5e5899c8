//! Scopes: claims that a client can ask for.

use prost::Message;
use serde_json::json;

use crate::engine::Call;
use crate::engines::identity::oidc::{provider, template};
use crate::engines::listing;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::printable;
use crate::reply::Reply;
use crate::store::{Area, Store};

/// Directory of the scopes.
const FOLDER: &str = "oidc-scope";
/// The scope that every request to a provider has.
pub(super) const OPENID: &str = "openid";
/// Longest description, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 1_024;

pub(super) const NAME: Field = field("name", Kind::Text, "Name of the scope; openid is taken.");
pub(super) const FIELDS: &[Field] = &[
    NAME,
    field("template", Kind::Text, "Its claims, as of a role's template."),
    field("description", Kind::Text, "What people call them."),
];

/// A scope as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OidcScopeRecord {
    #[prost(string, tag = "1")]
    pub(super) template: String,
    #[prost(string, tag = "2")]
    description: String,
}

pub(super) fn find(store: &mut Store<'_>, area: &Area, name: &str) -> Result<Option<OidcScopeRecord>, Error> {
    store.get(area, &[FOLDER, name])
}

fn name_of(call: &Call<'_, '_>) -> String {
    call.fields.text_or_empty(NAME.name).to_owned()
}

/// `oidc/scope`
pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let names = call.store.list(&call.mount.area, &[FOLDER])?;
    listing::page_of(&names, &call.fields)
}

/// `oidc/scope/{name}`
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let record = find(call.store, &call.mount.area, &name_of(call))?.ok_or_else(Error::not_found)?;
    Ok(Reply::data(json!({ "description": record.description, "template": record.template })))
}

/// `oidc/scope/{name}`
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = name_of(call);
    if name == OPENID {
        return Err(Error::invalid("the \"openid\" scope name is reserved"));
    }
    let mut record = find(call.store, &call.mount.area, &name)?.unwrap_or_default();
    if let Some(template) = call.fields.text("template") {
        template::check(template)?;
        template.clone_into(&mut record.template);
    }
    if let Some(description) = call.fields.text("description") {
        if description.len() > MAX_DESCRIPTION_BYTES {
            return Err(Error::invalid(format!("description is longer than {MAX_DESCRIPTION_BYTES} bytes")));
        }
        printable::check_note("description", description)?;
        description.clone_into(&mut record.description);
    }
    call.store.put(&call.mount.area, &[FOLDER, &name], &record)?;
    Ok(Reply::empty())
}

/// `oidc/scope/{name}`
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = name_of(call);
    let users = provider::using_scope(call, &name)?;
    if !users.is_empty() {
        return Err(Error::invalid(format!(
            "unable to delete scope {name:?} because it is currently referenced by these providers: {}",
            users.join(", ")
        )));
    }
    call.store.delete(&call.mount.area, &[FOLDER, &name]);
    Ok(Reply::empty())
}
