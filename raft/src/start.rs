//! Starting a node: checking what is on disk, opening the doors, and putting the parts together.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use conclave_storage::log::{Log, LogId, LogState, Payload};
use conclave_storage::table::{Applied, Table};
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::answer::Answers;
use crate::config::Config;
use crate::error::{StartError, Stop};
use crate::gate::Gate;
use crate::hooks::Hooks;
use crate::identity::Identity;
use crate::log::{Durability, LogStore};
use crate::machine::{Consensus, Machine};
use crate::metrics::Counters;
use crate::network::Factory;
use crate::peers::{Peers, contradicts};
use crate::progress::Progress;
use crate::propose::Lead;
use crate::raft::{Inner, Raft, View};
use crate::read::Coalescer;
use crate::status::Candidacy;
use crate::tls::Tls;
use crate::types::NodeRecord;
use crate::{call, server, wire};

/// Bytes of the log that are read at once.
const READ_BYTES: usize = 4 << 20;

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
        recognise(&peers, &identity, &log, &table)?;
        let parts = Foundation::new(&config, identity.id(), &log, &table, Arc::new(peers));
        let raft = parts.run(consensus, &hooks).await?;
        if parts.factory.peers.rolled_back_from().is_some() {
            raft.runtime_config().elect(false);
        }
        let (view, followed) = watch::channel(Arc::new(look(&raft)));
        let inner =
            Arc::new_cyclic(|this| parts.into_inner(config, &identity, raft.clone(), hooks, followed, this.clone()));
        let mut tasks = vec![
            tokio::spawn(follow(raft, inner.clone(), view)),
            tokio::spawn(crate::upkeep::run(inner.clone(), reopened, inner.stopping.subscribe())),
            tokio::spawn(crate::leadership::run(inner.clone(), inner.stopping.subscribe())),
            tokio::spawn(crate::succession::run(inner.clone(), inner.stopping.subscribe())),
        ];
        if let Some(listener) = listener {
            let acceptor = TlsAcceptor::from(Arc::new(tls.server().map_err(tls_failed)?));
            let (timing, limits) = (inner.config.timing, inner.config.limits.clone());
            let stop = inner.stopping.subscribe();
            tasks.push(tokio::spawn(server::serve(listener, acceptor, Answers(inner.clone()), timing, limits, stop)));
        }
        *inner.tasks.lock() = tasks;
        Ok(Self::from(inner))
    }
}

/// What is made before consensus runs.
struct Foundation {
    store: LogStore,
    log: Arc<dyn Log>,
    table: Arc<dyn Table>,
    durability: Arc<Durability>,
    counters: Arc<Counters>,
    progress: Arc<Progress>,
    factory: Factory,
}

impl Foundation {
    fn new(config: &Config, id: u64, log: &Arc<dyn Log>, table: &Arc<dyn Table>, peers: Arc<Peers>) -> Self {
        let counters = Arc::new(Counters::default());
        let durability = Arc::new(Durability::new(log.clone()));
        let last = table.applied().last.as_ref().map(wire::from_disk_id);
        let progress = Arc::new(Progress::new(last));
        let (message_bytes, read_bytes) = (config.limits.message_bytes, config.limits.read_bytes);
        Self {
            store: LogStore::new(log.clone(), durability.clone(), progress.clone(), counters.clone(), read_bytes),
            log: log.clone(),
            table: table.clone(),
            durability,
            progress,
            factory: Factory {
                from: id,
                process: config.process,
                peers,
                counters: counters.clone(),
                acknowledged: Arc::default(),
                message_bytes,
            },
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
        view: watch::Receiver<Arc<View>>,
        this: std::sync::Weak<Inner>,
    ) -> Inner {
        let candidacy = watch::Sender::new(if config.campaign { Candidacy::Free } else { Candidacy::LastResort });
        let lead = Lead {
            id: identity.id(),
            raft: raft.clone(),
            view: view.clone(),
            progress: self.progress.clone(),
            candidacy: candidacy.subscribe(),
        };
        let limits = &config.limits;
        let gate =
            Gate::new(self.table.clone(), hooks.clone(), Arc::new(lead), limits.waiting_bytes, limits.batch_bytes);
        let state = self.log.state();
        let own = NodeRecord {
            cluster_addr: config.cluster_addr.clone(),
            api_addr: config.api_addr.clone(),
            public_key: identity.public_key(),
            promote: true,
            name: config.name.clone(),
        };
        Inner {
            id: identity.id(),
            own,
            confirm: Arc::new(Coalescer::new(limits.read_rounds, call::leader_rounds(this.clone()))),
            reads: Arc::new(Coalescer::new(limits.read_rounds, call::rounds(this))),
            candidacy,
            heard_leader: Mutex::new(Instant::now()),
            started_at: Instant::now(),
            had_log: state.last.is_some(),
            connections: Arc::default(),
            had_state: AtomicBool::new(state.last.is_some() || self.table.applied().last.is_some()),
            promote_after: Mutex::new(config.promote_after),
            config,
            raft,
            log: self.log,
            table: self.table,
            hooks,
            peers: self.factory.peers.clone(),
            factory: self.factory,
            progress: self.progress,
            counters: self.counters,
            view,
            gate: Arc::new(gate),
            probes: Mutex::default(),
            answered: Mutex::default(),
            is_doubled: AtomicBool::new(false),
            processes: Arc::default(),
            refusals: Mutex::default(),
            left_behind_by: Mutex::default(),
            confirmed: Mutex::default(),
            stopping: watch::Sender::new(false),
            stopped: watch::Sender::new(None),
            tasks: Mutex::default(),
        }
    }
}

/// Follows openraft's view of leader and members, and its end.
async fn follow(raft: Consensus, inner: Arc<Inner>, view: watch::Sender<Arc<View>>) {
    let mut changes = raft.server_metrics();
    loop {
        let mut now = look(&raft);
        if now.membership.nodes().next().is_some() {
            inner.peers.follow(&now.membership);
            inner.peers.warm();
        }
        now.leader = now.leader.filter(|leader| inner.is_believed_to_lead(*leader, &now));
        if now.leader != view.borrow().leader {
            inner.counters.leader_changes.add(1);
        }
        view.send_replace(Arc::new(now));
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

impl Inner {
    /// Whether a node that openraft names as the leader is one. A leader that was removed goes on naming itself, and
    /// those who followed it go on naming it until they hear of another.
    fn is_believed_to_lead(&self, leader: u64, view: &View) -> bool {
        let is_voter = || view.membership.voter_ids().any(|voter| voter == leader);
        match leader == self.id {
            true => view.state == ServerState::Leader && is_voter(),
            false => self.peers.record(leader).is_some(),
        }
    }
}

fn look(raft: &Consensus) -> View {
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
    // Whoever applied an entry has voted, or has followed somebody's vote, and both are saved before.
    if state.vote.is_none() {
        return Err(StartError::Diverged("the log is gone, and with it what this node voted".into()));
    }
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

/// The files beside the node's key must be those of the node that wrote log and table.
fn recognise(peers: &Peers, identity: &Identity, log: &Arc<dyn Log>, table: &Arc<dyn Table>) -> Result<(), StartError> {
    let applied = table.applied();
    let has_entries = log.state().last.is_some() || applied.last.is_some();
    if has_entries && identity.dir().is_some() && peers.cluster_id().is_none() {
        return Err(StartError::NoCluster);
    }
    if log.state() == LogState::default() && peers.was_member() {
        return Err(StartError::LostLog);
    }
    let newest = newest_membership(log.as_ref(), applied)?;
    let membership = wire::stored_membership(&newest).map_err(|error| StartError::Diverged(error.to_string()))?;
    let is_other = contradicts(membership.nodes(), identity.id(), &identity.public_key());
    if is_other || peers.contradicts_own() { Err(StartError::OtherIdentity) } else { Ok(()) }
}

/// The newest membership that is known to be committed. The table on the disk is behind, so the log may have a newer one.
fn newest_membership(log: &dyn Log, applied: Applied) -> Result<Option<(LogId, Bytes)>, StartError> {
    let LogState { purged, last, committed, .. } = log.state();
    let mut newest = applied.membership;
    let (Some(last), Some(committed)) = (last, committed) else { return Ok(newest) };
    let mut next = applied.last.max(purged).map_or(0, |id| id.index + 1);
    let end = last.index.min(committed.index) + 1;
    while next < end {
        let entries = log.read(next..end, READ_BYTES).map_err(|error| StartError::Diverged(error.to_string()))?;
        let Some(read_to) = entries.last().map(|entry| entry.id.index) else { break };
        next = read_to + 1;
        let memberships = entries.into_iter().filter_map(|entry| match entry.payload {
            Payload::Membership(bytes) => Some((entry.id, bytes)),
            Payload::Blank | Payload::Batch(_) => None,
        });
        newest = memberships.last().or(newest);
    }
    Ok(newest)
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
