//! Nodes in one process, with real TLS over loopback and storage in memory.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use conclave_batch::key::push_segment;
use conclave_batch::{Batch, Checkpoint, Guard, Op, Outcome, SignedBatch};
use conclave_raft::{
    AttestationError, CallError, Config, Hooks, Identity, Member, Peer, ProposeError, Raft, Role, StartError,
};
use conclave_storage::log::{Log, MemoryLog};
use conclave_storage::table::{MemoryTable, Table};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use prost::Message;
use tokio::time::Instant;

/// Longest that anything in these tests may take; they poll and end early.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// Polls until `check` holds.
pub(crate) async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let deadline = deadline();
    while !check().await {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A node crate in miniature.
#[derive(Default)]
pub(crate) struct Shell {
    pub(crate) sealed: AtomicBool,
    pub(crate) rejects_at: AtomicU64,
    /// By how much this node's clock is wrong.
    pub(crate) clock_ahead_millis: AtomicU64,
    pub(crate) invalidated: Mutex<HashSet<Bytes>>,
    /// The node, if a test wants to compare what it publishes as applied.
    pub(crate) node: Mutex<Option<Raft>>,
    /// Batches whose index was published before the caches were told.
    pub(crate) told_late: AtomicU64,
    pub(crate) installed: AtomicU64,
    /// How often this node vouched for an answer, as a leader.
    pub(crate) attested: AtomicU64,
    /// As long as this node has told its caches of no change, it cannot check a leader's word.
    pub(crate) lacks_the_key: AtomicBool,
    pub(crate) callers: Mutex<Vec<Peer>>,
}

impl Hooks for Shell {
    fn verify_for_append(&self, _: &[u8], _: u64) -> Result<(), String> {
        if self.sealed.load(Ordering::SeqCst) { Err("sealed".into()) } else { Ok(()) }
    }

    fn clock_millis(&self) -> u64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later than 1970");
        now.as_millis() as u64 + self.clock_ahead_millis.load(Ordering::SeqCst)
    }

    fn before_apply(&self, index: u64, _: &[u8]) -> Result<(), String> {
        let rejects_at = self.rejects_at.load(Ordering::SeqCst);
        if rejects_at != 0 && index >= rejects_at { Err("a bad tag".into()) } else { Ok(()) }
    }

    fn applied(&self, index: u64, keys: &[Bytes]) {
        if self.node.lock().as_ref().is_some_and(|node| node.applied_index() >= index) {
            self.told_late.fetch_add(1, Ordering::SeqCst);
        }
        self.invalidated.lock().extend(keys.iter().cloned());
        self.lacks_the_key.store(false, Ordering::SeqCst);
    }

    fn installed(&self) {
        self.installed.fetch_add(1, Ordering::SeqCst);
    }

    fn attest(&self, _: &[u8]) -> Result<Bytes, String> {
        self.attested.fetch_add(1, Ordering::SeqCst);
        Ok(Bytes::new())
    }

    fn verify_attestation(&self, _: &[u8], _: &[u8]) -> Result<(), AttestationError> {
        match self.lacks_the_key.load(Ordering::SeqCst) {
            true => Err(AttestationError::Newer("the key is on its way".into())),
            false => Ok(()),
        }
    }

    fn call(&self, from: Peer, method: &str, body: Bytes) -> BoxFuture<'static, Result<Bytes, CallError>> {
        self.callers.lock().push(from);
        let answer = match method {
            "echo" | "join" => Ok(body),
            "fail" => Err(CallError::Failed { code: 409, message: "on purpose".into() }),
            _ => Err(CallError::UnknownMethod),
        };
        Box::pin(std::future::ready(answer))
    }
}

pub(crate) struct Node {
    pub(crate) raft: Raft,
    pub(crate) table: Arc<MemoryTable>,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) shell: Arc<Shell>,
    pub(crate) identity: Arc<Identity>,
    config: Config,
}

impl Node {
    pub(crate) async fn start(config: Config) -> Self {
        let identity = Arc::new(Identity::ephemeral().expect("an identity"));
        Self::with(config, identity, Arc::new(MemoryLog::new()), Arc::new(MemoryTable::new())).await
    }

    pub(crate) async fn with(
        config: Config,
        identity: Arc<Identity>,
        log: Arc<MemoryLog>,
        table: Arc<MemoryTable>,
    ) -> Self {
        let (shell, end) = (Arc::new(Shell::default()), deadline());
        let raft = loop {
            match Raft::start(config.clone(), identity.clone(), log.clone(), table.clone(), shell.clone()).await {
                Ok(raft) => break raft,
                // While this node was down, a connection of another test may have taken its port.
                Err(StartError::Listen { .. }) if Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("the node does not start: {error}"),
            }
        };
        Self { raft, table, log, shell, identity, config }
    }

    /// The same node again, at the same address, after a shutdown.
    pub(crate) async fn restart(self, cluster: [u8; 16], pins: Vec<Member>) -> Self {
        let mut config = self.config.clone();
        let address = self.raft.member().cluster_addr;
        if config.cluster_listen.is_some() {
            config.cluster_listen = Some(address.parse().expect("it was an address"));
            config.cluster_addr = address;
        }
        config.cluster_id = Some(cluster);
        let node = Self::with(config, self.identity, self.log, self.table).await;
        node.raft.enter(cluster, pins).expect("nothing to write");
        node
    }

    pub(crate) fn id(&self) -> u64 {
        self.identity.id()
    }

    pub(crate) async fn put(&self, name: &str, value: &str) -> Result<Outcome, ProposeError> {
        self.raft.propose(self.batch(&[], &[(name, value)]), deadline()).await
    }

    pub(crate) async fn put_surely(&self, name: &str, value: &str) -> u64 {
        match self.put(name, value).await {
            Ok(Outcome::Applied { index }) => index,
            other => panic!("{name} was not written: {other:?}"),
        }
    }

    /// A batch under a fresh id; guards are names and revisions.
    pub(crate) fn batch(&self, guards: &[(&str, u64)], puts: &[(&str, &str)]) -> Bytes {
        let guards =
            guards.iter().map(|(name, revision)| Guard { key: key(name), is_directory: false, revision: *revision });
        let ops = puts.iter().map(|(name, value)| Op { key: key(name), value: Some(value.as_bytes().to_vec().into()) });
        self.signed(Batch { guards: guards.collect(), ops: ops.collect(), ..Default::default() })
    }

    fn signed(&self, mut batch: Batch) -> Bytes {
        batch.id = rand::random::<[u8; 16]>().to_vec().into();
        batch.base = self.raft.applied_index();
        batch.epoch = self.table.applied().epoch;
        SignedBatch { body: batch.encode_to_vec().into(), ..Default::default() }.encode_to_vec().into()
    }

    /// Confirms the table's digest, as an unsealed node does now and then, so that the log before it may be purged.
    pub(crate) async fn confirm_checkpoint(&self) {
        let mut named = Checkpoint { index: 0, digest: Bytes::from_static(&[0; 32]) };
        for _ in 0..2 {
            let batch = self.signed(Batch { checkpoint: Some(named), ..Batch::default() });
            let outcome = self.raft.propose(batch, deadline()).await.expect("a checkpoint is a batch like others");
            let Outcome::Applied { index } = outcome else { panic!("a checkpoint has no guards, and got {outcome:?}") };
            self.raft.wait_applied(index, deadline()).await.expect("it is applied here too");
            let digest =
                self.table.digest_at(index).expect("a memory table reads").expect("a checkpoint is remembered");
            named = Checkpoint { index, digest: Bytes::copy_from_slice(&digest) };
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let view = self.table.view().expect("a memory table has views");
        let record = view.get(&key(name)).expect("a memory table reads")?;
        Some(String::from_utf8(record.value.to_vec()).expect("the tests write text"))
    }

    pub(crate) fn leads(&self) -> bool {
        let status = self.raft.status();
        status.role == Role::Leader && status.leader.is_some_and(|leader| leader.id == self.id())
    }
}

pub(crate) fn key(name: &str) -> Bytes {
    let mut key = Vec::new();
    name.split('/').for_each(|segment| push_segment(&mut key, segment.as_bytes()));
    key.into()
}

pub(crate) fn clustered() -> Config {
    let listen = "127.0.0.1:0".parse().expect("an address");
    let mut config = Config::clustered(listen, "127.0.0.1:0", "http://127.0.0.1:8200");
    config.upkeep_interval = Duration::from_millis(100);
    config.promote_after = None;
    config
}

/// A log as it is now, as a backup of a disk would hold it.
pub(crate) fn copy_of(log: &MemoryLog) -> Arc<MemoryLog> {
    let (copy, state) = (Arc::new(MemoryLog::new()), log.state());
    let end = state.last.expect("there are entries").index + 1;
    let entries = log.read(0..end, usize::MAX).expect("a memory log reads");
    copy.append(entries, Box::new(|_| {})).expect("a memory log takes everything");
    copy.save_vote(state.vote.expect("it has voted")).expect("a memory log takes everything");
    copy
}

/// A cluster of one, to which others can be added.
pub(crate) async fn first(config: Config) -> Node {
    let node = Node::start(config).await;
    node.raft.bootstrap().await.expect("a fresh node bootstraps");
    node
}

/// Adds a started node as a learner and waits until it has what the leader has.
pub(crate) async fn add(leader: &Node, node: &Node) {
    let cluster = leader.raft.cluster_id().expect("the leader has a cluster");
    node.raft.enter(cluster, leader.raft.status().members).expect("a fresh node has none");
    retry(async || leader.raft.add_learner(node.raft.member()).await).await;
    let index = leader.raft.applied_index();
    node.raft.wait_applied(index, deadline()).await.expect("the learner catches up");
}

/// Repeats a change that another change came before.
pub(crate) async fn retry(mut change: impl AsyncFnMut() -> Result<(), conclave_raft::ChangeError>) {
    let deadline = deadline();
    loop {
        match change().await {
            Ok(()) => return,
            Err(error) => assert!(Instant::now() < deadline, "the members could not be changed: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Three voters; the first leads.
pub(crate) async fn three() -> [Node; 3] {
    three_with(clustered()).await
}

pub(crate) async fn three_with(config: Config) -> [Node; 3] {
    let nodes = [first(config.clone()).await, Node::start(config.clone()).await, Node::start(config).await];
    for node in &nodes[1..] {
        add(&nodes[0], node).await;
        retry(async || nodes[0].raft.promote(node.id()).await).await;
    }
    nodes
}

/// Waits until one of the nodes leads, and says which.
pub(crate) async fn leader_of<'a>(nodes: &[&'a Node]) -> &'a Node {
    let deadline = deadline();
    loop {
        if let Some(node) = nodes.iter().find(|node| node.leads()) {
            return node;
        }
        assert!(Instant::now() < deadline, "nobody leads");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
