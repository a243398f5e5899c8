//! What a server answered: the status, the envelope and its parts.
//!
//! It is not typed: the calls under `api` turn it into types. What surprises: some endpoints have no envelope
//! (seal status, health, init), so [`Reply::json`] is the whole document and [`Reply::data`] may be absent.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use crate::address::Address;
use crate::secret::Secret;

/// How a Conclave node says that it does not know what became of a write.
pub const OUTCOME_IS_UNKNOWN: &str = "outcome is unknown";

/// Whose words an answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// The body is the API's own.
    Server,
    /// A server says itself that it does not know what became of the request.
    UndecidedServer,
    /// Something between, which cannot know what the server behind it did.
    Proxy,
}

/// A server's answer. Its text is wiped when it is dropped.
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    pub(crate) json: Value,
    pub(crate) address: Address,
}

impl Reply {
    pub(crate) fn new(status: u16, bytes: Zeroizing<Vec<u8>>, address: Address) -> Self {
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Self { status, bytes, json, address }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The node that answered.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The body as it came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The whole document; null if the body is empty or not JSON.
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// The envelope's `data`, if it is an object.
    pub fn data(&self) -> Option<&Map<String, Value>> {
        self.json.get("data").and_then(Value::as_object)
    }

    /// The names of a listing, in the server's order; empty if this is no listing.
    pub fn keys(&self) -> Vec<&str> {
        let keys = self.data().and_then(|data| data.get("keys")).and_then(Value::as_array);
        keys.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The server's warnings.
    pub fn warnings(&self) -> Vec<&str> {
        strings(self.json.get("warnings"))
    }

    /// The server's errors.
    pub fn errors(&self) -> Vec<&str> {
        strings(self.json.get("errors"))
    }

    /// Whose words the body carries.
    pub(crate) fn voice(&self) -> Voice {
        if self.errors().iter().any(|error| error.contains(OUTCOME_IS_UNKNOWN)) {
            return Voice::UndecidedServer;
        }
        let of_the_api = self.json.get("errors").is_some_and(Value::is_array) || self.json.get("request_id").is_some();
        if of_the_api { Voice::Server } else { Voice::Proxy }
    }

    /// The envelope's lease id; empty if there is no lease.
    pub fn lease_id(&self) -> &str {
        self.json.get("lease_id").and_then(Value::as_str).unwrap_or("")
    }

    /// How long the lease lasts, in seconds.
    pub fn lease_duration_secs(&self) -> u64 {
        self.json.get("lease_duration").and_then(Value::as_u64).unwrap_or(0)
    }

    /// Whether the lease can be renewed.
    pub fn renewable(&self) -> bool {
        self.json.get("renewable").and_then(Value::as_bool).unwrap_or(false)
    }

    /// The new token, if the request made one.
    pub fn auth(&self) -> Option<Auth> {
        self.part("auth")
    }

    /// The wrapping token, if the reply was wrapped.
    pub fn wrap_info(&self) -> Option<WrapInfo> {
        self.part("wrap_info")
    }

    fn part<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(self.json.get(name)?).ok()
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        wipe(&mut self.json);
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Reply(status {}, {} bytes)", self.status, self.bytes.len())
    }
}

fn strings(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A token that a request made: the envelope's `auth`.
#[derive(Debug, Deserialize)]
pub struct Auth {
    /// The token itself.
    pub client_token: Secret,
    /// Names the token without being it.
    #[serde(default)]
    pub accessor: String,
    /// All policies.
    #[serde(default, deserialize_with = "null_is_default")]
    pub policies: Vec<String>,
    /// Those of the token itself.
    #[serde(default, deserialize_with = "null_is_default")]
    pub token_policies: Vec<String>,
    /// Those of its entity.
    #[serde(default, deserialize_with = "null_is_default")]
    pub identity_policies: Vec<String>,
    /// What the auth method noted.
    #[serde(default, deserialize_with = "null_is_default")]
    pub metadata: BTreeMap<String, String>,
    /// How long it lives, in seconds; 0 is for ever.
    #[serde(default)]
    pub lease_duration: u64,
    /// Whether it can be renewed.
    #[serde(default)]
    pub renewable: bool,
    /// The entity, or empty.
    #[serde(default)]
    pub entity_id: String,
    /// `service` or `batch`.
    #[serde(default)]
    pub token_type: String,
    /// Whether it outlives the token that made it.
    #[serde(default)]
    pub orphan: bool,
    /// How often it may be used; 0 is without limit.
    #[serde(default)]
    pub num_uses: u64,
}

/// A one-use token in which a reply lies: the envelope's `wrap_info`.
#[derive(Debug, Deserialize)]
pub struct WrapInfo {
    /// The wrapping token.
    pub token: Secret,
    /// Names it without being it.
    #[serde(default)]
    pub accessor: String,
    /// How long it lives, in seconds.
    #[serde(default)]
    pub ttl: u64,
    /// When it was made (RFC 3339).
    #[serde(default)]
    pub creation_time: String,
    /// The path whose reply it holds.
    #[serde(default)]
    pub creation_path: String,
    /// The accessor of the token inside, if one is.
    #[serde(default)]
    pub wrapped_accessor: String,
}

/// Reads null as the empty value: servers write null for absent lists and maps.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
