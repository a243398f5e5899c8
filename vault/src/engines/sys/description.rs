//! How a mount looks in a reply.
//!
//! A description never holds keys or storage ids: only what clients may see.

use serde_json::{Map, Value, json};

use crate::context::{Context, SystemTtl};
use crate::mount::Class;
use crate::mount::{self, Mount};

/// Setting of an auth mount that has no other.
const DEFAULT_TOKEN_TYPE: &str = "default-service";

/// A mount as lists and reads show it.
pub(super) fn whole(mount: &Mount, context: &Context<'_>) -> Map<String, Value> {
    let record = &mount.record;
    let mut config = settings(mount);
    config.insert("default_lease_ttl".into(), record.default_ttl_secs.into());
    config.insert("max_lease_ttl".into(), record.max_ttl_secs.into());
    let mut map = Map::new();
    map.insert("accessor".into(), record.accessor.clone().into());
    map.insert("config".into(), config.into());
    map.insert("description".into(), record.description.clone().into());
    map.insert("external_entropy_access".into(), record.external_entropy_access.into());
    map.insert("local".into(), record.local.into());
    map.insert("options".into(), options(mount));
    map.insert("plugin_version".into(), "".into());
    map.insert("running_plugin_version".into(), format!("v{}+builtin.conclave", context.api_version).into());
    map.insert("running_sha256".into(), "".into());
    map.insert("seal_wrap".into(), record.seal_wrap.into());
    map.insert("type".into(), record.kind.clone().into());
    map.insert("uuid".into(), record.uuid.clone().into());
    if !mount::is_fixed(&record.path) {
        map.insert("deprecation_status".into(), "supported".into());
    }
    map
}

/// What whoever may see a mount's path learns without a token.
pub(super) fn public(mount: &Mount) -> Value {
    json!({ "description": mount.record.description, "options": options(mount), "type": mount.record.kind })
}

/// What is tuned, with the lease times that are in force.
pub(super) fn tuning(mount: &Mount, system: SystemTtl) -> Map<String, Value> {
    let (default_secs, max_secs) = lease_times(mount, system);
    let mut map = settings(mount);
    if let Some(Value::Object(lockout)) = map.remove("user_lockout_config") {
        map.extend(lockout);
    }
    map.insert("default_lease_ttl".into(), default_secs.into());
    map.insert("max_lease_ttl".into(), max_secs.into());
    map.insert("description".into(), mount.record.description.clone().into());
    if !mount.options().is_empty() {
        map.insert("options".into(), options(mount));
    }
    map
}

/// A mount's path as its list shows it: without `auth/`.
pub(super) fn short_path(path: &str) -> &str {
    path.strip_prefix("auth/").unwrap_or(path)
}

/// Default and longest time to live in force, in seconds.
fn lease_times(mount: &Mount, system: SystemTtl) -> (u64, u64) {
    let or = |own: u64, system: u64| if own == 0 { system } else { own };
    let max_secs = or(mount.record.max_ttl_secs, system.max_secs);
    (or(mount.record.default_ttl_secs, system.default_secs).min(max_secs), max_secs)
}

/// The stored settings, with those that are always shown.
fn settings(mount: &Mount) -> Map<String, Value> {
    let mut map = mount.config();
    map.entry("force_no_cache").or_insert(false.into());
    if mount::class_of(&mount.record.path) == Class::Auth {
        map.entry("token_type").or_insert(DEFAULT_TOKEN_TYPE.into());
    }
    map
}

/// The options; mounts that are there from the start have none at all.
fn options(mount: &Mount) -> Value {
    if mount.record.options_json.is_empty() { Value::Null } else { mount.options().into() }
}
