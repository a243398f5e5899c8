//! What all clients of a run share, and what one of them has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use conclave_client::{Address, Client, Discovery, Error, Secret};

use crate::cluster::{Cluster, Node};
use crate::history::{Event, Function, Kind, Recorder};

/// Rest between operations of one client.
const REST: Duration = Duration::from_millis(5);
/// Rest after a failure, so that a node that is down does not fill the history.
const LONG_REST: Duration = Duration::from_millis(50);
/// Most bytes of an error's text.
const MAX_ERROR_BYTES: usize = 300;

/// What all clients of a run share; a clone is the same stage.
#[derive(Clone)]
pub struct Stage {
    shared: Arc<Shared>,
}

struct Shared {
    recorder: Arc<Recorder>,
    addresses: Vec<Address>,
    token: Secret,
    next_process: AtomicU32,
    next_value: AtomicU64,
    leader: AtomicUsize,
    is_over: AtomicBool,
}

impl Stage {
    /// For the nodes of a cluster; the history goes to `recorder`.
    ///
    /// # Errors
    /// [`Error::Configuration`] if an address is none.
    pub fn new(cluster: &Cluster, recorder: Arc<Recorder>) -> Result<Self, Error> {
        let address = |node: &Node| Address::parse(node.address()).map_err(Error::from);
        let addresses = cluster.nodes().iter().map(address).collect::<Result<_, Error>>()?;
        let shared = Shared {
            recorder,
            addresses,
            token: cluster.root_token().clone(),
            next_process: AtomicU32::new(0),
            next_value: AtomicU64::new(1),
            leader: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// How many nodes there are.
    pub fn size(&self) -> usize {
        self.shared.addresses.len()
    }

    /// Tells all clients to stop after the operation under way.
    pub fn end(&self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
    }

    /// Whether clients are to stop.
    pub fn is_over(&self) -> bool {
        self.shared.is_over.load(Ordering::Relaxed)
    }

    /// Says which node leads.
    pub fn note_leader(&self, node: usize) {
        self.shared.leader.store(node, Ordering::Relaxed);
    }

    /// Which node led when somebody last looked.
    pub fn leader(&self) -> usize {
        self.shared.leader.load(Ordering::Relaxed)
    }

    /// A process number that nobody had.
    pub fn process(&self) -> u32 {
        self.shared.next_process.fetch_add(1, Ordering::Relaxed)
    }

    /// A number that nobody had.
    pub fn value(&self) -> u64 {
        self.shared.next_value.fetch_add(1, Ordering::Relaxed)
    }

    /// A client that begins on `node` and waits so long for an operation.
    ///
    /// # Errors
    /// [`Error::Configuration`] if it cannot be built.
    pub fn hand(&self, node: usize, deadline: Duration) -> Result<Hand, Error> {
        let client = Client::builder()
            .address(self.shared.addresses[node].as_str())
            .token(self.shared.token.clone())
            .discovery(Discovery::Off)
            .deadline(deadline)
            .max_retries(0)
            .build()?;
        Ok(Hand { stage: self.clone(), client, node, process: self.process() })
    }
}

/// One client, with the process number it acts under.
pub struct Hand {
    stage: Stage,
    client: Client,
    node: usize,
    process: u32,
}

impl Hand {
    /// What it shares with the others.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The node that it asks.
    pub fn node(&self) -> usize {
        self.node
    }

    /// Lets it ask another node from now on.
    pub fn move_to(&mut self, node: usize) {
        self.node = node;
    }

    /// A client of its node. A fresh one for each request: one that wrote would tell the next node how far it must have come
    /// (`X-Vault-Index`), and so hide a stale read.
    pub fn client(&self) -> Client {
        self.client.at(self.stage.shared.addresses[self.node].clone())
    }

    /// The same with another token.
    pub fn client_with(&self, token: &Secret) -> Client {
        self.client().with_token(Some(token.clone()))
    }

    /// An operation that begins; it is recorded by [`Hand::invoke`].
    pub fn event(&self, function: Function, key: &str) -> Event {
        Event::new(self.process, self.node, function, key)
    }

    /// Records that an operation begins.
    pub fn invoke(&self, event: &Event) {
        self.stage.shared.recorder.record(event.clone());
    }

    /// Records the end of an operation, and answers whether it was done. A process that does not know what became of it is
    /// retired.
    pub fn end(&mut self, event: Event) -> bool {
        let kind = event.kind;
        self.stage.shared.recorder.record(event);
        if kind == Kind::Info {
            self.process = self.stage.process();
        }
        kind == Kind::Ok
    }

    /// Records that an operation failed, or that nobody knows.
    pub fn end_failed(&mut self, event: Event, error: &Error) -> bool {
        if error.may_have_happened() || matches!(error, Error::Unanswered { .. }) {
            return self.end_unknown(event, error);
        }
        self.end_undone(event, error)
    }

    /// Records that an operation certainly did not happen.
    pub fn end_undone(&mut self, event: Event, error: &Error) -> bool {
        self.end(Event { kind: Kind::Fail, err: Some(brief(error)), ..event })
    }

    /// Records that nobody knows what became of an operation.
    pub fn end_unknown(&mut self, event: Event, error: &Error) -> bool {
        self.end(Event { kind: Kind::Info, err: Some(brief(error)), ..event })
    }

    /// Rests; longer after a failure.
    pub async fn rest(&self, is_done: bool) {
        tokio::time::sleep(if is_done { REST } else { LONG_REST }).await;
    }
}

/// An error's text, cut to a length that a history can hold.
fn brief(error: &Error) -> String {
    let mut text = error.to_string();
    let end = (0..=MAX_ERROR_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    text
}
