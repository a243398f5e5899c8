//! Clusters of a build of the server: real processes, TLS, a ceremony, and a token with one policy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use conclave_client::Method;
use conclave_jepsen::cluster::{Cluster, Options};
use http::HeaderValue;
use serde_json::json;

use super::{Gauge, Subject};
use crate::arguments::Server;
use crate::connection::Target;
use crate::error::BenchError;
use crate::request::{Dialect, Operation};

/// What the token of measurements may do.
const POLICY: &str = r#"path "secret/*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;
/// How long that token lives.
const TOKEN_TTL: &str = "24h";

/// A cluster that can be measured.
pub(crate) struct Vault {
    name: String,
    pub(crate) cluster: Cluster,
    token: HeaderValue,
    writes: Arc<AtomicU64>,
}

/// Which node a load goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Leader,
    Follower,
}

impl Vault {
    /// Starts a cluster, and writes the secret that is read.
    pub(crate) async fn start(server: &Server, nodes: usize) -> Result<Self, BenchError> {
        let options = Options { nodes, binary: server.path.clone(), tls: true, ..Options::default() };
        let cluster = Cluster::start(options).await?;
        let token = make_token(&cluster).await?;
        let vault = Self { name: server.name.clone(), cluster, token, writes: Arc::default() };
        vault.at(0)?.send(Operation::WriteTheReadOne).await?;
        Ok(vault)
    }

    /// The node with this number as a subject: the load goes there, and all nodes are its processes.
    pub(crate) fn at(&self, node: usize) -> Result<Subject, BenchError> {
        let root = HeaderValue::from_str(self.cluster.root_token().expose())
            .map_err(|_| BenchError::Settings("the root token is no header".to_owned()))?;
        let gauges = (0..self.cluster.size())
            .map(|node| Ok(Gauge { target: self.target(node)?, token: root.clone() }))
            .collect::<Result<_, BenchError>>()?;
        Ok(Subject {
            name: self.name.clone(),
            target: self.target(node)?,
            dialect: Dialect::Vault { token: self.token.clone() },
            processes: self.cluster.nodes().iter().filter_map(|node| node.process_id()).collect(),
            writes: Arc::clone(&self.writes),
            gauges,
        })
    }

    /// The leader or a follower as a subject.
    pub(crate) async fn on(&self, side: Side) -> Result<Subject, BenchError> {
        let leader = self.cluster.wait_for_leader().await?;
        let node = match side {
            Side::Leader => leader,
            Side::Follower => (leader + 1) % self.cluster.size(),
        };
        self.at(node)
    }

    /// How many secrets were written here under a number.
    pub(crate) fn written(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    fn target(&self, node: usize) -> Result<Target, BenchError> {
        let address = self.cluster.node(node).address();
        let authority = address.trim_start_matches("https://");
        let certificate = self.cluster.certificate().expect("the cluster was started with TLS");
        Target::tls(authority, &certificate.pem)
    }
}

async fn make_token(cluster: &Cluster) -> Result<HeaderValue, BenchError> {
    let client = cluster.client_of(0);
    let policy = json!({ "policy": POLICY });
    let stored = client.raw(Method::Put, "sys/policies/acl/bench", &[], Some(&policy)).await;
    stored.map_err(BenchError::call("storing a policy"))?;
    let wanted = json!({ "policies": ["bench"], "ttl": TOKEN_TTL });
    let made = client.raw(Method::Post, "auth/token/create", &[], Some(&wanted)).await;
    let token = made.map_err(BenchError::call("making a token"))?.auth().map(|auth| auth.client_token);
    let token = token.ok_or_else(|| BenchError::Settings("the server made no token".to_owned()))?;
    let mut token =
        HeaderValue::from_str(token.expose()).map_err(|_| BenchError::Settings("the token is no header".to_owned()))?;
    token.set_sensitive(true);
    Ok(token)
}
