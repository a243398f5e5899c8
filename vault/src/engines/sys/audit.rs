//! `sys/audit`: the audit devices, the hashes that their records hold, and the headers that they record.
//!
//! What a device's settings mean only the node knows, which also has those that its configuration names. So a device that
//! is to be enabled is tried by the node that is asked, before it is written down; the other nodes open it once they see it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::mounts::with_slash;
use crate::action::Action;
use crate::audit::head::{self, AuditHead};
use crate::audit::rules::AuditHasher;
use crate::audit::{AuditDevice, AuditRules, AuditedHeader};
use crate::engine::{Access, Call, Effect, Path};
use crate::error::Error;
use crate::field::{Kind, field};
use crate::printable;
use crate::reply::Reply;
use crate::request::Operation;
use crate::time::Time;

/// Most audit devices that are enabled over the API. Each costs every request.
const MAX_DEVICES: usize = 16;
/// Longest path of an audit device, in bytes.
const MAX_DEVICE_PATH_BYTES: usize = 128;
/// All options of an audit device together, in bytes.
const MAX_OPTIONS_BYTES: usize = 16 << 10;
/// Longest description of an audit device, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 1024;
/// Most request headers that are recorded.
const MAX_HEADERS: usize = 64;
/// Longest name of a request header that is recorded, in bytes.
const MAX_HEADER_NAME_BYTES: usize = 128;
/// Headers that carry what lets somebody in: their values never stand in a record.
const SECRET_HEADERS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-vault-token"];

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "audit",
        operations: &[(Operation::Read, list)],
        access: Access::Sudo,
        help: "List the audit devices",
        ..Path::DEFAULT
    },
    Path {
        pattern: "audit/{path..}",
        fields: &[&[
            field("path", Kind::MountPath, "Path of the device, which is its name"),
            field("type", Kind::Text, "file, socket, syslog or http").required(),
            field("description", Kind::Text, "A note for people"),
            field("options", Kind::KeyValues, "Settings of the device"),
            field("local", Kind::Bool, "Shown, without effect: there is no replication between clusters"),
        ]],
        operations: &[(Operation::Update, enable), (Operation::Delete, disable)],
        access: Access::Sudo,
        help: "Enable or disable an audit device",
        ..Path::DEFAULT
    },
    Path {
        pattern: "audit-hash/{path..}",
        fields: &[&[
            field("path", Kind::MountPath, "Path of the device"),
            field("input", Kind::Text, "The text whose hash is wanted"),
        ]],
        operations: &[(Operation::Update, hash)],
        effect: Effect::Reads,
        help: "Compute what stands for a text in a device's records",
        ..Path::DEFAULT
    },
    Path {
        pattern: "audit-chain/{path..}",
        fields: &[&[field("path", Kind::MountPath, "Path of the device")]],
        operations: &[(Operation::Read, heads)],
        access: Access::Sudo,
        help: "Read how far the chains of a device's lines were on each node when that was last committed",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config/auditing/request-headers",
        operations: &[(Operation::Read, list_headers)],
        access: Access::Sudo,
        help: "List the request headers that audit devices record",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config/auditing/request-headers/{header}",
        fields: &[&[
            field("header", Kind::Text, "Name of the header"),
            field("hmac", Kind::Bool, "Whether records hold a hash in place of the value"),
        ]],
        operations: &[
            (Operation::Read, read_header),
            (Operation::Update, record_header),
            (Operation::Delete, forget_header),
        ],
        access: Access::Sudo,
        help: "Have a request header recorded, or no more",
        ..Path::DEFAULT
    },
];

/// The devices that the node's configuration names, as lists show them.
fn configured(call: &mut Call<'_, '_>) -> Result<Map<String, Value>, Error> {
    let reply = call.context.ask_node(Action::ConfiguredAuditDevices)?;
    let devices = reply.data.and_then(|mut data| data.remove("devices"));
    Ok(devices.and_then(|devices| devices.as_object().cloned()).unwrap_or_default())
}

fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mut devices = configured(call)?;
    let rules = AuditRules::load(call.store)?;
    devices.extend(rules.devices.iter().map(|device| (device.path.clone(), device.shown())));
    Ok(Reply::data(devices.into()).injected())
}

fn path_of(call: &Call<'_, '_>) -> String {
    with_slash(call.fields.text_or_empty("path"))
}

fn enable(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let device = described(call)?;
    let mut rules = AuditRules::clone(&*AuditRules::load(call.store)?);
    if rules.devices.iter().any(|known| known.path == device.path) {
        return Err(Error::invalid("path already in use"));
    }
    if rules.devices.len() >= MAX_DEVICES {
        return Err(Error::invalid(format!("there are {MAX_DEVICES} audit devices, the most that can be enabled")));
    }
    call.context.ask_node(Action::TryAuditDevice(device.clone()))?;
    let announcement = format!("the audit device {} is enabled, of type {}", device.path, device.kind);
    rules.devices.push(AuditDevice { id: call.context.uuid(), ..device });
    rules.devices.sort_by(|one, other| one.path.cmp(&other.path));
    rules.save(call.store)?;
    Ok(Reply::empty().announce(announcement))
}

/// The device that a request describes; without an id.
fn described(call: &Call<'_, '_>) -> Result<AuditDevice, Error> {
    let fields = &call.fields;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let options: BTreeMap<String, String> =
        fields.map("options").into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect();
    let device = AuditDevice {
        path: path_of(call),
        kind: fields.text_or_empty("type").to_owned(),
        description: fields.text_or_empty("description").to_owned(),
        options,
        is_local: fields.bool("local").unwrap_or(false),
        id: String::new(),
    };
    printable::check_note("description", &device.description)?;
    if device.path.len() > MAX_DEVICE_PATH_BYTES || !printable::is_printable(&device.path) {
        let most = MAX_DEVICE_PATH_BYTES;
        return Err(Error::invalid(format!("the path of an audit device has at most {most} bytes, all printable")));
    }
    if device.description.len() > MAX_DESCRIPTION_BYTES {
        return Err(Error::invalid(format!("the description has at most {MAX_DESCRIPTION_BYTES} bytes")));
    }
    if device.options.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_OPTIONS_BYTES {
        return Err(Error::invalid(format!("the options take at most {MAX_OPTIONS_BYTES} bytes")));
    }
    Ok(device)
}

/// What is not there is not worth an error, as with mounts.
fn disable(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let path = path_of(call);
    let mut rules = AuditRules::clone(&*AuditRules::load(call.store)?);
    let Some(at) = rules.devices.iter().position(|known| known.path == path) else {
        if configured(call)?.contains_key(&path) {
            return Err(Error::invalid(
                "the configuration of this node names the device; take it out there and send HUP",
            ));
        }
        return Ok(Reply::empty());
    };
    rules.devices.remove(at);
    rules.save(call.store)?;
    Ok(Reply::empty().announce(format!("the audit device {path} is disabled")))
}

fn hash(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let input = call.fields.text_or_empty("input").to_owned();
    if input.is_empty() {
        return Err(Error::invalid("the \"input\" parameter is empty"));
    }
    let path = path_of(call);
    let rules = AuditRules::load(call.store)?;
    let id = match rules.devices.iter().find(|known| known.path == path) {
        Some(device) => device.id.clone(),
        None if configured(call)?.contains_key(&path) => AuditDevice::configured_id(&path),
        None => return Err(Error::invalid(format!("unknown audit backend {path:?}"))),
    };
    let hash = AuditHasher::new(call.store.barrier(), &id).hash(&input);
    Ok(Reply::data(json!({ "hash": hash })).injected())
}

fn heads(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let path = path_of(call);
    let heads = head::of(call.store, &path)?;
    let shown = |(at, head): (usize, &AuditHead)| {
        json!({
            "node": head.node,
            "chain": head.chain,
            "number": head.number,
            "value": head.value,
            "time": Time::from_millis(head.written_millis).to_string(),
            "newest": heads.get(at + 1).is_none_or(|next| next.node != head.node),
        })
    };
    let shown: Vec<Value> = heads.iter().enumerate().map(shown).collect();
    Ok(Reply::data(json!({ "heads": shown })))
}

fn shown_header(header: &AuditedHeader) -> (String, Value) {
    (header.name.clone(), json!({ "hmac": header.is_hashed }))
}

fn list_headers(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let rules = AuditRules::load(call.store)?;
    let headers: Map<String, Value> = rules.headers.iter().map(shown_header).collect();
    Ok(Reply::data(json!({ "headers": headers })).injected())
}

/// Names of headers differ in case only for those who read them.
fn header_name(call: &Call<'_, '_>) -> String {
    call.fields.text_or_empty("header").to_ascii_lowercase()
}

fn read_header(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (asked, name) = (call.fields.text_or_empty("header").to_owned(), header_name(call));
    let rules = AuditRules::load(call.store)?;
    let header = rules.headers.iter().find(|header| header.name == name);
    let header = header.ok_or_else(|| Error::invalid("Could not find header in config"))?;
    // Under the name as it was asked for, as clients expect.
    Ok(Reply::data(Value::Object(Map::from_iter([(asked, shown_header(header).1)]))).injected())
}

fn record_header(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = header_name(call);
    let is_hashed = call.fields.bool("hmac").unwrap_or(false);
    if name.len() > MAX_HEADER_NAME_BYTES || !name.bytes().all(is_token_byte) {
        return Err(Error::invalid(format!(
            "the name of a header has at most {MAX_HEADER_NAME_BYTES} letters, digits and dashes"
        )));
    }
    if SECRET_HEADERS.contains(&name.as_str()) && !is_hashed {
        return Err(Error::invalid("this header carries secrets; it is recorded with hmac=true only"));
    }
    let mut rules = AuditRules::clone(&*AuditRules::load(call.store)?);
    rules.headers.retain(|header| header.name != name);
    if rules.headers.len() >= MAX_HEADERS {
        return Err(Error::invalid(format!(
            "{MAX_HEADERS} headers are recorded, the most that can be; forget some first"
        )));
    }
    rules.headers.push(AuditedHeader { name, is_hashed });
    rules.headers.sort_by(|one, other| one.name.cmp(&other.name));
    rules.save(call.store)?;
    Ok(Reply::empty())
}

/// What names of headers are made of (RFC 9110, section 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn forget_header(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = header_name(call);
    let mut rules = AuditRules::clone(&*AuditRules::load(call.store)?);
    let before = rules.headers.len();
    rules.headers.retain(|header| header.name != name);
    if rules.headers.len() < before {
        rules.save(call.store)?;
    }
    Ok(Reply::empty())
}
