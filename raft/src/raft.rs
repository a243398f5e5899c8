//! A node's consensus: everything put together, started and stopped.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conclave_storage::log::Log;
use conclave_storage::table::Table;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{InitializeError, RaftError};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tonic::Status;

use crate::answer::Answers;
use crate::config::Config;
use crate::error::{ChangeError, ReadError, StartError, Stop};
use crate::gate::Gate;
use crate::hooks::Hooks;
use crate::identity::Identity;
use crate::log::{Durability, LogStore};
use crate::machine::Machine;
use crate::metrics::{Counters, Metrics};
use crate::network::Factory;
use crate::peers::Peers;
use crate::progress::Progress;
use crate::propose::Lead;
use crate::read::Coalescer;
use crate::snapshot::Received;
use crate::status::Member;
use crate::tls::Tls;
use crate::types::{Consensus, Endpoint, StoredMembership, Vote};
use crate::upkeep::Probe;
use crate::{call, server, wire};

/// How long a bootstrap waits for its single voter to lead.
const BOOTSTRAP_LIMIT: Duration = Duration::from_secs(10);

/// A node's consensus. A handle; clones are the same node.
#[derive(Clone)]
pub struct Raft(Arc<Inner>);

/// What openraft last said about leadership and members.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) state: ServerState,
    pub(crate) vote: Vote,
    pub(crate) leader: Option<u64>,
    pub(crate) membership: Arc<StoredMembership>,
}

pub(crate) struct Inner {
    pub(crate) id: u64,
    pub(crate) own: Endpoint,
    pub(crate) config: Config,
    pub(crate) raft: Consensus,
    pub(crate) table: Arc<dyn Table>,
    pub(crate) hooks: Arc<dyn Hooks>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) factory: Factory,
    pub(crate) progress: Arc<Progress>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) view: watch::Receiver<View>,
    pub(crate) gate: Arc<Gate>,
    /// Rounds of this node as leader.
    pub(crate) confirm: Arc<Coalescer>,
    /// Rounds of this node as whatever it is.
    pub(crate) reads: Arc<Coalescer>,
    pub(crate) probes: Mutex<HashMap<u64, Probe>>,
    /// Whether this node may lead. openraft knows it too, except where it does not look.
    pub(crate) campaign: AtomicBool,
    had_state: AtomicBool,
    stopping: watch::Sender<bool>,
    stopped: watch::Sender<Option<Stop>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Raft {
    /// Starts consensus over a log and a table that belong together.
    pub async fn start(
        mut config: Config,
        identity: Arc<Identity>,
        log: Arc<dyn Log>,
        table: Arc<dyn Table>,
        hooks: Arc<dyn Hooks>,
    ) -> Result<Self, StartError> {
        let consensus = Arc::new(config.consensus().map_err(StartError::Config)?);
        compare(&log, &table)?;
        make_durable(&table).await?;
        let tls = Arc::new(Tls::new(&identity).map_err(tls_failed)?);
        let listener = listen(&mut config).await?;
        let (opened, reopened) = mpsc::channel(64);
        let peers = Peers::open(&identity, tls.clone(), config.timing, opened).map_err(StartError::ClusterFile)?;
        if let Some(id) = config.cluster_id
            && !peers.set_cluster_id(id).map_err(StartError::ClusterFile)?
        {
            return Err(StartError::OtherCluster);
        }
        let parts = Parts::new(&config, identity.id(), &log, &table, Arc::new(peers));
        let raft = parts.run(consensus, &hooks).await?;
        let (view, followed) = watch::channel(first_view(&raft));
        let inner =
            Arc::new_cyclic(|this| parts.into_inner(config, &identity, raft.clone(), hooks, followed, this.clone()));
        let mut tasks = vec![
            tokio::spawn(follow(raft, inner.clone(), view)),
            tokio::spawn(crate::upkeep::run(inner.clone(), reopened, inner.stopping.subscribe())),
        ];
        if let Some(listener) = listener {
            let acceptor = TlsAcceptor::from(Arc::new(tls.server().map_err(tls_failed)?));
            let (timing, limits) = (inner.config.timing, inner.config.limits.clone());
            let stop = inner.stopping.subscribe();
            tasks.push(tokio::spawn(server::serve(listener, acceptor, Answers(inner.clone()), timing, limits, stop)));
        }
        *inner.tasks.lock() = tasks;
        Ok(Self(inner))
    }

    /// Makes a fresh cluster of which this node is the only voter, and waits until it leads.
    pub async fn bootstrap(&self) -> Result<(), ChangeError> {
        let inner = &self.0;
        if self.is_initialized() {
            return Err(ChangeError::AlreadyInitialized);
        }
        let id = inner.peers.cluster_id().unwrap_or_else(rand::random);
        inner.peers.set_cluster_id(id).map_err(|error| ChangeError::Io(error.to_string()))?;
        match inner.raft.initialize(BTreeMap::from([(inner.id, inner.own.clone())])).await {
            Ok(()) => {}
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => return Err(ChangeError::AlreadyInitialized),
            Err(RaftError::APIError(error)) => return Err(ChangeError::Invalid(error.to_string())),
            Err(RaftError::Fatal(_)) => return Err(ChangeError::Stopped),
        }
        inner.had_state.store(true, Ordering::Release);
        inner.raft.trigger().elect(false).await.map_err(|_| ChangeError::Stopped)?;
        let deadline = Instant::now() + BOOTSTRAP_LIMIT;
        inner.lead_ready(deadline).await.map(|_| ()).map_err(ChangeError::Unknown)
    }

    /// Whether this node has ever belonged to a cluster: it has a log, or a membership.
    pub fn is_initialized(&self) -> bool {
        let inner = &self.0;
        inner.had_state.load(Ordering::Acquire) || inner.view.borrow().membership.nodes().next().is_some()
    }

    /// The cluster this node belongs to, if it knows.
    pub fn cluster_id(&self) -> Option<[u8; 16]> {
        self.0.peers.cluster_id()
    }

    /// Says which cluster this node is about to join. Kept beside the node's key.
    pub fn set_cluster_id(&self, id: [u8; 16]) -> Result<(), ChangeError> {
        match self.0.peers.set_cluster_id(id) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ChangeError::AlreadyInitialized),
            Err(error) => Err(ChangeError::Io(error.to_string())),
        }
    }

    /// Takes the members named in the answer to a join. They may speak to this node until it finds itself in the membership
    /// that they send. Kept beside the node's key.
    pub fn set_pins(&self, members: Vec<Member>) -> Result<(), ChangeError> {
        let members = members.into_iter().map(|member| (member.id, member.endpoint())).collect();
        self.0.peers.set_pins(members).map_err(|error| ChangeError::Io(error.to_string()))
    }

    /// This node as others should know it: its id, addresses and key.
    pub fn member(&self) -> Member {
        Member::new(self.0.id, &self.0.own, true)
    }

    /// Returns once `index` is applied here.
    pub async fn wait_applied(&self, index: u64, deadline: Instant) -> Result<(), ReadError> {
        self.0.progress.wait(index, deadline).await
    }

    /// Index of the last entry applied here, caches included; 0 before the first.
    pub fn applied_index(&self) -> u64 {
        self.0.progress.index()
    }

    /// Follows [`Raft::applied_index`].
    pub fn subscribe_applied(&self) -> watch::Receiver<u64> {
        self.0.progress.subscribe()
    }

    /// Counters and gauges.
    pub fn metrics(&self) -> Metrics {
        let (bytes, batches) = self.0.gate.waiting();
        Metrics::read(&self.0.counters, bytes, batches)
    }

    /// Allows or forbids this node to lead. A sealed node may not: it still votes and replicates, does not campaign, and
    /// refuses leadership. It does not step down by itself: transfer leadership first.
    pub fn set_campaign(&self, allowed: bool) {
        self.0.campaign.store(allowed, Ordering::Release);
        self.0.raft.runtime_config().elect(allowed);
        let is_leaderless = self.0.view.borrow().leader.is_none();
        if allowed && is_leaderless && self.is_initialized() {
            let raft = self.0.raft.clone();
            let is_voter = self.0.view.borrow().membership.voter_ids().any(|id| id == self.0.id);
            if is_voter {
                tokio::spawn(async move { raft.trigger().elect(true).await });
            }
        }
    }

    /// Resolves when consensus has ended, and says why. After [`Stop::Fatal`] the process must exit.
    pub async fn stopped(&self) -> Stop {
        let mut stopped = self.0.stopped.subscribe();
        let stop = stopped.wait_for(Option::is_some).await;
        stop.ok().and_then(|stop| stop.clone()).unwrap_or(Stop::Shutdown)
    }

    /// Stops consensus and all connections. What was proposed and not answered stays unknown.
    pub async fn shutdown(&self) {
        let inner = &self.0;
        inner.stop(Stop::Shutdown);
        inner.stopping.send_replace(true);
        // Consensus always ends; an error only says how.
        let _ = inner.raft.shutdown().await;
        inner.peers.disconnect();
        let tasks = std::mem::take(&mut *inner.tasks.lock());
        for task in tasks {
            let grace = Instant::now() + Duration::from_secs(1);
            let stopper = task.abort_handle();
            if timeout_at(grace, task).await.is_err() {
                stopper.abort();
            }
        }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }
}

/// What is made before consensus runs.
struct Parts {
    store: LogStore,
    log: Arc<dyn Log>,
    table: Arc<dyn Table>,
    durability: Arc<Durability>,
    counters: Arc<Counters>,
    progress: Arc<Progress>,
    factory: Factory,
}

impl Parts {
    fn new(config: &Config, id: u64, log: &Arc<dyn Log>, table: &Arc<dyn Table>, peers: Arc<Peers>) -> Self {
        let counters = Arc::new(Counters::default());
        let durability = Arc::new(Durability::new(log.clone()));
        let last = table.applied().last.as_ref().map(wire::from_disk_id);
        let message_bytes = config.limits.message_bytes;
        Self {
            store: LogStore::new(log.clone(), durability.clone(), counters.clone(), config.limits.read_bytes),
            log: log.clone(),
            table: table.clone(),
            durability,
            progress: Arc::new(Progress::new(last)),
            factory: Factory { from: id, peers, counters: counters.clone(), message_bytes },
            counters,
        }
    }

    async fn run(&self, config: Arc<openraft::Config>, hooks: &Arc<dyn Hooks>) -> Result<Consensus, StartError> {
        let (table, progress) = (self.table.clone(), self.progress.clone());
        let durability = Some(self.durability.clone());
        let machine = Machine::new(table, durability, hooks.clone(), progress, self.counters.clone())
            .map_err(|error| StartError::Diverged(error.to_string()))?;
        let (id, network) = (self.factory.from, self.factory.clone());
        let raft = Consensus::new(id, config, network, self.store.clone(), machine).await;
        raft.map_err(|error| StartError::Consensus(error.to_string()))
    }

    fn into_inner(
        self,
        config: Config,
        identity: &Identity,
        raft: Consensus,
        hooks: Arc<dyn Hooks>,
        view: watch::Receiver<View>,
        this: std::sync::Weak<Inner>,
    ) -> Inner {
        let lead = Lead { id: identity.id(), raft: raft.clone(), view: view.clone(), progress: self.progress.clone() };
        let limits = &config.limits;
        let gate =
            Gate::new(self.table.clone(), hooks.clone(), Arc::new(lead), limits.waiting_bytes, limits.batch_bytes);
        let state = self.log.state();
        let own = Endpoint {
            cluster_addr: config.cluster_addr.clone(),
            api_addr: config.api_addr.clone(),
            public_key: identity.public_key(),
            promote: true,
        };
        Inner {
            id: identity.id(),
            own,
            confirm: Arc::new(Coalescer::new(limits.read_rounds, call::leader_rounds(this.clone()))),
            reads: Arc::new(Coalescer::new(limits.read_rounds, call::rounds(this))),
            campaign: AtomicBool::new(config.campaign),
            had_state: AtomicBool::new(state.last.is_some() || self.table.applied().last.is_some()),
            config,
            raft,
            table: self.table,
            hooks,
            peers: self.factory.peers.clone(),
            factory: self.factory,
            progress: self.progress,
            counters: self.counters,
            view,
            gate: Arc::new(gate),
            probes: Mutex::default(),
            stopping: watch::Sender::new(false),
            stopped: watch::Sender::new(None),
            tasks: Mutex::default(),
        }
    }
}

impl Inner {
    /// Hands a received snapshot to consensus, which would panic on one that contradicts what is committed here.
    pub(crate) async fn install(&self, from: u64, received: Received) -> Result<Vote, Status> {
        let Received { vote, snapshot } = received;
        if vote.leader_id.node_id != from {
            return Err(Status::permission_denied("not the sender's vote"));
        }
        let committed = self.raft.metrics().borrow_watched().local_committed;
        let last = snapshot.meta.last_log_id;
        if last > committed && last.map(|id| id.index) <= committed.map(|id| id.index) {
            return Err(Status::failed_precondition("the snapshot contradicts what is committed here"));
        }
        let reply = self.raft.install_full_snapshot(vote, snapshot).await;
        reply.map(|reply| reply.vote).map_err(|_| Status::unavailable("consensus has stopped here"))
    }

    fn stop(&self, stop: Stop) {
        self.progress.end();
        self.stopped.send_if_modified(|present| {
            let is_first = present.is_none();
            if is_first {
                *present = Some(stop);
            }
            is_first
        });
    }
}

/// Follows openraft's view of leader and members, and its end.
async fn follow(raft: Consensus, inner: Arc<Inner>, view: watch::Sender<View>) {
    let mut changes = raft.server_metrics();
    loop {
        let now = {
            let metrics = changes.borrow_watched();
            View {
                state: metrics.state,
                vote: metrics.vote,
                leader: metrics.current_leader,
                membership: metrics.membership_config.clone(),
            }
        };
        if now.membership.nodes().next().is_some() {
            inner.peers.follow(&now.membership);
            inner.peers.warm();
        }
        if now.leader != view.borrow().leader {
            inner.counters.leader_changes.add(1);
        }
        view.send_replace(now);
        if changes.changed().await.is_err() {
            break;
        }
    }
    // The sender is gone, so consensus has ended. After a shutdown the reason is recorded already.
    let ended = raft.metrics().borrow_watched().running_state.clone();
    match (inner.progress.halted(), ended) {
        (Some(index), _) => inner.stop(Stop::Halted(index)),
        (None, Err(error)) => inner.stop(Stop::Fatal(error.to_string())),
        (None, Ok(())) => inner.stop(Stop::Fatal("consensus ended without a reason".into())),
    }
}

fn first_view(raft: &Consensus) -> View {
    let metrics = raft.server_metrics();
    let metrics = metrics.borrow_watched();
    View {
        state: metrics.state,
        vote: metrics.vote,
        leader: metrics.current_leader,
        membership: metrics.membership_config.clone(),
    }
}

/// The table must not be behind what the log still holds, nor contradict it.
fn compare(log: &Arc<dyn Log>, table: &Arc<dyn Table>) -> Result<(), StartError> {
    let state = log.state();
    let applied = table.applied().last;
    if state.purged.map(|id| id.index) > applied.map(|id| id.index) {
        return Err(StartError::Diverged("the log no longer holds entries that the table lacks".into()));
    }
    let Some(applied) = applied else { return Ok(()) };
    let is_held = state.last.is_some_and(|last| last.index >= applied.index)
        && state.purged.is_none_or(|purged| purged.index < applied.index);
    if is_held {
        let range = applied.index..applied.index + 1;
        let entries = log.read(range, 1).map_err(|error| StartError::Diverged(error.to_string()))?;
        if entries.first().is_none_or(|entry| entry.id != applied) {
            return Err(StartError::Diverged(format!("they differ at index {}", applied.index)));
        }
    }
    Ok(())
}

/// What was applied before the last crash becomes durable before it counts as a snapshot.
async fn make_durable(table: &Arc<dyn Table>) -> Result<(), StartError> {
    if table.applied().last.is_none() {
        return Ok(());
    }
    let table = table.clone();
    let synced = tokio::task::spawn_blocking(move || table.sync()).await;
    synced.map_err(|error| StartError::Diverged(error.to_string()))??;
    Ok(())
}

/// Binds the configured address and replaces port 0 by the port that was bound.
async fn listen(config: &mut Config) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = config.cluster_listen else { return Ok(None) };
    let failed = |source: io::Error| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound: SocketAddr = listener.local_addr().map_err(failed)?;
    if let Some(host) = config.cluster_addr.strip_suffix(":0") {
        config.cluster_addr = format!("{host}:{}", bound.port());
    }
    Ok(Some(listener))
}

fn tls_failed(error: rustls::Error) -> StartError {
    StartError::Tls(error.to_string())
}

impl From<Arc<Inner>> for Raft {
    fn from(inner: Arc<Inner>) -> Self {
        Self(inner)
    }
}
