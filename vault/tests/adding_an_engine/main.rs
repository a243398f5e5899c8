//! An engine added from outside the core, by the steps of `docs/adding-an-engine.md` alone.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

use conclave_batch::{Outcome, View};
use conclave_storage::log::{Entry, LogId, Payload};
use conclave_storage::table::{MemoryTable, Table};
use conclave_vault::members::MemberRecord;
use conclave_vault::seal::{Parameters, initialize};
use conclave_vault::{
    CanonicalPath, Context, Core, Done, Error, NewCluster, Operation, Proposal, Random, Registry, Request, Time,
    first_batch,
};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

mod counter;

const PAGE: &str = include_str!("../../../docs/adding-an-engine.md");
const FILE: &str = include_str!("counter.rs");

struct Seeded(StdRng);

impl Random for Seeded {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.0.fill_bytes(buffer);
    }
}

/// A core with the engine in its list, over a table in memory.
struct Server {
    core: Core,
    table: MemoryTable,
    random: Seeded,
}

fn context(random: &mut Seeded) -> Context<'_> {
    Context::plain(Time::from_secs(1_700_000_000), random, 1, "1.17.6")
}

impl Server {
    /// A server whose core knows these engines.
    fn new(registry: Registry) -> Self {
        let mut random = Seeded(StdRng::seed_from_u64(1));
        let parameters = Parameters { shares: 1, threshold: 1 };
        let made = initialize(parameters, &mut random, Time::from_secs(1_700_000_000), [7; 16]).unwrap();
        let core = Core::new(made.barrier, registry);
        let table = MemoryTable::new();
        let first = Entry { id: LogId { term: 0, leader: 1, index: 0 }, payload: Payload::Blank };
        table.apply(&[first]).unwrap();
        let view = table.view().unwrap();
        let new = NewCluster {
            open_records: made.records,
            member: MemberRecord::default(),
            root_token: Some("root"),
            dev_kv: false,
        };
        let (batch, _) = first_batch(&core, &mut context(&mut random), &*view, new).unwrap();
        let mut server = Self { core, table, random };
        server.commit(&batch);
        server
    }

    fn commit(&mut self, batch: &Proposal) {
        let index = self.table.view().unwrap().index() + 1;
        self.core.verify_batch(&batch.bytes, index).unwrap();
        let id = LogId { term: 1, leader: 1, index };
        let outcomes = self.table.apply(&[Entry { id, payload: Payload::Batch(batch.bytes.clone()) }]).unwrap();
        assert_eq!(outcomes, [Some(Outcome::Applied { index })]);
        let barrier = self.core.barrier();
        if barrier.is_low_on_uses() {
            barrier.complete_reservation(barrier.open_reservation());
        }
    }

    fn send(&mut self, operation: Operation, path: &str, data: Value) -> Result<Value, Error> {
        let data: Map<String, Value> = data.as_object().cloned().unwrap_or_default();
        let request = Request {
            id: "00000000-0000-4000-8000-000000000001".into(),
            operation,
            path: CanonicalPath::decode(path).unwrap(),
            namespace: String::new(),
            has_body: !data.is_empty(),
            data,
            token: Some(Zeroizing::new("root".to_owned())),
            wrap_ttl: None,
            idempotency_key: None,
            remote_address: None,
            client_certificates: Default::default(),
        };
        let view = self.table.view().unwrap();
        let Done { result, batch, .. } = self.core.handle(&mut context(&mut self.random), &*view, &request);
        if let Some(batch) = batch {
            self.commit(&batch);
        }
        let reply = result?.render(&request.id);
        Ok(serde_json::from_slice(&reply.body).unwrap_or(Value::Null))
    }
}

#[test]
fn the_page_shows_the_very_file_and_is_one_page() {
    let blocks: Vec<&str> = PAGE.split("```rust\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    assert_eq!(blocks, [FILE]);
    assert!(PAGE.lines().count() <= 60, "the page has {} lines, at most 60", PAGE.lines().count());
}

#[test]
fn the_engine_is_mounted_counts_helps_and_leaves_nothing_when_it_refuses() {
    let mut server = Server::new(Registry::built_in().with(&counter::ENGINE));
    server.send(Operation::Update, "sys/mounts/numbers", json!({ "type": "counter" })).unwrap();
    for (body, expected) in [(json!({}), 1), (json!({ "step": 4 }), 5), (json!({ "step": "2" }), 7)] {
        let reply = server.send(Operation::Update, "numbers/count/a", body).unwrap();
        assert_eq!(reply["data"]["count"], expected);
    }
    assert!(server.send(Operation::Update, "numbers/count/a", json!({ "step": i64::MAX })).is_err());
    assert_eq!(server.send(Operation::Read, "numbers/count/a", Value::Null).unwrap()["data"]["count"], 7);
    assert!(server.send(Operation::Read, "numbers/count/b", Value::Null).is_err(), "nobody counted it");
    assert!(server.send(Operation::Update, "numbers/count/a", json!({ "step": "many" })).is_err(), "it is a number");
    assert!(server.send(Operation::Delete, "numbers/count/a", Value::Null).is_err(), "no such operation");
    let help = server.send(Operation::Help, "numbers/count/a", Value::Null).unwrap();
    assert!(help["help"].as_str().unwrap().contains("Read a number, or raise it."), "{help}");
}

#[test]
fn an_engine_that_is_not_in_the_list_cannot_be_mounted() {
    let mut server = Server::new(Registry::built_in());
    let kind = json!({ "type": counter::ENGINE.kind });
    assert!(server.send(Operation::Update, "sys/mounts/numbers", kind.clone()).is_err());
    let mut server = Server::new(Registry::built_in().with(&counter::ENGINE));
    assert!(server.send(Operation::Update, "sys/mounts/numbers", kind).is_ok());
}
