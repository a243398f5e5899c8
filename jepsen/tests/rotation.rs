//! The key is rotated from all sides under load, and all nodes die in the middle of it: the cluster unseals again, and
//! every acknowledged value can be read. `ROTATION_SEEDS=1..51` runs more seeds than the ordinary ones.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use conclave_client::Client;
use conclave_jepsen::cluster::{Cluster, Options, PATIENCE, wait_until};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::task::JoinSet;

/// Clients that rotate and write, spread over all nodes.
const CLIENTS: usize = 8;
/// Rotations that are acknowledged in all.
const ROTATIONS: u64 = 200;
/// Most milliseconds between the drawn rotation and the death of all nodes.
const DELAY_MS: u64 = 50;
/// How long a client insists on one call.
const INSISTENCE: Duration = Duration::from_secs(5);

/// What the clients of one cluster did.
#[derive(Default)]
struct Done {
    /// Rotations that were begun, and of those the acknowledged ones.
    asked: AtomicU64,
    rotated: AtomicU64,
    /// Version of each client's secret that was acknowledged last.
    written: [AtomicU64; CLIENTS],
}

/// Rotates and writes by turns, until `limit` rotations of all clients were acknowledged.
async fn rotate_and_write(client: Client, number: usize, limit: u64, done: Arc<Done>) {
    let path = format!("rotated/{number}");
    while done.rotated.load(Ordering::Acquire) < limit {
        done.asked.fetch_add(1, Ordering::AcqRel);
        if client.cluster().rotate().await.is_ok() {
            done.rotated.fetch_add(1, Ordering::AcqRel);
        }
        if let Ok(written) = client.kv2("secret").put(&path, &json!({ "client": number })).await {
            done.written[number].store(written.version, Ordering::Release);
        }
    }
}

fn start_clients(cluster: &Cluster, limit: u64, done: &Arc<Done>) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let client = cluster.client_within(number % cluster.size(), INSISTENCE);
        clients.spawn(rotate_and_write(client, number, limit, Arc::clone(done)));
    }
    clients
}

/// Kills every node, starts and unseals them again, and looks for everything that was acknowledged.
async fn die_and_check(cluster: &Cluster, done: &Done) {
    cluster.kill_all().unwrap();
    cluster.restart_all().await.unwrap();
    cluster.unseal_all().await.unwrap();
    cluster.wait_until_serving().await.unwrap();
    for (number, written) in done.written.iter().enumerate() {
        let version = written.load(Ordering::Acquire);
        // Not the node that the client used.
        let client = cluster.client_of((number + 1) % cluster.size());
        let found = client.kv2("secret").get(&format!("rotated/{number}")).await.unwrap();
        let found = found.map_or(0, |found| found.metadata.version);
        assert!(found >= version, "client {number}: version {version} was acknowledged, {found} is there");
    }
    let (rotated, asked) = (done.rotated.load(Ordering::Acquire), done.asked.load(Ordering::Acquire));
    let term = cluster.client().cluster().key_status().await.unwrap().term;
    let terms = 1 + rotated..=1 + asked;
    assert!(terms.contains(&term), "the key is in term {term}, and it must be in one of {terms:?}");
}

async fn rotate_under_load(seed: u64) {
    // checks 181, 247
    let mut random = StdRng::seed_from_u64(seed);
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let done = Arc::new(Done::default());
    let (count, delay) = (random.random_range(1..=ROTATIONS), random.random_range(0..=DELAY_MS));
    let mut clients = start_clients(&cluster, u64::MAX, &done);
    let is_reached = async || done.rotated.load(Ordering::Acquire) >= count;
    wait_until(&format!("seed {seed}: rotating {count} times"), PATIENCE, is_reached).await.unwrap();
    tokio::time::sleep(Duration::from_millis(delay)).await;
    // All at once, with whatever is under way.
    cluster.kill_all().unwrap();
    clients.shutdown().await;
    die_and_check(&cluster, &done).await;
    // The rest goes on where it was, and is there after another death.
    start_clients(&cluster, ROTATIONS.max(count + 1), &done).join_all().await;
    die_and_check(&cluster, &done).await;
    println!("seed {seed}: killed in rotation {count}, {} in all", done.rotated.load(Ordering::Acquire));
}

/// The seeds that `ROTATION_SEEDS` names, such as `1..51`, or else the first.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("ROTATION_SEEDS") else { return 1..2 };
    let bounds = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    bounds.filter(|seeds| !seeds.is_empty()).unwrap_or_else(|| panic!("ROTATION_SEEDS={text}: write it as 1..51"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: .ci/run takes five of its fifty seeds a day"]
async fn keys_rotated_from_all_sides_survive_the_death_of_all_nodes() {
    for seed in seeds() {
        rotate_under_load(seed).await;
    }
}
