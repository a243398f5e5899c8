//! Numbers that only grow.

use conclave_vault::{Call, Engine, Error, Field, Kind, Operation, Path, Reply, field};
use prost::Message;
use serde_json::json;

const NAME: Field = field("name", Kind::Text, "Name of the number.");
const STEP: Field = field("step", Kind::Int, "How much to add.").or("1");

pub(crate) static ENGINE: Engine = Engine {
    kind: "counter",
    help: "Numbers that only grow.",
    paths: &[&[Path {
        pattern: "count/{name}",
        fields: &[&[NAME, STEP]],
        operations: &[(Operation::Read, read), (Operation::Update, add)],
        help: "Read a number, or raise it.",
        ..Path::DEFAULT
    }]],
    ..Engine::DEFAULT
};

#[derive(Message)]
struct CountRecord {
    #[prost(int64, tag = "1")]
    count: i64,
}

fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let path = ["count", call.fields.text_or_empty("name")];
    let record: CountRecord = call.store.get(&call.mount.area, &path)?.ok_or_else(Error::not_found)?;
    Ok(Reply::data(json!({ "count": record.count })))
}

fn add(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let path = ["count", call.fields.text_or_empty("name")];
    let mut record: CountRecord = call.store.get(&call.mount.area, &path)?.unwrap_or_default();
    let sum = record.count.checked_add(call.fields.int("step").unwrap_or(1));
    record.count = sum.ok_or_else(|| Error::invalid("the number would be too large"))?;
    call.store.put(&call.mount.area, &path, &record)?;
    Ok(Reply::data(json!({ "count": record.count })))
}
