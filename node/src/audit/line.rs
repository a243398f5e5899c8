//! A record as a line of JSON, field by field as Vault writes it: what a device holds, and what stands in it for secrets.
//!
//! Every text and every number that was sent or answered is hashed, but for those of fields that the mount shows
//! (`audit_non_hmac_request_keys`, `audit_non_hmac_response_keys`). Names of fields, truth values and what the server itself
//! says of a request stand there as they are. What surprises: numbers are hashed too, as texts, which Vault does not do.

use std::collections::BTreeSet;

use conclave_vault::{AuditHasher, Time, Trail, parse_duration};
use serde_json::{Map, Value, json};

use super::entry::{Answered, Asked, Entry};
use super::settings::Form;
use crate::config::limits::MAX_AUDIT_STRANGER_VALUES;
use crate::gateway::NotedHeader;

/// Writes the records of one device.
pub(super) struct Writer<'a> {
    pub(super) form: &'a Form,
    /// Absent while the node is sealed; records hold no values then.
    pub(super) hasher: Option<&'a AuditHasher>,
}

impl Form {
    /// For a device that cannot be had.
    pub(super) const STRICT: Self =
        Self { is_raw: false, hashes_accessors: true, elides_lists: false, prefix: String::new() };
}

/// What stands where a value would, if there is nothing to hash it with.
const WITHHELD: &str = "hmac-sha256:";

impl Writer<'_> {
    /// The whole line, without its end.
    pub(super) fn line(&self, entry: &Entry) -> Vec<u8> {
        let asked = &*entry.asked;
        let mut line = format!(
            "{}{{\"time\":\"{}\",\"type\":\"{}\"",
            self.form.prefix,
            entry.time,
            if entry.answer.is_some() { "response" } else { "request" },
        );
        let mut field = |name: &str, value: &Value| line.push_str(&format!(",\"{name}\":{value}"));
        if let Some(auth) = self.caller(asked) {
            field("auth", &auth);
        }
        field("request", &self.request(asked));
        if let Some(answer) = &entry.answer {
            field("response", &self.response(asked, answer));
        }
        if let Some(error) = entry.error.as_deref().filter(|error| !error.is_empty()) {
            field("error", &error.into());
        }
        line.push('}');
        line.into_bytes()
    }

    fn secret(&self, text: &str) -> Value {
        match self.hasher {
            _ if self.form.is_raw => text.into(),
            Some(hasher) => hasher.hash(text).into(),
            None => WITHHELD.into(),
        }
    }

    fn accessor(&self, text: &str) -> Value {
        if self.form.hashes_accessors { self.secret(text) } else { text.into() }
    }

    /// Who asked.
    fn caller(&self, asked: &Asked) -> Option<Value> {
        let trail = &asked.trail;
        let token = trail.token.as_ref()?;
        let (record, identity) = (&token.record, &trail.identity_policies);
        let all: BTreeSet<&String> = token.policies.iter().chain(identity).collect();
        let mut map = Map::new();
        let mut auth = Filled(&mut map);
        auth.put("client_token", asked.token.as_deref().map(|token| self.secret(token)).into());
        auth.put("accessor", self.accessor(token.accessor()));
        auth.put("display_name", record.display_name.clone().into());
        auth.put("policies", json!(all));
        auth.put("token_policies", json!(token.policies));
        auth.put("identity_policies", json!(identity));
        auth.put("policy_results", policy_results(trail));
        auth.put("metadata", json!(record.meta));
        auth.put("entity_id", record.entity_id.clone().into());
        auth.put("remaining_uses", record.uses_left.into());
        auth.put("token_type", if token.is_batch() { "batch" } else { "service" }.into());
        auth.put("token_issue_time", Time::from_nanos(record.issued_nanos).to_string().into());
        auth.put("token_ttl", record.ttl_secs.into());
        Some(map.into())
    }

    fn request(&self, asked: &Asked) -> Value {
        let mut map = Map::new();
        let mut request = Filled(&mut map);
        request.put("id", asked.id.clone().into());
        let operation = asked.trail.operation.map_or(asked.operation.as_str(), |known| known.as_str());
        request.put("operation", operation.into());
        request.put("path", asked.path.clone().into());
        request.put("remote_address", asked.remote_address.map(|address| address.to_string()).into());
        request.put("remote_port", asked.noted.remote_port.into());
        let path = asked.namespace.trim_matches('/');
        let namespace = if path.is_empty() { json!({ "id": "root" }) } else { json!({ "id": "root", "path": path }) };
        request.put("namespace", namespace);
        if let Some(token) = &asked.token {
            request.put("client_token", self.secret(token));
        }
        if let Some(token) = &asked.trail.token {
            request.put("client_token_accessor", self.accessor(token.accessor()));
        }
        let shown = asked.trail.mount.as_ref().map_or(&[][..], |mount| &mount.clear_request_keys);
        let data = asked.data.as_ref();
        request.put(
            "data",
            if asked.trail.token.is_some() { self.fields(data, shown) } else { self.of_stranger(data, shown) },
        );
        request.put("headers", self.headers(asked));
        let wrap = asked.wrap_ttl.as_deref().and_then(parse_duration).map(|ttl| ttl.as_secs());
        request.put("wrap_ttl", wrap.into());
        put_mount(&mut request, &asked.trail);
        map.into()
    }

    fn headers(&self, asked: &Asked) -> Value {
        let shown = |header: &NotedHeader| {
            let value = |text: &String| if header.is_hashed { self.secret(text) } else { text.clone().into() };
            (header.name.clone(), header.values.iter().map(value).collect::<Value>())
        };
        asked.noted.headers.iter().map(shown).collect::<Map<_, _>>().into()
    }

    /// The fields of a request or a reply.
    fn fields(&self, fields: Option<&Map<String, Value>>, shown: &[String]) -> Value {
        let field = |(name, value): (&String, &Value)| {
            let value = if shown.contains(name) { value.clone() } else { self.hidden(value) };
            (name.clone(), value)
        };
        fields.into_iter().flatten().map(field).collect::<Map<_, _>>().into()
    }

    /// The fields of a request without a token that works. A hash is long and a number short, so a field of many values is
    /// hashed as a whole, or strangers would fill the disk with little of their own.
    fn of_stranger(&self, fields: Option<&Map<String, Value>>, shown: &[String]) -> Value {
        let (few, many): (Map<_, _>, Map<_, _>) = fields
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.clone()))
            .partition(|(_, value)| count(value) <= MAX_AUDIT_STRANGER_VALUES);
        let mut data = self.fields(Some(&few), shown);
        for (name, value) in many {
            data[name] = self.secret(&value.to_string());
        }
        data
    }

    fn hidden(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.secret(text),
            Value::Number(_) if self.form.is_raw => value.clone(),
            Value::Number(number) => self.secret(&number.to_string()),
            Value::Array(items) => items.iter().map(|item| self.hidden(item)).collect(),
            Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), self.hidden(value))).collect(),
            Value::Null | Value::Bool(_) => value.clone(),
        }
    }

    fn response(&self, asked: &Asked, answer: &Answered) -> Value {
        let mut map = Map::new();
        let mut response = Filled(&mut map);
        put_mount(&mut response, &asked.trail);
        let Some(body) = &answer.body else { return map.into() };
        let shown = asked.trail.mount.as_ref().map_or(&[][..], |mount| &mount.clear_response_keys);
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(envelope)) if envelope.contains_key("request_id") => {
                self.put_envelope(&mut response, &envelope, asked, shown);
            }
            // What an error says stands beside the response.
            Ok(Value::Object(refusal)) if answer.status >= 400 && refusal.contains_key("errors") => {}
            Ok(Value::Object(plain)) => response.put("data", self.fields(Some(&plain), shown)),
            _ if body.is_empty() => {}
            _ => {
                let raw = json!({
                    "http_content_type": answer.content_type,
                    "http_raw_body": self.secret(&String::from_utf8_lossy(body)),
                    "http_status_code": answer.status,
                });
                response.put("data", raw);
            }
        }
        map.into()
    }

    fn put_envelope(&self, response: &mut Filled<'_>, envelope: &Map<String, Value>, asked: &Asked, shown: &[String]) {
        let is_list = asked.trail.operation.is_some_and(|operation| operation.is_list());
        let data = envelope.get("data").and_then(Value::as_object);
        let mut fields = self.fields(data, shown);
        if self.form.elides_lists && is_list {
            for name in ["keys", "key_info"] {
                let length = data.and_then(|data| match data.get(name) {
                    Some(Value::Array(items)) => Some(items.len()),
                    Some(Value::Object(map)) => Some(map.len()),
                    _ => None,
                });
                if let Some(length) = length {
                    fields[name] = length.into();
                }
            }
        }
        response.put("data", fields);
        response.put("warnings", envelope.get("warnings").cloned().unwrap_or_default());
        if let Some(lease_id) = envelope.get("lease_id").and_then(Value::as_str).filter(|id| !id.is_empty()) {
            response.put("secret", json!({ "lease_id": lease_id }));
        }
        if let Some(auth) = envelope.get("auth").and_then(Value::as_object) {
            response.put("auth", self.given(auth));
        }
        if let Some(wrap) = envelope.get("wrap_info").and_then(Value::as_object) {
            response.put("wrap_info", self.wrapped(wrap));
        }
    }

    /// What a login or a token operation hands out.
    fn given(&self, auth: &Map<String, Value>) -> Value {
        let mut map = Map::new();
        let mut given = Filled(&mut map);
        let text = |name: &str| auth.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        given.put("client_token", text("client_token").map(|token| self.secret(token)).into());
        given.put("accessor", text("accessor").map(|accessor| self.accessor(accessor)).into());
        for name in
            ["policies", "token_policies", "identity_policies", "metadata", "entity_id", "token_type", "num_uses"]
        {
            given.put(name, auth.get(name).cloned().unwrap_or_default());
        }
        given.put("token_ttl", auth.get("lease_duration").cloned().unwrap_or_default());
        map.into()
    }

    fn wrapped(&self, wrap: &Map<String, Value>) -> Value {
        let mut map = Map::new();
        let mut wrapped = Filled(&mut map);
        let text = |name: &str| wrap.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        wrapped.put("token", text("token").map(|token| self.secret(token)).into());
        for name in ["accessor", "wrapped_accessor"] {
            wrapped.put(name, text(name).map(|accessor| self.accessor(accessor)).into());
        }
        for name in ["ttl", "creation_time", "creation_path"] {
            wrapped.put(name, wrap.get(name).cloned().unwrap_or_default());
        }
        map.into()
    }
}

/// How many values a value holds, itself included.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// An object without fields that say nothing, as Vault writes it.
struct Filled<'m>(&'m mut Map<String, Value>);

impl Filled<'_> {
    fn put(&mut self, name: &str, value: Value) {
        let says_nothing = match &value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Number(number) => number.as_u64() == Some(0),
            Value::Bool(true) => false,
        };
        if !says_nothing {
            self.0.insert(name.to_owned(), value);
        }
    }
}

fn policy_results(trail: &Trail) -> Value {
    let policy = |name: &String| json!({ "name": name, "namespace_id": "root", "type": "acl" });
    let granting: Vec<Value> = trail.granting_policies.iter().map(policy).collect();
    if granting.is_empty() {
        return json!({ "allowed": trail.is_allowed });
    }
    json!({ "allowed": trail.is_allowed, "granting_policies": granting })
}

fn put_mount(object: &mut Filled<'_>, trail: &Trail) {
    let Some(mount) = &trail.mount else { return };
    object.put("mount_point", mount.path.clone().into());
    object.put("mount_type", mount.kind.clone().into());
    object.put("mount_accessor", mount.accessor.clone().into());
    object.put("mount_class", if mount.is_auth { "auth" } else { "secret" }.into());
    object.put("mount_running_version", format!("v{}+builtin.conclave", crate::version::API_VERSION).into());
}
