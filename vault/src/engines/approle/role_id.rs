//! Role ids: by which a login says which role it wants.
//!
//! A role id is unique in its mount. It is found by an HMAC, so its length and its characters do not matter.

use prost::Message;
use serde_json::json;

use crate::engine::Call;
use crate::engines::approle::role::{self, AppRoleRecord};
use crate::engines::named;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::reply::Reply;

/// Directory of the role ids in the mount's area.
const FOLDER: &str = "role id";
/// Longest role id and secret id that is stored, in bytes.
pub(super) const MAX_ID_BYTES: usize = 4096;

pub(super) const FIELD: Field = field("role_id", Kind::Text, "By which a login names the role; unique in the mount.");

/// What a role id stands for.
#[derive(Clone, PartialEq, Message)]
struct RoleIdRecord {
    /// Name of the role.
    #[prost(string, tag = "1")]
    role: String,
}

fn hash(call: &Call<'_, '_>, role_id: &str) -> String {
    hex::encode(call.mount.keys.index("role id", role_id.as_bytes()))
}

/// The role that has a role id, and its name.
pub(super) fn find(call: &mut Call<'_, '_>, role_id: &str) -> Result<Option<(String, AppRoleRecord)>, Error> {
    let (mount, hash) = (call.mount.clone(), hash(call, role_id));
    let Some(record) = call.store.get::<RoleIdRecord>(&mount.area, &[FOLDER, &hash])? else { return Ok(None) };
    let role = named::find::<AppRoleRecord>(call.store, &mount, &record.role)?;
    Ok(role.map(|role| (record.role, role)))
}

/// Gives a role id to the role that the request's path names, in place of the one it had. Stores all but the role.
pub(super) fn assign(call: &mut Call<'_, '_>, role: &mut AppRoleRecord, role_id: String) -> Result<(), Error> {
    check_trimmed(FIELD.name, &role_id)?;
    if role_id.len() > MAX_ID_BYTES {
        return Err(Error::invalid(format!("the role_id is longer than {MAX_ID_BYTES} bytes")));
    }
    if role.role_id == role_id {
        return Ok(());
    }
    let (area, hash, name) = (call.mount.area.clone(), hash(call, &role_id), named::name_of::<AppRoleRecord>(call));
    if call.store.contains(&area, &[FOLDER, &hash])? {
        return Err(Error::invalid("role_id already in use"));
    }
    if !role.role_id.is_empty() {
        release(call, &role.role_id);
    }
    call.store.put(&area, &[FOLDER, &hash], &RoleIdRecord { role: name })?;
    role.role_id = role_id;
    Ok(())
}

/// Refuses an id with white space around it: a login takes that off, and would never find it.
pub(super) fn check_trimmed(field: &str, id: &str) -> Result<(), Error> {
    match id.trim() == id {
        true => Ok(()),
        false => Err(Error::invalid(format!("the {field} must not begin or end with white space"))),
    }
}

/// Makes a role id stand for nothing.
pub(super) fn release(call: &mut Call<'_, '_>, role_id: &str) {
    let (area, hash) = (call.mount.area.clone(), hash(call, role_id));
    call.store.delete(&area, &[FOLDER, &hash]);
}

/// `role/{role_name}/role-id`
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, name) = (call.mount.clone(), named::name_of::<AppRoleRecord>(call));
    let role = named::find::<AppRoleRecord>(call.store, &mount, &name)?.ok_or_else(Error::not_found)?;
    Ok(Reply::data(json!({ "role_id": role.role_id })))
}

/// `role/{role_name}/role-id`
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let role_id = call.fields.text_or_empty(FIELD.name).to_owned();
    if role_id.is_empty() {
        return Err(Error::invalid("missing role_id"));
    }
    let mut role = role::existing(call)?;
    assign(call, &mut role, role_id)?;
    role::save(call, &role)?;
    Ok(Reply::empty())
}
