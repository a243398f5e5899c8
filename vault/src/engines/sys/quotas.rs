//! `sys/quotas`: rate limits ([`crate::quota`]).

use serde_json::{Value, json};

use crate::engine::{Call, Path};
use crate::engines::listing;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::mount::{Class, class_of};
use crate::quota::{self, Quotas, RateLimit};
use crate::reply::Reply;
use crate::request::Operation;

/// Most rate limits.
const MAX_RATE_LIMITS: usize = 256;
/// Most paths that are exempt from all of them.
const MAX_EXEMPT_PATHS: usize = 256;
/// Longest name of a rate limit, and longest path, in bytes.
const MAX_QUOTA_TEXT_BYTES: usize = 1024;
/// Highest rate.
const MAX_RATE: f64 = 1_000_000_000.0;
/// Longest interval, and longest time that a client is refused, in seconds.
const MAX_QUOTA_SECS: u64 = 7 * 24 * 3600;

const NAME: Field = field("name", Kind::Text, "Name of the rate limit");

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "quotas/config",
        fields: &[&[
            field(
                "enable_rate_limit_audit_logging",
                Kind::Bool,
                "Whether audit devices record what is refused for its rate",
            ),
            field(
                "enable_rate_limit_response_headers",
                Kind::Bool,
                "Whether replies say how much of the limit is left",
            ),
            field(
                "rate_limit_exempt_paths",
                Kind::CommaList,
                "Paths that count against no limit, each exact or ending in *",
            ),
        ]],
        operations: &[(Operation::Read, read_config), (Operation::Update, write_config)],
        help: "Read or change the settings of rate limits",
        ..Path::DEFAULT
    },
    Path {
        pattern: "quotas/rate-limit/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, list)],
        help: "List the rate limits",
        ..Path::DEFAULT
    },
    Path {
        pattern: "quotas/rate-limit/{name}",
        fields: &[&[
            NAME,
            field("type", Kind::Text, "\"rate-limit\"").one_of(&["rate-limit"]),
            field("path", Kind::Text, "A mount, a path within one (perhaps ending in *), or all requests if empty"),
            field("rate", Kind::Any, "Requests that one client may send in an interval"),
            field("interval", Kind::Duration, "The interval; 1 second if not said"),
            field("block_interval", Kind::Duration, "For how long a client that sent too many is refused"),
            field("role", Kind::Text, "Refused: limits are not by role"),
            field("inheritable", Kind::Bool, "Whether it counts in namespaces below; only for all requests"),
        ]],
        operations: &[(Operation::Read, read), (Operation::Update, write), (Operation::Delete, delete)],
        help: "Read, write or delete a rate limit",
        ..Path::DEFAULT
    },
];

fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let quotas = quota::load(call.store)?;
    listing::page(quotas.rate_limits.iter().map(|rule| rule.name.clone()).collect(), &call.fields)
}

fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let quotas = quota::load(call.store)?;
    let rule = quotas.rate_limits.iter().find(|rule| rule.name == call.fields.text_or_empty("name"));
    let rule = rule.ok_or_else(Error::not_found)?;
    Ok(Reply::data(json!({
        "block_interval": rule.block_secs,
        "inheritable": rule.path.is_empty(),
        "interval": rule.interval_secs,
        "name": rule.name,
        "path": rule.path,
        "rate": rule.rate,
        "role": "",
        "type": "rate-limit",
    })))
}

fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let rule = rule_of(call)?;
    let mut quotas = Quotas::clone(&*quota::load(call.store)?);
    if let Some(other) = quotas.rate_limits.iter().find(|other| other.path == rule.path && other.name != rule.name) {
        return Err(Error::invalid(format!(
            "quota rule with similar properties exists under the name {:?}",
            other.name
        )));
    }
    quotas.rate_limits.retain(|other| other.name != rule.name);
    if quotas.rate_limits.len() >= MAX_RATE_LIMITS {
        return Err(Error::invalid(format!("there are {MAX_RATE_LIMITS} rate limits, the most that there can be")));
    }
    quotas.rate_limits.push(rule);
    quotas.rate_limits.sort_by(|one, other| one.name.cmp(&other.name));
    quota::put(call.store, &quotas)?;
    Ok(Reply::empty())
}

/// The rule that a request asks for. What it does not say stays as it was.
fn rule_of(call: &mut Call<'_, '_>) -> Result<RateLimit, Error> {
    let name = call.fields.text_or_empty("name").to_owned();
    let known = quota::load(call.store)?.rate_limits.iter().find(|rule| rule.name == name).cloned();
    let mut rule = known.unwrap_or(RateLimit { name, interval_secs: 1, ..RateLimit::default() });
    if let Some(path) = call.fields.text("path").map(str::to_owned) {
        rule.path = quota::placed(call.store, &path)?;
    }
    if !call.fields.text_or_empty("role").is_empty() {
        return Err(Error::invalid(match class_of(&rule.path) {
            Class::Auth => {
                "limits by role are not supported: leave out role, and limit the path of the login".to_owned()
            }
            Class::Secret => format!(
                "Mount path {:?} is not a valid auth method and therefore unsuitable for use with role-based quotas",
                rule.path
            ),
        }));
    }
    if call.fields.bool("inheritable") == Some(true) && !rule.path.is_empty() {
        return Err(Error::invalid("inheritable is for limits of all requests: leave out path"));
    }
    if call.fields.has("rate") {
        rule.rate = call.fields.any("rate").and_then(number).unwrap_or(0.0);
    }
    if !(rule.rate > 0.0 && rule.rate <= MAX_RATE) {
        return Err(Error::invalid("'rate' is invalid"));
    }
    rule.interval_secs = secs(call, "interval")?.unwrap_or(rule.interval_secs);
    rule.block_secs = secs(call, "block_interval")?.unwrap_or(rule.block_secs);
    if rule.interval_secs == 0 {
        return Err(Error::invalid("'interval' is invalid: it is 1 second at least"));
    }
    if rule.name.len() > MAX_QUOTA_TEXT_BYTES || rule.path.len() > MAX_QUOTA_TEXT_BYTES {
        return Err(Error::invalid(format!(
            "a rate limit's name and path have at most {MAX_QUOTA_TEXT_BYTES} bytes each"
        )));
    }
    Ok(rule)
}

/// A number, or text that is one.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn secs(call: &Call<'_, '_>, name: &str) -> Result<Option<u64>, Error> {
    match call.fields.duration(name) {
        Some(time) if time.as_secs() > MAX_QUOTA_SECS => {
            Err(Error::invalid(format!("{name} must be at most {MAX_QUOTA_SECS} seconds")))
        }
        time => Ok(time.map(|time| time.as_secs())),
    }
}

fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mut quotas = Quotas::clone(&*quota::load(call.store)?);
    let before = quotas.rate_limits.len();
    quotas.rate_limits.retain(|rule| rule.name != call.fields.text_or_empty("name"));
    if quotas.rate_limits.len() != before {
        quota::put(call.store, &quotas)?;
    }
    Ok(Reply::empty())
}

fn read_config(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let quotas = quota::load(call.store)?;
    Ok(Reply::data(json!({
        "enable_rate_limit_audit_logging": quotas.is_recorded,
        "enable_rate_limit_response_headers": quotas.has_headers,
        "rate_limit_exempt_paths": quotas.exempt(),
    })))
}

fn write_config(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mut quotas = Quotas::clone(&*quota::load(call.store)?);
    quotas.is_recorded = call.fields.bool("enable_rate_limit_audit_logging").unwrap_or(quotas.is_recorded);
    quotas.has_headers = call.fields.bool("enable_rate_limit_response_headers").unwrap_or(quotas.has_headers);
    if let Some(paths) = call.fields.list("rate_limit_exempt_paths") {
        if paths.len() > MAX_EXEMPT_PATHS || paths.iter().any(|path| path.len() > MAX_QUOTA_TEXT_BYTES) {
            return Err(Error::invalid(format!(
                "at most {MAX_EXEMPT_PATHS} paths of {MAX_QUOTA_TEXT_BYTES} bytes are exempt"
            )));
        }
        quotas.exempt_paths = paths.iter().map(|path| path.trim_start_matches('/').to_owned()).collect();
        quotas.has_exempt_paths = true;
    }
    quota::put(call.store, &quotas)?;
    Ok(Reply::empty())
}
