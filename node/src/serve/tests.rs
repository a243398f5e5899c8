//! Requests on a node that has nobody to ask any more, and large ones on a node that has.

use conclave_vault::{CanonicalPath, Operation, Request};
use serde_json::{Map, Value, json};

use super::*;
use crate::app::App;
use crate::config::Config;
use crate::gateway::{Gateway, Noted};

const ROOT: &str = "root-of-test";
const STALE: Duration = Duration::from_secs(3600);

fn incoming(operation: Operation, path: &str, consistency: Consistency) -> Incoming {
    let request = Request {
        id: "1".into(),
        operation,
        path: CanonicalPath::new(path).unwrap(),
        namespace: String::new(),
        data: Map::new(),
        has_body: false,
        token: Some(ROOT.to_owned().into()),
        wrap_ttl: None,
        idempotency_key: None,
        remote_address: None,
        client_certificates: Default::default(),
    };
    Incoming {
        request,
        method: "GET".into(),
        query: Vec::new(),
        consistency,
        wanted_indexes: Vec::new(),
        body_bytes: 0,
        noted: Noted::default(),
        deadline: Instant::now() + Duration::from_secs(20),
    }
}

async fn node(max_staleness: Duration) -> Arc<App> {
    let config = Config { max_staleness, ..Config::memory("127.0.0.1:0") };
    App::start_dev(config, Some(ROOT)).await.unwrap().0
}

async fn looks_up_itself(app: &Arc<App>, consistency: Consistency) -> u16 {
    app.serve(incoming(Operation::Read, "auth/token/lookup-self", consistency)).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_wish_for_more_staleness_than_the_operator_allows() {
    // check 63, check 98, check 240
    let wishes = [Consistency::Linearizable, Consistency::Bounded(STALE), Consistency::Local];
    for (allowed, statuses) in [(Duration::ZERO, [503, 503, 503]), (STALE, [503, 200, 200])] {
        let app = node(allowed).await;
        for wish in wishes {
            assert_eq!(looks_up_itself(&app, wish).await, 200, "{wish:?} while all is well");
        }
        app.replica.raft.shutdown().await;
        for (wish, status) in wishes.into_iter().zip(statuses) {
            assert_eq!(looks_up_itself(&app, wish).await, status, "{wish:?} where {allowed:?} is allowed");
        }
        // The last read point has become too old, whatever a client wishes.
        *app.replica.last_read_point.lock() = Instant::now().checked_sub(2 * STALE);
        assert_eq!(looks_up_itself(&app, Consistency::Local).await, 503);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_node_answers_nothing_else() {
    // check 14
    let app = node(STALE).await;
    app.seal.drop_keys("a test").await;
    let paths = ["secret/data/a", "auth/token/lookup-self", "auth/approle/login", "sys/mounts", "sys/wrapping/unwrap"];
    for path in paths.into_iter().chain(["sys/metrics", "sys/policies/acl/a", "cubbyhole/a", "nowhere/at/all"]) {
        for operation in [Operation::Read, Operation::Update, Operation::Delete, Operation::List, Operation::Help] {
            let outgoing = app.serve(incoming(operation, path, Consistency::Local)).await;
            assert_eq!(outgoing.status, 503, "{operation:?} {path}");
            let body: Value = serde_json::from_slice(&outgoing.body).unwrap();
            assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["errors"], "{operation:?} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_token_that_works_vouches_for_a_large_body() {
    // check 194
    let app = node(Duration::ZERO).await;
    let (here, soon) = ([127, 0, 0, 1].into(), Instant::now() + Duration::from_secs(20));
    assert!(app.vouch(ROOT, here, soon).await.is_ok());
    assert_eq!(app.vouch("x", here, soon).await.err().unwrap().status, 403);
    assert_eq!(app.vouch("", here, soon).await.err().unwrap().status, 403);
    app.seal.drop_keys("a test").await;
    assert_eq!(app.vouch(ROOT, here, soon).await.err().unwrap().status, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_large_request_runs_beside_the_executor() {
    let app = node(Duration::ZERO).await;
    let mut hash = incoming(Operation::Update, "sys/tools/hash/sha3-512", Consistency::Linearizable);
    hash.request.data = [("input".to_owned(), Value::from("eHh4".repeat(2 << 20)))].into_iter().collect();
    hash.request.has_body = true;
    hash.body_bytes = 8 << 20;
    let turns = app.runner.large_runs.available_permits();
    let taken = app.runner.large_runs.acquire_many(u32::try_from(turns).unwrap()).await.unwrap();
    let large = tokio::spawn({
        let app = app.clone();
        async move { app.serve(hash).await }
    });
    // The only worker goes on to serve others while the large one waits for its turn.
    assert_eq!(looks_up_itself(&app, Consistency::Linearizable).await, 200);
    assert!(!large.is_finished());
    drop(taken);
    let outgoing = large.await.unwrap();
    assert_eq!(outgoing.status, 200);
    let reply: Value = serde_json::from_slice(&outgoing.body).unwrap();
    assert_ne!(reply["data"]["sum"], json!(null));
}
