//! KV version 1: one value for each path, no history.

use serde_json::{Map, Value};

use crate::client::{Client, optional};
use crate::error::Error;
use crate::request::Request;

/// Calls on one mount of KV version 1.
pub struct Kv1<'a> {
    client: &'a Client,
    mount: String,
}

impl Client {
    /// The KV version 1 engine mounted at `mount`.
    pub fn kv1(&self, mount: &str) -> Kv1<'_> {
        Kv1 { client: self, mount: mount.trim_matches('/').to_owned() }
    }
}

impl Kv1<'_> {
    fn path(&self, path: &str) -> String {
        format!("{}/{}", self.mount, path.trim_start_matches('/'))
    }

    /// Reads a secret; nothing if it is not there.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn get(&self, path: &str) -> Result<Option<Map<String, Value>>, Error> {
        optional(self.client.fetch_data(Request::get(self.path(path))).await)
    }

    /// Replaces a secret as a whole.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn put(&self, path: &str, data: &Value) -> Result<(), Error> {
        self.client.order(Request::post(self.path(path), data)).await
    }

    /// Deletes a secret; one that is not there is no error.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        self.client.order(Request::delete(self.path(path))).await
    }

    /// The names below a path, sorted; folders end in `/`.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        self.client.fetch_keys(Request::list(self.path(path))).await
    }
}
