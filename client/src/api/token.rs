//! Tokens: made, looked up, renewed, revoked.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::error::Error;
use crate::reply::Auth;
use crate::request::Request;
use crate::secret::Secret;

/// Calls under `auth/token`.
pub struct Tokens<'a> {
    client: &'a Client,
}

/// What a new token should be; what is absent is the server's choice.
#[derive(Debug, Default, Clone, Serialize)]
pub struct TokenRequest {
    /// Its policies; empty means those of the token that asks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Notes that appear in the audit log.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
    /// How long it lives, such as `1h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// How long it can live with all renewals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explicit_max_ttl: Option<String>,
    /// Lives on without end if renewed at least this often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// How often it may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_uses: Option<u64>,
    /// Whether it can be renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewable: Option<bool>,
    /// Whether it goes without the policy `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_default_policy: Option<bool>,
    /// Whether it outlives the token that asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_parent: Option<bool>,
    /// `service` or `batch`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

impl Client {
    /// Calls on tokens.
    pub fn tokens(&self) -> Tokens<'_> {
        Tokens { client: self }
    }
}

impl Tokens<'_> {
    async fn auth(&self, request: Request) -> Result<Auth, Error> {
        let asked = request.clone();
        self.client.send(request).await?.auth().ok_or_else(|| asked.malformed("`auth` is missing"))
    }

    /// Makes a child of this client's token.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn create(&self, wanted: &TokenRequest) -> Result<Auth, Error> {
        self.auth(Request::post("auth/token/create", &json!(wanted))).await
    }

    /// Makes a token that no other token's revocation takes along.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn create_orphan(&self, wanted: &TokenRequest) -> Result<Auth, Error> {
        self.auth(Request::post("auth/token/create-orphan", &json!(wanted))).await
    }

    /// What the server knows about this client's token.
    ///
    /// # Errors
    /// As [`Client::send`]; status 403 if the token is not valid.
    pub async fn lookup_self(&self) -> Result<Map<String, Value>, Error> {
        self.client.fetch_data(Request::get("auth/token/lookup-self")).await
    }

    /// What the server knows about another token.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn lookup(&self, token: &Secret) -> Result<Map<String, Value>, Error> {
        let body = json!({ "token": token.expose() });
        self.client.fetch_data(Request::post("auth/token/lookup", &body).reads_only()).await
    }

    /// Lets this client's token live longer, by `increment` (`1h`) if the server agrees.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn renew_self(&self, increment: Option<&str>) -> Result<Auth, Error> {
        let body = increment.map_or_else(|| json!({}), |increment| json!({ "increment": increment }));
        self.auth(Request::post("auth/token/renew-self", &body)).await
    }

    /// Lets another token live longer.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn renew(&self, token: &Secret, increment: Option<&str>) -> Result<Auth, Error> {
        let mut body = json!({ "token": token.expose() });
        if let Some(increment) = increment {
            body["increment"] = json!(increment);
        }
        self.auth(Request::post("auth/token/renew", &body)).await
    }

    /// Ends this client's token, its children and their leases.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn revoke_self(&self) -> Result<(), Error> {
        self.client.order(Request::post("auth/token/revoke-self", &json!({}))).await
    }

    /// Ends another token, its children and their leases.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn revoke(&self, token: &Secret) -> Result<(), Error> {
        self.client.order(Request::post("auth/token/revoke", &json!({ "token": token.expose() }))).await
    }

    /// Ends the token with this accessor.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn revoke_accessor(&self, accessor: &str) -> Result<(), Error> {
        self.client.order(Request::post("auth/token/revoke-accessor", &json!({ "accessor": accessor }))).await
    }

    /// What this client's token may do on each path.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn capabilities_self(&self, paths: &[&str]) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let request = Request::post("sys/capabilities-self", &json!({ "paths": paths })).reads_only();
        let mut all: BTreeMap<String, Vec<String>> = self.client.fetch_data(request).await?;
        // With one path the server repeats its answer under this key.
        if !paths.contains(&"capabilities") {
            all.remove("capabilities");
        }
        Ok(all)
    }
}
