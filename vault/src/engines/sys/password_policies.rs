//! `sys/policies/password`: what generated passwords are made of ([`crate::password`]).

use prost::Message;
use serde_json::json;

use super::policies::decoded;
use crate::engine::{Call, Path};
use crate::engines::listing;
use crate::error::{Error, ErrorKind, multi};
use crate::field::{Field, Kind, field};
use crate::password::PasswordPolicy;
use crate::reply::Reply;
use crate::request::Operation;

/// Most password policies that are stored.
const MAX_PASSWORD_POLICIES: u64 = 1_000;
/// Longest text of a password policy, in bytes.
const MAX_PASSWORD_POLICY_BYTES: usize = 64 << 10;
/// Directory of the records in the system area.
const FOLDER: [&str; 2] = ["policies", "password"];

const NAME: Field = field("name", Kind::Text, "Name of the password policy");

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "policies/password/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, list)],
        help: "List the password policies",
        ..Path::DEFAULT
    },
    Path {
        pattern: "policies/password/{name}",
        fields: &[&[NAME, field("policy", Kind::Text, "Its text in HCL or JSON, perhaps base64-encoded")]],
        operations: &[(Operation::Read, read), (Operation::Update, write), (Operation::Delete, delete)],
        help: "Read, write or delete a password policy",
        ..Path::DEFAULT
    },
    Path {
        pattern: "policies/password/{name}/generate",
        fields: &[&[NAME]],
        operations: &[(Operation::Read, generate)],
        help: "Generate a password",
        ..Path::DEFAULT
    },
];

/// A policy as it is stored.
#[derive(Clone, PartialEq, Message)]
struct PasswordPolicyRecord {
    #[prost(string, tag = "1")]
    text: String,
}

fn text(call: &mut Call<'_, '_>) -> Result<String, Error> {
    let system = call.store.system();
    let path = [FOLDER[0], FOLDER[1], call.fields.text_or_empty("name")];
    let record: Option<PasswordPolicyRecord> = call.store.get(&system, &path)?;
    let missing = || Error::new(ErrorKind::NotFound, multi("policy does not exist"));
    record.map(|record| record.text).ok_or_else(missing)
}

fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let system = call.store.system();
    let names = call.store.list(&system, &FOLDER)?.iter().map(|name| name.name.to_string()).collect();
    listing::page(names, &call.fields)
}

fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(Reply::data(json!({ "policy": text(call)? })))
}

fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let sent = call.fields.text_or_empty("policy");
    if sent.is_empty() {
        return Err(Error::invalid(multi("missing policy")));
    }
    if sent.len() > MAX_PASSWORD_POLICY_BYTES {
        return Err(Error::invalid(format!("the policy is longer than {MAX_PASSWORD_POLICY_BYTES} bytes")));
    }
    let text = decoded(sent);
    PasswordPolicy::parse(&text).map_err(|error| Error::invalid(multi(&error.to_string())))?;
    let system = call.store.system();
    let path = [FOLDER[0], FOLDER[1], call.fields.text_or_empty("name")];
    let is_new = !call.store.contains(&system, &path)?;
    if is_new && call.store.count(&system, &FOLDER)? >= MAX_PASSWORD_POLICIES {
        return Err(Error::invalid(format!(
            "there are {MAX_PASSWORD_POLICIES} password policies, the most that are stored; delete some first"
        )));
    }
    call.store.put(&system, &path, &PasswordPolicyRecord { text })?;
    Ok(Reply::empty())
}

fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let system = call.store.system();
    let path = [FOLDER[0], FOLDER[1], call.fields.text_or_empty("name")];
    call.store.delete(&system, &path);
    Ok(Reply::empty())
}

fn generate(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let policy = PasswordPolicy::parse(&text(call)?)
        .map_err(|error| Error::internal(format!("a stored password policy does not parse: {error}")))?;
    Ok(Reply::data(json!({ "password": policy.generate(call.context.random) })))
}
