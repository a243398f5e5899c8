//! After the run: what became of writes whose end nobody knows.
//!
//! Only keys with such a write are read back, and of them only the versions whose value no client saw. It is part of the
//! history, so that whoever checks the history needs no cluster.

use std::collections::{BTreeMap, BTreeSet};

use conclave_client::Client;
use serde_json::Value;

use crate::history::{Event, Function, Kind, Recorder};
use crate::workload::register::MOUNT;

/// What a history says about a key.
#[derive(Default)]
struct Seen {
    has_unknown: bool,
    versions: BTreeSet<u64>,
}

/// Reads back what is needed, through any node, as process `process`.
///
/// # Errors
/// As [`Client::send`].
pub async fn read(client: &Client, recorder: &Recorder, process: u32) -> Result<(), conclave_client::Error> {
    let scribe = Scribe { recorder, process };
    for (key, seen) in keys(&recorder.events()).into_iter().filter(|(_, seen)| seen.has_unknown) {
        let metadata = client.kv2(MOUNT).metadata(&key).await?;
        let newest = metadata.map_or(0, |metadata| metadata.current_version);
        for version in (1..=newest).filter(|version| !seen.versions.contains(version)) {
            let found = client.kv2(MOUNT).get_version(&key, version).await?;
            let value = found.and_then(|secret| secret.data.get("value").and_then(Value::as_u64));
            // A version without a value stays unknown, which the checker then says.
            if value.is_some() {
                scribe.record(&key, Function::Version, version, value);
            }
        }
        scribe.record(&key, Function::Newest, newest, None);
    }
    Ok(())
}

struct Scribe<'a> {
    recorder: &'a Recorder,
    process: u32,
}

impl Scribe<'_> {
    fn record(&self, key: &str, function: Function, version: u64, value: Option<u64>) {
        let version = Some(version);
        let done = Event { kind: Kind::Ok, value, version, ..Event::new(self.process, 0, function, key) };
        self.recorder.record(Event { kind: Kind::Invoke, value: None, version: None, ..done.clone() });
        self.recorder.record(done);
    }
}

fn keys(events: &[Event]) -> BTreeMap<String, Seen> {
    let mut keys: BTreeMap<String, Seen> = BTreeMap::new();
    let mut open = BTreeSet::new();
    for event in events.iter().filter(|event| event.function.is_register()) {
        let is_write = matches!(event.function, Function::Write | Function::Cas);
        let seen = keys.entry(event.key.clone()).or_default();
        match event.kind {
            Kind::Invoke if is_write => drop(open.insert((event.process, event.key.clone()))),
            Kind::Ok | Kind::Fail => {
                open.remove(&(event.process, event.key.clone()));
                seen.versions.extend(event.version.filter(|version| *version > 0));
            }
            Kind::Invoke | Kind::Info => {}
        }
    }
    for (_, key) in open {
        keys.entry(key).or_default().has_unknown = true;
    }
    keys
}
