//! A node of which something is wrong: what it answers, and that it goes on once nothing is.

use std::sync::atomic::Ordering;

use conclave_vault::{CanonicalPath, Operation, Request};
use serde_json::{Map, Value, json};

use super::*;
use crate::app::App;
use crate::cluster::upkeep;
use crate::config::Config;
use crate::gateway::{Consistency, Gateway, Incoming, Noted, Outgoing};
use crate::view::SystemRandomness;

const PATIENCE: Duration = Duration::from_secs(60);

fn incoming(method: &str, operation: Operation, path: &str, data: Value) -> Incoming {
    let data = data.as_object().cloned().unwrap_or_else(Map::new);
    let request = Request {
        id: "1".into(),
        operation,
        path: CanonicalPath::new(path).unwrap(),
        namespace: String::new(),
        has_body: !data.is_empty(),
        data,
        token: Some("root-of-test".to_owned().into()),
        wrap_ttl: None,
        idempotency_key: None,
        remote_address: None,
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
        deadline: Instant::now() + PATIENCE,
    }
}

async fn put(app: &Arc<App>, name: &str) -> Outgoing {
    let data = json!({ "data": { "a": "1" } });
    app.serve(incoming("POST", Operation::Update, &format!("secret/data/{name}"), data)).await
}

async fn remove(app: &Arc<App>, name: &str) -> Outgoing {
    let path = format!("secret/metadata/{name}");
    app.serve(incoming("DELETE", Operation::Delete, &path, json!({}))).await
}

async fn health(app: &Arc<App>) -> (u16, Value) {
    let reply = app.serve(incoming("GET", Operation::Read, "sys/health", json!({}))).await;
    (reply.status, serde_json::from_slice(&reply.body).unwrap())
}

async fn node(config: Config) -> Arc<App> {
    let (app, _) = App::start_dev(config, Some("root-of-test")).await.unwrap();
    app
}

async fn until(what: &str, app: &Arc<App>, state: keeper::State) {
    let deadline = Instant::now() + PATIENCE;
    while app.seal.state.state() != state {
        assert!(Instant::now() < deadline, "{what}: in vain, the node is {}", app.seal.state.state().name());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_contradicts_a_checkpoint_is_served_no_more_and_health_says_so() {
    let app = node(Config::memory("127.0.0.1:0")).await;
    assert_eq!(put(&app, "x").await.status, 200);
    let core = app.seal.state.serving().unwrap();
    let mark = upkeep::checkpoint(&app.seal, &core).await.expect("an unsealed leader makes checkpoints");
    let proposal = {
        let mut random = SystemRandomness::default();
        let mut context = app.replica.context(&mut random);
        core.checkpoint(&mut context, app.replica.raft.applied_index(), Some((mark, [9; 32])))
    };
    // Its tag holds, so it is what the cluster agreed on.
    app.replica.propose(&proposal, Instant::now() + PATIENCE).await.unwrap();
    until("diverging", &app, keeper::State::Diverged).await;
    assert!(app.seal.state.unsealed().is_some() && app.seal.state.serving().is_none());
    let refused = put(&app, "y").await;
    assert_eq!(refused.status, 503);
    assert!(String::from_utf8_lossy(&refused.body).contains(&format!("at index {mark}")));
    let (status, body) = health(&app).await;
    assert_eq!((status, &body["state"], &body["sealed"]), (503, &json!("diverged"), &json!(false)));
    assert!(!app.replica.raft.status().may_lead);
    app.gauges.publish();
    assert!(app.replica.metrics.render_prometheus().contains("conclave_node_state{state=\"diverged\"} 1"));
}

#[test]
fn a_disk_that_was_nearly_full_must_have_a_quarter_more_to_recover() {
    let disk = |free| DiskSpace { path: None, asked: None, free_bytes: Some(free), next: Instant::now() };
    assert_eq!((disk(100).low(100, false), disk(99).low(100, false)), (None, Some(99)));
    assert_eq!((disk(125).low(100, true), disk(124).low(100, true)), (None, Some(124)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_low_water_mark_that_is_passed_refuses_what_grows() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::memory("127.0.0.1:0");
    config.storage = Storage::File { path: folder.path().join("data") };
    let app = node(config).await;
    assert_eq!(put(&app, "x").await.status, 200);
    // No disk has that much room.
    app.seal.state.set_low_water_mark(u64::MAX);
    until("filling the disk", &app, keeper::State::DiskFull).await;
    let refused = put(&app, "y").await;
    assert_eq!(refused.status, 503);
    assert!(String::from_utf8_lossy(&refused.body).contains("nearly full"));
    assert_eq!(remove(&app, "x").await.status, 204);
    app.seal.state.set_low_water_mark(0);
    until("making room", &app, keeper::State::Serving).await;
    assert_eq!(put(&app, "y").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_while_a_node_is_alone_is_believed_after_a_look() {
    let app = node(Config::memory("127.0.0.1:0")).await;
    app.seal.state.clock().ahead_millis.store(-60_000, Ordering::SeqCst);
    // With nobody to ask, the next look takes the clock as it is.
    until("looking again", &app, keeper::State::Serving).await;
    assert_eq!(put(&app, "x").await.status, 200);
}
