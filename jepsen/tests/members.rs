//! Nodes come, go and move: what an operator may do to the members of a cluster, and what is refused.

use conclave_client::{Error, Request};
use conclave_jepsen::cluster::{Cluster, Options, PATIENCE, wait_until};
use serde_json::json;

/// The name of a node, as the cluster lists it.
async fn id_of(cluster: &Cluster, index: usize) -> String {
    let address = cluster.node(index).cluster_address();
    let servers = cluster.client().cluster().raft_configuration().await.unwrap();
    servers.into_iter().find(|server| server.address == address).expect("the node is listed").node_id
}

async fn voters(cluster: &Cluster, index: usize) -> usize {
    let servers = cluster.client_of(index).cluster().raft_configuration().await.unwrap();
    servers.iter().filter(|server| server.voter).count()
}

fn refusal(result: Result<(), Error>) -> String {
    let refused = result.expect_err("the removal was not refused");
    assert_eq!(refused.status(), Some(400), "{refused}");
    refused.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_join_at_the_same_moment_are_all_members() {
    // Two join at once here, and none of them may be lost.
    let cluster = Cluster::start(Options::default()).await.unwrap();
    assert_eq!(voters(&cluster, 0).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_addresses_all_changed_comes_up() {
    let mut cluster = Cluster::start(Options::default()).await.unwrap();
    cluster.client().kv2("secret").put("kept", &json!({ "kept": true })).await.unwrap();
    let before = cluster.addresses();
    cluster.move_all().unwrap();
    cluster.restart_all().await.unwrap();
    cluster.unseal_all().await.unwrap();
    cluster.wait_until_serving().await.unwrap();
    let found = cluster.client().kv2("secret").get("kept").await.unwrap().unwrap();
    assert_eq!(found.data["kept"], true);
    // The membership says the new addresses, so the next start needs no hint.
    let is_written = async || {
        let servers = cluster.client().cluster().raft_configuration().await.unwrap_or_default();
        cluster.nodes().iter().all(|node| servers.iter().any(|server| server.address == node.cluster_address()))
    };
    wait_until("writing the new addresses down", PATIENCE, is_written).await.unwrap();
    let leader = cluster.client_of(1).cluster().leader().await.unwrap();
    assert!(!before.contains(&leader.leader_address), "clients are still sent to {}", leader.leader_address);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_node_cannot_be_removed_and_the_attempt_leaves_no_trace() {
    let cluster = Cluster::start(Options { nodes: 1, ..Options::default() }).await.unwrap();
    let id = id_of(&cluster, 0).await;
    let refused = refusal(cluster.client().cluster().remove_peer(&id).await);
    assert!(refused.contains(&id) && refused.contains("last voter"), "{refused}");
    assert_eq!(voters(&cluster, 0).await, 1);
    // The members record still holds it: a ceremony lists what the record says, and a write goes on.
    cluster.client().kv2("secret").put("after", &json!({})).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_may_go_unless_the_others_cannot_do_without_it() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let (sealed, other) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.seal(sealed).await.unwrap();
    cluster.seal(other).await.unwrap();
    let id = id_of(&cluster, leader).await;
    let refused = refusal(cluster.client_of(leader).cluster().remove_peer(&id).await);
    assert!(refused.contains(&id) && refused.contains("unsealed"), "{refused}");
    assert_eq!(voters(&cluster, leader).await, 3);

    // With another one unsealed, the leader hands over and goes.
    cluster.unseal_only(other).await.unwrap();
    cluster.client_of(leader).cluster().remove_peer(&id).await.unwrap();
    let leads = async || cluster.leader().await == Some(other);
    wait_until("leading after the old leader went", PATIENCE, leads).await.unwrap();
    assert_eq!(voters(&cluster, other).await, 2);
    cluster.client_of(other).kv2("secret").put("after", &json!({})).await.unwrap();
    let removed = async || {
        let health = Request::get("sys/health").about_one_node().any_status();
        cluster.client_of(leader).send(health).await.is_ok_and(|reply| reply.status() == 530)
    };
    wait_until("saying that it was removed", PATIENCE, removed).await.unwrap();
}
