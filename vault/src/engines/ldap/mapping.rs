//! Groups and users: which policies those of the directory have here, and which groups a user has besides the directory's.
//!
//! What surprises: a write replaces all of a group or user, what it does not name too.

use std::collections::BTreeSet;

use prost::Message;
use serde_json::json;

use crate::engine::Call;
use crate::engines::ldap::config;
use crate::engines::{listing, terms};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::mount::Mount;
use crate::reply::Reply;
use crate::store::Store;

/// Directory of the groups in the mount's area.
const GROUPS: &str = "group";
/// Directory of the users in the mount's area.
const USERS: &str = "user";
/// Longest name of a group or user, in bytes.
pub(super) const MAX_NAME_BYTES: usize = 512;

const NAME: Field = field("name", Kind::Name, "The name in the directory; upper and lower case are one by default.");
const POLICIES: Field = field("policies", Kind::CommaNames, "Policies of those who log in.");
const USER_GROUPS: Field =
    field("groups", Kind::CommaNames, "Groups that the user is in, besides those of the directory.");

pub(super) const GROUP_FIELDS: &[Field] = &[NAME, POLICIES];
pub(super) const USER_FIELDS: &[Field] = &[NAME, POLICIES, USER_GROUPS];

/// A group as it is stored.
#[derive(Clone, PartialEq, Message)]
struct LdapGroupRecord {
    #[prost(string, repeated, tag = "1")]
    policies: Vec<String>,
}

/// A user as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(super) struct LdapUserRecord {
    #[prost(string, repeated, tag = "1")]
    pub(super) policies: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) groups: Vec<String>,
}

/// A user by the name under which users are stored.
pub(super) fn user(store: &mut Store<'_>, mount: &Mount, name: &str) -> Result<LdapUserRecord, Error> {
    Ok(store.get(&mount.area, &[USERS, name])?.unwrap_or_default())
}

/// The policies of those of some groups that have any here. The folder is read first, so that groups which have none, and are
/// most in a large directory, cost nothing.
pub(super) fn policies_of_groups(
    store: &mut Store<'_>,
    mount: &Mount,
    groups: &BTreeSet<String>,
) -> Result<Vec<String>, Error> {
    let known = store.list(&mount.area, &[GROUPS])?;
    let mut policies = Vec::new();
    for name in known.iter().filter(|known| groups.contains(&*known.name)) {
        let group: Option<LdapGroupRecord> = store.get(&mount.area, &[GROUPS, &name.name])?;
        policies.extend(group.map(|group| group.policies).unwrap_or_default());
    }
    Ok(policies)
}

/// The name that a request is about, as it is stored.
fn name_of(call: &mut Call<'_, '_>) -> Result<String, Error> {
    let sent = call.fields.text_or_empty(NAME.name).trim_end_matches('/').to_owned();
    if sent.is_empty() || sent.len() > MAX_NAME_BYTES {
        return Err(Error::invalid(format!("a name has 1 to {MAX_NAME_BYTES} bytes")));
    }
    let mount = call.mount.clone();
    let config = config::find(call.store, &mount)?.unwrap_or_default();
    Ok(config.spelled(&sent))
}

fn exists(call: &mut Call<'_, '_>, folder: &str) -> Result<bool, Error> {
    let name = name_of(call)?;
    call.store.contains(&call.mount.area, &[folder, &name])
}

fn list(call: &mut Call<'_, '_>, folder: &str) -> Result<Reply, Error> {
    let names = call.store.list(&call.mount.area, &[folder])?;
    listing::page(listing::keys(&names), &call.fields)
}

fn delete(call: &mut Call<'_, '_>, folder: &str) -> Result<Reply, Error> {
    let name = name_of(call)?;
    call.store.delete(&call.mount.area, &[folder, &name]);
    Ok(Reply::empty())
}

fn sent_policies(call: &Call<'_, '_>) -> Result<Vec<String>, Error> {
    terms::assignable(POLICIES.name, call.fields.list(POLICIES.name).unwrap_or_default())
}

pub(super) fn group_exists(call: &mut Call<'_, '_>) -> Result<bool, Error> {
    exists(call, GROUPS)
}

pub(super) fn list_groups(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    list(call, GROUPS)
}

pub(super) fn read_group(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = name_of(call)?;
    let group: Option<LdapGroupRecord> = call.store.get(&call.mount.area, &[GROUPS, &name])?;
    Ok(Reply::data(json!({ "policies": group.ok_or_else(Error::not_found)?.policies })))
}

pub(super) fn write_group(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (name, group) = (name_of(call)?, LdapGroupRecord { policies: sent_policies(call)? });
    call.store.put(&call.mount.area, &[GROUPS, &name], &group)?;
    Ok(Reply::empty())
}

pub(super) fn delete_group(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    delete(call, GROUPS)
}

pub(super) fn user_exists(call: &mut Call<'_, '_>) -> Result<bool, Error> {
    exists(call, USERS)
}

pub(super) fn list_users(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    list(call, USERS)
}

pub(super) fn read_user(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = name_of(call)?;
    let user: Option<LdapUserRecord> = call.store.get(&call.mount.area, &[USERS, &name])?;
    let user = user.ok_or_else(Error::not_found)?;
    Ok(Reply::data(json!({ "policies": user.policies, "groups": user.groups.join(",") })))
}

pub(super) fn write_user(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (name, mount) = (name_of(call)?, call.mount.clone());
    let config = config::find(call.store, &mount)?.unwrap_or_default();
    let groups = call.fields.list(USER_GROUPS.name).unwrap_or_default();
    terms::check_length(USER_GROUPS.name, groups)?;
    let groups: Vec<String> = groups.iter().map(|group| config.spelled(group.trim())).collect();
    if groups.iter().any(|group| group.is_empty() || group.len() > MAX_NAME_BYTES || group.contains(',')) {
        return Err(Error::invalid(format!("groups holds names of 1 to {MAX_NAME_BYTES} bytes, without commas")));
    }
    let user = LdapUserRecord { policies: sent_policies(call)?, groups: terms::sorted(groups) };
    call.store.put(&mount.area, &[USERS, &name], &user)?;
    Ok(Reply::empty())
}

pub(super) fn delete_user(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    delete(call, USERS)
}
