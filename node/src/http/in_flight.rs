//! The requests that are being served: counted, so that there are never too many, and listed for `sys/in-flight-req`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use conclave_vault::time::Time;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::config::Limits;

/// Parts of the table, so that requests on different cores do not wait for each other.
const SHARDS: usize = 16;

/// What kind of request asks for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Anything.
    Ordinary,
    /// Health, seal status, unsealing: gets through when all else is full.
    Reserved,
}

/// One request.
pub struct Entry {
    /// Its id.
    pub request_id: String,
    /// Its verb.
    pub method: String,
    /// Its canonical path.
    pub path: String,
    /// Who asks.
    pub client: SocketAddr,
    /// When it came.
    pub started: Time,
}

/// The table.
pub struct InFlight {
    shards: [Mutex<HashMap<usize, Entry>>; SHARDS],
    next: AtomicUsize,
    count: AtomicUsize,
    most: usize,
    reserved: usize,
}

/// A request's place, given back when dropped.
pub struct Place {
    table: Arc<InFlight>,
    number: usize,
}

impl InFlight {
    /// A table with room for as many as the limits say.
    pub fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            next: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            most: limits.requests,
            reserved: limits.reserved_requests,
        })
    }

    /// Takes a place; `None` if all are taken.
    pub fn enter(self: &Arc<Self>, class: Class, entry: Entry) -> Option<Place> {
        let most = if class == Class::Reserved { self.most + self.reserved } else { self.most };
        let take = |count: usize| (count < most).then_some(count + 1);
        self.count.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).ok()?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.shards[number % SHARDS].lock().insert(number, entry);
        Some(Place { table: self.clone(), number })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// All of them by id, in the shape of `sys/in-flight-req`. Never more than the limits allow at once.
    pub fn to_json(&self) -> Value {
        let mut all = serde_json::Map::new();
        for shard in &self.shards {
            for entry in shard.lock().values() {
                let shown = json!({
                    "start_time": entry.started.to_string(),
                    "client_remote_address": entry.client.to_string(),
                    "request_path": format!("/v1/{}", entry.path),
                    "request_method": entry.method,
                });
                all.insert(entry.request_id.clone(), shown);
            }
        }
        Value::Object(all)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.shards[self.number % SHARDS].lock().remove(&self.number);
        self.table.count.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> Entry {
        let client = "10.0.0.1:5".parse().unwrap();
        Entry { request_id: id.into(), method: "GET".into(), path: "a/b".into(), client, started: Time::from_secs(0) }
    }

    fn table(requests: usize, reserved_requests: usize) -> Arc<InFlight> {
        InFlight::new(&Limits { requests, reserved_requests, ..Limits::default() })
    }

    #[test]
    fn a_place_is_listed_until_it_is_given_back() {
        let table = table(2, 0);
        let place = table.enter(Class::Ordinary, entry("x")).unwrap();
        assert_eq!(table.to_json()["x"]["request_path"], "/v1/a/b");
        drop(place);
        assert_eq!((table.count(), table.to_json()), (0, json!({})));
    }

    #[test]
    fn health_gets_through_when_all_else_is_full() {
        let table = table(1, 1);
        let _ordinary = table.enter(Class::Ordinary, entry("a")).unwrap();
        assert!(table.enter(Class::Ordinary, entry("b")).is_none());
        let _reserved = table.enter(Class::Reserved, entry("c")).unwrap();
        assert!(table.enter(Class::Reserved, entry("d")).is_none());
    }
}
