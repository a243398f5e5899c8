//! Replies wrapped in one-use tokens.

use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::error::Error;
use crate::reply::{Reply, WrapInfo};
use crate::request::Request;
use crate::secret::Secret;

/// Calls under `sys/wrapping`.
pub struct Wrapping<'a> {
    client: &'a Client,
}

impl Client {
    /// Calls on wrapped replies.
    pub fn wrapping(&self) -> Wrapping<'_> {
        Wrapping { client: self }
    }
}

impl Wrapping<'_> {
    /// Wraps any data for `ttl` (`5m`).
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn wrap(&self, data: &Value, ttl: &str) -> Result<WrapInfo, Error> {
        self.info(Request::post("sys/wrapping/wrap", data).wrap_ttl(ttl)).await
    }

    /// Takes out what was wrapped; the token is used up, also if the caller then loses the reply.
    ///
    /// # Errors
    /// As [`Client::send`]; status 400 if the token was used, has expired, or never was.
    pub async fn unwrap(&self, token: &Secret) -> Result<Reply, Error> {
        let request = Request::post("sys/wrapping/unwrap", &json!({}));
        self.client.send(request.token(token.clone())).await
    }

    /// Where and when something was wrapped, without using the token up.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn lookup(&self, token: &Secret) -> Result<Map<String, Value>, Error> {
        let body = json!({ "token": token.expose() });
        self.client.fetch_data(Request::post("sys/wrapping/lookup", &body).reads_only()).await
    }

    /// Moves what was wrapped into a new token with the same time to live.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn rewrap(&self, token: &Secret) -> Result<WrapInfo, Error> {
        self.info(Request::post("sys/wrapping/rewrap", &json!({ "token": token.expose() }))).await
    }

    async fn info(&self, request: Request) -> Result<WrapInfo, Error> {
        let asked = request.clone();
        self.client.send(request).await?.wrap_info().ok_or_else(|| asked.malformed("`wrap_info` is missing"))
    }
}
