//! The harness itself: a cluster comes up, survives its nodes, and leaves nothing behind.

use std::path::Path;
use std::time::Duration;

use conclave_jepsen::cluster::{Cluster, Links, Options};
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

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_nobody_reaches_serves_again_once_the_cut_is_mended() {
    let cluster = Cluster::start(Options { links: Links::Recorded, ..Options::default() }).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let follower = (leader + 1) % cluster.size();
    cluster.node(leader).cut().unwrap();
    let refused = cluster.client_within(follower, Duration::from_secs(2)).tokens().lookup_self().await;
    assert!(refused.is_err(), "a follower served a read although it could not ask its leader");
    cluster.node(leader).mend().unwrap();
    cluster.wait_until_serving().await.unwrap();
    let traffic = std::fs::metadata(cluster.node(leader).traffic_file()).unwrap();
    assert!(traffic.len() > 1_000, "only {} bytes were written down", traffic.len());
}
