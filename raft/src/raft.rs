//! A node's consensus: what it holds, and what its owner may ask of it as a whole.
//!
//! Proposals, reads, requests to other nodes, changes of members and the status have files of their own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conclave_storage::log::Log;
use conclave_storage::table::Table;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{InitializeError, RaftError};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tonic::Status;

use crate::config::Config;
use crate::connections::MemberConnections;
use crate::error::{ChangeError, ReadError, Stop};
use crate::gate::Gate;
use crate::hooks::Hooks;
use crate::machine::Consensus;
use crate::metrics::{Counters, Metrics};
use crate::network::Factory;
use crate::peers::Peers;
use crate::processes::{PROCESS_BYTES, Process, Processes};
use crate::progress::Progress;
use crate::read::Coalescer;
use crate::snapshot::Received;
use crate::status::{Candidacy, Confirmed, Member, Probe};
use crate::types::{NodeRecord, StoredMembership, Vote};

/// How long a bootstrap waits for its single voter to lead.
const BOOTSTRAP_LIMIT: Duration = Duration::from_secs(10);

/// A node's consensus. A handle; clones are the same node. It runs until [`Raft::shutdown`], handle or not.
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

/// A node's parts. Its tasks hold it, so it lives until [`Raft::shutdown`].
pub(crate) struct Inner {
    pub(crate) id: u64,
    pub(crate) own: NodeRecord,
    pub(crate) config: Config,
    pub(crate) raft: Consensus,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) table: Arc<dyn Table>,
    pub(crate) hooks: Arc<dyn Hooks>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) factory: Factory,
    pub(crate) progress: Arc<Progress>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) view: watch::Receiver<Arc<View>>,
    pub(crate) gate: Arc<Gate>,
    /// Rounds of this node as leader.
    pub(crate) confirm: Arc<Coalescer>,
    /// Rounds of this node as whatever it is.
    pub(crate) reads: Arc<Coalescer>,
    /// How long a learner must have kept up before it is promoted; `None` leaves promotion to others.
    pub(crate) promote_after: Mutex<Option<Duration>>,
    pub(crate) probes: Mutex<HashMap<u64, Probe>>,
    pub(crate) processes: Arc<Processes>,
    /// When each node answered a probe last, or was asked for the first time.
    pub(crate) answered: Mutex<HashMap<u64, Instant>>,
    /// Whether most of those who answer hear another process under this node's id.
    pub(crate) is_doubled: AtomicBool,
    /// Nodes that refused the last probe because this node is no member, and the index of the committed membership that
    /// each follows, or 0.
    pub(crate) refusals: Mutex<BTreeMap<u64, u64>>,
    /// Nodes that refused the last probe because the cluster was recovered without this node.
    pub(crate) left_behind_by: Mutex<BTreeSet<u64>>,
    /// The newest round for a read point that succeeded.
    pub(crate) confirmed: Mutex<Option<Confirmed>>,
    /// Whether this node may lead. openraft knows it too, except where it does not look.
    pub(crate) candidacy: watch::Sender<Candidacy>,
    /// When a leader last sent something here.
    pub(crate) heard_leader: Mutex<Instant>,
    pub(crate) started_at: Instant,
    /// Whether there was a log when this node started.
    pub(crate) had_log: bool,
    /// Told when a connection that a member had opened to this node has ended.
    pub(crate) connections: Arc<MemberConnections>,
    /// Whether there was a log or a table already when this node started, or it has bootstrapped since.
    pub(crate) had_state: AtomicBool,
    /// Turns true once, when this node is to stop.
    pub(crate) stopping: watch::Sender<bool>,
    /// Why consensus ended; the first reason stays.
    pub(crate) stopped: watch::Sender<Option<Stop>>,
    pub(crate) tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Raft {
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
        // A single voter that may campaign does so at its next tick; asking for it as well would make two terms.
        if !inner.may_lead() {
            inner.raft.trigger().elect(false).await.map_err(|_| ChangeError::Stopped)?;
        }
        let deadline = Instant::now() + BOOTSTRAP_LIMIT;
        inner.lead_ready(deadline).await.map(|_| ()).map_err(ChangeError::Unknown)
    }

    /// Whether this node has ever belonged to a cluster: it has a log, or a membership.
    pub fn is_initialized(&self) -> bool {
        let inner = &self.0;
        inner.had_state.load(Ordering::Acquire) || inner.view().membership.nodes().next().is_some()
    }

    /// The node that leads, as far as this node knows: nobody may have confirmed it for a while.
    pub fn leader(&self) -> Option<u64> {
        self.0.view().leader
    }

    /// The leader that a quorum confirmed last to this node, and when this node had asked.
    pub fn confirmed(&self) -> Option<Confirmed> {
        *self.0.confirmed.lock()
    }

    /// The cluster this node belongs to, if it knows.
    pub fn cluster_id(&self) -> Option<[u8; 16]> {
        self.0.peers.cluster_id()
    }

    /// Says which cluster this node is about to make. Kept beside the node's key.
    pub fn set_cluster_id(&self, id: [u8; 16]) -> Result<(), ChangeError> {
        match self.0.peers.set_cluster_id(id) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ChangeError::AlreadyInitialized),
            Err(error) => Err(ChangeError::Io(error.to_string())),
        }
    }

    /// Takes the cluster and the members named in the answer to a join. They may speak to this node until it finds
    /// itself in the membership that they send. Kept beside the node's key.
    pub fn enter(&self, cluster: [u8; 16], members: Vec<Member>) -> Result<(), ChangeError> {
        let members = members.into_iter().map(|member| (member.id, member.record())).collect();
        match self.0.peers.enter(cluster, members) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ChangeError::AlreadyInitialized),
            Err(error) => Err(ChangeError::Io(error.to_string())),
        }
    }

    /// Whether this node has joined a cluster and waits for its leader to send it the log.
    pub fn is_entering(&self) -> bool {
        self.0.peers.is_entering()
    }

    /// Whether this node is the only member of its cluster.
    pub fn is_alone(&self) -> bool {
        let view = self.0.view();
        view.membership.voter_ids().eq([self.0.id]) && view.membership.nodes().count() == 1
    }

    /// A member said, over a connection that proved its key, where it is: it is dialled there from now on, until the
    /// membership says otherwise.
    pub fn note_address(&self, id: u64, cluster_addr: &str) {
        self.0.peers.note_place(id, cluster_addr);
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

    /// The newest index that a leader confirmed to this node, applied here or not; 0 before the first.
    pub fn known_read_point(&self) -> u64 {
        self.0.progress.read_point()
    }

    /// The newest entry that this node had acknowledged and has lost, because its disk went back in time. Kept beside the
    /// node's key: such a node never votes or leads again.
    pub fn rolled_back_from(&self) -> Option<u64> {
        self.0.peers.rolled_back_from()
    }

    /// Which processes spoke under a node's id in the last minute, as far as this node heard them.
    pub fn processes(&self, node: u64) -> Vec<Process> {
        self.0.processes.of(node, Instant::now())
    }

    /// Whether two processes go on speaking under a node's id, as far as this node hears them.
    pub fn hears_two(&self, node: u64) -> bool {
        self.0.processes.is_doubled(node, Instant::now())
    }

    /// Whether this node has started so lately that it cannot have heard yet which processes speak under the ids of others.
    pub fn has_just_started(&self) -> bool {
        self.0.has_just_started()
    }

    /// When a node was heard last; `None` if never since this process started. Every node speaks to every other once in a
    /// [`Raft::probe_interval`].
    pub fn last_heard(&self, node: u64) -> Option<Instant> {
        self.0.processes.last_heard(node)
    }

    /// Whether most of the members that answer hear another process under this node's id: its data folder was copied and
    /// started, or its key stolen. Such a node neither votes nor leads.
    pub fn is_doubled(&self) -> bool {
        self.0.is_doubled()
    }

    /// Notes that a process answered under a node's id, which it proved.
    pub fn note_process(&self, node: u64, process: [u8; PROCESS_BYTES]) {
        self.0.processes.note(node, process, Instant::now());
    }

    /// Time between two requests of every node to every other, whatever else they have to say.
    pub fn probe_interval(&self) -> Duration {
        self.0.config.upkeep_interval
    }

    /// Counters and gauges.
    pub fn metrics(&self) -> Metrics {
        let (bytes, batches) = self.0.gate.waiting();
        Metrics::read(&self.0.counters, bytes, batches)
    }

    /// Says whether this node may lead. Whatever it says, the node votes and replicates. One that leads and may no longer
    /// hands over as soon as another can take it.
    pub fn set_candidacy(&self, candidacy: Candidacy) {
        let inner = &self.0;
        inner.candidacy.send_if_modified(|present| std::mem::replace(present, candidacy) != candidacy);
        let is_free = inner.allow_elections();
        let is_leaderless =
            inner.view().leader.is_none() || inner.heard_leader.lock().elapsed() > inner.config.timing.election_max;
        if is_free && is_leaderless && self.is_initialized() {
            let raft = inner.raft.clone();
            let is_voter = inner.view().membership.voter_ids().any(|id| id == inner.id);
            if is_voter {
                tokio::spawn(async move { raft.trigger().elect(true).await });
            }
        }
    }

    /// Says how long a learner must have kept up before this node, if it leads, promotes it. Where promotion is not the
    /// leader's ([`crate::Config::promote_after`]), it stays so.
    pub fn set_promote_after(&self, time: Duration) {
        if self.0.config.promote_after.is_some() {
            *self.0.promote_after.lock() = Some(time);
        }
    }

    /// The longest time that a follower waits for a leader.
    pub fn election_timeout(&self) -> Duration {
        self.0.config.timing.election_max
    }

    /// For how long this node's disk has taken nothing of what waits for it: the log, or the table. Zero if nothing waits.
    pub fn stalled_for(&self) -> Duration {
        self.0.log.stalled_for().max(self.0.progress.applying_for())
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

impl Inner {
    /// What consensus is now. Nothing is locked while the answer lives: whoever looked at it twice, with a lock in hand, would
    /// wait for a writer that waits for it.
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.borrow())
    }

    /// Whether this node may campaign and accept leadership: a candidate's first vote is its own.
    pub(crate) fn may_lead(&self) -> bool {
        *self.candidacy.borrow() == Candidacy::Free && self.objection_to_voting().is_none()
    }

    /// Has openraft campaign if this node may lead, and says whether it may. What others tell of it may change that.
    pub(crate) fn allow_elections(&self) -> bool {
        let may_lead = self.may_lead();
        self.raft.runtime_config().elect(may_lead);
        may_lead
    }

    /// Whether most of those who answer hear another process under this node's id.
    pub(crate) fn is_doubled(&self) -> bool {
        self.is_doubled.load(Ordering::Relaxed)
    }

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

    /// Notes why consensus ended, and tells everyone who waits.
    pub(crate) fn stop(&self, stop: Stop) {
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

impl From<Arc<Inner>> for Raft {
    fn from(inner: Arc<Inner>) -> Self {
        Self(inner)
    }
}
