//! What can be asked about although nothing of it can be set up yet: the answer is that there is none.
//!
//! Clients ask for these before they do anything else, so an error would stop them. Whoever adds the thing itself takes
//! its path from here.

use serde_json::json;

use crate::engine::{Access, Call, Path};
use crate::error::Error;
use crate::field::{Kind, field};
use crate::identity;
use crate::reply::Reply;
use crate::request::Operation;
use crate::token::record;

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "audit",
        operations: &[(Operation::Read, audit_devices)],
        access: Access::Sudo,
        help: "List the audit devices; there are none",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config/auditing/request-headers",
        operations: &[(Operation::Read, audited_headers)],
        access: Access::Sudo,
        help: "List the request headers that audit devices record; there are none",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config/auditing/request-headers/{header}",
        fields: &[&[field("header", Kind::Text, "Name of the header")]],
        operations: &[(Operation::Read, audited_header)],
        access: Access::Sudo,
        help: "Read whether audit devices record a request header; they record none",
        ..Path::DEFAULT
    },
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

fn audit_devices(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(Reply::data(json!({})).injected())
}

fn nothing_to_say(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(Reply::empty())
}

fn audited_headers(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(Reply::data(json!({ "headers": {} })).injected())
}

fn audited_header(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Err(Error::invalid("Could not find header in config"))
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
