//! KV version 1: one document per path, replaced as a whole, without history.

use crate::engine::{Call, Engine, Life, Path, Work};
use crate::engines::documents::Documents;
use crate::engines::{is_second, listing};
use crate::error::Error;
use crate::field::{Field, Kind, duration, field};
use crate::mount::Class;
use crate::mount::MountRecord;
use crate::reply::Reply;
use crate::request::Operation;
use serde_json::Value;

/// Root of the documents in the mount's area. Version 2 reads it too, for mounts that were upgraded.
pub(crate) const ROOT: &str = "v1";

const PATH: Field = field("path", Kind::Text, "Where the secret lies.");

const PATHS: &[Path] = &[Path {
    pattern: "{path..?}",
    fields: &[&[PATH], listing::FIELDS],
    operations: &[
        (Operation::Read, read),
        (Operation::Update, write),
        (Operation::Delete, delete),
        (Operation::List, list),
        (Operation::Scan, scan),
    ],
    exists: Some(exists),
    takes_any_field: true,
    help: "Read, write, delete and list secrets.",
    ..Path::DEFAULT
}];

/// KV version 1.
pub(crate) static ENGINE: Engine = Engine {
    kind: "kv",
    aliases: &["generic", "kv-v1"],
    takes_options: |options| !is_second(options),
    class: Class::Secret,
    help: "Key and value storage without versions.",
    paths: &[PATHS],
    life: Life { tuned: Some(tuned), ..Life::NONE },
    ..Engine::DEFAULT
};

/// Tuning may turn version 1 into version 2, and not back.
pub(super) fn tuned(work: &mut Work<'_, '_>, before: &MountRecord) -> Result<Vec<String>, Error> {
    let (before, after) = (before.options(), work.mount.options());
    if before.get("version") == after.get("version") {
        return Ok(Vec::new());
    }
    let version = after.get("version").and_then(Value::as_str).unwrap_or_default();
    match (is_second(&before), version) {
        (false, "1") => Ok(Vec::new()),
        (true, "1") => Err(Error::invalid("cannot downgrade mount from version 2")),
        (false, "2") => {
            let text =
                "The mount was upgraded from version 1 to version 2: each old value is now version 1 of its key.";
            Ok(vec![text.to_owned()])
        }
        _ => Err(Error::invalid(format!("the version {version:?} is none; kv has version 1 or 2"))),
    }
}

fn documents(call: &Call<'_, '_>) -> Documents<'static> {
    Documents::new(call.mount.area.clone(), ROOT)
}

fn exists(call: &mut Call<'_, '_>) -> Result<bool, Error> {
    documents(call).contains(call.store, call.rest)
}

fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let document = documents(call).get(call.store, call.rest)?.ok_or_else(Error::not_found)?;
    let hint = document.get("ttl").or_else(|| document.get("lease")).and_then(duration).map(|hint| hint.as_secs());
    let default = match call.mount.record.default_ttl_secs {
        0 => call.context.system_ttl.default_secs,
        secs => secs,
    };
    let lease_secs = hint.filter(|secs| *secs > 0).unwrap_or(default);
    Ok(Reply { data: Some(document), lease_secs, ..Reply::default() })
}

fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    if call.request.data.is_empty() {
        return Err(Error::invalid("missing data fields"));
    }
    documents(call).put(call.store, call.rest, &call.request.data)?;
    Ok(Reply::empty())
}

fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    documents(call).delete(call.store, call.rest)?;
    Ok(Reply::empty())
}

fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let names = documents(call).list(call.store, call.rest)?;
    listing::page_of(&names, &call.fields)
}

fn scan(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let names = documents(call).below(call.store, call.rest)?;
    listing::page(names, &call.fields)
}
