//! `sys/config/group-policy-application`: in which namespaces the policies of a group count. There is one namespace, so both
//! answers mean the same; which one was given is kept.

use prost::Message;
use serde_json::json;

use crate::engine::{Access, Call, Path};
use crate::error::Error;
use crate::field::{Kind, field};
use crate::reply::Reply;
use crate::request::Operation;

/// Where the record lies in the system area.
const MODE: &[&str] = &["core", "group-policies"];
/// What can be said; the first is so unless it is.
const MODES: [&str; 2] = ["within_namespace_hierarchy", "any"];

/// The paths.
pub(super) const PATHS: &[Path] = &[Path {
    pattern: "config/group-policy-application",
    fields: &[&[field("group_policy_application_mode", Kind::Text, "In which namespaces a group's policies count")
        .one_of(&MODES)]],
    operations: &[(Operation::Read, read), (Operation::Update, write)],
    access: Access::Sudo,
    help: "Read or change in which namespaces the policies of a group count; there is one",
    ..Path::DEFAULT
}];

#[derive(Clone, PartialEq, Message)]
struct GroupPolicies {
    #[prost(string, tag = "1")]
    mode: String,
}

fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let system = call.store.system();
    let stored: Option<GroupPolicies> = call.store.get(&system, MODE)?;
    let mode = stored.map_or_else(|| MODES[0].to_owned(), |stored| stored.mode);
    Ok(Reply::data(json!({ "group_policy_application_mode": mode })))
}

fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mode = call.fields.text_or_empty("group_policy_application_mode");
    if !MODES.contains(&mode) {
        return Err(Error::invalid(format!("group_policy_application_mode must be one of {}", MODES.join(", "))));
    }
    let (system, record) = (call.store.system(), GroupPolicies { mode: mode.to_owned() });
    call.store.put(&system, MODE, &record)?;
    Ok(Reply::empty())
}
