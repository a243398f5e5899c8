//! Versioned registers: reads, writes and check-and-sets on a few keys of KV version 2, through all nodes at once.
//!
//! Every client is pinned to one node, so that reads are served there. What surprises: the SDK is asked through a fresh
//! handle each time, because one that wrote would tell the next node how far it must have come (`X-Vault-Index`), and so
//! hide a stale read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use conclave_client::{Address, Client, Discovery, Error};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::key::{Key, Keys};
use crate::cluster::Cluster;
use crate::history::{Event, Function, Kind, MISMATCH, Recorder};

/// The mount that is used.
pub const MOUNT: &str = "secret";
/// Versions that the mount keeps, more than a key gets, so that all can be read back.
pub const KEPT_VERSIONS: u64 = 1_000;
/// Keys in use at any time.
const KEYS: u64 = 4;
/// How long a client waits for its operation.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long an impatient reader waits; less than a pause, so that it asks while the node sleeps.
const SHORT_DEADLINE: Duration = Duration::from_millis(250);
/// Clients that read, write and swap, for each node.
const CLIENTS: usize = 2;
/// Rest between operations of one client.
const REST: Duration = Duration::from_millis(5);
/// Rest after a failure, so that a node that is down does not fill the history.
const LONG_REST: Duration = Duration::from_millis(50);
/// Most of an error's text, in bytes.
const MAX_ERROR_BYTES: usize = 300;

/// What all clients share.
pub struct Register {
    recorder: Arc<Recorder>,
    keys: Keys,
    pairs: Keys,
    next_process: AtomicU32,
    next_value: AtomicU64,
    leader: AtomicUsize,
    is_over: AtomicBool,
}

/// One client, with the process number it acts under.
struct Hand {
    register: Arc<Register>,
    client: Client,
    address: Address,
    node: usize,
    process: u32,
}

impl Register {
    /// A workload that writes its history to `recorder`.
    pub fn new(recorder: Arc<Recorder>) -> Arc<Self> {
        Arc::new(Self {
            recorder,
            keys: Keys::new("k", KEYS),
            pairs: Keys::new("p", 1),
            next_process: AtomicU32::new(0),
            next_value: AtomicU64::new(1),
            leader: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        })
    }

    /// Starts all clients. They go on until [`Register::end`], then their tasks end.
    ///
    /// # Errors
    /// [`Error::Configuration`] if a client cannot be built.
    pub fn begin(self: &Arc<Self>, cluster: &Cluster, seed: u64) -> Result<JoinSet<()>, Error> {
        let mut tasks = JoinSet::new();
        let mut seeds = StdRng::seed_from_u64(seed);
        for node in 0..cluster.size() {
            for _ in 0..CLIENTS {
                tasks.spawn(self.hand(cluster, node, DEADLINE)?.work(StdRng::seed_from_u64(seeds.random())));
            }
            tasks.spawn(self.hand(cluster, node, SHORT_DEADLINE)?.watch(StdRng::seed_from_u64(seeds.random())));
        }
        let writers =
            (0..cluster.size()).map(|node| self.hand(cluster, node, DEADLINE)).collect::<Result<Vec<_>, _>>()?;
        let readers =
            (0..cluster.size()).map(|node| self.hand(cluster, node, DEADLINE)).collect::<Result<Vec<_>, _>>()?;
        tasks.spawn(pairs(Arc::clone(self), writers, readers));
        Ok(tasks)
    }

    /// Tells all clients to stop after the operation under way.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Says which node leads, for the pair of clients that writes there and reads elsewhere.
    pub fn note_leader(&self, node: usize) {
        self.leader.store(node, Ordering::Relaxed);
    }

    /// A process number that nobody had.
    pub fn process(&self) -> u32 {
        self.next_process.fetch_add(1, Ordering::Relaxed)
    }

    fn hand(self: &Arc<Self>, cluster: &Cluster, node: usize, deadline: Duration) -> Result<Hand, Error> {
        let address = Address::parse(cluster.node(node).address())?;
        let client = Client::builder()
            .address(address.as_str())
            .token(cluster.root_token().clone())
            .discovery(Discovery::Off)
            .deadline(deadline)
            .max_retries(0)
            .build()?;
        Ok(Hand { process: self.process(), register: Arc::clone(self), client, address, node })
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// Writes on the leader and, as soon as that is acknowledged, reads the same key on every other node: the shortest way to
/// a stale read, if there is one.
async fn pairs(register: Arc<Register>, mut writers: Vec<Hand>, mut readers: Vec<Hand>) {
    while !register.is_over() {
        let leader = register.leader.load(Ordering::Relaxed);
        let key = register.pairs.take(0);
        let is_done = writers[leader].write(&key, None).await;
        let mut reads = JoinSet::new();
        for mut reader in readers.drain(..) {
            let key = Arc::clone(&key);
            reads.spawn(async move {
                if reader.node != leader {
                    reader.read(&key).await;
                }
                reader
            });
        }
        readers = reads.join_all().await;
        tokio::time::sleep(if is_done { REST } else { LONG_REST }).await;
    }
}

impl Hand {
    /// Reads, writes and swaps.
    async fn work(mut self, mut random: StdRng) {
        while !self.register.is_over() {
            let key = self.register.keys.take(random.random_range(0..KEYS as usize));
            let is_done = match random.random_range(0..10) {
                0..5 => self.read(&key).await,
                5..8 => self.write(&key, None).await,
                _ => self.write(&key, Some(key.newest())).await,
            };
            tokio::time::sleep(if is_done { REST } else { LONG_REST }).await;
        }
    }

    /// Only reads, and gives up soon.
    async fn watch(mut self, mut random: StdRng) {
        while !self.register.is_over() {
            let key = self.register.keys.take(random.random_range(0..KEYS as usize));
            let is_done = self.read(&key).await;
            tokio::time::sleep(if is_done { REST } else { LONG_REST }).await;
        }
    }

    /// Reads the newest version; answers whether that worked.
    async fn read(&mut self, key: &Key) -> bool {
        let event = self.event(key, Function::Read);
        self.register.recorder.record(event.clone());
        let found = self.client.at(self.address.clone()).kv2(MOUNT).get(key.name()).await;
        let (kind, version, value, err) = match found {
            Ok(Some(secret)) => match secret.data.get("value").and_then(Value::as_u64) {
                Some(value) => (Kind::Ok, Some(secret.metadata.version), Some(value), None),
                None => (Kind::Info, None, None, Some("the secret holds no value of ours".to_owned())),
            },
            Ok(None) => (Kind::Ok, Some(0), None, None),
            Err(error @ Error::Unanswered { .. }) => (Kind::Info, None, None, Some(brief(&error))),
            Err(error) => (Kind::Fail, None, None, Some(brief(&error))),
        };
        key.saw(version.unwrap_or(0));
        self.end(Event { kind, version, value, err, ..event })
    }

    /// Writes a new version, if the newest is the expected one; answers whether that worked.
    async fn write(&mut self, key: &Key, expected: Option<u64>) -> bool {
        let value = self.register.next_value.fetch_add(1, Ordering::Relaxed);
        let function = if expected.is_some() { Function::Cas } else { Function::Write };
        let event = Event { value: Some(value), expected, ..self.event(key, function) };
        self.register.recorder.record(event.clone());
        let (client, data) = (self.client.at(self.address.clone()), json!({ "value": value }));
        let written = match expected {
            Some(expected) => client.kv2(MOUNT).put_cas(key.name(), &data, expected).await,
            None => client.kv2(MOUNT).put(key.name(), &data).await,
        };
        let (kind, version, err) = match written {
            Ok(made) => (Kind::Ok, Some(made.version), None),
            Err(error) if is_mismatch(&error) => (Kind::Fail, None, Some(MISMATCH.to_owned())),
            Err(error) if error.may_have_happened() => (Kind::Info, None, Some(brief(&error))),
            Err(error) => (Kind::Fail, None, Some(brief(&error))),
        };
        key.saw(version.unwrap_or(0));
        self.end(Event { kind, version, err, ..event })
    }

    fn event(&self, key: &Key, function: Function) -> Event {
        let (process, node, key) = (self.process, self.node, key.name().to_owned());
        let (value, version, expected, err) = (None, None, None, None);
        Event { index: 0, process, nanos: 0, kind: Kind::Invoke, function, key, value, version, expected, node, err }
    }

    /// Records the end of an operation. A process that does not know what became of it is retired.
    fn end(&mut self, event: Event) -> bool {
        let kind = event.kind;
        self.register.recorder.record(event);
        if kind == Kind::Info {
            self.process = self.register.process();
        }
        kind == Kind::Ok
    }
}

fn is_mismatch(error: &Error) -> bool {
    matches!(error, Error::Status(status) if status.status == 400 && status.says("did not match the current version"))
}

/// An error's text, cut to a length that a history can hold.
fn brief(error: &Error) -> String {
    let mut text = error.to_string();
    let end = (0..=MAX_ERROR_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    text
}
