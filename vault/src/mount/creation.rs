//! New mounts: those that a user asks for, and those that every namespace has from the start.

use serde_json::json;

use crate::barrier::mount_keys::MountKeys;
use crate::context::Context;
use crate::mount::{Class, MountRecord, class_of};

/// A new mount's record with fresh ids and keys.
pub(crate) fn new_record(context: &mut Context<'_>, path: &str, kind: &str, description: &str) -> MountRecord {
    let suffix = hex::encode(context.bytes::<4>());
    let class = if class_of(path) == Class::Auth { "auth_" } else { "" };
    let mut record = MountRecord::default();
    record.id = context.bytes::<16>().to_vec();
    path.clone_into(&mut record.path);
    kind.clone_into(&mut record.kind);
    description.clone_into(&mut record.description);
    record.accessor = format!("{class}{kind}_{suffix}");
    record.uuid = context.uuid();
    record.keys = MountKeys::generate(context.random).to_bytes().to_vec();
    record
}

/// The mounts that every namespace has from the start.
pub(crate) fn initial(context: &mut Context<'_>) -> Vec<MountRecord> {
    let mut system = new_record(context, "sys/", "system", "system endpoints used for control, policy and debugging");
    system.seal_wrap = true;
    system.config_json = json!({ "passthrough_request_headers": ["Accept"] }).to_string();
    let mut identity = new_record(context, "identity/", "identity", "identity store");
    identity.config_json = json!({ "passthrough_request_headers": ["Authorization"] }).to_string();
    let mut cubbyhole = new_record(context, "cubbyhole/", "cubbyhole", "per-token private secret storage");
    cubbyhole.local = true;
    let token = new_record(context, "auth/token/", "token", "token based credentials");
    vec![system, identity, cubbyhole, token]
}
