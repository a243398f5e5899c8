//! Limits of one request's window on the store.

use serde_json::{Value, json};

use crate::batch::MAX_GUARDS;
use crate::error::ErrorKind;
use crate::members::MemberRecord;
use crate::testing::{Harness, context};

#[test]
fn a_change_that_depends_on_too_much_is_refused_before_it_is_proposed() {
    let mut harness = Harness::new();
    for (reads, is_refused) in [(MAX_GUARDS - 2, false), (MAX_GUARDS + 1, true)] {
        let mut store = harness.core.store(&harness.table);
        let system = store.system();
        for number in 0..reads {
            store.contains(&system, &["none", &number.to_string()]).unwrap();
        }
        store.put(&system, &["some"], &MemberRecord::default()).unwrap();
        let end = store.finish(&mut context(&mut harness.random, harness.now));
        assert_eq!(end.err().map(|error| error.kind), is_refused.then_some(ErrorKind::TooLarge), "{reads}");
    }
}

#[test]
fn a_directory_that_changes_all_the_time_costs_one_list() {
    let mut harness = Harness::new();
    let mut after_first = 0;
    for round in 0..50 {
        let path = format!("secret/data/{}{round}", "a-long-name-".repeat(20));
        assert_eq!(harness.request("POST", &path, json!({ "data": {} })).0, 200);
        assert_eq!(harness.request("LIST", "secret/metadata", Value::Null).0, 200);
        if round == 0 {
            after_first = harness.core.cache().bytes();
        }
    }
    // The last list has 50 names of less than 400 bytes each; 50 lists would have 1,275.
    let grown = harness.core.cache().bytes() - after_first;
    assert!(grown < 50 * 400, "{grown} bytes");
}
