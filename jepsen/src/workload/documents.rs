//! Secrets of KV version 2 as more than registers: counters, lists, folders of names, and versions that come and go.
//!
//! Counters and lists are read, changed and written back by check-and-set. What surprises: one that is refused for its
//! version did not happen, and is not tried again, so that each operation is one attempt.

use std::sync::Arc;
use std::time::Duration;

use conclave_client::{Error, KvSecret, Method};
use futures::FutureExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::Clients;
use super::key::{Key, Keys};
use super::register::{MOUNT, is_mismatch, keep_versions};
use super::stage::{Hand, Stage};
use crate::check::{ABSENT, DELETED, DESTROYED, LIVE};
use crate::history::{Event, Function, Kind};

/// How long a client waits for its operation.
const DEADLINE: Duration = Duration::from_secs(2);
/// Keys in use at any time.
const KEYS: u64 = 2;
/// Names in a folder.
const NAMES: u64 = 5;
/// How often a last read is tried.
const LAST_TRIES: usize = 20;
/// How long after one that failed.
const LAST_REST: Duration = Duration::from_millis(500);

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Document {
    Counter,
    List,
    Folder,
    Versions,
}

/// Starts one client for each node.
pub(super) async fn begin(stage: &Stage, seed: u64, document: Document, clients: &mut Clients) -> Result<(), Error> {
    keep_versions(stage).await?;
    let prefix = match document {
        Document::Counter => "counter-",
        Document::List => "list-",
        Document::Folder => "folder-",
        Document::Versions => "versions-",
    };
    let keys = Arc::new(Keys::new(prefix, KEYS));
    let mut seeds = StdRng::seed_from_u64(seed);
    for node in 0..stage.size() {
        let random = StdRng::seed_from_u64(seeds.random());
        clients.tasks.spawn(work(stage.hand(node, DEADLINE)?, document, Arc::clone(&keys), random));
    }
    clients.closing.push(close(stage.hand(0, DEADLINE)?, document, keys).boxed());
    Ok(())
}

async fn work(mut hand: Hand, document: Document, keys: Arc<Keys>, mut random: StdRng) {
    while !hand.stage().is_over() {
        let key = keys.take(random.random_range(0..KEYS as usize));
        let is_done = match document {
            Document::Counter if random.random_bool(0.5) => add(&mut hand, &key).await,
            Document::List if random.random_bool(0.5) => append(&mut hand, &key).await,
            Document::Folder if random.random_bool(0.6) => change_name(&mut hand, &key, &mut random).await,
            Document::Versions if random.random_bool(0.6) => change_version(&mut hand, &key, &mut random).await,
            Document::Versions => {
                let version = random.random_range(1..=key.newest() + 1);
                look(&mut hand, &key, version).await
            }
            Document::Folder if random.random_bool(0.5) => peek(&mut hand, &key, random.random_range(0..NAMES)).await,
            document => read(&mut hand, document, &key).await,
        };
        hand.rest(is_done).await;
    }
}

/// Reads every key once more, when all is quiet: what was acknowledged must be there.
async fn close(mut hand: Hand, document: Document, keys: Arc<Keys>) {
    for (number, key) in keys.all().into_iter().enumerate() {
        hand.move_to(number % hand.stage().size());
        for _ in 0..LAST_TRIES {
            let is_done = match document {
                Document::Versions => look(&mut hand, &key, 1).await,
                document => read(&mut hand, document, &key).await,
            };
            if is_done {
                break;
            }
            tokio::time::sleep(LAST_REST).await;
        }
    }
}

/// Reads a whole document.
async fn read(hand: &mut Hand, document: Document, key: &Key) -> bool {
    let function = match document {
        Document::Counter => Function::Total,
        Document::List => Function::Elements,
        Document::Folder | Document::Versions => Function::List,
    };
    let event = hand.event(function, key.name());
    hand.invoke(&event);
    let client = hand.client();
    let answer = match function {
        Function::List => client.kv2(MOUNT).list(key.name()).await.map(|names| Event {
            list: Some(names.iter().filter_map(|name| name.parse().ok()).collect()),
            ..event.clone()
        }),
        _ => client.kv2(MOUNT).get(key.name()).await.map(|found| {
            let (_, total, elements) = parts(found);
            let is_list = function == Function::Elements;
            Event { value: (!is_list).then_some(total), list: is_list.then_some(elements), ..event.clone() }
        }),
    };
    match answer {
        Ok(answer) => hand.end(Event { kind: Kind::Ok, ..answer }),
        Err(error) => hand.end_failed(event, &error),
    }
}

/// The version of a document, the number in it, and the list in it.
fn parts(found: Option<KvSecret>) -> (u64, u64, Vec<u64>) {
    let Some(found) = found else { return (0, 0, Vec::new()) };
    let total = found.data.get("total").and_then(Value::as_u64).unwrap_or(0);
    let elements = found.data.get("elements").and_then(Value::as_array);
    let elements = elements.into_iter().flatten().filter_map(Value::as_u64).collect();
    (found.metadata.version, total, elements)
}

async fn add(hand: &mut Hand, key: &Key) -> bool {
    let event = hand.event(Function::Add, key.name());
    change(hand, key, event, |total, _| json!({ "total": total + 1 })).await
}

async fn append(hand: &mut Hand, key: &Key) -> bool {
    let element = hand.stage().value();
    let event = Event { value: Some(element), ..hand.event(Function::Append, key.name()) };
    change(hand, key, event, |_, mut elements| {
        elements.push(element);
        json!({ "elements": elements })
    })
    .await
}

/// Reads a document and writes it back changed, if nobody else did meanwhile.
async fn change(hand: &mut Hand, key: &Key, event: Event, change: impl FnOnce(u64, Vec<u64>) -> Value) -> bool {
    hand.invoke(&event);
    let (version, total, elements) = match hand.client().kv2(MOUNT).get(key.name()).await {
        Ok(found) => parts(found),
        Err(error) => return hand.end_undone(event, &error),
    };
    match hand.client().kv2(MOUNT).put_cas(key.name(), &change(total, elements), version).await {
        Ok(_) => hand.end(Event { kind: Kind::Ok, ..event }),
        Err(error) if is_mismatch(&error) => hand.end_undone(event, &error),
        Err(error) => hand.end_failed(event, &error),
    }
}

async fn change_name(hand: &mut Hand, key: &Key, random: &mut StdRng) -> bool {
    let name = random.random_range(0..NAMES);
    let function = if random.random_bool(0.5) { Function::Make } else { Function::Drop };
    let event = Event { value: Some(name), ..hand.event(function, key.name()) };
    hand.invoke(&event);
    let (client, path) = (hand.client(), format!("{}/{name}", key.name()));
    let done = match function {
        Function::Make => client.kv2(MOUNT).put(&path, &json!({ "name": name })).await.map(drop),
        _ => client.kv2(MOUNT).delete_metadata(&path).await,
    };
    match done {
        Ok(()) => hand.end(Event { kind: Kind::Ok, ..event }),
        Err(error) => hand.end_failed(event, &error),
    }
}

async fn peek(hand: &mut Hand, key: &Key, name: u64) -> bool {
    let event = Event { value: Some(name), ..hand.event(Function::Peek, key.name()) };
    hand.invoke(&event);
    match hand.client().kv2(MOUNT).get(&format!("{}/{name}", key.name())).await {
        Ok(found) => hand.end(Event { kind: Kind::Ok, version: Some(u64::from(found.is_some())), ..event }),
        Err(error) => hand.end_failed(event, &error),
    }
}

async fn change_version(hand: &mut Hand, key: &Key, random: &mut StdRng) -> bool {
    let version = random.random_range(1..=key.newest().max(1));
    let function = match random.random_range(0..6) {
        0..3 => Function::Put,
        3 => Function::Delete,
        4 => Function::Undelete,
        _ => Function::Destroy,
    };
    let asked = (function != Function::Put).then_some(version);
    let event = Event { version: asked, ..hand.event(function, key.name()) };
    hand.invoke(&event);
    let client = hand.client();
    let kv = client.kv2(MOUNT);
    let done = match function {
        Function::Put => kv.put(key.name(), &json!({ "value": "there" })).await.map(|made| Some(made.version)),
        Function::Delete => kv.delete_versions(key.name(), &[version]).await.map(|()| asked),
        Function::Undelete => kv.undelete(key.name(), &[version]).await.map(|()| asked),
        _ => kv.destroy(key.name(), &[version]).await.map(|()| asked),
    };
    match done {
        Ok(version) => {
            key.saw(version.unwrap_or(0));
            hand.end(Event { kind: Kind::Ok, version, ..event })
        }
        Err(error) => hand.end_failed(event, &error),
    }
}

async fn look(hand: &mut Hand, key: &Key, version: u64) -> bool {
    let event = Event { version: Some(version), ..hand.event(Function::Look, key.name()) };
    hand.invoke(&event);
    let path = format!("{MOUNT}/data/{}", key.name());
    let number = version.to_string();
    let found = hand.client().raw(Method::Get, &path, &[("version", number.as_str())], None).await;
    let value = match &found {
        Ok(_) => LIVE,
        Err(Error::Status(status)) if status.status == 404 => gone(status.reply.json()),
        Err(error) => return hand.end_failed(event, error),
    };
    hand.end(Event { kind: Kind::Ok, value: Some(value), ..event })
}

/// Why a version has no value, as the reply says.
fn gone(reply: &Value) -> u64 {
    let metadata = &reply["data"]["metadata"];
    match (metadata["destroyed"].as_bool(), metadata["deletion_time"].as_str()) {
        (Some(true), _) => DESTROYED,
        (Some(false), Some(time)) if !time.is_empty() => DELETED,
        _ => ABSENT,
    }
}
