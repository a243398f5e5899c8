//! A sealed node goes on replicating what it cannot read, and a single unsealed one is enough to serve.

use std::time::Duration;

use conclave_client::Method;
use conclave_jepsen::cluster::{Cluster, Options, PATIENCE, wait_until};
use serde_json::json;
use tokio::time::Instant;

/// How long a client insists on an answer from a node that is sealed.
const INSISTENCE: Duration = Duration::from_secs(1);

/// How far a sealed node has applied the log.
async fn applied_index(cluster: &Cluster, index: usize) -> u64 {
    let status = cluster.client_of(index).raw(Method::Get, "sys/seal-status", &[], None).await.unwrap();
    assert_eq!(status.json()["sealed"], true);
    status.json()["raft_applied_index"].as_u64().expect("a sealed node shows its applied index")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_node_applies_what_the_others_write_and_serves_it_once_unsealed() {
    // check 189
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let sealed = (leader + 1) % cluster.size();
    cluster.seal(sealed).await.unwrap();
    let before = applied_index(&cluster, sealed).await;

    let writer = cluster.client_of(leader);
    for number in 0..50 {
        writer.kv2("secret").put(&format!("meanwhile/{number}"), &json!({ "number": number })).await.unwrap();
    }
    let written = writer.cluster().leader().await.unwrap().raft_applied_index;
    assert!(written >= before + 50);
    let caught_up = async || applied_index(&cluster, sealed).await >= written;
    wait_until("applying while sealed", PATIENCE, caught_up).await.unwrap();
    let refused = cluster.client_within(sealed, INSISTENCE).kv2("secret").get("meanwhile/0").await.unwrap_err();
    assert_eq!(refused.status(), Some(503));

    cluster.unseal_only(sealed).await.unwrap();
    for number in 0..50 {
        let found = cluster.client_of(sealed).kv2("secret").get(&format!("meanwhile/{number}")).await.unwrap();
        assert_eq!(found.expect("written while the node was sealed").data["number"], number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_unsealed_node_commits_with_two_sealed_peers() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let (alone, other) = ((leader + 1) % 3, (leader + 2) % 3);
    // The leader goes first, so that leadership has to move to where the keys are.
    cluster.seal(leader).await.unwrap();
    cluster.seal(other).await.unwrap();

    let client = cluster.client_of(alone);
    for number in 1..=20 {
        let written = client.kv2("secret").put("alone", &json!({ "number": number })).await.unwrap();
        assert_eq!(written.version, number);
    }
    assert_eq!(cluster.leader().await, Some(alone));
    // Both peers hold every entry: the two of them bring it back without the one that wrote it.
    let written = client.cluster().leader().await.unwrap().raft_applied_index;
    for peer in [leader, other] {
        let caught_up = async || applied_index(&cluster, peer).await >= written;
        wait_until("replicating to a sealed peer", PATIENCE, caught_up).await.unwrap();
    }
    cluster.node(alone).kill().unwrap();
    cluster.unseal_only(leader).await.unwrap();
    cluster.unseal_only(other).await.unwrap();
    let found = cluster.client_of(leader).kv2("secret").get("alone").await.unwrap().unwrap();
    assert_eq!((&found.data["number"], found.metadata.version), (&json!(20), 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_nodes_alone_have_no_leader_and_serve_nothing() {
    // check 246
    let cluster = Cluster::start(Options::default()).await.unwrap();
    cluster.client().kv2("secret").put("kept", &json!({ "kept": true })).await.unwrap();
    for index in 0..cluster.size() {
        cluster.seal(index).await.unwrap();
    }
    assert_eq!(cluster.leader().await, None);
    for index in 0..cluster.size() {
        let client = cluster.client_within(index, INSISTENCE);
        assert_eq!(client.kv2("secret").get("kept").await.unwrap_err().status(), Some(503));
        assert_eq!(client.kv2("secret").put("kept", &json!({})).await.unwrap_err().status(), Some(503));
    }

    cluster.unseal_only(1).await.unwrap();
    let found = cluster.client_of(1).kv2("secret").get("kept").await.unwrap().unwrap();
    assert_eq!((&found.data["kept"], found.metadata.version), (&json!(true), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_node_with_the_longer_log_helps_the_only_unsealed_one_to_lead() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let (longer, shorter) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.seal(longer).await.unwrap();
    cluster.node(shorter).kill().unwrap();
    // Acknowledged by the leader and a node that cannot read it.
    for number in 0..20 {
        cluster.client_of(leader).kv2("secret").put("kept", &json!({ "number": number })).await.unwrap();
    }
    cluster.node(leader).kill().unwrap();
    cluster.node(shorter).restart().await.unwrap();

    let start = Instant::now();
    cluster.unseal_only(shorter).await.unwrap();
    let leads = async || cluster.leader().await == Some(shorter);
    wait_until("electing a node that lacks entries", PATIENCE, leads).await.unwrap();
    println!("the unsealed node leads {} ms after its unseal began", start.elapsed().as_millis());
    let found = cluster.client_of(shorter).kv2("secret").get("kept").await.unwrap().unwrap();
    assert_eq!((&found.data["number"], found.metadata.version), (&json!(19), 20));
    assert_eq!(cluster.is_sealed(longer).await, Some(true));
}
