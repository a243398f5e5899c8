//! An engine with a life of its own, for tests alone: numbers that only grow, and may end.
//!
//! It does one thing of each kind: it is mounted, it is due, it has long work, it asks, and it fails half way. What
//! surprises: the numbers lie in a folder whose name changes when all of them are forgotten, so that forgetting is one small
//! batch.

mod tests;

use prost::Message;
use serde_json::json;

use crate::action::Action;
use crate::engine::{Access, Call, Engine, Life, Path, Work};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::mount::Class;
use crate::reply::Reply;
use crate::request::Operation;
use crate::task::tree;
use crate::time::Time;

const NAME: Field = field("name", Kind::Text, "Name of the number.");
const TTL: Field = field("ttl", Kind::Duration, "How long the number is kept; for ever if not said.");

const PATHS: &[Path] = &[
    Path {
        // {name}: one segment; {path..}: the rest; {path..?}: the rest or nothing.
        pattern: "count/{name}",
        fields: &[&[NAME, field("step", Kind::Int, "How much to add.").or("1"), TTL]],
        operations: &[(Operation::Read, read), (Operation::Update, add)],
        help: "Read a number, or raise it.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "forget",
        operations: &[(Operation::Update, forget)],
        access: Access::Sudo,
        help: "Forget all numbers.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "origin/{name}",
        fields: &[&[NAME, field("fails", Kind::Bool, "Whether to fail at the end.").or("false")]],
        operations: &[(Operation::Update, origin)],
        help: "Keep what the node says of itself, under a name.",
        ..Path::DEFAULT
    },
];

/// The engine.
pub(crate) static ENGINE: Engine = Engine {
    // The word that mounts it.
    kind: "counter",
    // Or `Class::Auth`, below `auth/`.
    class: Class::Secret,
    help: "Numbers that only grow.",
    // As many tables as the engine has groups of paths.
    paths: &[PATHS],
    life: Life { mounted: Some(mounted), due: Some(due), chore: Some(delete_some), ..Life::NONE },
    ..Engine::DEFAULT
};

/// A number as it is stored.
#[derive(Clone, Copy, PartialEq, Message)]
struct CountRecord {
    #[prost(int64, tag = "1")]
    count: i64,
    /// When it is gone, nanoseconds since the Unix epoch; 0 is never.
    #[prost(int64, tag = "2")]
    expires_nanos: i64,
}

/// What the mount is about as a whole.
#[derive(Clone, Copy, PartialEq, Message)]
struct MountedRecord {
    /// Names the folder of the numbers; raised by 1 when they are forgotten.
    #[prost(uint64, tag = "1")]
    generation: u64,
}

/// What the node said.
#[derive(Clone, PartialEq, Message)]
struct OriginRecord {
    #[prost(string, tag = "1")]
    text: String,
}

fn mounted(work: &mut Work<'_, '_>) -> Result<(), Error> {
    work.store.put(&work.mount.area, &["mounted"], &MountedRecord { generation: 1 })
}

/// The name of the folder in which the numbers lie now.
fn folder(call: &mut Call<'_, '_>) -> Result<String, Error> {
    let record: Option<MountedRecord> = call.store.get(&call.mount.area, &["mounted"])?;
    let record = record.ok_or_else(|| Error::internal("the mount was not told that it is one"))?;
    Ok(record.generation.to_string())
}

fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = call.fields.text_or_empty("name").to_owned();
    let folder = folder(call)?;
    let record: Option<CountRecord> = call.store.get(&call.mount.area, &["count", &folder, &name])?;
    // Refused at use: the clean-up may come late.
    let record = record.filter(|record| !is_over(record, call.context.now)).ok_or_else(Error::not_found)?;
    Ok(Reply::data(json!({ "count": record.count })))
}

fn add(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = call.fields.text_or_empty("name").to_owned();
    let step = call.fields.int("step").unwrap_or(1);
    let folder = folder(call)?;
    let mut record: CountRecord = call.store.get(&call.mount.area, &["count", &folder, &name])?.unwrap_or_default();
    record.count = record.count.checked_add(step).ok_or_else(|| Error::invalid("the number would be too large"))?;
    if let Some(ttl) = call.fields.duration("ttl") {
        let expires = call.context.now.plus_secs(ttl.as_secs());
        record.expires_nanos = expires.nanos();
        call.work().remind(expires, &format!("{folder}.{name}"))?;
    }
    call.store.put(&call.mount.area, &["count", &folder, &name], &record)?;
    Ok(Reply::data(json!({ "count": record.count })))
}

fn is_over(record: &CountRecord, now: Time) -> bool {
    record.expires_nanos != 0 && record.expires_nanos <= now.nanos()
}

fn due(work: &mut Work<'_, '_>, name: &str) -> Result<(), Error> {
    let Some((folder, name)) = name.split_once('.') else { return Ok(()) };
    let record: Option<CountRecord> = work.store.get(&work.mount.area, &["count", folder, name])?;
    if record.is_some_and(|record| is_over(&record, work.context.now)) {
        work.store.delete(&work.mount.area, &["count", folder, name]);
    }
    Ok(())
}

fn forget(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let folder = folder(call)?;
    let generation = folder.parse::<u64>().map_err(|error| Error::internal(error.to_string()))? + 1;
    call.store.put(&call.mount.area, &["mounted"], &MountedRecord { generation })?;
    call.work().add_chore(&folder)?;
    Ok(Reply::empty())
}

fn delete_some(work: &mut Work<'_, '_>, name: &str, limit: usize) -> Result<usize, Error> {
    tree::delete_below(work.store, &work.mount.area, &["count", name], limit)
}

fn origin(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = call.fields.text_or_empty("name").to_owned();
    call.store.put(&call.mount.area, &["origin", &name], &OriginRecord::default())?;
    let said = call.context.ask_node(Action::VersionHistory)?;
    let text = said.data.map(serde_json::Value::Object).unwrap_or_default().to_string();
    call.store.put(&call.mount.area, &["origin", &name], &OriginRecord { text })?;
    match call.fields.bool("fails").unwrap_or(false) {
        true => Err(Error::invalid("it was to fail")),
        false => Ok(Reply::empty()),
    }
}
