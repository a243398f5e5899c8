//! The cluster: health, leader, members, Raft configuration, barrier key.
//!
//! What surprises: health and leader are about the one node that is asked, the first address; the rest is the
//! cluster's.

use serde::Deserialize;
use serde_json::json;

use crate::client::Client;
use crate::error::Error;
use crate::reply::null_is_default;
use crate::request::Request;

/// Calls on the cluster.
pub struct Cluster<'a> {
    client: &'a Client,
}

/// A node's health. The fields say what the status code would.
#[derive(Debug, Clone, Deserialize)]
pub struct Health {
    /// Whether the cluster was initialised.
    pub initialized: bool,
    /// Whether this node is sealed.
    pub sealed: bool,
    /// Whether this node is not the leader.
    pub standby: bool,
    /// The API level that the server reports.
    #[serde(default)]
    pub version: String,
    /// Absent while sealed.
    #[serde(default)]
    pub cluster_id: Option<String>,
}

/// Who leads, as one node sees it.
#[derive(Debug, Clone, Deserialize)]
pub struct Leader {
    /// Whether there can be more than one node.
    #[serde(default)]
    pub ha_enabled: bool,
    /// Whether the node that answered leads.
    #[serde(default)]
    pub is_self: bool,
    /// The leader's API; empty if there is none.
    #[serde(default)]
    pub leader_address: String,
    /// The newest committed index it knows.
    #[serde(default)]
    pub raft_committed_index: u64,
    /// The newest index it applied.
    #[serde(default)]
    pub raft_applied_index: u64,
}

/// The cluster's nodes.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "HaStatusDocument")]
pub struct HaStatus {
    /// One for each node.
    pub nodes: Vec<Member>,
}

/// Servers differ in the name's first letter, and one that writes both must not be refused as a serde alias would.
#[derive(Deserialize)]
struct HaStatusDocument {
    #[serde(rename = "Nodes", default, deserialize_with = "null_is_default")]
    upper: Vec<Member>,
    #[serde(rename = "nodes", default, deserialize_with = "null_is_default")]
    lower: Vec<Member>,
}

impl From<HaStatusDocument> for HaStatus {
    fn from(document: HaStatusDocument) -> Self {
        Self { nodes: if document.upper.is_empty() { document.lower } else { document.upper } }
    }
}

/// One node of the cluster.
#[derive(Debug, Clone, Deserialize)]
pub struct Member {
    /// The machine's name.
    #[serde(default)]
    pub hostname: String,
    /// The address of its API.
    pub api_address: String,
    /// The address for other nodes.
    #[serde(default)]
    pub cluster_address: String,
    /// Whether it leads.
    #[serde(default)]
    pub active_node: bool,
    /// The API level that it reports.
    #[serde(default)]
    pub version: String,
    /// When it was last heard of (RFC 3339).
    #[serde(default)]
    pub last_echo: Option<String>,
}

#[derive(Deserialize)]
struct RaftDocument {
    config: RaftServers,
}

#[derive(Deserialize)]
struct RaftServers {
    servers: Vec<RaftServer>,
}

/// One server of the Raft configuration.
#[derive(Debug, Clone, Deserialize)]
pub struct RaftServer {
    /// The node's id.
    pub node_id: String,
    /// The address for other nodes.
    pub address: String,
    /// Whether it leads.
    #[serde(default)]
    pub leader: bool,
    /// Whether it votes.
    #[serde(default)]
    pub voter: bool,
}

/// The key that new data is encrypted with.
#[derive(Debug, Clone, Deserialize)]
pub struct KeyStatus {
    /// Its number, from 1.
    pub term: u64,
    /// When it was made (RFC 3339).
    pub install_time: String,
    /// How often it was used.
    #[serde(default)]
    pub encryptions: u64,
}

impl Client {
    /// Calls on the cluster.
    pub fn cluster(&self) -> Cluster<'_> {
        Cluster { client: self }
    }
}

impl Cluster<'_> {
    /// The health of the first node; also a sealed node's answer is an `Ok`.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn health(&self) -> Result<Health, Error> {
        self.client.fetch_document(Request::get("sys/health").about_one_node().any_status()).await
    }

    /// Who leads, as the first node sees it.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn leader(&self) -> Result<Leader, Error> {
        self.client.fetch_document(Request::get("sys/leader").about_one_node()).await
    }

    /// The cluster's nodes.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn ha_status(&self) -> Result<HaStatus, Error> {
        self.client.fetch_data(Request::get("sys/ha-status")).await
    }

    /// Asks the leader to hand leadership over.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn step_down(&self) -> Result<(), Error> {
        self.client.order(Request::post("sys/step-down", &json!({}))).await
    }

    /// The servers of the Raft configuration.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn raft_configuration(&self) -> Result<Vec<RaftServer>, Error> {
        let document: RaftDocument = self.client.fetch_data(Request::get("sys/storage/raft/configuration")).await?;
        Ok(document.config.servers)
    }

    /// Removes a server from the cluster.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn remove_peer(&self, node_id: &str) -> Result<(), Error> {
        self.client.order(Request::post("sys/storage/raft/remove-peer", &json!({ "server_id": node_id }))).await
    }

    /// The key that new data is encrypted with.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn key_status(&self) -> Result<KeyStatus, Error> {
        self.client.fetch_data(Request::get("sys/key-status")).await
    }

    /// Makes a new key for new data; old data stays readable.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn rotate(&self) -> Result<(), Error> {
        self.client.order(Request::post("sys/rotate", &json!({}))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let status: HaStatus = serde_json::from_str(text).unwrap();
        status.nodes.into_iter().map(|node| node.api_address).collect()
    }

    #[test]
    fn nodes_are_read_under_either_name_and_under_both() {
        assert_eq!(names(r#"{"Nodes": [{"api_address": "a"}]}"#), ["a"]);
        assert_eq!(names(r#"{"nodes": [{"api_address": "a"}]}"#), ["a"]);
        assert_eq!(names(r#"{"nodes": [{"api_address": "a"}], "Nodes": [{"api_address": "a"}]}"#), ["a"]);
        assert!(names(r#"{"nodes": null}"#).is_empty());
    }
}
