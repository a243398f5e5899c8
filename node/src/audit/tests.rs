//! A device that keeps what it is given, and requests of every kind on real nodes.

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::AtomicU32;

use conclave_raft::Role;
use conclave_vault::{CanonicalPath, Operation, Request};
use serde_json::{Map, Value, json};

use super::*;
use crate::app::App;
use crate::config::{Config, Raft, Storage, Timing};
use crate::gateway::{Consistency, Gateway, Noted};

mod devices;
mod receivers;

const ROOT: &str = "root-of-test";
const SECRET: &str = "canary-value";

/// What a device was given, once it is so much: what nobody waits for may come a little later.
async fn taken(keeper: &Keeper, entries: usize) -> Vec<Seen> {
    comes(&format!("{entries} entries"), || keeper.seen.lock().len() >= entries).await;
    keeper.take()
}

/// Waits for what comes soon, unless something is wrong: then the test says what did not come.
async fn comes(what: &str, is_there: impl Fn() -> bool) {
    let waiting = async {
        while !is_there() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), waiting).await.is_ok(), "{what} did not come");
}

/// What happens to an entry of a half.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Fails,
    Hangs,
}

/// Keeps what it is given.
struct Keeper {
    name: &'static str,
    seen: Mutex<Vec<Seen>>,
    /// Entries that it was given, also those that it did not keep.
    given: AtomicU32,
    /// Fates of first and second halves.
    fates: Mutex<[Fate; 2]>,
    /// Called with each entry before it is kept.
    meanwhile: Mutex<Option<Meanwhile>>,
}

type Meanwhile = Box<dyn Fn(&Entry) -> BoxFuture<'static, ()> + Send + Sync>;

/// One entry, as a device that writes JSON would show it.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    id: String,
    is_answer: bool,
    what: String,
    error: Option<String>,
    all: String,
}

impl Keeper {
    fn new(name: &'static str) -> Arc<Self> {
        let fates = Mutex::new([Fate::Kept; 2]);
        Arc::new(Self { name, seen: Mutex::default(), given: AtomicU32::new(0), fates, meanwhile: Mutex::default() })
    }

    /// What it was given since this was asked last.
    fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock())
    }
}

impl Device for Keeper {
    fn name(&self) -> &str {
        self.name
    }

    fn render(&self, _: &Entry, _: Option<&Core>) -> Vec<u8> {
        Vec::new()
    }

    fn write<'a>(&'a self, records: &'a [Record]) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            for Record { entry, .. } in records {
                let meanwhile = self.meanwhile.lock().as_ref().map(|meanwhile| meanwhile(entry));
                if let Some(meanwhile) = meanwhile {
                    meanwhile.await;
                }
                let fate = self.fates.lock()[usize::from(entry.answer.is_some())];
                self.given.fetch_add(1, Ordering::SeqCst);
                match fate {
                    Fate::Kept => self.seen.lock().push(seen(entry)),
                    Fate::Fails => return Err("its disk is full".into()),
                    Fate::Hangs => std::future::pending().await,
                }
            }
            Ok(())
        })
    }
}

fn seen(entry: &Entry) -> Seen {
    let asked = &entry.asked;
    let body = entry.answer.as_ref().and_then(|answer| answer.body.as_ref());
    let body: Value = body.and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    let mount = asked.trail.mount.as_ref();
    let what = match &entry.answer {
        None => {
            format!("{} {}", asked.trail.operation.map_or(asked.operation.as_str(), |known| known.as_str()), asked.path)
        }
        Some(answer) => answer.status.to_string(),
    };
    let all = json!({
        "body": body,
        "data": asked.data,
        "token": asked.token.as_ref().map(|token| token.as_str()),
        "accessor": asked.trail.token.as_ref().map(|token| token.accessor()),
        "policies": asked.trail.token.as_ref().map(|token| &token.policies),
        "mount": mount.map(|mount| format!("{} {} {} {}", mount.path, mount.kind, mount.accessor, mount.is_auth)),
        "allowed": asked.trail.is_allowed,
        "granting": asked.trail.granting_policies,
        "wrap_ttl": asked.wrap_ttl,
        "namespace": asked.namespace,
        "from": asked.remote_address,
        "type": entry.answer.as_ref().map(|answer| &answer.content_type),
        "time": entry.time.nanos(),
    });
    Seen {
        id: asked.id.clone(),
        is_answer: entry.answer.is_some(),
        what,
        error: entry.error.clone(),
        all: all.to_string(),
    }
}

fn incoming(operation: Operation, path: &str, token: &str, data: Value) -> Incoming {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let method = match operation {
        Operation::Read => "GET",
        Operation::List => "LIST",
        _ => "POST",
    };
    let request = Request {
        id: format!("request-{}", NUMBER.fetch_add(1, Ordering::Relaxed)),
        operation,
        path: CanonicalPath::new(path).unwrap(),
        namespace: String::new(),
        has_body: data.is_object(),
        data: data.as_object().cloned().unwrap_or_else(Map::new),
        token: (!token.is_empty()).then(|| token.to_owned().into()),
        wrap_ttl: None,
        idempotency_key: None,
        remote_address: Some([127, 0, 0, 1].into()),
        client_certificates: Default::default(),
    };
    Incoming {
        request,
        method: method.into(),
        query: Vec::new(),
        consistency: Consistency::Linearizable,
        wanted_indexes: Vec::new(),
        body_bytes: 0,
        noted: Noted::default(),
        deadline: Instant::now() + Duration::from_secs(30),
    }
}

async fn ask(app: &Arc<App>, operation: Operation, path: &str, token: &str, data: Value) -> (u16, Value) {
    let outgoing = app.serve(incoming(operation, path, token, data)).await;
    (outgoing.status, serde_json::from_slice(&outgoing.body).unwrap_or_default())
}

async fn write(app: &Arc<App>, name: &str) -> u16 {
    ask(app, Operation::Update, &format!("secret/data/{name}"), ROOT, json!({ "data": { "a": SECRET } })).await.0
}

/// A node with a device.
async fn node() -> (Arc<App>, Arc<Keeper>) {
    node_of(Config::memory("127.0.0.1:0")).await
}

async fn node_of(config: Config) -> (Arc<App>, Arc<Keeper>) {
    let (app, _) = App::start_dev(config, Some(ROOT)).await.unwrap();
    let keeper = Keeper::new("keeper");
    app.audit.attach(keeper.clone());
    (app, keeper)
}

/// The operations, paths and statuses of whole records, one after the other.
fn pairs(seen: &[Seen]) -> Vec<(String, String)> {
    assert!(seen.len().is_multiple_of(2), "a record has two halves");
    let pair = |halves: &[Seen]| {
        let [asked, answered] = halves else { panic!("a record has two halves") };
        assert_eq!((asked.is_answer, answered.is_answer), (false, true), "{} {}", asked.what, answered.what);
        assert_eq!(asked.id, answered.id);
        (asked.what.clone(), answered.what.clone())
    };
    seen.chunks(2).map(pair).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_recorded_once_first_as_asked_then_as_answered() {
    let (app, keeper) = node().await;
    let cases = [
        (Operation::Update, "secret/data/a", ROOT, json!({ "data": { "a": SECRET } }), "create secret/data/a", "200"),
        (Operation::Update, "secret/data/a", ROOT, json!({ "data": { "a": SECRET } }), "update secret/data/a", "200"),
        (Operation::Read, "secret/data/a", ROOT, Value::Null, "read secret/data/a", "200"),
        (Operation::List, "secret/metadata/", ROOT, Value::Null, "list secret/metadata/", "200"),
        (Operation::Delete, "secret/data/none", ROOT, Value::Null, "delete secret/data/none", "204"),
        (Operation::Read, "secret/data/none", ROOT, Value::Null, "read secret/data/none", "404"),
        (Operation::Read, "nowhere/a", ROOT, Value::Null, "read nowhere/a", "404"),
        (Operation::Read, "secret/data/a", "wrong", Value::Null, "read secret/data/a", "403"),
        (Operation::Read, "secret/data/a", "", Value::Null, "read secret/data/a", "403"),
        // Two errands: the node is asked for what it knows, and then what it can make.
        (Operation::Read, "sys/host-info", ROOT, Value::Null, "read sys/host-info", "200"),
        (Operation::Update, "sys/auth/people", ROOT, json!({ "type": "userpass" }), "update sys/auth/people", "204"),
        (
            Operation::Update,
            "auth/people/users/ann",
            ROOT,
            json!({ "password": SECRET }),
            "create auth/people/users/ann",
            "204",
        ),
        (
            Operation::Update,
            "auth/people/login/ann",
            "",
            json!({ "password": SECRET }),
            "update auth/people/login/ann",
            "200",
        ),
        (
            Operation::Update,
            "auth/people/login/ann",
            "",
            json!({ "password": "no" }),
            "update auth/people/login/ann",
            "400",
        ),
    ];
    for (operation, path, token, data, asked, answered) in cases {
        let (status, _) = ask(&app, operation, path, token, data).await;
        assert_eq!(status.to_string(), answered, "{asked}");
        assert_eq!(pairs(&keeper.take()), [(asked.to_owned(), answered.to_owned())]);
    }
    // What only asks how the node is leaves no record.
    for path in ["sys/health", "sys/seal-status", "sys/leader", "sys/init"] {
        ask(&app, Operation::Read, path, "", Value::Null).await;
    }
    assert_eq!(keeper.take(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_holds_what_was_sent_what_was_answered_and_who_asked() {
    let (app, keeper) = node().await;
    assert_eq!(write(&app, "a").await, 200);
    let mut wrapped = incoming(Operation::Read, "secret/data/a", ROOT, Value::Null);
    wrapped.request.wrap_ttl = Some("60s".into());
    let outgoing = app.serve(wrapped).await;
    let reply: Value = serde_json::from_slice(&outgoing.body).unwrap();
    let (status, _) = ask(&app, Operation::Read, "secret/data/a", "", Value::Null).await;
    assert_eq!(status, 403);
    let seen = keeper.take();
    let [sent, saved, _, hidden, nobody, refused] = &seen[..] else { panic!("{} entries", seen.len()) };
    assert!(sent.all.contains(SECRET) && sent.all.contains(ROOT), "as it was sent");
    assert!(sent.all.contains("\"policies\":[\"root\"]") && sent.all.contains("secret/ kv kv_"), "{}", sent.what);
    assert!(saved.all.contains("\"version\":1"), "as it was answered");
    let token = reply["wrap_info"]["token"].as_str().unwrap();
    assert!(hidden.all.contains(token) && !hidden.all.contains(SECRET), "what was wrapped stays so");
    assert!(nobody.all.contains("\"allowed\":false") && nobody.all.contains("\"policies\":null"));
    assert!(nobody.all.contains("\"granting\":[]"));
    assert_eq!(nobody.error.as_deref(), refused.error.as_deref());
    assert!(refused.error.as_deref().unwrap().contains("permission denied"));
    assert!(sent.all.contains("\"allowed\":true") && sent.all.contains("\"granting\":[\"root\"]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_loses_a_race_and_runs_again_is_recorded_once() {
    let (app, keeper) = node().await;
    assert_eq!(write(&app, "a").await, 200);
    keeper.take();
    // Between the first half and the proposal somebody else writes, whose record another node makes.
    let (other, core) = (app.clone(), app.seal.state.serving().unwrap());
    *keeper.meanwhile.lock() = Some(Box::new(move |entry| {
        let (app, core, is_first_half) = (other.clone(), core.clone(), entry.answer.is_none());
        Box::pin(async move {
            if is_first_half {
                let data = json!({ "data": { "a": "between" } });
                let between = incoming(Operation::Update, "secret/data/a", ROOT, data);
                assert_eq!(app.runner.execute_queued(core, &between).await.status, 200);
            }
        })
    }));
    let (status, reply) = ask(&app, Operation::Update, "secret/data/a", ROOT, json!({ "data": { "a": "late" } })).await;
    assert_eq!((status, &reply["data"]["version"]), (200, &json!(3)), "it ran again behind the other");
    assert_eq!(pairs(&keeper.take()), [("update secret/data/a".to_owned(), "200".to_owned())]);
    *keeper.meanwhile.lock() = None;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_record_nothing_is_changed_and_nothing_is_told() {
    let mut config = Config::memory("127.0.0.1:0");
    config.limits.audit_time = Duration::from_secs(2);
    let (app, keeper) = node_of(config).await;
    for fate in [Fate::Fails, Fate::Hangs] {
        *keeper.fates.lock() = [fate, Fate::Kept];
        assert_eq!(write(&app, "a").await, 500);
        *keeper.fates.lock() = [Fate::Kept; 2];
        assert_eq!(ask(&app, Operation::Read, "secret/data/a", ROOT, Value::Null).await.0, 404);
        keeper.take();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_was_not_recorded_does_not_leave() {
    let (app, keeper) = node().await;
    assert_eq!(write(&app, "a").await, 200);
    *keeper.fates.lock() = [Fate::Kept, Fate::Fails];
    let (status, body) = ask(&app, Operation::Read, "secret/data/a", ROOT, Value::Null).await;
    assert_eq!(status, 500);
    assert!(!body.to_string().contains(SECRET));
    // Of two devices one is enough.
    app.audit.attach(Keeper::new("second"));
    let (status, body) = ask(&app, Operation::Read, "secret/data/a", ROOT, Value::Null).await;
    assert_eq!((status, &body["data"]["data"]["a"]), (200, &json!(SECRET)));
}

fn clustered(folder: &Path, name: &str) -> Config {
    // Nobody listens there a moment later; the test would say so.
    let cluster = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut config = Config::memory("127.0.0.1:0");
    config.cluster_addr = format!("https://{cluster}");
    config.listeners[0].cluster_address = cluster;
    config.storage = Storage::Raft(Raft {
        path: folder.join(name),
        node_id: Some(name.into()),
        retry_join: Vec::new(),
        is_non_voter: false,
        peers: Vec::new(),
        timing: Timing::Lan,
        trailing_logs: None,
        snapshot_threshold: None,
    });
    config
}

/// Asks until the answer has a status.
async fn until(app: &Arc<App>, status: u16, path: &str, token: &str, data: &Value) -> Value {
    let operation = if data.is_null() { Operation::Read } else { Operation::Update };
    for _ in 0..600 {
        let (got, body) = ask(app, operation, path, token, data.clone()).await;
        if got == status {
            return body;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} was not answered with {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ceremony_is_recorded_without_values_and_a_handed_on_request_where_its_client_is() {
    let folder = tempfile::tempdir().unwrap();
    let first = App::start(clustered(folder.path(), "first")).await.unwrap();
    let at_first = Keeper::new("first");
    // Not even a device that is broken stops a ceremony.
    *at_first.fates.lock() = [Fate::Fails; 2];
    first.audit.attach(at_first.clone());
    let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
    let made = until(&first, 200, "sys/init", "", &shares).await;
    comes("both halves", || at_first.given.load(Ordering::SeqCst) >= 2).await;
    *at_first.fates.lock() = [Fate::Kept; 2];
    let (share, root) = (made["keys"][0].as_str().unwrap(), made["root_token"].as_str().unwrap());
    until(&first, 200, "sys/unseal", "", &json!({ "key": share })).await;
    let seen = taken(&at_first, 2).await;
    assert_eq!(pairs(&seen), [("update sys/unseal".to_owned(), "200".to_owned())]);
    assert!(seen.iter().all(|seen| !seen.all.contains(share)), "no share is in the record");
    let token = until(&first, 200, "sys/storage/raft/join-token", root, &json!({})).await;
    let second = App::start(clustered(folder.path(), "second")).await.unwrap();
    until(&second, 200, "sys/storage/raft/join", "", &json!({ "token": token["data"]["token"] })).await;
    until(&second, 200, "sys/unseal", "", &json!({ "key": share })).await;
    until(&second, 200, "auth/token/lookup-self", root, &Value::Null).await;
    let at_second = Keeper::new("second");
    second.audit.attach(at_second.clone());
    at_first.take();
    // Only the leader can hand leadership over, and it does so once this node votes.
    until(&second, 204, "sys/step-down", root, &json!({})).await;
    let halves = pairs(&at_second.take());
    let statuses: HashMap<_, _> = halves.into_iter().collect();
    assert_eq!(statuses.keys().collect::<Vec<_>>(), ["update sys/step-down"]);
    assert_eq!(at_first.take(), [], "the leader did it and did not record it");
    assert_ne!(first.replica.raft.status().role, Role::Leader);
    // The brake works on each node by itself, and is recorded there.
    assert_eq!(ask(&second, Operation::Update, "sys/seal", root, json!({})).await.0, 204);
    assert_eq!(pairs(&taken(&at_second, 2).await), [("update sys/seal".to_owned(), "204".to_owned())]);
    assert_eq!(ask(&second, Operation::Read, "secret/data/a", root, Value::Null).await.0, 503);
    assert_eq!(pairs(&taken(&at_second, 2).await), [("read secret/data/a".to_owned(), "503".to_owned())]);
    first.shutdown().await;
    second.shutdown().await;
}
