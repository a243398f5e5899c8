//! What can be asked about although nothing of it can be set up yet: the answer is that there is none.
//!
//! Clients ask for these before they do anything else, so an error would stop them. Whoever adds the thing itself takes
//! its path from here.

use serde_json::json;

use crate::engine::{Call, Path};
use crate::error::Error;
use crate::identity;
use crate::reply::Reply;
use crate::request::Operation;
use crate::token::record;

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "internal/counters/requests",
        operations: &[(Operation::Read, requests)],
        help: "Count requests by month; they are not counted",
        ..Path::DEFAULT
    },
    Path {
        pattern: "internal/counters/tokens",
        operations: &[(Operation::Read, tokens)],
        help: "Count the service tokens",
        ..Path::DEFAULT
    },
    Path {
        pattern: "internal/counters/entities",
        operations: &[(Operation::Read, entities)],
        help: "Count the entities",
        ..Path::DEFAULT
    },
    Path {
        pattern: "internal/counters/config",
        operations: &[(Operation::Read, counters)],
        help: "Read how clients are counted; they are not",
        ..Path::DEFAULT
    },
    Path {
        pattern: "internal/counters/activity",
        operations: &[(Operation::Read, nothing_to_say)],
        help: "Count clients by month; they are not counted",
        ..Path::DEFAULT
    },
];

fn nothing_to_say(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(Reply::empty())
}

fn requests(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(Reply::data(json!({ "counters": [] })))
}

fn tokens(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let system = call.store.system();
    let total = call.store.count(&system, record::ACCESSORS)?;
    Ok(Reply::data(json!({ "counters": { "service_tokens": { "total": total } } })))
}

fn entities(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let total = identity::count_entities(call.store)?;
    Ok(Reply::data(json!({ "counters": { "entities": { "total": total } } })))
}

fn counters(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(Reply::data(json!({
        "default_report_months": 12,
        "enabled": "disable",
        "queries_available": false,
        "retention_months": 0,
    })))
}
