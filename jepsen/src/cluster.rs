//! A cluster of real server processes on loopback, set up through the API as an operator would.
//!
//! It is not a mock and holds no server code: it needs the built binary. What surprises: a node that was killed or
//! stopped comes back sealed, and stays so until [`Cluster::unseal_all`] or [`Cluster::unseal_only`].

mod address;
mod binary;
mod ceremony;
mod certificate;
pub(crate) mod clock;
mod configuration;
pub(crate) mod disk;
mod error;
mod node;
mod process;
mod proxy;

use std::path::{Path, PathBuf};
use std::time::Duration;

use conclave_client::{Client, ClientBuilder, Discovery, Health, Secret};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::network::Network;

pub use certificate::Certificate;
pub use error::ClusterError;
pub use node::Node;

/// How long a phase (starting, unsealing, electing) may take; generous, because debug builds share few cores.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// How often a phase looks whether it is done.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a node may take to say how it is.
const STATUS_DEADLINE: Duration = Duration::from_secs(2);

/// How nodes reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Without anything between.
    Direct,
    /// Through a proxy in front of each node, which [`Node::cut`] closes.
    Proxied,
    /// The same, and each proxy writes all that passes to [`Node::traffic_file`].
    Recorded,
    /// Through a switch that carries every packet, of clients too: see [`Cluster::network`]. Needs root.
    Switched,
    /// The same, and each packet is written to a file of its link in the folder `packets`.
    Captured,
}

/// What cluster to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many nodes (3), at most 99.
    pub nodes: usize,
    /// The server; by default `CONCLAVE_BINARY`, or else `conclave` beside the running test.
    pub binary: Option<PathBuf>,
    /// Variables that every node gets beyond its own.
    pub environment: Vec<(String, String)>,
    /// Where data, configuration and logs go; by default a folder that is removed at the end, unless a test panics.
    pub root: Option<PathBuf>,
    /// How nodes reach each other (directly).
    pub links: Links,
    /// Whether clients speak TLS (no).
    pub tls: bool,
    /// The nodes' log level (`info`).
    pub log_level: String,
    /// Lines added to each configuration file.
    pub configuration: String,
    /// Lines added to each configuration file's `storage "raft"` block, such as `snapshot_threshold = 500`.
    pub storage: String,
    /// Whether each node's data lies on a file system of its own, whose power can be cut (no). Needs root.
    pub disks: bool,
    /// Whether each node's wall clock can be set (no). Needs libfaketime.
    pub clocks: bool,
    /// What decides which packets a switch loses.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 3,
            binary: None,
            environment: Vec::new(),
            root: None,
            links: Links::Direct,
            tls: false,
            log_level: "info".to_owned(),
            configuration: String::new(),
            storage: String::new(),
            disks: false,
            clocks: false,
            seed: 0,
        }
    }
}

/// A running cluster. Dropping it kills every process it started, by its id.
pub struct Cluster {
    nodes: Vec<Node>,
    shares: Vec<Secret>,
    root_token: Secret,
    client: Client,
    certificate: Option<Certificate>,
    options: Options,
    /// After the nodes, whose packets it carries.
    network: Option<Network>,
    /// Last, so that the processes are gone before their folder is.
    folder: Folder,
}

enum Folder {
    Temporary(Option<TempDir>),
    Given(PathBuf),
}

impl Cluster {
    /// Starts a cluster: initialised with 5 shares of which 3 unseal, joined, every node an unsealed voter, and KV
    /// version 2 at `secret/`.
    ///
    /// # Errors
    /// Any [`ClusterError`]; those of a node show the end of its log.
    pub async fn start(options: Options) -> Result<Self, ClusterError> {
        let mut cluster = Self::boot(options).await?;
        cluster.initialise().await?;
        cluster.grow().await?;
        cluster.enable_kv().await?;
        Ok(cluster)
    }

    /// Starts the processes and waits until they listen; nothing is initialised.
    async fn boot(options: Options) -> Result<Self, ClusterError> {
        let program = binary::find(options.binary.as_deref())?;
        let folder = match &options.root {
            Some(root) => Folder::Given(root.clone()),
            None => Folder::Temporary(Some(TempDir::with_prefix("conclave-jepsen-").map_err(ClusterError::folder)?)),
        };
        let network = lay_network(&options, folder.path())?;
        let places = match &network {
            Some(network) => address::own(network.addresses()),
            None => address::choose(options.nodes)?,
        };
        let certificate = certificate_for(&places, folder.path(), &options)?;
        let nodes = places.into_iter().enumerate();
        let nodes = nodes
            .map(|(index, place)| Node::prepare(index, place, folder.path(), &program, certificate.as_ref(), &options));
        let mut nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        for (index, node) in nodes.iter_mut().enumerate() {
            node.place_proxy(options.links).await?;
            if let Some(network) = &network {
                node.place_within(network.namespace(index));
            }
        }
        let client = client_over(&nodes, certificate.as_ref(), None)?;
        let (shares, root_token) = (Vec::new(), Secret::new(""));
        let cluster = Self { nodes, shares, root_token, client, certificate, options, network, folder };
        for node in &cluster.nodes {
            node.spawn()?;
        }
        for node in &cluster.nodes {
            node.wait_until_listening().await?;
        }
        Ok(cluster)
    }

    /// How many nodes there are, running or not.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// The node with this number, from 0.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn node(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The API addresses, such as `http://127.83.12.1:8200`.
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.address().to_owned()).collect()
    }

    /// The certificate of every node's API, if clients speak TLS.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// The folder that holds every node's data, configuration and log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A client over all nodes, with the root token; it moves on when a node is down.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A client of one node only, with the root token. It learns no other address.
    pub fn client_of(&self, index: usize) -> Client {
        self.nodes[index].client(PATIENCE).with_token(Some(self.root_token.clone()))
    }

    /// A client of one node only whose calls end after `deadline`, whatever the node does.
    pub fn client_within(&self, index: usize, deadline: Duration) -> Client {
        self.nodes[index].client(deadline).with_token(Some(self.root_token.clone()))
    }

    /// The shares of the unseal key, of which three are needed.
    pub fn shares(&self) -> &[Secret] {
        &self.shares
    }

    /// The token that may do everything.
    pub fn root_token(&self) -> &Secret {
        &self.root_token
    }

    /// The node that says it leads; of several, because one may not know yet that it was replaced, the one that
    /// committed most.
    pub async fn leader(&self) -> Option<usize> {
        let mut asked = tokio::task::JoinSet::new();
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_running()) {
            let client = node.client(STATUS_DEADLINE);
            asked.spawn(async move {
                let leader = client.cluster().leader().await.ok().filter(|leader| leader.is_self)?;
                Some((leader.raft_committed_index, index))
            });
        }
        asked.join_all().await.into_iter().flatten().max().map(|(_, index)| index)
    }

    /// Waits until some node leads.
    ///
    /// # Errors
    /// [`ClusterError::TooSlow`].
    pub async fn wait_for_leader(&self) -> Result<usize, ClusterError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(leader) = self.leader().await {
                return Ok(leader);
            }
            if Instant::now() >= deadline {
                return Err(ClusterError::too_slow("electing a leader", PATIENCE));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until every running node is unsealed and serves a read that a quorum confirms.
    ///
    /// # Errors
    /// [`ClusterError::TooSlow`].
    pub async fn wait_until_serving(&self) -> Result<(), ClusterError> {
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_running()) {
            let client = self.client_within(index, STATUS_DEADLINE);
            let what = format!("{} serving reads", node.name());
            wait_until(&what, PATIENCE, async || client.tokens().lookup_self().await.is_ok()).await?;
        }
        Ok(())
    }

    /// What a node says about itself; `None` if it says nothing in time.
    pub async fn health(&self, index: usize) -> Option<Health> {
        self.nodes[index].client(STATUS_DEADLINE).cluster().health().await.ok()
    }

    /// Kills every running node at once, as a power failure would.
    ///
    /// # Errors
    /// [`ClusterError::Process`].
    pub fn kill_all(&self) -> Result<(), ClusterError> {
        let running: Vec<_> = self.nodes.iter().filter(|node| node.is_running()).collect();
        running.iter().try_for_each(|node| node.signal_kill())?;
        running.iter().try_for_each(|node| node.kill())
    }

    /// The network, if the cluster has one of its own.
    pub fn network(&self) -> Option<&Network> {
        self.network.as_ref()
    }

    /// Cuts the power of all nodes at the same moment: what was not synced is gone. Nothing runs afterwards, and the disks
    /// are back.
    ///
    /// # Errors
    /// [`ClusterError::Process`], also if the cluster was started without [`Options::disks`].
    pub fn lose_power(&self) -> Result<(), ClusterError> {
        // Halted first: no process may see its disk fail, as none does when the power fails.
        let running: Vec<_> = self.nodes.iter().filter(|node| node.is_running()).collect();
        running.iter().try_for_each(|node| node.pause())?;
        self.nodes.iter().try_for_each(Node::lose_power)?;
        self.nodes.iter().try_for_each(Node::kill)?;
        self.nodes.iter().try_for_each(Node::bring_disk_back)
    }

    /// Stops every node and gives each other addresses, as a moved subnet would; each is told where the others are now.
    /// Nothing runs afterwards.
    ///
    /// # Errors
    /// Any [`ClusterError`]; only clusters with [`Links::Direct`] can move.
    pub fn move_all(&mut self) -> Result<(), ClusterError> {
        self.kill_all()?;
        let places = address::choose(self.nodes.len())?;
        let peers: Vec<_> = places.iter().map(|place| format!("\"{}\"", place.cluster)).collect();
        let storage = format!("{}\n  peers = [{}]", self.options.storage, peers.join(", "));
        let options = Options { storage, ..self.options.clone() };
        self.certificate = certificate_for(&places, self.folder.path(), &options)?;
        for (node, place) in self.nodes.iter_mut().zip(places) {
            node.move_to(place, self.certificate.as_ref(), &options)?;
        }
        self.client = client_over(&self.nodes, self.certificate.as_ref(), Some(&self.root_token))?;
        Ok(())
    }

    /// Starts every node that does not run, and waits until it listens. It is sealed then.
    ///
    /// # Errors
    /// Any [`ClusterError`] of a node that does not start.
    pub async fn restart_all(&self) -> Result<(), ClusterError> {
        let down: Vec<_> = self.nodes.iter().filter(|node| !node.is_running()).collect();
        for node in &down {
            node.spawn()?;
        }
        for node in &down {
            node.wait_until_listening().await?;
        }
        Ok(())
    }
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(Some(folder)) => folder.path(),
            Self::Temporary(None) => Path::new(""),
            Self::Given(path) => path,
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &self.nodes {
            // Nothing better can be done with one that does not die: it dies with this process.
            let _ = node.kill();
        }
        if let Folder::Temporary(folder) = &mut self.folder
            && std::thread::panicking()
            && let Some(folder) = folder.take()
        {
            eprintln!("the nodes' logs and data are kept in {}", folder.keep().display());
        }
    }
}

/// Waits until `is_done` says so, looking 20 times a second.
///
/// # Errors
/// [`ClusterError::TooSlow`] once `patience` is over.
pub async fn wait_until(
    what: &str,
    patience: Duration,
    mut is_done: impl AsyncFnMut() -> bool,
) -> Result<(), ClusterError> {
    let deadline = Instant::now() + patience;
    while !is_done().await {
        if Instant::now() >= deadline {
            return Err(ClusterError::too_slow(what, patience));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// The network that the options ask for, if any.
fn lay_network(options: &Options, folder: &Path) -> Result<Option<Network>, ClusterError> {
    let packets = match options.links {
        Links::Switched => None,
        Links::Captured => Some(folder.join("packets")),
        Links::Direct | Links::Proxied | Links::Recorded => return Ok(None),
    };
    Network::start(options.nodes, options.seed, packets.as_deref()).map(Some).map_err(ClusterError::Addresses)
}

/// A certificate for all places, if clients are to speak TLS.
fn certificate_for(
    places: &[address::Place],
    folder: &Path,
    options: &Options,
) -> Result<Option<Certificate>, ClusterError> {
    let hosts = || places.iter().map(|place| *place.api.ip());
    options.tls.then(|| Certificate::write(folder, hosts())).transpose()
}

/// The settings of a client that trusts a certificate, if there is one.
fn client_builder(certificate: Option<&Certificate>) -> ClientBuilder {
    certificate.into_iter().fold(Client::builder(), |builder, certificate| builder.ca_cert_pem(certificate.pem.clone()))
}

/// A client over all nodes.
fn client_over(
    nodes: &[Node],
    certificate: Option<&Certificate>,
    token: Option<&Secret>,
) -> Result<Client, ClusterError> {
    let builder = client_builder(certificate).addresses(nodes.iter().map(Node::address));
    let builder = token.into_iter().fold(builder, |builder, token| builder.token(token.clone()));
    builder.build().map_err(ClusterError::request("setting up a client"))
}

/// A client of one address, without a token.
fn client_at(address: &str, deadline: Duration, certificate: Option<&Certificate>) -> Client {
    client_builder(certificate)
        .address(address)
        .discovery(Discovery::Off)
        .deadline(deadline)
        .build()
        .expect("the address was made here and is well formed")
}
