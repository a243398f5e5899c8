//! What can be asked about although nothing of it can be set up yet: the answer is that there is none.
//!
//! Clients ask for these before they do anything else, so an error would stop them. Whoever adds the thing itself takes
//! its path from here.

use serde_json::json;

use crate::engine::{Access, Call, Path};
use crate::error::Error;
use crate::reply::Reply;
use crate::request::Operation;

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
        operations: &[(Operation::List, password_policies)],
        help: "List the password policies; there are none",
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

fn password_policies(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Reply::keys(Vec::new())
}
