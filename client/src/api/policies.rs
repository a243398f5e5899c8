//! Access policies.

use serde::Deserialize;
use serde_json::json;

use crate::client::{Client, optional};
use crate::error::Error;
use crate::request::Request;

/// Calls under `sys/policies/acl`.
pub struct Policies<'a> {
    client: &'a Client,
}

#[derive(Deserialize)]
struct PolicyText {
    policy: String,
}

impl Client {
    /// Calls on policies.
    pub fn policies(&self) -> Policies<'_> {
        Policies { client: self }
    }
}

impl Policies<'_> {
    /// The names of all policies.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn list(&self) -> Result<Vec<String>, Error> {
        self.client.fetch_keys(Request::list("sys/policies/acl")).await
    }

    /// The text of a policy; nothing if there is none of that name.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn read(&self, name: &str) -> Result<Option<String>, Error> {
        let found = self.client.fetch_data::<PolicyText>(Request::get(format!("sys/policies/acl/{name}"))).await;
        Ok(optional(found)?.map(|text| text.policy))
    }

    /// Writes a policy, HCL or JSON.
    ///
    /// # Errors
    /// As [`Client::send`]; status 400 if the text is not a policy.
    pub async fn write(&self, name: &str, policy: &str) -> Result<(), Error> {
        let body = json!({ "policy": policy });
        self.client.order(Request::post(format!("sys/policies/acl/{name}"), &body)).await
    }

    /// Deletes a policy.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        self.client.order(Request::delete(format!("sys/policies/acl/{name}"))).await
    }
}
