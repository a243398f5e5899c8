//! `sys/policies/acl` and the older `sys/policy`: stored policies.
//!
//! One store behind two forms: the older one says `rules` where the newer says `policy`, and shows `data` twice.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::engine::{Call, Handler, Path};
use crate::engines::listing;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::policy::name::PolicyName;
use crate::policy::parse::parse;
use crate::policy::records;
use crate::reply::Reply;
use crate::request::Operation;

const FIELDS: &[Field] = &[
    field("name", Kind::PolicyName, "Name of the policy"),
    field("policy", Kind::Text, "Its text in HCL or JSON, perhaps base64-encoded"),
    field("rules", Kind::Text, "The older name of \"policy\"").renamed_to("policy"),
];

const READ: Handler = |call| read(call, "policy");
const READ_OLD: Handler = |call| Ok(read(call, "rules")?.injected());

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "policies/acl/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, list)],
        help: "List the policies",
        ..Path::DEFAULT
    },
    Path {
        pattern: "policies/acl/{name..}",
        fields: &[FIELDS],
        operations: &[(Operation::Read, READ), (Operation::Update, write), (Operation::Delete, delete)],
        help: "Read, write or delete a policy",
        ..Path::DEFAULT
    },
    Path {
        pattern: "policy/?",
        operations: &[(Operation::Read, list_old), (Operation::List, list_old)],
        help: "List the policies, in the older form",
        ..Path::DEFAULT
    },
    Path {
        pattern: "policy/{name..}",
        fields: &[FIELDS],
        operations: &[(Operation::Read, READ_OLD), (Operation::Update, write), (Operation::Delete, delete)],
        help: "Read, write or delete a policy, in the older form",
        ..Path::DEFAULT
    },
];

fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    listing::page(records::list(call.store)?, &call.fields)
}

fn list_old(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let names = records::list(call.store)?;
    Ok(Reply::data(json!({ "keys": names, "policies": names })).injected())
}

fn name_of(call: &Call<'_, '_>) -> Result<PolicyName, Error> {
    PolicyName::parse(call.fields.text("name").unwrap_or_default()).map_err(|error| Error::invalid(error.to_string()))
}

/// Reads a policy; its text goes under `text_key`.
fn read(call: &mut Call<'_, '_>, text_key: &str) -> Result<Reply, Error> {
    // A name that cannot be is the name of nothing.
    let name = name_of(call).map_err(|_| Error::not_found())?;
    let mut data = Map::new();
    if name.is_root() {
        data.insert(text_key.into(), "".into());
    } else {
        let record = records::get(call.store, name.as_str())?.ok_or_else(Error::not_found)?;
        data.insert(text_key.into(), record.text.into());
    }
    data.insert("name".into(), name.as_str().into());
    Ok(Reply::data(Value::Object(data)))
}

fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = name_of(call)?;
    if name.is_immutable() {
        return Err(Error::invalid(format!("cannot update {:?} policy", name.as_str())));
    }
    let old = call.fields.text("rules");
    let sent = call.fields.text("policy").or(old).unwrap_or_default();
    if sent.is_empty() {
        return Err(Error::invalid("'policy' parameter not supplied or empty"));
    }
    let text = decoded(sent);
    parse(&text).map_err(|error| Error::invalid(format!("failed to parse policy: {error}")))?;
    let mut reply = Reply::empty();
    if old.is_some() {
        reply = reply.warn("'rules' is deprecated, please use 'policy' instead");
    }
    records::put(call.store, name.as_str(), &text, call.context.now)?;
    Ok(reply)
}

/// The text of a policy, which may have been sent base64-encoded. No policy but an empty one is valid base64.
pub(super) fn decoded(sent: &str) -> String {
    let bytes = STANDARD.decode(sent.trim()).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| sent.to_owned())
}

fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    // A name that cannot be is the name of nothing.
    let Ok(name) = name_of(call) else { return Ok(Reply::empty()) };
    if name.is_immutable() {
        return Err(Error::invalid(format!("cannot delete {:?} policy", name.as_str())));
    }
    if name.is_undeletable() {
        return Err(Error::invalid(format!("cannot delete {} policy", name.as_str())));
    }
    records::delete(call.store, name.as_str());
    Ok(Reply::empty())
}
