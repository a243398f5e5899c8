//! Enforcements of login MFA: which logins need which methods.

use serde_json::{Map, Value, json};

use crate::engine::Call;
use crate::engines::listing;
use crate::engines::terms::{check_length, sorted};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::identity::rights::Standing;
use crate::identity::{self, group};
use crate::limits::{MAX_IDENTITY_NAME_BYTES, MAX_MFA_ENFORCEMENTS};
use crate::mfa::{self, EnforcementRecord};
use crate::mount::Class;
use crate::mount::table::MountTable;
use crate::registry::Registry;
use crate::reply::Reply;

const NAME: Field = field("name", Kind::Text, "Name of the enforcement.");
const METHODS: Field =
    field("mfa_method_ids", Kind::CommaList, "Ids of methods, one of which a login must satisfy.").required();
const ACCESSORS: Field =
    field("auth_method_accessors", Kind::CommaList, "Accessors of auth mounts whose logins need it.");
const KINDS: Field = field("auth_method_types", Kind::CommaList, "Kinds of auth mounts whose logins need it.");
const ENTITIES: Field = field("identity_entity_ids", Kind::CommaList, "Ids of entities whose logins need it.");
const GROUPS: Field =
    field("identity_group_ids", Kind::CommaList, "Ids of groups whose members' logins need it, those below included.");

pub(super) const FIELDS: &[Field] = &[NAME, METHODS, ACCESSORS, KINDS, ENTITIES, GROUPS];

fn shown(enforcement: &EnforcementRecord) -> Value {
    json!({
        "id": enforcement.id,
        "name": enforcement.name,
        "mfa_method_ids": enforcement.method_ids,
        "auth_method_accessors": enforcement.accessors,
        "auth_method_types": enforcement.kinds,
        "identity_entity_ids": enforcement.entity_ids,
        "identity_group_ids": enforcement.group_ids,
        "namespace_id": "root",
        "namespace_path": "",
    })
}

fn named(call: &mut Call<'_, '_>) -> Result<Option<EnforcementRecord>, Error> {
    let name = call.fields.text_or_empty(NAME.name).to_owned();
    Ok(mfa::enforcements(call.store)?.into_iter().find(|enforcement| enforcement.name == name))
}

pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let enforcement = named(call)?.ok_or_else(Error::not_found)?;
    Ok(Reply::data(shown(&enforcement)))
}

pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let all = mfa::enforcements(call.store)?;
    let mut names: Vec<_> = all.iter().map(|enforcement| enforcement.name.clone()).collect();
    names.sort_unstable();
    let mut reply = listing::page(names, &call.fields)?;
    let info: serde_json::Map<_, _> = all.iter().map(|it| (it.name.clone(), shown(it))).collect();
    if let Some(data) = &mut reply.data {
        data.insert("key_info".to_owned(), Value::Object(info));
    }
    Ok(reply)
}

pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = call.fields.text_or_empty(NAME.name).to_owned();
    mfa::remove_enforcement(call.store, &name)?;
    Ok(Reply::empty())
}

pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = call.fields.text_or_empty(NAME.name).to_owned();
    if name.len() > MAX_IDENTITY_NAME_BYTES {
        return Err(Error::invalid(format!("name is longer than {MAX_IDENTITY_NAME_BYTES} bytes")));
    }
    let found = named(call)?;
    if found.is_none() && mfa::enforcements(call.store)?.len() >= MAX_MFA_ENFORCEMENTS {
        return Err(Error::invalid(format!("there are at most {MAX_MFA_ENFORCEMENTS} enforcements")));
    }
    let mut enforcement =
        found.unwrap_or_else(|| EnforcementRecord { id: call.context.uuid(), name, ..EnforcementRecord::default() });
    for (of, list) in [
        (&METHODS, &mut enforcement.method_ids),
        (&ACCESSORS, &mut enforcement.accessors),
        (&KINDS, &mut enforcement.kinds),
        (&ENTITIES, &mut enforcement.entity_ids),
        (&GROUPS, &mut enforcement.group_ids),
    ] {
        if let Some(sent) = call.fields.list(of.name) {
            check_length(of.name, sent)?;
            *list = sorted(sent.to_vec());
        }
    }
    if enforcement.method_ids.is_empty() {
        return Err(Error::invalid("missing method ids"));
    }
    let methods = mfa::methods(call.store)?;
    if !enforcement.method_ids.iter().all(|id| methods.iter().any(|method| method.id == *id)) {
        return Err(Error::invalid("one of the provided method ids doesn't exist"));
    }
    let lists = [&enforcement.accessors, &enforcement.kinds, &enforcement.entity_ids, &enforcement.group_ids];
    if lists.into_iter().all(Vec::is_empty) {
        return Err(Error::invalid(
            "One of auth_method_accessors, auth_method_types, identity_group_ids, identity_entity_ids must be specified",
        ));
    }
    check_places(call)?;
    mfa::save_enforcement(call.store, &enforcement)?;
    Ok(Reply::empty())
}

/// Refuses what is sent and not there: an enforcement over a name that was mistyped would ask nobody for a code.
fn check_places(call: &mut Call<'_, '_>) -> Result<(), Error> {
    let sent = |of: &Field| call.fields.list(of.name).unwrap_or_default().to_vec();
    let (accessors, kinds, entities, groups) = (sent(&ACCESSORS), sent(&KINDS), sent(&ENTITIES), sent(&GROUPS));
    let refused = |what: &str| Err(Error::invalid(format!("one of the provided {what} doesn't exist")));
    let table = MountTable::load(call.store)?;
    let is_mounted = |accessor: &String| table.iter().any(|entry| entry.record.accessor == *accessor);
    if !accessors.iter().all(is_mounted) {
        return refused("auth method accessors");
    }
    let registry = Registry::of(call.store);
    let is_known = |kind: &String| registry.find(Class::Auth, kind, &Map::new()).is_some();
    if !kinds.iter().all(is_known) {
        return refused("auth method types");
    }
    for id in &entities {
        if Standing::of(call.store, id)?.entity.is_none() {
            return refused("entity ids");
        }
    }
    let area = identity::area(call.store)?;
    for id in &groups {
        if group::find(call.store, &area, id)?.is_none() {
            return refused("group ids");
        }
    }
    Ok(())
}
