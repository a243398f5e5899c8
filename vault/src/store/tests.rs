//! Limits of one request's window on the store.

use conclave_batch::MAX_GUARDS;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::members::MemberRecord;
use crate::store::MAX_PLAINTEXT_BYTES;
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
fn the_longest_value_is_stored_and_a_longer_one_is_refused_before_it_is_proposed() {
    let mut harness = Harness::new();
    let mut put = |length: usize| {
        let mut store = harness.core.store(&harness.table);
        let system = store.system();
        store.put_bytes(&system, &["long"], Zeroizing::new(vec![7; length]))?;
        let batch = store.finish(&mut context(&mut harness.random, harness.now))?;
        Ok::<_, Error>(harness.commit(&batch.unwrap()))
    };
    assert!(put(MAX_PLAINTEXT_BYTES).unwrap(), "the table took it");
    assert_eq!(put(MAX_PLAINTEXT_BYTES + 1).unwrap_err().kind, ErrorKind::TooLarge);
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
