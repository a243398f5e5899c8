//! What tests run requests with: a table in memory, seeded randomness, and an unsealed core between them.
//!
//! The table keeps values, directories and revisions as the storage crate's apply does, guards included, so a test that
//! passes here met the same rules. It is no storage engine: no window of ids, no digest, no undo.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::action::Action;
use crate::batch::{Batch, Proposal, SignedBatch};
use crate::bootstrap;
use crate::context::{Context, Random, SystemTtl};
use crate::core::Core;
use crate::error::{Error, ErrorKind};
use crate::path::CanonicalPath;
use crate::request::{Operation, Request};
use crate::seal::init;
use crate::seal::record::KEYRING;
use crate::store::open_key;
use crate::task;
use crate::time::Time;
use crate::view::{Directory, Name, Record, View, ViewError};

/// The root token of every [`Harness`].
pub(crate) const ROOT: &str = "root";
/// Epoch of every [`Harness`].
const EPOCH: u64 = 1;
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

/// What apply did with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All guards held; the effects have this index.
    Applied(u64),
    /// A guard did not hold.
    Conflict,
}

/// Whether a value lies under a name, and whether names lie below it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Flags {
    has_value: bool,
    has_children: bool,
}

/// A revisioned table in memory.
#[derive(Clone, Default)]
pub(crate) struct MemoryTable {
    index: u64,
    values: BTreeMap<Bytes, Record>,
    directories: BTreeMap<Bytes, Directory>,
    names: BTreeMap<(Bytes, Bytes), Flags>,
}

impl MemoryTable {
    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Every key and ciphertext, for tests that look for plaintext.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.values.iter().map(|(key, record)| (key, &record.value))
    }

    /// Applies a batch at the next index.
    pub(crate) fn apply(&mut self, proposal: &Proposal) -> Outcome {
        let signed = SignedBatch::decode(proposal.bytes.clone()).expect("the core encodes what it decodes");
        let batch = Batch::decode(signed.body).expect("the core encodes what it decodes");
        self.index += 1;
        assert!(batch.base < self.index, "a batch's base lies below its entry");
        for guard in &batch.guards {
            let revision = if guard.is_directory {
                self.directories.get(&guard.key).map_or(0, |directory| directory.revision)
            } else {
                self.values.get(&guard.key).map_or(0, |record| record.revision)
            };
            if revision != guard.revision {
                return Outcome::Conflict;
            }
        }
        for op in batch.ops {
            self.change(op.key, op.value);
        }
        Outcome::Applied(self.index)
    }

    fn change(&mut self, key: Bytes, value: Option<Bytes>) {
        let existed = self.values.contains_key(&key);
        match value {
            Some(value) => {
                if !existed {
                    self.flag(&key, &|flags: &mut Flags| flags.has_value = true);
                }
                self.values.insert(key, Record { revision: self.index, value });
            }
            None if existed => {
                self.flag(&key, &|flags: &mut Flags| flags.has_value = false);
                self.values.remove(&key);
            }
            None => {}
        }
    }

    /// Changes the flags of a key's name; a name without flags is none, and an empty directory is no child of its own.
    fn flag(&mut self, key: &Bytes, edit: &dyn Fn(&mut Flags)) {
        let Some((parent, segment)) = split_last(key) else { return };
        let place = (parent.clone(), segment);
        let before = self.names.get(&place).copied().unwrap_or_default();
        let mut after = before;
        edit(&mut after);
        let was_name = before != Flags::default();
        let is_name = after != Flags::default();
        if is_name {
            self.names.insert(place, after);
        } else {
            self.names.remove(&place);
        }
        let count_before = self.directories.get(&parent).map_or(0, |directory| directory.count);
        let count = count_before + u64::from(is_name && !was_name) - u64::from(was_name && !is_name);
        if count > 0 {
            self.directories.insert(parent.clone(), Directory { revision: self.index, count });
        } else {
            self.directories.remove(&parent);
        }
        if (count > 0) != (count_before > 0) {
            self.flag(&parent, &|flags: &mut Flags| flags.has_children = count > 0);
        }
    }
}

impl View for MemoryTable {
    fn index(&self) -> u64 {
        self.index
    }

    fn get(&self, key: &[u8]) -> Result<Option<Record>, ViewError> {
        Ok(self.values.get(key).cloned())
    }

    fn directory(&self, key: &[u8]) -> Result<Directory, ViewError> {
        Ok(self.directories.get(key).copied().unwrap_or_default())
    }

    fn names(&self, key: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Name>, ViewError> {
        let directory = Bytes::copy_from_slice(key);
        let first = (directory.clone(), Bytes::copy_from_slice(after.unwrap_or_default()));
        let below = self.names.range(first..).take_while(|((parent, _), _)| *parent == directory);
        let behind = below.filter(|((_, segment), _)| after.is_none_or(|after| segment[..] > *after));
        let name = |((_, segment), flags): (&(Bytes, Bytes), &Flags)| Name {
            segment: segment.clone(),
            has_value: flags.has_value,
            has_children: flags.has_children,
        };
        Ok(behind.take(limit).map(name).collect())
    }
}

/// A key's directory and last segment; `None` for the root.
fn split_last(key: &Bytes) -> Option<(Bytes, Bytes)> {
    let (mut at, mut last) = (0, None);
    while at < key.len() {
        last = Some(at);
        at += 2 + usize::from(u16::from_be_bytes([key[at], key[at + 1]]));
    }
    last.map(|last| (key.slice(..last), key.slice(last + 2..)))
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
    pub(crate) table: MemoryTable,
    /// Where all randomness comes from.
    pub(crate) random: Seeded,
    /// The time of the next request.
    pub(crate) now: Time,
    /// Address that requests come from.
    pub(crate) remote_address: Option<std::net::IpAddr>,
    requests: u64,
}

impl Harness {
    /// One of the usual seed.
    pub(crate) fn new() -> Self {
        Self::with_seed(1)
    }

    /// One whose randomness comes from a seed.
    pub(crate) fn with_seed(seed: u64) -> Self {
        let mut random = Seeded::new(seed);
        let now = Time::from_secs(1_700_000_000);
        let parameters = init::Parameters { shares: 1, threshold: 1 };
        let initialized = init::initialize(parameters, &mut random, now, [7; 16]).expect("one share is a valid choice");
        let core = Core::new(initialized.barrier);
        let mut table = MemoryTable::default();
        let mut context = context(&mut random, now);
        let (proposal, _) =
            bootstrap::first_batch(&core, &mut context, &table.clone(), initialized.records, Some(ROOT), true)
                .expect("the first batch fits an empty table");
        assert_eq!(table.apply(&proposal), Outcome::Applied(1));
        let mut harness = Self { core, table, random, now, remote_address: None, requests: 0 };
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
        let mut context = context(&mut self.random, self.now);
        let done = self.core.handle(&mut context, &self.table, request);
        let wrote = done.batch.is_some();
        let answer = match done.result {
            Ok(reply) => {
                let raw = reply.render(&request.id);
                let body = serde_json::from_slice(&raw.body).unwrap_or(Value::Null);
                Answer { status: raw.status_code, body, action: reply.action, wrote }
            }
            Err(error) => Answer { status: status_of(&error), body: body_of(&error), action: None, wrote },
        };
        (answer, done.batch)
    }

    /// Checks a batch's tag and applies it; false on a conflict.
    pub(crate) fn commit(&mut self, batch: &Proposal) -> bool {
        self.core.verify_batch(&batch.bytes, self.table.index + 1).expect("a batch is tagged as it is checked");
        let is_done = self.table.apply(batch) != Outcome::Conflict;
        self.follow_keyring();
        is_done
    }

    /// Does what a node does after apply: loads a rotated keyring, and reserves encryptions before they run out.
    fn follow_keyring(&mut self) {
        let (barrier, index) = (self.core.barrier(), self.table.index);
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
            let batch = task::run(&self.core, &mut context, &self.table).expect("background work finds what it left");
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
    Context { now, random, node_id: 1, system_ttl: SystemTtl::default(), epoch: EPOCH, api_version: API_VERSION }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An encoded key of segments.
    fn key(segments: &[&str]) -> Bytes {
        let mut key = Vec::new();
        for segment in segments {
            key.extend_from_slice(&u16::try_from(segment.len()).unwrap().to_be_bytes());
            key.extend_from_slice(segment.as_bytes());
        }
        key.into()
    }

    fn put(table: &mut MemoryTable, segments: &[&str]) {
        table.index += 1;
        table.change(key(segments), Some(Bytes::from_static(b"x")));
    }

    fn delete(table: &mut MemoryTable, segments: &[&str]) {
        table.index += 1;
        table.change(key(segments), None);
    }

    #[test]
    fn a_directory_counts_its_names_and_knows_when_they_changed() {
        let mut table = MemoryTable::default();
        put(&mut table, &["a", "b"]);
        put(&mut table, &["a", "b", "c"]);
        put(&mut table, &["a", "d"]);
        put(&mut table, &["a", "d"]);
        let directory = |table: &MemoryTable, segments: &[&str]| table.directory(&key(segments)).unwrap();
        assert_eq!(directory(&table, &["a"]), Directory { revision: 3, count: 2 });
        assert_eq!(directory(&table, &["a", "b"]), Directory { revision: 2, count: 1 });
        assert_eq!(directory(&table, &[]), Directory { revision: 1, count: 1 });
        delete(&mut table, &["a", "b"]);
        assert_eq!(directory(&table, &["a"]), Directory { revision: 5, count: 2 });
        delete(&mut table, &["a", "b", "c"]);
        assert_eq!(directory(&table, &["a"]), Directory { revision: 6, count: 1 });
        assert_eq!(directory(&table, &["a", "b"]), Directory::default());
        delete(&mut table, &["a", "d"]);
        assert_eq!(directory(&table, &[]), Directory::default());
        assert!(table.names.is_empty() && table.directories.is_empty());
    }

    #[test]
    fn names_come_in_pages() {
        let mut table = MemoryTable::default();
        for name in ["b", "a", "c"] {
            put(&mut table, &["x", name]);
        }
        put(&mut table, &["y", "z"]);
        let page = |after: Option<&[u8]>, limit| {
            let names = table.names(&key(&["x"]), after, limit).unwrap();
            names.iter().map(|name| String::from_utf8_lossy(&name.segment).into_owned()).collect::<String>()
        };
        assert_eq!(page(None, 2), "ab");
        assert_eq!(page(Some(b"b"), 2), "c");
        assert_eq!(page(Some(b"c"), 2), "");
    }
}
