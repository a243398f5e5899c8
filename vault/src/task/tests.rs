use serde_json::{Value, json};

use crate::store::{Store, decode};
use crate::task::{self, calendar, tree};
use crate::testing::{Harness, context};
use crate::token::revoke::EXPIRY;

/// Runs background work once; its batch.
fn run_once(harness: &mut Harness) -> Option<crate::batch::Proposal> {
    let now = harness.now;
    let mut context = context(&mut harness.random, now);
    task::run_tasks(&harness.core, &mut context, &harness.table).unwrap()
}

/// Changes the store outside any request.
fn change(harness: &mut Harness, work: impl FnOnce(&mut Store<'_>)) {
    let now = harness.now;
    let batch = {
        let mut context = context(&mut harness.random, now);
        let mut store = harness.core.store(&harness.table);
        work(&mut store);
        store.finish(&mut context).unwrap().unwrap()
    };
    assert!(harness.commit(&batch));
}

fn count(harness: &Harness, path: &[&str]) -> usize {
    let store = harness.core.store(&harness.table);
    store.sample(&store.system(), path, 10_000).unwrap().len()
}

#[test]
fn nothing_is_written_where_nothing_is_due() {
    let mut harness = Harness::new();
    harness.token(json!({ "ttl": "1h" }));
    assert!(run_once(&mut harness).is_none());
}

#[test]
fn a_second_runner_does_no_harm() {
    let mut harness = Harness::new();
    harness.token(json!({ "ttl": "30s" }));
    harness.advance(120);
    let (first, second) = (run_once(&mut harness).unwrap(), run_once(&mut harness).unwrap());
    assert!(harness.commit(&first));
    assert!(!harness.commit(&second));
    harness.run_tasks();
    assert_eq!(count(&harness, &["token", "id"]), 1);
}

#[test]
fn a_renewal_that_comes_between_saves_the_token() {
    let mut harness = Harness::new();
    let token = harness.token(json!({ "ttl": "30s", "policies": ["default"] }));
    harness.advance(29);
    let request = harness.build(&token, "POST", "auth/token/renew-self", json!({ "increment": "1h" }));
    let (_, renewal) = harness.propose(&request);
    harness.advance(91);
    let ending = run_once(&mut harness).unwrap();
    assert!(harness.commit(&renewal.unwrap()));
    assert!(!harness.commit(&ending), "the runner guards the record that it ends");
    assert_eq!(harness.run_tasks(), 0);
    assert_eq!(harness.request_as(&token, "GET", "auth/token/lookup-self", Value::Null).0, 200);
}

#[test]
fn an_entry_for_what_lasts_longer_is_only_dropped() {
    let mut harness = Harness::new();
    let token = harness.token(json!({ "ttl": "1h", "policies": ["default"] }));
    let hash = crate::token::hash_of(harness.core.barrier(), &token);
    let early = harness.now;
    change(&mut harness, |store| calendar::schedule(store, early, &EXPIRY, &hash).unwrap());
    harness.advance(120);
    assert_eq!(harness.run_tasks(), 1);
    assert_eq!(harness.request_as(&token, "GET", "auth/token/lookup-self", Value::Null).0, 200);
    assert_eq!(count(&harness, &["expiry"]), 1, "its own entry stays");
}

#[test]
fn much_work_comes_in_chunks_and_ends() {
    let mut harness = Harness::new();
    let parent = harness.token(json!({}));
    for _ in 0..700 {
        let (status, _) = harness.request_as(&parent, "POST", "auth/token/create", json!({ "policies": ["default"] }));
        assert_eq!(status, 200);
    }
    assert_eq!(harness.request("POST", "auth/token/revoke", json!({ "token": parent })).0, 204);
    let batch = run_once(&mut harness).unwrap();
    let signed: conclave_batch::SignedBatch = decode(&batch.bytes).unwrap();
    let ops = decode::<conclave_batch::Batch>(&signed.body).unwrap().ops.len();
    assert!(ops < 4096 / 2, "{ops}");
    assert!(harness.run_tasks() > 2);
    assert_eq!(
        (count(&harness, &["token", "id"]), count(&harness, &["task"]), count(&harness, &["expiry"])),
        (1, 0, 0)
    );
}

#[test]
fn what_expired_during_a_long_pause_is_found() {
    // check 107
    let mut harness = Harness::new();
    for ttl in ["30s", "10m", "5h", "100h"] {
        harness.token(json!({ "ttl": ttl }));
    }
    harness.advance(200 * 3600);
    harness.run_tasks();
    assert_eq!((count(&harness, &["token", "id"]), count(&harness, &["expiry"])), (1, 0));
}

#[test]
fn replies_that_were_kept_are_forgotten_in_time() {
    let mut harness = Harness::new();
    let mut request = harness.build("root", "POST", "secret/data/a", json!({ "data": { "a": 1 } }));
    request.idempotency_key = Some("k".into());
    assert_eq!(harness.send(&request).status, 200);
    assert_eq!(count(&harness, &["idempotency"]), 1);
    harness.advance(crate::idempotency::KEEP_SECS + 120);
    harness.run_tasks();
    assert_eq!((count(&harness, &["idempotency"]), count(&harness, &["expiry"])), (0, 0));
}

#[test]
fn damage_in_one_place_does_not_stop_the_rest() {
    let mut harness = Harness::new();
    harness.token(json!({ "ttl": "30s" }));
    change(&mut harness, |store| {
        let system = store.system();
        store.put_bytes(&system, &["task", "end.x"], vec![0xff; 8].into()).unwrap();
    });
    harness.advance(120);
    while let Some(batch) = {
        let now = harness.now;
        let mut context = context(&mut harness.random, now);
        task::run_tasks(&harness.core, &mut context, &harness.table).unwrap_or(None)
    } {
        assert!(harness.commit(&batch));
    }
    assert_eq!(count(&harness, &["token", "id"]), 1);
    let now = harness.now;
    let mut context = context(&mut harness.random, now);
    assert!(task::run_tasks(&harness.core, &mut context, &harness.table).is_err(), "and in the end it is told");
}

#[test]
fn the_records_of_an_unmounted_engine_go() {
    let mut harness = Harness::new();
    for name in ["a", "a/b", "a/b/c", "d"] {
        let (status, body) = harness.request("POST", &format!("secret/data/{name}"), json!({ "data": { "x": 1 } }));
        assert_eq!(status, 200, "{body}");
    }
    let area = {
        let mut store = harness.core.store(&harness.table);
        crate::mount::table::MountTable::load(&mut store).unwrap().at("secret/").unwrap().area.clone()
    };
    let left = |harness: &Harness| harness.core.store(&harness.table).sample(&area, &[], 10).unwrap().len();
    assert!(left(&harness) > 0);
    assert_eq!(harness.request("DELETE", "sys/mounts/secret", Value::Null).0, 204);
    assert!(left(&harness) > 0, "the answer does not wait for it");
    harness.run_tasks();
    assert_eq!((left(&harness), count(&harness, &["task"])), (0, 0));
}

#[test]
fn removing_much_puts_nothing_into_the_cache() {
    let mut harness = Harness::new();
    for name in 0..20 {
        let written = harness.request("POST", &format!("secret/data/{name}"), json!({ "data": { "x": 1 } }));
        assert_eq!(written.0, 200);
        assert_eq!(harness.request("POST", "auth/token/create", json!({ "ttl": "1h" })).0, 200);
    }
    assert_eq!(harness.request("DELETE", "sys/mounts/secret", Value::Null).0, 204);
    assert_eq!(harness.request("POST", "sys/leases/revoke-prefix/auth/token/create", Value::Null).0, 204);
    assert!(count(&harness, &["task"]) > 0, "there is something to remove");
    harness.core.cache().clear();
    harness.run_tasks();
    assert_eq!((harness.core.cache().bytes(), harness.core.cache().key_bytes()), (0, 0));
    assert_eq!(count(&harness, &["task"]), 0, "all is removed");
}

#[test]
fn a_tree_is_deleted_up_to_a_limit() {
    let mut harness = Harness::new();
    change(&mut harness, |store| {
        let system = store.system();
        for path in [&["t", "a"][..], &["t", "a", "b"], &["t", "a", "c", "d"], &["t", "e"], &["other"]] {
            store.put_bytes(&system, path, vec![1].into()).unwrap();
        }
    });
    for expected in [3, 1] {
        let mut deleted = 0;
        change(&mut harness, |store| {
            let system = store.system();
            deleted = tree::delete_below(store, &system, &["t"], 3).unwrap();
        });
        assert_eq!(deleted, expected);
    }
    assert_eq!((count(&harness, &["t"]), count(&harness, &["other"])), (0, 0));
    assert!(
        harness
            .core
            .store(&harness.table)
            .sample(&harness.core.store(&harness.table).system(), &[], 100)
            .unwrap()
            .iter()
            .any(|name| &*name.name == "other")
    );
}
