//! The harness itself: a cluster comes up, survives its nodes, and leaves nothing behind.

use std::path::Path;

use conclave_jepsen::cluster::{Cluster, Options};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_comes_back_sealed_and_is_unsealed_by_a_ceremony() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    cluster.client().kv2("secret").put("app", &json!({ "answer": 42 })).await.unwrap();

    let leader = cluster.wait_for_leader().await.unwrap();
    cluster.node(leader).kill().unwrap();
    let next = cluster.wait_for_leader().await.unwrap();
    assert_ne!(next, leader);

    cluster.node(leader).restart().await.unwrap();
    assert_eq!(cluster.is_sealed(leader).await, Some(true));
    cluster.unseal_all().await.unwrap();
    let found = cluster.client_of(leader).kv2("secret").get("app").await.unwrap().unwrap();
    assert_eq!(found.data["answer"], 42);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_cluster_leaves_no_process() {
    let cluster = Cluster::start(Options { nodes: 1, ..Options::default() }).await.unwrap();
    let id = cluster.node(0).process_id().unwrap();
    assert!(Path::new(&format!("/proc/{id}")).exists());
    drop(cluster);
    assert!(!Path::new(&format!("/proc/{id}")).exists());
}
