//! A client that knows all nodes rides through the death of the leader: nothing is lost, nothing is done twice, and no
//! caller sees an error.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use conclave_client::{Client, Discovery};
use conclave_jepsen::cluster::{Cluster, Options, PATIENCE, wait_until};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Acknowledged writes of a run.
const WRITES: u64 = 10_000;
/// Tasks that write, each to a key of its own.
const WRITERS: u64 = 24;
/// The leader is killed when this many writes have been acknowledged, or later if the one before is not back yet.
const KILLS: [u64; 3] = [500, 2_500, 4_500];

/// What all writers share.
#[derive(Default)]
struct Load {
    /// Writes that some task has taken on.
    taken: AtomicU64,
    acknowledged: AtomicU64,
    /// When the newest acknowledgement came, in microseconds since the start.
    newest_micros: AtomicU64,
    /// The longest time without any acknowledgement, in microseconds.
    pause_micros: AtomicU64,
}

impl Load {
    fn acknowledge(&self, start: Instant) {
        let now = u64::try_from(start.elapsed().as_micros()).unwrap();
        let before = self.newest_micros.swap(now, Ordering::Relaxed);
        self.pause_micros.fetch_max(now.saturating_sub(before), Ordering::Relaxed);
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

/// A client over all nodes that begins with node `first`, so that every node is under load.
async fn client_beginning_at(cluster: &Cluster, first: usize) -> Client {
    let mut addresses = cluster.addresses();
    addresses.rotate_left(first);
    let client = Client::builder()
        .addresses(addresses)
        .token(cluster.root_token().clone())
        .discovery(Discovery::Off)
        .deadline(PATIENCE)
        .build()
        .unwrap();
    // From its first write on, a client knows that this server remembers writes, and may repeat them.
    client.kv2("secret").put(&format!("first-{first}"), &json!({})).await.unwrap();
    client
}

/// Writes a counter until no work is left; each write must make exactly the next version. Answers how many it wrote.
async fn write_counter(client: Client, number: u64, load: Arc<Load>, start: Instant) -> (u64, Duration) {
    let key = format!("counter-{number}");
    let (mut version, mut slowest) = (0, Duration::ZERO);
    while load.taken.fetch_add(1, Ordering::Relaxed) < WRITES {
        let (value, began) = (json!({ "count": version + 1 }), Instant::now());
        let kv = client.kv2("secret");
        let written =
            if number.is_multiple_of(2) { kv.put(&key, &value).await } else { kv.put_cas(&key, &value, version).await };
        let written = written.unwrap_or_else(|error| panic!("{key}, write {}: {error}", version + 1));
        assert_eq!(written.version, version + 1, "{key} was written once more or once less than its only writer did");
        version += 1;
        slowest = slowest.max(began.elapsed());
        load.acknowledge(start);
    }
    (version, slowest)
}

/// Kills the leader, brings it back, and waits until it serves again.
async fn kill_the_leader(cluster: &Cluster, load: &Load) -> usize {
    let leader = cluster.wait_for_leader().await.unwrap();
    cluster.node(leader).kill().unwrap();
    assert!(load.acknowledged.load(Ordering::Relaxed) < WRITES, "the load ended before the leader was killed");
    let next = cluster.wait_for_leader().await.unwrap();
    assert_ne!(next, leader, "the killed node is still named as the leader");
    cluster.node(leader).restart().await.unwrap();
    cluster.unseal_all().await.unwrap();
    cluster.wait_until_serving().await.unwrap();
    leader
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: .ci/run takes a third of these a day"]
async fn ten_thousand_writes_outlive_three_leaders() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let mut clients = Vec::new();
    for first in 0..cluster.size() {
        clients.push(client_beginning_at(&cluster, first).await);
    }
    let (load, start) = (Arc::new(Load::default()), Instant::now());
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let (client, load) = (clients[number as usize % clients.len()].clone(), Arc::clone(&load));
        writers.spawn(async move { (number, write_counter(client, number, load, start).await) });
    }

    for after in KILLS {
        let is_due = async || load.acknowledged.load(Ordering::Relaxed) >= after;
        wait_until(&format!("acknowledging {after} writes"), 3 * PATIENCE, is_due).await.unwrap();
        let before = load.acknowledged.load(Ordering::Relaxed);
        let killed = kill_the_leader(&cluster, &load).await;
        let now = load.acknowledged.load(Ordering::Relaxed);
        println!("killed leader {} after {before} writes; it served again after {now}", cluster.node(killed).name());
    }

    let (mut total, mut slowest) = (0, Duration::ZERO);
    for (number, (version, slow)) in writers.join_all().await {
        let kept = cluster.client().kv2("secret").get(&format!("counter-{number}")).await.unwrap().unwrap();
        assert_eq!(kept.metadata.version, version, "counter-{number}: another version than was acknowledged last");
        assert_eq!(kept.data["count"], version, "counter-{number}: another value than was acknowledged last");
        (total, slowest) = (total + version, slowest.max(slow));
    }
    assert_eq!(total, WRITES);
    let pause = Duration::from_micros(load.pause_micros.load(Ordering::Relaxed));
    let elapsed = start.elapsed();
    // Written past the test runner's capture: whoever runs the suite should see it.
    let _ = writeln!(
        std::io::stderr(),
        "{WRITES} writes in {elapsed:.1?}; longest pause {pause:.2?}; slowest write {slowest:.2?}"
    );
}
