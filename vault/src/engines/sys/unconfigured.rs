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
use crate::seal::record::{SEAL, SealRecord};
use crate::store::decode;
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
        pattern: "config/cors",
        operations: &[(Operation::Read, cors)],
        access: Access::Sudo,
        help: "Read whether browsers of other origins may ask; they may not",
        ..Path::DEFAULT
    },
    Path {
        pattern: "quotas/config",
        operations: &[(Operation::Read, quotas)],
        help: "Read the settings of quotas; there are no quotas",
        ..Path::DEFAULT
    },
    Path {
        pattern: "policies/password/?",
        operations: &[(Operation::List, no_names)],
        help: "List the password policies; there are none",
        ..Path::DEFAULT
    },
    Path {
        pattern: "quotas/rate-limit/?",
        operations: &[(Operation::List, no_names)],
        help: "List the rate limits; there are none",
        ..Path::DEFAULT
    },
    Path {
        pattern: "quotas/rate-limit/{name}",
        fields: &[&[field("name", Kind::Text, "Name of the rate limit")]],
        operations: &[(Operation::Read, no_such_thing)],
        help: "Read a rate limit; there are none",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config/ui/headers/?",
        operations: &[(Operation::List, no_names)],
        access: Access::Sudo,
        help: "List the headers of the user interface; there are none",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config/ui/headers/{header}",
        fields: &[&[field("header", Kind::Text, "Name of the header")]],
        operations: &[(Operation::Read, no_such_thing)],
        access: Access::Sudo,
        help: "Read a header of the user interface; there are none",
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
        pattern: "loggers",
        operations: &[(Operation::Read, loggers)],
        help: "List the loggers whose level was changed; there are none",
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
    Path {
        pattern: "generate-root/attempt",
        operations: &[(Operation::Read, root_attempt)],
        help: "Read how far the making of a root token came; it cannot be started",
        ..Path::DEFAULT
    },
    Path {
        pattern: "rekey/init",
        operations: &[(Operation::Read, rekey_attempt)],
        help: "Read how far a change of the shares came; it cannot be started",
        ..Path::DEFAULT
    },
];

fn audit_devices(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(Reply::data(json!({})).injected())
}

fn cors(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(Reply::data(json!({ "enabled": false })).injected())
}

fn quotas(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(Reply::data(json!({
        "enable_rate_limit_audit_logging": false,
        "enable_rate_limit_response_headers": false,
        "rate_limit_exempt_paths": [],
    })))
}

fn no_names(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Reply::keys(Vec::new())
}

fn no_such_thing(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Err(Error::not_found())
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

fn loggers(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(Reply::data(json!({})))
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

/// Shares that a ceremony needs.
fn required(call: &mut Call<'_, '_>) -> Result<u32, Error> {
    let seal = call.store.get_open(SEAL)?.ok_or_else(|| Error::internal("there is no seal record"))?;
    Ok(decode::<SealRecord>(&seal)?.threshold)
}

fn root_attempt(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let required = required(call)?;
    Ok(plain(json!({
        "complete": false,
        "encoded_root_token": "",
        "encoded_token": "",
        "nonce": "",
        "otp": "",
        "otp_length": 0,
        "pgp_fingerprint": "",
        "progress": 0,
        "required": required,
        "started": false,
    })))
}

fn rekey_attempt(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let required = required(call)?;
    Ok(plain(json!({
        "backup": false,
        "n": 0,
        "nonce": "",
        "pgp_fingerprints": null,
        "progress": 0,
        "required": required,
        "started": false,
        "t": 0,
        "verification_required": false,
    })))
}

/// A reply without an envelope.
fn plain(body: serde_json::Value) -> Reply {
    Reply { plain: true, ..Reply::data(body) }
}
