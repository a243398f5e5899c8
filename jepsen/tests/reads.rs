//! Reads on followers are linearizable, and a node that cannot find out what is current says so.

use std::fs;
use std::time::Duration;

use conclave_client::{Client, Method, Request};
use conclave_jepsen::cluster::{Cluster, Options, PATIENCE, wait_until};
use serde_json::json;
use tokio::task::JoinSet;

/// Writes that are each read back at once.
const WRITES: u64 = 10_000;
/// Tasks that do so side by side, each with a key of its own.
const TASKS: u64 = 50;
/// How long a request may take on the node that is cut off.
const SHORT: &str = "3s";

/// Writes on one node and reads each value at once on another; answers how many reads were stale.
async fn write_and_read(writer: Client, reader: Client, key: String) -> u64 {
    let mut stale = 0;
    for number in 1..=WRITES / TASKS {
        let written = writer.kv2("secret").put(&key, &json!({ "number": number })).await.unwrap();
        let found = reader.kv2("secret").get(&key).await.unwrap();
        let is_current = found
            .is_some_and(|found| found.metadata.version == written.version && found.data["number"] == json!(number));
        stale += u64::from(!is_current);
    }
    stale
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_on_a_follower_sees_the_write_that_was_acknowledged_just_before() {
    // check 98
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let follower = (leader + 1 + task as usize % 2) % cluster.size();
        // Two clients, so that the reader does not learn from the writer where in the log the write is.
        let (writer, reader) = (cluster.client_of(leader), cluster.client_of(follower));
        tasks.spawn(write_and_read(writer, reader, format!("reads/{task}")));
    }
    let stale: u64 = tasks.join_all().await.into_iter().sum();
    assert_eq!(stale, 0, "{stale} of {WRITES} reads on followers were stale");
}

/// Restarts a node with a bound on how long its requests take.
async fn restart_with_short_requests(cluster: &Cluster, index: usize) {
    let node = cluster.node(index);
    let path = node.configuration_file();
    let text = fs::read_to_string(&path).unwrap();
    let listener = format!("listener \"tcp\" {{\n  max_request_duration = \"{SHORT}\"");
    let changed = text.replace("listener \"tcp\" {", &listener);
    assert_ne!(changed, text, "the configuration has no listener block to change");
    fs::write(&path, changed).unwrap();
    node.restart().await.unwrap();
    cluster.unseal_all().await.unwrap();
    cluster.wait_until_serving().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: .ci/run takes a third of these a day"]
async fn a_node_without_a_quorum_refuses_to_read_and_to_write() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let alone = 2;
    restart_with_short_requests(&cluster, alone).await;
    let client = cluster.client_of(alone);
    client.kv2("secret").put("old", &json!({ "old": true })).await.unwrap();
    assert!(client.kv2("secret").get("old").await.unwrap().is_some());

    for other in [0, 1] {
        cluster.node(other).pause().unwrap();
    }
    let write = Request::post("secret/data/old", &json!({ "data": { "old": false } }));
    for request in [Request::get("secret/data/old"), Request::list("secret/metadata/"), write] {
        // Each is sent once; a client would otherwise ask again until its own deadline.
        let refused = client.send(request.clone().about_one_node()).await.expect_err("answered without a quorum");
        assert_eq!(refused.status(), Some(503), "{request:?} without a quorum: {refused}");
    }
    // Nor does it for whoever asks for whatever the node has: nobody allowed that.
    for wish in ["local", "bounded=1000h"] {
        let stale = Request::new(Method::Get, "secret/data/old").header("X-Conclave-Consistency", wish);
        let refused = client.send(stale.about_one_node()).await.expect_err("answered without a quorum");
        assert_eq!(refused.status(), Some(503), "{wish} without a quorum: {refused}");
    }

    for other in [0, 1] {
        cluster.node(other).resume().unwrap();
    }
    let serves = async || client.kv2("secret").get("old").await.is_ok_and(|found| found.is_some());
    wait_until("serving with a quorum again", PATIENCE, serves).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: .ci/run takes a third of these a day"]
async fn an_old_leader_that_was_halted_never_answers_with_what_was_replaced() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    for round in 1..=3 {
        let old = cluster.wait_for_leader().await.unwrap();
        cluster.client_of(old).kv2("secret").put("replaced", &json!({ "round": 0 })).await.unwrap();
        cluster.node(old).pause().unwrap();
        let new = cluster.wait_for_leader().await.unwrap();
        cluster.client_of(new).kv2("secret").put("replaced", &json!({ "round": round })).await.unwrap();
        // Asked while it still believes that it leads.
        let client = cluster.client_within(old, Duration::from_secs(20));
        let asked = tokio::spawn(async move { client.kv2("secret").get("replaced").await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        cluster.node(old).resume().unwrap();
        if let Ok(found) = asked.await.unwrap() {
            assert_eq!(found.expect("it was written").data["round"], round, "the halted leader answered with old data");
        }
        cluster.wait_until_serving().await.unwrap();
    }
}
