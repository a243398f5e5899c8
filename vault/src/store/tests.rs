//! Limits of one request's window on the store.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use conclave_batch::{Directory, MAX_GUARDS, Record, View, ViewError};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::context::Random;
use crate::error::{Error, ErrorKind};
use crate::members::MemberRecord;
use crate::store::{MAX_PLAINTEXT_BYTES, Name};
use crate::testing::{Harness, Seeded, TestTable, context};

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

/// A view that counts how often a directory is read.
struct Counted<'t> {
    table: &'t TestTable,
    reads: AtomicUsize,
}

impl View for Counted<'_> {
    fn index(&self) -> u64 {
        self.table.index()
    }

    fn lineage(&self) -> u64 {
        self.table.lineage()
    }

    fn may_have_changed(&self, key: &[u8], since: u64) -> bool {
        self.table.may_have_changed(key, since)
    }

    fn written_below(&self, directory: &[u8], since: u64) -> Option<Vec<Bytes>> {
        self.table.written_below(directory, since)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Record>, ViewError> {
        self.table.get(key)
    }

    fn directory(&self, key: &[u8]) -> Result<Directory, ViewError> {
        self.table.directory(key)
    }

    fn names(&self, key: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<conclave_batch::Name>, ViewError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.table.names(key, after, limit)
    }
}

/// The list of a folder, and how often the directory was read for it.
fn listed(harness: &Harness) -> (Vec<Name>, usize) {
    let view = Counted { table: &harness.table, reads: AtomicUsize::new(0) };
    let mut store = harness.core.store(&view);
    let system = store.system();
    let names = store.list(&system, &["folder"]).unwrap();
    (names.to_vec(), view.reads.load(Ordering::Relaxed))
}

#[test]
fn a_list_is_edited_by_what_was_written_and_is_what_a_fresh_one_would_be() {
    let mut harness = Harness::new();
    let mut random = Seeded::new(3);
    for round in 0..300 {
        let mut dice = [0; 3];
        random.fill(&mut dice);
        let (name, below) = (format!("n{}", dice[0] % 12), format!("b{}", dice[1] % 2));
        let path: &[&str] = if dice[1] % 4 < 2 { &["folder", &name, &below] } else { &["folder", &name] };
        let mut store = harness.core.store(&harness.table);
        let system = store.system();
        match dice[2] % 3 {
            0 => store.delete(&system, path),
            _ => store.put(&system, path, &MemberRecord::default()).unwrap(),
        }
        let batch = store.finish(&mut context(&mut harness.random, harness.now)).unwrap().unwrap();
        assert!(harness.commit(&batch));
        let (edited, reads) = listed(&harness);
        assert!(reads == 0 || round == 0 || edited.len() <= 1, "round {round} read the directory");
        if round % 10 == 0 {
            harness.core.cache().clear();
            assert_eq!(edited, listed(&harness).0, "round {round}");
        }
    }
}

#[test]
fn a_list_in_which_most_was_written_is_read_anew() {
    let mut harness = Harness::new();
    let mut reads = Vec::new();
    for names in [0..20, 20..30, 30..130] {
        let mut store = harness.core.store(&harness.table);
        let (system, end) = (store.system(), names.end);
        for number in names {
            store.put(&system, &["folder", &number.to_string()], &MemberRecord::default()).unwrap();
        }
        let batch = store.finish(&mut context(&mut harness.random, harness.now)).unwrap().unwrap();
        assert!(harness.commit(&batch));
        let (names, read) = listed(&harness);
        assert_eq!(names.len(), end);
        reads.push(read);
    }
    assert_eq!(reads, [1, 0, 1]);
}

#[test]
fn an_older_view_is_not_answered_from_a_newer_list() {
    let mut harness = Harness::new();
    let put = |harness: &mut Harness, name: &str| {
        let mut store = harness.core.store(&harness.table);
        let system = store.system();
        store.put(&system, &["folder", name], &MemberRecord::default()).unwrap();
        let batch = store.finish(&mut context(&mut harness.random, harness.now)).unwrap().unwrap();
        assert!(harness.commit(&batch));
    };
    put(&mut harness, "a");
    let before = harness.table.snapshot();
    put(&mut harness, "b");
    assert_eq!(listed(&harness).0.len(), 2);
    let mut store = harness.core.store(&before);
    let system = store.system();
    assert_eq!(store.list(&system, &["folder"]).unwrap().len(), 1);
}
