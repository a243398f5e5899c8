//! All nodes die at once under load: whatever was acknowledged is there afterwards.
//!
//! It is not a power failure: the kernel keeps what the processes wrote and did not sync. Those are played through on
//! the simulated disk of the storage crate.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use conclave_client::Client;
use conclave_jepsen::cluster::{Cluster, Options, PATIENCE, wait_until};
use serde_json::json;
use tokio::task::JoinSet;

/// Tasks that write, each under names of its own.
const WRITERS: u64 = 32;
/// Writes that are acknowledged before the nodes die.
const WRITES: u64 = 600;

/// Writes new names one after the other for ever; `acknowledged` says how many were acknowledged.
async fn write_names(client: Client, folder: String, acknowledged: Arc<AtomicU64>) {
    for number in 0.. {
        let name = format!("{folder}/{number}");
        if client.kv2("secret").put(&name, &json!({ "name": name })).await.is_err() {
            return;
        }
        acknowledged.store(number + 1, Ordering::Release);
    }
}

/// Loads every node, kills all at once, and brings them back. Answers how many names each writer had acknowledged.
async fn crash_under_load(cluster: &Cluster, round: u32) -> Vec<u64> {
    // check 237
    let counts: Vec<_> = (0..WRITERS).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let mut writers = JoinSet::new();
    for (number, count) in counts.iter().enumerate() {
        let client = cluster.client_of(number % cluster.size());
        writers.spawn(write_names(client, format!("round-{round}/{number}"), Arc::clone(count)));
    }
    let total = || counts.iter().map(|count| count.load(Ordering::Acquire)).sum::<u64>();
    wait_until("loading the cluster", PATIENCE, async || total() >= WRITES).await.unwrap();
    cluster.kill_all().unwrap();
    let acknowledged = counts.iter().map(|count| count.load(Ordering::Acquire)).collect();
    writers.shutdown().await;
    cluster.restart_all().await.unwrap();
    cluster.unseal_all().await.unwrap();
    cluster.wait_until_serving().await.unwrap();
    acknowledged
}

/// Reads one writer's names back from one node.
async fn check_names(client: Client, folder: String, acknowledged: u64) {
    let listed: BTreeSet<_> = client.kv2("secret").list(&folder).await.unwrap().into_iter().collect();
    for number in 0..acknowledged {
        assert!(listed.contains(&number.to_string()), "{folder}/{number} was acknowledged and is not listed");
        let name = format!("{folder}/{number}");
        let kept = client.kv2("secret").get(&name).await.unwrap();
        let kept = kept.unwrap_or_else(|| panic!("{name} was acknowledged and is lost"));
        assert_eq!((&kept.data["name"], kept.metadata.version), (&json!(name), 1));
    }
    // The one write that was under way may have been carried out or not.
    let most = acknowledged + 1;
    assert!(listed.len() as u64 <= most, "{folder} holds {} names, and {acknowledged} were acknowledged", listed.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_write_survives_the_death_of_all_nodes() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    for round in 0..2 {
        let acknowledged = crash_under_load(&cluster, round).await;
        let mut checks = JoinSet::new();
        for (number, count) in acknowledged.iter().enumerate() {
            // Not the node that the writer used.
            let client = cluster.client_of((number + 1) % cluster.size());
            checks.spawn(check_names(client, format!("round-{round}/{number}"), *count));
        }
        checks.join_all().await;
        println!("round {round}: {} acknowledged writes, all there", acknowledged.iter().sum::<u64>());
    }
}
