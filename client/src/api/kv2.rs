//! KV version 2: versions, check-and-set, soft deletion, metadata.
//!
//! What surprises: a deleted or destroyed version is "not there" for [`Kv2::get`]; its metadata still is.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::{Client, optional};
use crate::error::Error;
use crate::reply::null_is_default;
use crate::request::{Method, Request};

/// Calls on one mount of KV version 2.
pub struct Kv2<'a> {
    client: &'a Client,
    mount: String,
}

/// A version with its values.
#[derive(Deserialize)]
pub struct KvSecret {
    /// The values.
    pub data: Map<String, Value>,
    /// What is known about the version.
    pub metadata: KvVersion,
}

impl fmt::Debug for KvSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KvSecret(version {}, {} values)", self.metadata.version, self.data.len())
    }
}

/// What is known about a version.
#[derive(Debug, Clone, Deserialize)]
pub struct KvVersion {
    /// Its number, from 1; 0 inside [`KvMetadata::versions`], where the key says it.
    #[serde(default)]
    pub version: u64,
    /// When it was written (RFC 3339).
    pub created_time: String,
    /// When it was deleted, or will be (RFC 3339); empty if never.
    #[serde(default)]
    pub deletion_time: String,
    /// Whether its values are gone for good.
    #[serde(default)]
    pub destroyed: bool,
}

/// What is known about a secret as a whole.
#[derive(Debug, Deserialize)]
pub struct KvMetadata {
    /// The newest version's number; 0 before the first.
    pub current_version: u64,
    /// The oldest version still kept; 0 before the first is dropped.
    #[serde(default)]
    pub oldest_version: u64,
    /// How many versions are kept; 0 means what the mount says.
    #[serde(default)]
    pub max_versions: u64,
    /// Whether every write must name the version it replaces.
    #[serde(default)]
    pub cas_required: bool,
    /// After how long a version is deleted by itself, such as `3h0m0s`; `0s` is never.
    #[serde(default)]
    pub delete_version_after: String,
    /// The operator's own notes.
    #[serde(default, deserialize_with = "null_is_default")]
    pub custom_metadata: BTreeMap<String, String>,
    /// When the first version was written (RFC 3339).
    #[serde(default)]
    pub created_time: String,
    /// When it last changed (RFC 3339).
    #[serde(default)]
    pub updated_time: String,
    /// The versions by their number.
    #[serde(default)]
    pub versions: BTreeMap<String, KvVersion>,
}

/// Changes to a secret's metadata; what is absent stays.
#[derive(Debug, Default, Serialize)]
pub struct MetadataUpdate {
    /// How many versions to keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_versions: Option<u64>,
    /// Whether every write must name the version it replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cas_required: Option<bool>,
    /// After how long a version is deleted by itself, such as `72h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_version_after: Option<String>,
    /// Replaces the notes as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_metadata: Option<BTreeMap<String, String>>,
}

impl Client {
    /// The KV version 2 engine mounted at `mount`.
    pub fn kv2(&self, mount: &str) -> Kv2<'_> {
        Kv2 { client: self, mount: mount.trim_matches('/').to_owned() }
    }
}

impl Kv2<'_> {
    fn path(&self, part: &str, path: &str) -> String {
        format!("{}/{part}/{}", self.mount, path.trim_start_matches('/'))
    }

    /// Reads the newest version; nothing if there is none or it is deleted.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn get(&self, path: &str) -> Result<Option<KvSecret>, Error> {
        optional(self.client.fetch_data(Request::get(self.path("data", path))).await)
    }

    /// Reads one version; nothing if it is not there, deleted or destroyed.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn get_version(&self, path: &str, version: u64) -> Result<Option<KvSecret>, Error> {
        let request = Request::get(self.path("data", path)).query("version", version.to_string());
        optional(self.client.fetch_data(request).await)
    }

    /// Writes a new version, whatever is there.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn put(&self, path: &str, data: &Value) -> Result<KvVersion, Error> {
        let request = Request::post(self.path("data", path), &json!({ "data": data }));
        self.client.fetch_data(request).await
    }

    /// Writes a new version only if the newest is still number `expected`; 0 means that there must be none.
    ///
    /// # Errors
    /// As [`Client::send`]; a mismatch is status 400.
    pub async fn put_cas(&self, path: &str, data: &Value, expected: u64) -> Result<KvVersion, Error> {
        let body = json!({ "data": data, "options": { "cas": expected } });
        self.client.fetch_data(Request::post(self.path("data", path), &body)).await
    }

    /// Merges into the newest version (RFC 7396: null removes) and writes the result as a new one.
    ///
    /// # Errors
    /// As [`Client::send`]; status 404 if there is no version to merge into.
    pub async fn patch(&self, path: &str, data: &Value) -> Result<KvVersion, Error> {
        let request = Request::new(Method::Patch, self.path("data", path)).json(&json!({ "data": data }));
        self.client.fetch_data(request).await
    }

    /// Deletes the newest version; it can be undeleted.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        self.client.order(Request::delete(self.path("data", path))).await
    }

    /// Deletes versions; they can be undeleted.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn delete_versions(&self, path: &str, versions: &[u64]) -> Result<(), Error> {
        self.on_versions("delete", path, versions).await
    }

    /// Takes the deletion of versions back.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn undelete(&self, path: &str, versions: &[u64]) -> Result<(), Error> {
        self.on_versions("undelete", path, versions).await
    }

    /// Removes the values of versions for good.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn destroy(&self, path: &str, versions: &[u64]) -> Result<(), Error> {
        self.on_versions("destroy", path, versions).await
    }

    async fn on_versions(&self, part: &str, path: &str, versions: &[u64]) -> Result<(), Error> {
        self.client.order(Request::post(self.path(part, path), &json!({ "versions": versions }))).await
    }

    /// The names below a path, sorted; folders end in `/`.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        self.client.fetch_keys(Request::list(self.path("metadata", path))).await
    }

    /// Reads a secret's metadata; nothing if it was never written.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn metadata(&self, path: &str) -> Result<Option<KvMetadata>, Error> {
        optional(self.client.fetch_data(Request::get(self.path("metadata", path))).await)
    }

    /// Changes a secret's metadata, and makes the secret if it is not there.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn update_metadata(&self, path: &str, update: &MetadataUpdate) -> Result<(), Error> {
        self.client.order(Request::post(self.path("metadata", path), &json!(update))).await
    }

    /// Removes a secret with all its versions for good.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn delete_metadata(&self, path: &str) -> Result<(), Error> {
        self.client.order(Request::delete(self.path("metadata", path))).await
    }
}
