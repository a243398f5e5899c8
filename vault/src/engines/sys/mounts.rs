//! `sys/mounts`: which engine answers below which path.
//!
//! Mounts of secrets and of auth methods lie in one table, so the functions here serve `sys/auth` too. Disabling removes
//! the mount's entry and leaves a task: nothing reaches the rows any more, and the leader deletes them in chunks.

use std::sync::Arc;

use prost::Message;
use serde_json::{Map, Value};

use super::{description, settings};
use crate::engine::{Call, Handler, Path};
use crate::engines;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::lease::revocation;
use crate::mount::Class;
use crate::mount::table::{MountTable, MountTableRecord, RouteEntry};
use crate::mount::{self, Mount, MountRecord, creation};
use crate::printable;
use crate::quota;
use crate::registry::Registry;
use crate::reply::Reply;
use crate::request::Operation;
use crate::store::MAX_PLAINTEXT_BYTES;

/// Most mounts of a namespace.
pub(super) const MAX_MOUNTS: usize = 2_000;
/// Longest path of a mount, in bytes.
pub(super) const MAX_PATH_BYTES: usize = 500;
/// Longest stored form of one mount, in bytes.
const MAX_RECORD_BYTES: usize = 16 * 1024;
/// Paths below which nothing can be mounted by users.
const RESERVED: [&str; 5] = ["audit/", "auth/", "cubbyhole/", "identity/", "sys/"];
/// What enabling takes.
pub(super) const ENABLE_FIELDS: &[Field] = &[
    field("path", Kind::MountPath, "Path of the mount"),
    field("type", Kind::Text, "Kind of engine, such as kv").required(),
    field("description", Kind::Text, "A note for people"),
    field("config", Kind::Map, "Settings, as its tuning takes them"),
    field("options", Kind::KeyValues, "Options of the engine, such as version of kv"),
    field("local", Kind::Bool, "Shown, without effect: there is no replication between clusters"),
    field("seal_wrap", Kind::Bool, "Shown, without effect: everything is encrypted"),
    field("external_entropy_access", Kind::Bool, "Shown, without effect"),
    field("plugin_name", Kind::Text, "Accepted, without effect: engines are built in"),
    field("plugin_version", Kind::Text, "Accepted, without effect: engines are built in"),
];

/// What tuning takes beside the settings.
pub(super) const TUNE_FIELDS: &[Field] = &[
    field("path", Kind::MountPath, "Path of the mount"),
    field("description", Kind::Text, "A note for people"),
    field("options", Kind::KeyValues, "Options to change, such as version of kv from 1 to 2"),
];

const READ_ALL: Handler = |call| list(call, Class::Secret);
const TUNE_READ: Handler = |call| read_tuning(call, "");
const TUNE_WRITE: Handler = |call| tune(call, "");
const READ: Handler = |call| read(call, Class::Secret);
const ENABLE: Handler = |call| enable(call, Class::Secret);
const DISABLE: Handler = |call| disable(call, Class::Secret);

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "mounts",
        operations: &[(Operation::Read, READ_ALL)],
        help: "List the mounted secret engines",
        ..Path::DEFAULT
    },
    Path {
        pattern: "mounts/{path..}/tune",
        fields: &[TUNE_FIELDS, settings::FIELDS],
        operations: &[(Operation::Read, TUNE_READ), (Operation::Update, TUNE_WRITE)],
        help: "Read or change the settings of a mount",
        ..Path::DEFAULT
    },
    Path {
        pattern: "mounts/{path..}",
        fields: &[ENABLE_FIELDS],
        operations: &[(Operation::Read, READ), (Operation::Update, ENABLE), (Operation::Delete, DISABLE)],
        help: "Mount, read or unmount a secret engine",
        ..Path::DEFAULT
    },
];

/// The full path of the mount that a request names, with a slash at the end.
pub(super) fn path_of(call: &Call<'_, '_>, prefix: &str) -> String {
    with_slash(&format!("{prefix}{}", call.fields.text("path").unwrap_or_default()))
}

/// A path with exactly one slash at its end.
pub(super) fn with_slash(path: &str) -> String {
    format!("{}/", path.trim_matches('/'))
}

/// Whether users may mount nothing there, or move nothing from or to there.
pub(super) fn is_reserved(path: &str) -> bool {
    match mount::class_of(path) {
        Class::Secret => RESERVED.iter().any(|reserved| path.starts_with(reserved)),
        Class::Auth => path == "auth/" || path.starts_with("auth/token/"),
    }
}

fn prefix_of(class: Class) -> &'static str {
    match class {
        Class::Secret => "",
        Class::Auth => "auth/",
    }
}

/// All mounts of a class.
pub(super) fn list(call: &mut Call<'_, '_>, class: Class) -> Result<Reply, Error> {
    let table = MountTable::load(call.store)?;
    let of_class = table.iter().filter(|mount| mount::class_of(&mount.record.path) == class);
    let shown = of_class.map(|mount| {
        let path = description::short_path(&mount.record.path).to_owned();
        (path, Value::Object(description::whole(mount, call.context)))
    });
    Ok(Reply::data(Value::Object(shown.collect())).injected())
}

/// One mount.
pub(super) fn read(call: &mut Call<'_, '_>, class: Class) -> Result<Reply, Error> {
    let path = path_of(call, prefix_of(class));
    let table = MountTable::load(call.store)?;
    match table.at(&path).filter(|_| mount::class_of(&path) == class) {
        Some(mount) => Ok(Reply::data(description::whole(mount, call.context).into()).injected()),
        None => Err(Error::invalid(match class {
            Class::Secret => format!("No secret engine mount at {path}"),
            Class::Auth => format!("No auth engine at {}", description::short_path(&path)),
        })),
    }
}

/// Mounts an engine.
pub(super) fn enable(call: &mut Call<'_, '_>, class: Class) -> Result<Reply, Error> {
    let path = path_of(call, prefix_of(class));
    let kind = call.fields.text("type").unwrap_or_default();
    if kind.is_empty() {
        return Err(Error::invalid("backend type must be specified as a string"));
    }
    let (kind, options) = engines::spelled(kind, call.fields.map("options").cloned().unwrap_or_default())?;
    check_place(&path, class)?;
    if Registry::of(call.store).is_single(kind) {
        return Err(Error::invalid(format!("mount type of {kind:?} is not mountable")));
    }
    if Registry::of(call.store).find(class, kind, &options).is_none() {
        return Err(Error::invalid(format!("plugin not found in the catalog: {kind}")));
    }
    let table = MountTable::load(call.store)?;
    if let Some(other) = table.conflict(&path) {
        return Err(in_use(&other.record.path));
    }
    let kind = kind.to_owned();
    printable::check_note("description", call.fields.text_or_empty("description"))?;
    let mut record =
        creation::new_record(call.context, &path, &kind, call.fields.text("description").unwrap_or_default());
    record.options_json = Value::Object(options).to_string();
    record.local = call.fields.bool("local").unwrap_or(false);
    record.seal_wrap = call.fields.bool("seal_wrap").unwrap_or(false);
    record.external_entropy_access = call.fields.bool("external_entropy_access").unwrap_or(false);
    let config = call.fields.map("config").cloned().unwrap_or_default();
    settings::apply(&mut record, &config, call.context.system_ttl, Registry::of(call.store))?;
    let mut records = table.records();
    records.push(record.clone());
    save(call, records)?;
    let entry = RouteEntry::new(record, call.store.namespace(), Registry::of(call.store))?;
    if let Some(mounted) = entry.engine.life.mounted {
        mounted(&mut call.work_on(entry.mount))?;
    }
    let reply = Reply::empty().announce(format!("{kind} is enabled at {path}"));
    let unknown = settings::unknown(&config);
    if unknown.is_empty() {
        return Ok(reply);
    }
    Ok(reply.warn(format!("these settings in config are unknown and were ignored: [{}]", unknown.join(" "))))
}

/// The error for a path at which something is mounted, above or below which nothing else can be.
fn in_use(path: &str) -> Error {
    Error::invalid(format!("path is already in use at {}", description::short_path(path)))
}

fn check_place(path: &str, class: Class) -> Result<(), Error> {
    if mount::class_of(path) != class || path == "auth/" || (class == Class::Secret && is_reserved(path)) {
        return Err(Error::invalid(format!("cannot mount {path:?}")));
    }
    if path.len() > MAX_PATH_BYTES {
        return Err(Error::invalid(format!("the path is too long: a mount's path has at most {MAX_PATH_BYTES} bytes")));
    }
    Ok(())
}

/// Writes the table, within its limits.
pub(super) fn save(call: &mut Call<'_, '_>, mounts: Vec<MountRecord>) -> Result<(), Error> {
    if mounts.len() > MAX_MOUNTS {
        return Err(Error::invalid(format!(
            "there are {MAX_MOUNTS} mounts, the most that a namespace has; disable some first"
        )));
    }
    if mounts.iter().any(|mount| mount.encoded_len() > MAX_RECORD_BYTES) {
        return Err(Error::invalid(format!(
            "the mount's description, options and settings are too long: together they take at most {MAX_RECORD_BYTES} bytes"
        )));
    }
    let table = MountTableRecord { mounts };
    if table.encoded_len() > MAX_PLAINTEXT_BYTES {
        return Err(Error::invalid("the mount table is full; disable mounts, or shorten descriptions and settings"));
    }
    MountTable::save(call.store, table.mounts)
}

/// Unmounts an engine. What is not there is not worth an error, so that nobody learns what is mounted.
pub(super) fn disable(call: &mut Call<'_, '_>, class: Class) -> Result<Reply, Error> {
    let path = path_of(call, prefix_of(class));
    if mount::is_fixed(&path) {
        return Err(Error::invalid(match class {
            Class::Secret => format!("cannot unmount {path:?}"),
            Class::Auth => "token credential backend cannot be disabled".to_owned(),
        }));
    }
    let table = MountTable::load(call.store)?;
    let Some(mount) = table.at(&path).filter(|_| mount::class_of(&path) == class) else { return Ok(Reply::empty()) };
    let others = table.records().into_iter().filter(|record| record.path != path).collect();
    save(call, others)?;
    quota::forget_mount(call.store, &path)?;
    revocation::end_mount(call.store, call.context, mount)?;
    Ok(Reply::empty().announce(format!("{} is disabled at {path}", mount.record.kind)))
}

/// The settings in force of a mount.
pub(super) fn read_tuning(call: &mut Call<'_, '_>, prefix: &str) -> Result<Reply, Error> {
    let path = path_of(call, prefix);
    let table = MountTable::load(call.store)?;
    let mount = table.at(&path).ok_or_else(|| Error::invalid(format!("cannot fetch sysview for path {path:?}")))?;
    Ok(Reply::data(description::tuning(mount, call.context.system_ttl).into()).injected())
}

/// Changes the settings of a mount.
pub(super) fn tune(call: &mut Call<'_, '_>, prefix: &str) -> Result<Reply, Error> {
    let path = path_of(call, prefix);
    if mount::is_fixed(&path) && mount::class_of(&path) == Class::Secret {
        return Err(Error::invalid(format!("cannot tune {path:?}")));
    }
    let table = MountTable::load(call.store)?;
    let mut records = table.records();
    let Some(record) = records.iter_mut().find(|record| record.path == path) else {
        return Err(Error::invalid(format!("tune of path {path:?} failed: no mount entry found")));
    };
    if let Some(description) = call.fields.text("description") {
        printable::check_note("description", description)?;
        record.description = description.to_owned();
    }
    settings::apply(record, &call.request.data, call.context.system_ttl, Registry::of(call.store))?;
    if let Some(sent) = call.fields.map("options") {
        let mut options: Map<String, Value> = serde_json::from_str(&record.options_json).unwrap_or_default();
        options.extend(sent.clone());
        record.options_json = Value::Object(options).to_string();
    }
    let (before, after) = (table.at(&path), Arc::new(Mount::new(record.clone(), call.store.namespace())?));
    save(call, records)?;
    let tuned = before.and_then(|before| Some((&before.record, before.engine.life.tuned?)));
    let warnings = match tuned {
        Some((before, tuned)) => tuned(&mut call.work_on(after), before)?,
        None => Vec::new(),
    };
    Ok(Reply { warnings, ..Reply::default() })
}
