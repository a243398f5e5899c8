//! What tests run requests with: the storage crate's table in memory, seeded randomness, and an unsealed core between
//! them.

mod outside;

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use conclave_batch::key::push_segment;
use conclave_batch::{Directory, Name, Outcome, Record, View, ViewError};
use conclave_storage::log::{Entry, LogId, Payload};
use conclave_storage::table::{MemoryTable, Table};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::action::Action;
use crate::batch::Proposal;
use crate::bootstrap;
use crate::context::{Context, OpenCeremonies, Random};
use crate::core::{Core, Done};
use crate::engine::Engine;
use crate::errand::{Answer as Answered, DigestMemory, Errand};
use crate::error::{Error, ErrorKind};
use crate::limits::MAX_ERRANDS;
use crate::lockout::rule::UserLockout;
use crate::members::MemberRecord;
use crate::path::CanonicalPath;
use crate::registry::Registry;
use crate::reply::Reply;
use crate::request::{Operation, Request};
use crate::seal::init;
use crate::seal::record::KEYRING;
use crate::store::open_key;
use crate::task;
use crate::time::Time;

/// The root token of every [`Harness`].
pub(crate) const ROOT: &str = "root";
/// Epoch of every [`Harness`]: that of a table which nobody recovered.
const EPOCH: u64 = 0;
/// Version that clients of every [`Harness`] are told.
const API_VERSION: &str = "1.17.6";
/// Most times that a conflicting request, or a task, is run again.
const MAX_RUNS: usize = 1000;

/// Randomness that repeats for a seed.
pub(crate) struct Seeded(StdRng);

impl Seeded {
    /// The source of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }
}

impl Random for Seeded {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.0.fill_bytes(buffer);
    }
}

/// The table of the storage crate, in memory, and its newest view: requests meet the rules that they meet on a node.
pub(crate) struct TestTable {
    table: MemoryTable,
    view: Box<dyn View>,
    looks: AtomicUsize,
}

impl TestTable {
    /// One behind the first entry of a log, which holds no batch.
    pub(crate) fn new() -> Self {
        let table = MemoryTable::new();
        let first = Entry { id: LogId { term: 0, leader: 1, index: 0 }, payload: Payload::Blank };
        table.apply(&[first]).expect("memory can be written");
        let view = table.view().expect("memory can be read");
        Self { table, view, looks: AtomicUsize::new(0) }
    }

    /// The present point in time, which later batches do not change.
    pub(crate) fn snapshot(&self) -> Box<dyn View> {
        self.table.view().expect("memory can be read")
    }

    /// How often a record was looked up.
    pub(crate) fn looks(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }

    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.rows().len()
    }

    /// Every key and ciphertext, for tests that look for plaintext.
    pub(crate) fn rows(&self) -> Vec<(Bytes, Bytes)> {
        let (mut rows, mut folders) = (Vec::new(), vec![Vec::new()]);
        while let Some(folder) = folders.pop() {
            for name in self.names(&folder, None, usize::MAX).expect("memory can be read") {
                let mut key = folder.clone();
                push_segment(&mut key, &name.segment);
                if let Some(record) = self.get(&key).expect("memory can be read") {
                    rows.push((Bytes::from(key.clone()), record.value));
                }
                if name.has_children {
                    folders.push(key);
                }
            }
        }
        rows
    }

    /// Applies a batch at the next index.
    pub(crate) fn apply(&mut self, proposal: &Proposal) -> Outcome {
        let id = LogId { term: 1, leader: 1, index: self.index() + 1 };
        let entry = Entry { id, payload: Payload::Batch(proposal.bytes.clone()) };
        let outcomes = self.table.apply(&[entry]).expect("memory can be written");
        self.view = self.snapshot();
        outcomes[0].expect("a batch has an outcome")
    }
}

impl View for TestTable {
    fn index(&self) -> u64 {
        self.view.index()
    }

    fn lineage(&self) -> u64 {
        self.view.lineage()
    }

    fn may_have_changed(&self, key: &[u8], since: u64) -> bool {
        self.view.may_have_changed(key, since)
    }

    fn written_below(&self, directory: &[u8], since: u64) -> Option<Vec<Bytes>> {
        self.view.written_below(directory, since)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Record>, ViewError> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.view.get(key)
    }

    fn directory(&self, key: &[u8]) -> Result<Directory, ViewError> {
        self.view.directory(key)
    }

    fn names(&self, key: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Name>, ViewError> {
        self.view.names(key, after, limit)
    }
}

/// What a client would get.
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: u16,
    /// The body; `null` if there is none.
    pub(crate) body: Value,
    /// What the node was asked to do.
    pub(crate) action: Option<Action>,
    /// Whether a batch was committed.
    pub(crate) wrote: bool,
}

/// An unsealed core over a table in memory, with the root token [`ROOT`] and KV version 2 at `secret/`.
pub(crate) struct Harness {
    /// The core.
    pub(crate) core: Core,
    /// The table.
    pub(crate) table: TestTable,
    /// Where all randomness comes from.
    pub(crate) random: Seeded,
    /// The time of the next request.
    pub(crate) now: Time,
    /// Address that requests come from.
    pub(crate) remote_address: Option<std::net::IpAddr>,
    /// Certificates that clients show.
    pub(crate) client_certificates: std::sync::Arc<[Vec<u8>]>,
    /// What the configuration says of lockout.
    pub(crate) user_lockout: &'static UserLockout,
    /// Which ceremonies need no token.
    pub(crate) open_ceremonies: OpenCeremonies,
    /// What is outside; refuses everything unless a test says otherwise.
    pub(crate) outside: outside::Reach,
    requests: u64,
}

impl Harness {
    /// One of the usual seed.
    pub(crate) fn new() -> Self {
        Self::with_seed(1)
    }

    /// One whose randomness comes from a seed.
    pub(crate) fn with_seed(seed: u64) -> Self {
        Self::with(seed, Registry::built_in())
    }

    /// One that can also mount an engine which no server has.
    pub(crate) fn with_engine(engine: &'static Engine) -> Self {
        Self::with(1, Registry::built_in().with(engine))
    }

    fn with(seed: u64, registry: Registry) -> Self {
        let mut random = Seeded::new(seed);
        let now = Time::from_secs(1_700_000_000);
        let parameters = init::Parameters { shares: 1, threshold: 1 };
        let initialized = init::initialize(parameters, &mut random, now, [7; 16]).expect("one share is a valid choice");
        let core = Core::new(initialized.barrier, registry);
        let mut table = TestTable::new();
        let mut context = context(&mut random, now);
        let first = bootstrap::NewCluster {
            open_records: initialized.records,
            member: MemberRecord::default(),
            root_token: Some(ROOT),
            dev_kv: true,
        };
        let (proposal, _) = bootstrap::first_batch(&core, &mut context, &table.snapshot(), first)
            .expect("the first batch fits an empty table");
        assert_eq!(table.apply(&proposal), Outcome::Applied { index: 1 });
        let outside: outside::Reach = Box::new(|_| Err("nothing is outside".into()));
        let (remote_address, user_lockout) = (None, UserLockout::NONE);
        let (open_ceremonies, client_certificates) = (OpenCeremonies::default(), std::sync::Arc::default());
        let mut harness = Self {
            core,
            table,
            random,
            now,
            remote_address,
            client_certificates,
            user_lockout,
            open_ceremonies,
            outside,
            requests: 0,
        };
        harness.follow_keyring();
        harness
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, secs: u64) {
        self.now = self.now.plus_secs(secs);
    }

    /// A request as the HTTP layer would make it: a verb, a path that may have a query, a body (`null` for none), and a
    /// token (empty for none).
    pub(crate) fn build(&mut self, token: &str, verb: &str, target: &str, body: Value) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut operation = operation_of(verb);
        let mut data = body.as_object().cloned().unwrap_or_default();
        for (name, value) in
            query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        {
            if name == "list" && value == "true" {
                operation = Operation::List;
            } else {
                data.insert(name.to_owned(), Value::from(value));
            }
        }
        let path = CanonicalPath::decode(path).expect("a test's path is canonical");
        self.requests += 1;
        Request {
            id: format!("00000000-0000-4000-8000-{:012}", self.requests),
            operation,
            path: if operation.is_list() { path.into_folder() } else { path },
            namespace: String::new(),
            has_body: !data.is_empty() && query.is_empty(),
            data,
            token: (!token.is_empty()).then(|| Zeroizing::new(token.to_owned())),
            wrap_ttl: None,
            idempotency_key: None,
            remote_address: self.remote_address,
            client_certificates: self.client_certificates.clone(),
        }
    }

    /// Runs a request with the root token: status and body.
    pub(crate) fn request(&mut self, verb: &str, target: &str, body: Value) -> (u16, Value) {
        self.request_as(ROOT, verb, target, body)
    }

    /// Runs a request with a token, empty for none: status and body.
    pub(crate) fn request_as(&mut self, token: &str, verb: &str, target: &str, body: Value) -> (u16, Value) {
        let request = self.build(token, verb, target, body);
        let answer = self.send(&request);
        (answer.status, answer.body)
    }

    /// Runs a request whose reply is wrapped for a time such as `60s`.
    pub(crate) fn request_wrapped(
        &mut self,
        token: &str,
        verb: &str,
        target: &str,
        body: Value,
        ttl: &str,
    ) -> (u16, Value) {
        let mut request = self.build(token, verb, target, body);
        request.wrap_ttl = Some(ttl.to_owned());
        let answer = self.send(&request);
        (answer.status, answer.body)
    }

    /// Runs a request until its batch is committed.
    pub(crate) fn send(&mut self, request: &Request) -> Answer {
        for _ in 0..MAX_RUNS {
            let (answer, batch) = self.propose(request);
            if batch.is_none_or(|batch| self.commit(&batch)) {
                return answer;
            }
        }
        panic!("the request conflicted {MAX_RUNS} times, with nobody beside it");
    }

    /// Runs a request on the present table without committing its batch, so that tests can let two requests race.
    pub(crate) fn propose(&mut self, request: &Request) -> (Answer, Option<Proposal>) {
        let (done, asked) = self.run(request);
        let wrote = done.batch.is_some();
        let answer = match done.result {
            Ok(reply) => {
                let raw = reply.render(&request.id);
                let text = || String::from_utf8(raw.body.clone()).ok().filter(|text| !text.is_empty());
                let body =
                    serde_json::from_slice(&raw.body).unwrap_or_else(|_| text().map_or(Value::Null, Value::from));
                Answer { status: raw.status_code, body, action: reply.action.or(asked), wrote }
            }
            Err(error) => Answer { status: status_of(&error), body: body_of(&error), action: None, wrote },
        };
        (answer, done.batch)
    }

    /// Runs a request until it has no errand left; also what the node was asked meanwhile.
    fn run(&mut self, request: &Request) -> (Done, Option<Action>) {
        let mut asked = None;
        let mut errands = self.errands();
        for _ in 0..=MAX_ERRANDS {
            let mut context = context(&mut self.random, self.now);
            context.errands = errands;
            context.user_lockout = self.user_lockout;
            context.open_ceremonies = self.open_ceremonies;
            let done = self.core.handle(&mut context, &self.table, request);
            errands = std::mem::take(&mut context.errands);
            let Some(errand) = done.errand else { return (done, asked) };
            if let Some(intent) = done.batch {
                if !self.commit(&intent) {
                    continue;
                }
                errands.keep_intents();
            }
            let answer = match &errand {
                Errand::Compute(computation) => match computation.run() {
                    Ok(answer) => answer,
                    Err(error) => return (Done { result: Err(error), batch: None, errand: None, trail: None }, asked),
                },
                Errand::Digest(password) => {
                    password.digest(&mut DigestMemory::default()).expect("digests of tests can be computed")
                }
                Errand::Node(Action::ConfiguredAuditDevices) => Answered::Node(Box::default()),
                Errand::Node(action) => {
                    asked = Some(action.clone());
                    Answered::Node(Box::new(Reply::data(json!({ "asked": format!("{action:?}") }))))
                }
                Errand::Outside(_) => self.reach(&errand),
            };
            errands.answer(errand, answer);
        }
        panic!("the request asks for more than {MAX_ERRANDS} errands");
    }

    /// Checks a batch's tag and applies it; false on a conflict.
    pub(crate) fn commit(&mut self, batch: &Proposal) -> bool {
        self.core.verify_batch(&batch.bytes, self.table.index() + 1).expect("a batch is tagged as it is checked");
        let is_done = matches!(self.table.apply(batch), Outcome::Applied { .. });
        self.follow_keyring();
        is_done
    }

    /// Does what a node does after apply: loads a rotated keyring, and reserves encryptions before they run out.
    fn follow_keyring(&mut self) {
        let (barrier, index) = (self.core.barrier(), self.table.index());
        let keyring = self.table.get(&open_key(KEYRING)).expect("a table in memory answers");
        if let Some(keyring) = keyring.filter(|keyring| keyring.revision == index) {
            barrier.load_keyring(&keyring.value, index).expect("the core makes keyrings that it can load");
        }
        if barrier.is_low_on_uses() {
            barrier.complete_reservation(barrier.open_reservation());
        }
    }

    /// Lets the leader's background work run until nothing is due; returns the number of batches.
    pub(crate) fn run_tasks(&mut self) -> usize {
        for done in 0..MAX_RUNS {
            let mut context = context(&mut self.random, self.now);
            let batch =
                task::run_tasks(&self.core, &mut context, &self.table).expect("background work finds what it left");
            let Some(batch) = batch else { return done };
            assert!(self.commit(&batch), "background work conflicted with nobody beside it");
        }
        panic!("background work did not come to an end");
    }

    /// Stores a policy and makes a token that has it (and `default`).
    pub(crate) fn token_with(&mut self, policy: &str) -> String {
        let name = format!("p{}", self.requests);
        let (status, body) = self.request("POST", &format!("sys/policies/acl/{name}"), json!({ "policy": policy }));
        assert_eq!(status, 204, "{body}");
        self.token(json!({ "policies": [name] }))
    }

    /// Makes a token as root; the body is that of `auth/token/create`.
    pub(crate) fn token(&mut self, body: Value) -> String {
        let (status, body) = self.request("POST", "auth/token/create", body);
        assert_eq!(status, 200, "{body}");
        body["auth"]["client_token"].as_str().expect("a token is text").to_owned()
    }
}

pub(crate) fn context(random: &mut Seeded, now: Time) -> Context<'_> {
    Context { epoch: EPOCH, ..Context::plain(now, random, 1, API_VERSION) }
}

fn operation_of(verb: &str) -> Operation {
    match verb {
        "GET" => Operation::Read,
        "POST" | "PUT" => Operation::Update,
        "PATCH" => Operation::Patch,
        "DELETE" => Operation::Delete,
        "LIST" => Operation::List,
        "SCAN" => Operation::Scan,
        "HEAD" => Operation::Header,
        other => panic!("no test sends the verb {other}"),
    }
}

fn status_of(error: &Error) -> u16 {
    match error.kind {
        ErrorKind::Invalid => 400,
        ErrorKind::Denied => 403,
        ErrorKind::NotFound => 404,
        ErrorKind::UnsupportedOperation => 405,
        ErrorKind::NotYetApplied => 412,
        ErrorKind::TooLarge => 413,
        ErrorKind::UnsupportedMediaType => 415,
        ErrorKind::IdempotencyMismatch => 422,
        ErrorKind::TooMany => 429,
        ErrorKind::Internal => 500,
        ErrorKind::Unavailable => 503,
    }
}

/// The errors, and beside them what only a log would hold, for whoever reads a failed test.
fn body_of(error: &Error) -> Value {
    let mut body = Map::new();
    body.insert("errors".into(), json!(error.messages));
    if let Some(detail) = &error.detail {
        body.insert("detail".into(), json!(detail));
    }
    Value::Object(body)
}
