//! Initialising, growing, sealing and unsealing, through the API.

use conclave_client::{InitRequest, Method, Request, SealStatus};
use futures::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use super::error::ClusterError;
use super::{Cluster, PATIENCE, PAUSE, STATUS_DEADLINE, wait_until};

/// Shares that are made.
const SHARES: u32 = 5;
/// Shares that unseal.
const THRESHOLD: u32 = 3;

impl Cluster {
    /// Initialises the first node and unseals it.
    pub(super) async fn initialise(&mut self) -> Result<(), ClusterError> {
        let wanted = InitRequest { secret_shares: SHARES, secret_threshold: THRESHOLD };
        let client = self.nodes[0].client(PATIENCE);
        let made = client.seals().init(&wanted).await.map_err(ClusterError::request("initialising"))?;
        self.shares = made.keys;
        self.client.set_token(Some(made.root_token.clone()));
        self.root_token = made.root_token;
        self.unseal_only(0).await?;
        self.wait_for_leader().await.map(drop)
    }

    /// Lets the other nodes join all at the same moment, each with a token of its own, unseals them by a second ceremony on the first node, and
    /// waits until all are voters.
    pub(super) async fn grow(&self) -> Result<(), ClusterError> {
        join_all((1..self.nodes.len()).map(|index| self.join(index))).await.into_iter().collect::<Result<(), _>>()?;
        if self.nodes.len() > 1 {
            self.unseal_all().await?;
        }
        let first = self.client_of(0);
        let voters = async || {
            let servers = first.cluster().raft_configuration().await.unwrap_or_default();
            servers.iter().filter(|server| server.voter).count() == self.nodes.len()
        };
        wait_until("making every node a voter", PATIENCE, voters).await?;
        self.wait_until_serving().await
    }

    async fn join(&self, index: usize) -> Result<(), ClusterError> {
        self.join_through(0, index).await
    }

    /// Lets a node that runs with an empty data folder join, by a token from another one, and waits until it is initialised.
    ///
    /// # Errors
    /// Any [`ClusterError`].
    pub async fn join_through(&self, host: usize, index: usize) -> Result<(), ClusterError> {
        let node = &self.nodes[index];
        let made = self.client_of(host).raw(Method::Post, "sys/storage/raft/join-token", &[], Some(&json!({}))).await;
        let made = made.map_err(ClusterError::request("making a join token"))?;
        let token = made.data().and_then(|data| data["token"].as_str()).unwrap_or_default().to_owned();
        let request = Request::post("sys/storage/raft/join", &json!({ "token": token })).about_one_node();
        let joined = node.client(PATIENCE).send(request).await;
        joined.map_err(ClusterError::request(&format!("letting {} join", node.name())))?;
        let client = node.client(STATUS_DEADLINE);
        let is_initialized = async || client.seals().status().await.is_ok_and(|status| status.initialized);
        wait_until(&format!("replicating to {}", node.name()), PATIENCE, is_initialized).await
    }

    /// Enables KV version 2 at `secret/`, keeping many versions, so that a history can be read back.
    pub(super) async fn enable_kv(&self) -> Result<(), ClusterError> {
        let client = self.client_of(0);
        let body = json!({ "type": "kv", "options": { "version": "2" } });
        let enabled = client.raw(Method::Post, "sys/mounts/secret", &[], Some(&body)).await;
        enabled.map_err(ClusterError::request("enabling KV"))?;
        // The mount must have been applied everywhere before tests write through other nodes; a linearizable list of
        // the mounts on each node is proof.
        for index in 0..self.nodes.len() {
            self.client_of(index).mounts().list().await.map_err(ClusterError::request("listing the mounts"))?;
        }
        Ok(())
    }

    /// Unseals every running node by a ceremony on one of them, and waits until all are unsealed.
    ///
    /// # Errors
    /// [`ClusterError::NotRunning`] if none runs; [`ClusterError::TooSlow`] after 3 minutes.
    pub async fn unseal_all(&self) -> Result<(), ClusterError> {
        let deadline = Instant::now() + PATIENCE;
        while let Some(sealed) = self.first_sealed().await? {
            // A member that could not be reached at the end of a ceremony is reached by the next one.
            let _ = self.enter_shares(self.host(sealed).await, true).await;
            if Instant::now() >= deadline {
                return Err(ClusterError::too_slow(&format!("unsealing {}", self.nodes[sealed].name()), PATIENCE));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Unseals one node and no other, by entering shares there.
    ///
    /// # Errors
    /// [`ClusterError::Request`] if the node does not take a share.
    pub async fn unseal_only(&self, index: usize) -> Result<(), ClusterError> {
        self.enter_shares(index, false).await
    }

    /// Seals one node.
    ///
    /// # Errors
    /// [`ClusterError::Request`].
    pub async fn seal(&self, index: usize) -> Result<(), ClusterError> {
        let what = format!("sealing {}", self.nodes[index].name());
        self.client_of(index).seals().seal().await.map_err(ClusterError::request(&what))
    }

    /// Whether a node says that it is sealed; `None` if it says nothing in time.
    pub async fn is_sealed(&self, index: usize) -> Option<bool> {
        let status = self.nodes[index].client(STATUS_DEADLINE).seals().status().await;
        status.ok().map(|status| status.sealed)
    }

    /// The first running node that is not known to be unsealed.
    async fn first_sealed(&self) -> Result<Option<usize>, ClusterError> {
        let mut has_any = false;
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_running()) {
            has_any = true;
            if self.is_sealed(index).await != Some(false) && node.is_running() {
                return Ok(Some(index));
            }
        }
        if has_any { Ok(None) } else { Err(ClusterError::NotRunning { node: "any node".to_owned() }) }
    }

    /// Where to hold a ceremony: on an unsealed node if there is one, because it knows the members for sure.
    async fn host(&self, sealed: usize) -> usize {
        for (index, _) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_running()) {
            if self.is_sealed(index).await == Some(false) {
                return index;
            }
        }
        sealed
    }

    async fn enter_shares(&self, index: usize, is_for_cluster: bool) -> Result<(), ClusterError> {
        let confirmed = if is_for_cluster { Some(self.fingerprints().await) } else { None };
        self.hold_ceremony(index, confirmed.as_deref()).await.map(drop)
    }

    /// What each sealed node that runs here shows of itself.
    async fn fingerprints(&self) -> Vec<String> {
        let mut fingerprints = Vec::new();
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            let own = node.client(STATUS_DEADLINE).seals().candidate().await;
            fingerprints.extend(own.ok().and_then(|own| own.fingerprint));
        }
        fingerprints
    }

    /// Enters the shares on one node; with `confirmed` also for those other nodes. Answers what the last share led to.
    ///
    /// # Errors
    /// [`ClusterError::Request`] if the node does not take a share.
    pub async fn hold_ceremony(&self, index: usize, confirmed: Option<&[String]>) -> Result<SealStatus, ClusterError> {
        let client = self.nodes[index].client(PATIENCE);
        let what = format!("entering a share on {}", self.nodes[index].name());
        let seals = client.seals();
        let mut last = None;
        for share in &self.shares[..THRESHOLD as usize] {
            let entered = match confirmed {
                Some(confirmed) => seals.unseal_cluster(share, confirmed).await,
                None => seals.unseal(share).await,
            };
            last = Some(entered.map_err(ClusterError::request(&what))?);
        }
        last.ok_or(ClusterError::NotRunning { node: self.nodes[index].name().to_owned() })
    }
}
