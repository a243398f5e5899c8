//! The example at work, and stopped at each of its steps.

use serde_json::{Value, json};

use crate::errand::{Answer, Errands};
use crate::mount::table::MountTable;
use crate::reply::Reply;
use crate::task;
use crate::testing::{Harness, ROOT, context};

fn mounted() -> Harness {
    let mut harness = Harness::new();
    assert_eq!(harness.request("POST", "sys/mounts/numbers", json!({ "type": "counter" })).0, 204);
    harness
}

/// How many records of the mount lie below a name.
fn count(harness: &Harness, name: &str) -> usize {
    let mut store = harness.core.store(&harness.table);
    let table = MountTable::load(&mut store).unwrap();
    let area = table.at("numbers/").unwrap().area.clone();
    let folders = store.sample(&area, &[name], 10).unwrap();
    let inside = |folder: &crate::store::Name| {
        usize::from(folder.has_value) + store.sample(&area, &[name, &folder.name], 1000).unwrap().len()
    };
    folders.iter().map(inside).sum()
}

#[test]
fn numbers_are_counted_and_a_protected_path_needs_sudo() {
    let mut harness = mounted();
    for (step, expected) in [(json!({}), 1), (json!({ "step": 4 }), 5), (json!({ "step": "2" }), 7)] {
        let (status, body) = harness.request("POST", "numbers/count/a", step);
        assert_eq!((status, &body["data"]["count"]), (200, &json!(expected)));
    }
    assert_eq!(harness.request("GET", "numbers/count/a", Value::Null).1["data"]["count"], 7);
    assert_eq!(harness.request("POST", "numbers/count/a", json!({ "step": i64::MAX })).0, 400);
    let weak = harness.token_with(r#"path "numbers/*" { capabilities = ["update", "read"] }"#);
    assert_eq!(harness.request_as(&weak, "POST", "numbers/forget", json!({})).0, 403, "the path is root-protected");
}

#[test]
fn a_number_ends_when_it_is_due_however_often_the_runner_is_stopped() {
    let mut harness = mounted();
    harness.request("POST", "numbers/count/a", json!({ "ttl": "1m" }));
    harness.request("POST", "numbers/count/b", json!({}));
    harness.advance(180);
    assert_eq!(harness.request("GET", "numbers/count/a", Value::Null).0, 404, "refused at use");
    for _ in 0..3 {
        // Stopped before its batch was committed.
        let mut context = context(&mut harness.random, harness.now);
        assert!(task::run_tasks(&harness.core, &mut context, &harness.table).unwrap().is_some());
        assert_eq!(count(&harness, "count"), 2);
    }
    harness.run_tasks();
    assert_eq!(count(&harness, "count"), 1);
}

#[test]
fn all_numbers_are_out_of_reach_at_once_and_gone_in_the_end() {
    let mut harness = mounted();
    for number in 0..300 {
        harness.request("POST", &format!("numbers/count/n{number}"), json!({}));
    }
    assert_eq!(harness.request("POST", "numbers/forget", json!({})).0, 204);
    assert_eq!(harness.request("GET", "numbers/count/n1", Value::Null).0, 404);
    assert_eq!(harness.request("POST", "numbers/count/n1", json!({})).1["data"]["count"], 1);
    // Stopped between two steps, and done by the next runner.
    let mut ahead = context(&mut harness.random, harness.now);
    let step = task::run_tasks(&harness.core, &mut ahead, &harness.table).unwrap().unwrap();
    assert!(harness.commit(&step));
    assert!(count(&harness, "count") > 1);
    harness.run_tasks();
    assert_eq!(count(&harness, "count"), 1, "the new one stays");
}

#[test]
fn a_request_that_stops_at_its_question_or_fails_after_it_leaves_nothing() {
    let mut harness = mounted();
    let request = harness.build(ROOT, "POST", "numbers/origin/a", json!({}));
    let mut ahead = context(&mut harness.random, harness.now);
    ahead.errands = Errands::new([1; 32]);
    let first = harness.core.handle(&mut ahead, &harness.table, &request);
    assert!(first.batch.is_none(), "what was written before the question is not kept");
    let mut errands = std::mem::take(&mut ahead.errands);
    errands.answer(first.errand.unwrap(), Answer::Node(Box::new(Reply::data(json!({ "keys": ["1"] })))));
    let mut ahead = context(&mut harness.random, harness.now);
    ahead.errands = errands;
    let second = harness.core.handle(&mut ahead, &harness.table, &request);
    assert!(second.errand.is_none() && second.batch.is_some());
    // Neither run was committed.
    assert_eq!(count(&harness, "origin"), 0);
    assert_eq!(harness.request("POST", "numbers/origin/a", json!({ "fails": true })).0, 400);
    assert_eq!(count(&harness, "origin"), 0);
    assert_eq!(harness.send(&request).status, 204);
    assert_eq!(count(&harness, "origin"), 1);
}

#[test]
fn nothing_is_left_of_an_engine_that_is_unmounted() {
    let mut harness = mounted();
    harness.request("POST", "numbers/count/a", json!({ "ttl": "1m" }));
    harness.request("POST", "numbers/forget", json!({}));
    assert_eq!(harness.request("DELETE", "sys/mounts/numbers", Value::Null).0, 204);
    harness.advance(180);
    harness.run_tasks();
    let mut now = context(&mut harness.random, harness.now);
    assert!(task::run_tasks(&harness.core, &mut now, &harness.table).unwrap().is_none());
    let store = harness.core.store(&harness.table);
    for folder in ["task", "expiry"] {
        assert!(store.sample(&store.system(), &[folder], 10).unwrap().is_empty(), "{folder}");
    }
}
