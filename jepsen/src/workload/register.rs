//! Versioned registers: reads, writes and check-and-sets on a few keys of KV version 2.
//!
//! Through all nodes at once every client is pinned to one, so that reads are served there; or all go where the leader is,
//! or where it is not. What surprises: the pair of clients that writes on the leader and, once that is acknowledged, reads the same key
//! elsewhere is the shortest way to a stale read, if there is one.

use std::sync::Arc;
use std::time::Duration;

use conclave_client::{Error, Method};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Clients;
use super::key::{Key, Keys};
use super::stage::{Hand, Stage};
use crate::history::{Event, Function, Kind, MISMATCH};

/// The mount that is used.
pub const MOUNT: &str = "secret";
/// Versions that the mount keeps, more than a key gets, so that all can be read back.
const KEPT_VERSIONS: u64 = 1_000;
/// Keys in use at any time.
const KEYS: u64 = 4;
/// How long a client waits for its operation.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long an impatient reader waits; less than a pause, so that it asks while the node sleeps.
const SHORT_DEADLINE: Duration = Duration::from_millis(250);
/// Clients that read, write and swap, for each node.
const CLIENTS: usize = 2;

/// Which nodes are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Each by clients of its own.
    All,
    /// Whichever leads.
    Leader,
    /// Whichever does not.
    Followers,
}

/// What the clients of one register load share.
struct Load {
    keys: Keys,
    pairs: Keys,
    reach: Reach,
}

/// Starts the clients.
pub(super) async fn begin(stage: &Stage, seed: u64, reach: Reach, clients: &mut Clients) -> Result<(), Error> {
    keep_versions(stage).await?;
    let tasks = &mut clients.tasks;
    let load = Arc::new(Load { keys: Keys::new("k", KEYS), pairs: Keys::new("p", 1), reach });
    let mut seeds = StdRng::seed_from_u64(seed);
    for node in 0..stage.size() {
        for _ in 0..CLIENTS {
            let random = StdRng::seed_from_u64(seeds.random());
            tasks.spawn(work(stage.hand(node, DEADLINE)?, Arc::clone(&load), random));
        }
        let random = StdRng::seed_from_u64(seeds.random());
        tasks.spawn(watch(stage.hand(node, SHORT_DEADLINE)?, Arc::clone(&load), random));
    }
    if reach == Reach::All {
        let hands = || (0..stage.size()).map(|node| stage.hand(node, DEADLINE)).collect::<Result<Vec<_>, _>>();
        tasks.spawn(pairs(stage.clone(), load, hands()?, hands()?));
    }
    Ok(())
}

/// Lets the mount keep all versions of a key.
pub(super) async fn keep_versions(stage: &Stage) -> Result<(), Error> {
    let keep = json!({ "max_versions": KEPT_VERSIONS });
    let client = stage.hand(0, crate::cluster::PATIENCE)?.client();
    client.raw(Method::Post, &format!("{MOUNT}/config"), &[], Some(&keep)).await.map(drop)
}

/// Writes on the leader and, as soon as that is acknowledged, reads the same key on every other node.
async fn pairs(stage: Stage, load: Arc<Load>, mut writers: Vec<Hand>, mut readers: Vec<Hand>) {
    while !stage.is_over() {
        let leader = stage.leader();
        let key = load.pairs.take(0);
        let is_done = write(&mut writers[leader], &key, None).await;
        let mut reads = JoinSet::new();
        for mut reader in readers.drain(..) {
            let key = Arc::clone(&key);
            reads.spawn(async move {
                if reader.node() != leader {
                    read(&mut reader, &key).await;
                }
                reader
            });
        }
        readers = reads.join_all().await;
        writers[leader].rest(is_done).await;
    }
}

/// Moves a client to where it is to ask next.
fn aim(hand: &mut Hand, reach: Reach, random: &mut StdRng) {
    let (leader, size) = (hand.stage().leader(), hand.stage().size());
    match reach {
        Reach::All => {}
        Reach::Leader => hand.move_to(leader),
        Reach::Followers => hand.move_to((leader + random.random_range(1..size.max(2))) % size),
    }
}

/// Reads, writes and swaps.
async fn work(mut hand: Hand, load: Arc<Load>, mut random: StdRng) {
    while !hand.stage().is_over() {
        aim(&mut hand, load.reach, &mut random);
        let key = load.keys.take(random.random_range(0..KEYS as usize));
        let is_done = match random.random_range(0..10) {
            0..5 => read(&mut hand, &key).await,
            5..8 => write(&mut hand, &key, None).await,
            _ => write(&mut hand, &key, Some(key.newest())).await,
        };
        hand.rest(is_done).await;
    }
}

/// Only reads, and gives up soon.
async fn watch(mut hand: Hand, load: Arc<Load>, mut random: StdRng) {
    while !hand.stage().is_over() {
        aim(&mut hand, load.reach, &mut random);
        let key = load.keys.take(random.random_range(0..KEYS as usize));
        let is_done = read(&mut hand, &key).await;
        hand.rest(is_done).await;
    }
}

/// Reads the newest version; answers whether that worked.
async fn read(hand: &mut Hand, key: &Key) -> bool {
    let event = hand.event(Function::Read, key.name());
    hand.invoke(&event);
    let (version, value) = match hand.client().kv2(MOUNT).get(key.name()).await {
        Ok(Some(secret)) => match secret.data.get("value").and_then(Value::as_u64) {
            Some(value) => (secret.metadata.version, Some(value)),
            None => {
                let err = Some("the secret holds no value of ours".to_owned());
                return hand.end(Event { kind: Kind::Info, err, ..event });
            }
        },
        Ok(None) => (0, None),
        Err(error) => return hand.end_failed(event, &error),
    };
    key.saw(version);
    hand.end(Event { kind: Kind::Ok, version: Some(version), value, ..event })
}

/// Writes a new version, if the newest is the expected one; answers whether that worked.
async fn write(hand: &mut Hand, key: &Key, expected: Option<u64>) -> bool {
    let value = hand.stage().value();
    let function = if expected.is_some() { Function::Cas } else { Function::Write };
    let event = Event { value: Some(value), expected, ..hand.event(function, key.name()) };
    hand.invoke(&event);
    let (client, data) = (hand.client(), json!({ "value": value }));
    let written = match expected {
        Some(expected) => client.kv2(MOUNT).put_cas(key.name(), &data, expected).await,
        None => client.kv2(MOUNT).put(key.name(), &data).await,
    };
    match written {
        Ok(made) => {
            key.saw(made.version);
            hand.end(Event { kind: Kind::Ok, version: Some(made.version), ..event })
        }
        Err(error) if is_mismatch(&error) => {
            hand.end(Event { kind: Kind::Fail, err: Some(MISMATCH.to_owned()), ..event })
        }
        Err(error) => hand.end_failed(event, &error),
    }
}

/// Whether a check-and-set was refused for its version.
pub(super) fn is_mismatch(error: &Error) -> bool {
    matches!(error, Error::Status(status) if status.status == 400 && status.says("did not match the current version"))
}
