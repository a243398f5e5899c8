//! Initialising, sealing and unsealing. All but [`Seals::seal`] are about the one node that is asked: the first
//! address.
//!
//! What surprises: [`Seals::init`] must not be repeated after [`Error::UnknownOutcome`](crate::Error); the shares of
//! the first attempt may exist and be lost, so look at the seal status first.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::client::Client;
use crate::error::Error;
use crate::reply::null_is_default;
use crate::request::Request;
use crate::secret::Secret;

/// Calls on the seal.
pub struct Seals<'a> {
    client: &'a Client,
}

/// How sealed a node is.
#[derive(Debug, Clone, Deserialize)]
pub struct SealStatus {
    /// The kind of seal, such as `shamir`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Whether the cluster was initialised.
    pub initialized: bool,
    /// Whether this node is sealed.
    pub sealed: bool,
    /// How many shares unseal.
    #[serde(default)]
    pub t: u64,
    /// How many shares there are.
    #[serde(default)]
    pub n: u64,
    /// How many were given so far.
    #[serde(default)]
    pub progress: u64,
    /// Names the ceremony under way; empty if none is.
    #[serde(default)]
    pub nonce: String,
    /// The API level that the server reports.
    #[serde(default)]
    pub version: String,
    /// Absent while sealed.
    #[serde(default)]
    pub cluster_name: Option<String>,
    /// Absent while sealed.
    #[serde(default)]
    pub cluster_id: Option<String>,
    /// What became of every node, after the last share of a ceremony for the whole cluster.
    #[serde(default, deserialize_with = "null_is_default")]
    pub nodes: Vec<UnsealedNode>,
}

/// A node that could be given the root key by a ceremony on another one.
#[derive(Debug, Clone, Deserialize)]
pub struct Candidate {
    /// What people call the node.
    #[serde(default)]
    pub node_id: String,
    /// Its id, 16 hexadecimal digits.
    #[serde(default)]
    pub id: String,
    /// The address of its API.
    #[serde(default)]
    pub address: String,
    /// Its address for other nodes.
    #[serde(default)]
    pub cluster_address: String,
    /// Whether it votes, as the node that was asked last knew; `None` if it knows of no part in the replication.
    #[serde(default)]
    pub voter: Option<bool>,
    /// Whether it is sealed; `None` if it does not answer.
    #[serde(default)]
    pub sealed: Option<bool>,
    /// Names this process of it; `None` unless it is sealed.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// Why it does not answer.
    #[serde(default)]
    pub error: Option<String>,
}

#[derive(Deserialize)]
struct CandidatesDocument {
    #[serde(default, deserialize_with = "null_is_default")]
    nodes: Vec<Candidate>,
}

/// One node after a ceremony for the whole cluster.
#[derive(Debug, Clone, Deserialize)]
pub struct UnsealedNode {
    /// What people call the node.
    #[serde(default)]
    pub node_id: String,
    /// Its id, 16 hexadecimal digits.
    #[serde(default)]
    pub id: String,
    /// The address of its API.
    #[serde(default)]
    pub address: String,
    /// Whether it is still sealed.
    pub sealed: bool,
    /// Why, if it is.
    #[serde(default)]
    pub error: Option<String>,
}

/// What the first shares should be.
#[derive(Debug, Clone, Serialize)]
pub struct InitRequest {
    /// How many shares to make.
    pub secret_shares: u32,
    /// How many of them unseal.
    pub secret_threshold: u32,
}

/// The shares and the first token; they are shown this one time.
#[derive(Debug, Deserialize)]
pub struct InitResult {
    /// The shares in hexadecimal.
    pub keys: Vec<Secret>,
    /// The same shares in base64.
    pub keys_base64: Vec<Secret>,
    /// A token that may do everything.
    pub root_token: Secret,
}

impl Client {
    /// Calls on the seal.
    pub fn seals(&self) -> Seals<'_> {
        Seals { client: self }
    }
}

impl Seals<'_> {
    /// How sealed the node is.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn status(&self) -> Result<SealStatus, Error> {
        self.client.fetch_document(Request::get("sys/seal-status").about_one_node()).await
    }

    /// Makes the root key, its shares and the first token.
    ///
    /// # Errors
    /// As [`Client::send`]; status 400 if it was done before.
    pub async fn init(&self, wanted: &InitRequest) -> Result<InitResult, Error> {
        self.client.fetch_document(Request::post("sys/init", &json!(wanted)).about_one_node()).await
    }

    /// Gives one share, for this node.
    ///
    /// # Errors
    /// As [`Client::send`]; status 400 if this share does not fit; those before it stay.
    pub async fn unseal(&self, share: &Secret) -> Result<SealStatus, Error> {
        let body = json!({ "key": share.expose() });
        self.client.fetch_document(Request::post("sys/unseal", &body).about_one_node()).await
    }

    /// This node as a ceremony on another one lists it. Plain Vault knows no such thing.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn candidate(&self) -> Result<Candidate, Error> {
        self.client.fetch_document(Request::get("sys/unseal/node").about_one_node()).await
    }

    /// The nodes that a ceremony on this one can unseal too. Plain Vault knows none.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn candidates(&self) -> Result<Vec<Candidate>, Error> {
        let request = Request::get("sys/unseal/nodes").about_one_node();
        let document: CandidatesDocument = self.client.fetch_document(request).await?;
        Ok(document.nodes)
    }

    /// Gives one share, for this node and for those whose fingerprints are confirmed with every share. Plain Vault
    /// unseals only itself.
    ///
    /// # Errors
    /// As [`Seals::unseal`].
    pub async fn unseal_cluster(&self, share: &Secret, confirmed: &[String]) -> Result<SealStatus, Error> {
        let body = json!({ "key": share.expose(), "cluster": true, "confirm": confirmed });
        self.client.fetch_document(Request::post("sys/unseal", &body).about_one_node()).await
    }

    /// Forgets the shares given so far. Only from an address that gave one.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn reset(&self) -> Result<SealStatus, Error> {
        self.client.fetch_document(Request::post("sys/unseal", &json!({ "reset": true })).about_one_node()).await
    }

    /// Seals the node.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn seal(&self) -> Result<(), Error> {
        self.client.order(Request::post("sys/seal", &json!({})).about_one_node()).await
    }
}
