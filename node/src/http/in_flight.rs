//! The requests that are being served: counted, so that there are never too many, and listed for `sys/in-flight-req`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use conclave_vault::Time;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::config::Limits;
use crate::paths::Class;

/// Parts of the table, so that requests on different cores do not wait for each other.
const SHARDS: usize = 16;

/// One request.
pub struct InFlightRequest {
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
    shards: [Mutex<HashMap<usize, InFlightRequest>>; SHARDS],
    next: AtomicUsize,
    places: [Places; 3],
}

/// The places of one class.
struct Places {
    taken: AtomicUsize,
    most: usize,
}

/// A request's place, given back when dropped.
pub struct Place {
    table: Arc<InFlight>,
    class: Class,
    number: usize,
}

impl InFlight {
    /// A table with room for as many as the limits say.
    pub fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            next: AtomicUsize::new(0),
            places: [limits.requests, limits.status_requests, limits.unseal_requests]
                .map(|most| Places { taken: AtomicUsize::new(0), most }),
        })
    }

    /// Takes a place; `None` if all are taken.
    pub fn enter(self: &Arc<Self>, class: Class, entry: InFlightRequest) -> Option<Place> {
        let places = &self.places[class as usize];
        let take = |taken: usize| (taken < places.most).then_some(taken + 1);
        places.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).ok()?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.shards[number % SHARDS].lock().insert(number, entry);
        Some(Place { table: self.clone(), class, number })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.places.iter().map(|places| places.taken.load(Ordering::Acquire)).sum()
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
        self.table.places[self.class as usize].taken.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> InFlightRequest {
        let client = "10.0.0.1:5".parse().unwrap();
        InFlightRequest {
            request_id: id.into(),
            method: "GET".into(),
            path: "a/b".into(),
            client,
            started: Time::from_secs(0),
        }
    }

    fn table(requests: usize, status_requests: usize) -> Arc<InFlight> {
        InFlight::new(&Limits { requests, status_requests, unseal_requests: 1, ..Limits::default() })
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
        let _status = table.enter(Class::Status, entry("c")).unwrap();
        assert!(table.enter(Class::Status, entry("d")).is_none());
        let _seal = table.enter(Class::Seal, entry("e")).unwrap();
        assert!(table.enter(Class::Seal, entry("f")).is_none());
        assert_eq!(table.count(), 3);
    }
}
