//! Mounts of secret engines and of auth methods; both have the same calls.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::error::Error;
use crate::reply::null_is_default;
use crate::request::Request;

/// Calls under `sys/mounts` or `sys/auth`.
pub struct Mounts<'a> {
    client: &'a Client,
    root: &'static str,
}

/// One mount.
#[derive(Debug, Clone, Deserialize)]
pub struct Mount {
    /// The engine or method, such as `kv`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The operator's note.
    #[serde(default)]
    pub description: String,
    /// Names the mount whatever its path.
    #[serde(default)]
    pub accessor: String,
    /// The engine's options, such as `version`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub options: BTreeMap<String, Value>,
    /// Times and other settings.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: Map<String, Value>,
}

/// What a new mount should be.
#[derive(Debug, Default, Clone, Serialize)]
pub struct MountSettings {
    /// The engine or method, such as `kv`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A note.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The engine's options, such as `version`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Times and other settings.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
}

impl Client {
    /// Calls on secret engines.
    pub fn mounts(&self) -> Mounts<'_> {
        Mounts { client: self, root: "sys/mounts" }
    }

    /// Calls on auth methods.
    pub fn auth_methods(&self) -> Mounts<'_> {
        Mounts { client: self, root: "sys/auth" }
    }
}

impl Mounts<'_> {
    fn path(&self, path: &str) -> String {
        format!("{}/{}", self.root, path.trim_matches('/'))
    }

    /// All mounts by their path, which ends in `/`.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn list(&self) -> Result<BTreeMap<String, Mount>, Error> {
        self.client.fetch_data(Request::get(self.root)).await
    }

    /// Mounts an engine or method at `path`.
    ///
    /// # Errors
    /// As [`Client::send`]; status 400 if the path is in use.
    pub async fn enable(&self, path: &str, settings: &MountSettings) -> Result<(), Error> {
        self.client.order(Request::post(self.path(path), &json!(settings))).await
    }

    /// Unmounts and deletes all that is below it; a path without a mount is no error.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn disable(&self, path: &str) -> Result<(), Error> {
        self.client.order(Request::delete(self.path(path))).await
    }

    /// Changes settings of a mount.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn tune(&self, path: &str, settings: &Value) -> Result<(), Error> {
        self.client.order(Request::post(format!("{}/tune", self.path(path)), settings)).await
    }

    /// Moves a mount of a secret engine.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn move_to(&self, from: &str, to: &str) -> Result<(), Error> {
        self.client.order(Request::post("sys/remount", &json!({ "from": from, "to": to }))).await
    }
}
