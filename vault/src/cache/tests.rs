use crate::limits::MAX_CACHED_PATH_BYTES;
use conclave_batch::{Batch, Op, SignedBatch};
use conclave_storage::log::{Entry as LogEntry, LogId, Payload};
use conclave_storage::table::{MemoryTable, Table};
use prost::Message;

use super::*;

fn key(number: u64) -> Bytes {
    let mut key = Vec::new();
    conclave_batch::key::push_segment(&mut key, &number.to_be_bytes());
    key.into()
}

/// A table and the index of its last entry.
struct Log(MemoryTable, u64);

impl Log {
    fn new() -> Self {
        let table = MemoryTable::new();
        table.apply(&[LogEntry { id: LogId { term: 0, leader: 1, index: 0 }, payload: Payload::Blank }]).unwrap();
        Self(table, 0)
    }

    /// Writes a key, and answers the view behind it.
    fn write(&mut self, key: &Bytes) -> Box<dyn View> {
        self.1 += 1;
        let id = Bytes::copy_from_slice(&u128::from(self.1).to_be_bytes());
        let ops = vec![Op { key: key.clone(), value: Some(Bytes::from_static(b"x")) }];
        let batch = Batch { id, ops, base: self.1 - 1, ..Batch::default() };
        let signed = SignedBatch { body: batch.encode_to_vec().into(), ..SignedBatch::default() };
        let id = LogId { term: 0, leader: 1, index: self.1 };
        let payload = Payload::Batch(signed.encode_to_vec().into());
        let outcomes = self.0.apply(&[LogEntry { id, payload }]).unwrap();
        assert!(matches!(outcomes[0], Some(conclave_batch::Outcome::Applied { .. })));
        self.0.view().unwrap()
    }
}

/// What the cache says of a key without the table.
fn current(cache: &Cache, key: &Bytes, view: &dyn View) -> Option<(u64, &'static str)> {
    cache.current::<&'static str>(key, view).map(|(revision, object)| (revision, *object))
}

#[test]
fn an_object_answers_without_the_table_until_its_key_is_written() {
    let (mut log, cache) = (Log::new(), Cache::default());
    let first = log.write(&key(1));
    cache.put(&key(1), 1, &first, Arc::new("one"), 10);
    assert_eq!(current(&cache, &key(1), &first), Some((1, "one")));
    let other = log.write(&key(2));
    assert_eq!(current(&cache, &key(1), &other), Some((1, "one")), "another key was written");
    let second = log.write(&key(1));
    assert_eq!(current(&cache, &key(1), &second), None, "this key was written");
    assert_eq!(current(&cache, &key(1), &first), None, "no view can tell what the mark stands for");
    assert_eq!(cache.get::<&str>(&key(1), 1, &first).as_deref(), Some(&"one"), "its revision can");
}

#[test]
fn an_object_made_from_an_older_view_does_not_answer_for_a_newer_one() {
    let (mut log, cache) = (Log::new(), Cache::default());
    let first = log.write(&key(1));
    let second = log.write(&key(1));
    // The race that a cache which is only cleared by apply would lose.
    cache.put(&key(1), 1, &first, Arc::new("one"), 10);
    assert_eq!(current(&cache, &key(1), &second), None);
    cache.put(&key(1), 2, &second, Arc::new("two"), 10);
    assert_eq!(current(&cache, &key(1), &second), Some((2, "two")));
    assert_eq!(current(&cache, &key(1), &first), None, "a newer object does not answer for an older view");
    cache.put(&key(1), 1, &first, Arc::new("one"), 10);
    assert_eq!(current(&cache, &key(1), &second), Some((2, "two")), "nor does an older one take its place");
}

#[test]
fn an_older_view_is_answered_by_what_was_already_true_then() {
    let (mut log, cache) = (Log::new(), Cache::default());
    let first = log.write(&key(1));
    let later = log.write(&key(2));
    cache.put(&key(1), 1, &later, Arc::new("one"), 10);
    assert_eq!(current(&cache, &key(1), &first), Some((1, "one")));
}

#[test]
fn an_object_of_another_table_never_answers() {
    let (mut log, mut other, cache) = (Log::new(), Log::new(), Cache::default());
    let (view, foreign) = (log.write(&key(1)), other.write(&key(1)));
    cache.put(&key(1), 1, &view, Arc::new("one"), 10);
    assert_eq!(current(&cache, &key(1), &foreign), None);
    assert!(cache.get::<&str>(&key(1), 1, &foreign).is_none());
    log.0.rewind().unwrap();
    assert_eq!(current(&cache, &key(1), &*log.0.view().unwrap()), None, "what was rewound is another table");
}

#[test]
fn an_object_answers_for_its_type_alone_and_not_once_it_is_forgotten() {
    let (mut log, cache) = (Log::new(), Cache::default());
    let view = log.write(&key(1));
    cache.put(&key(1), 1, &view, Arc::new("one"), 10);
    assert!(cache.current::<String>(&key(1), &view).is_none());
    cache.clear();
    assert!(cache.current::<&str>(&key(1), &view).is_none());
}

#[test]
fn all_objects_together_are_bounded_in_bytes_and_so_are_all_keys() {
    let (mut log, cache) = (Log::new(), Cache::with_bytes(1 << 20, 1 << 18));
    let view = log.write(&key(1));
    for number in 0..10_000_u64 {
        cache.put(&key(number), 1, &view, Arc::new(number), 1000);
        assert_eq!(cache.key_of(number.to_be_bytes().to_vec(), || key(number)), key(number));
        assert!(cache.bytes() <= 1 << 20 && cache.key_bytes() <= 1 << 18);
    }
    assert!(cache.bytes() > 1 << 18 && cache.key_bytes() > 1 << 16, "it keeps what it may");
}

#[test]
fn a_key_is_made_once_and_a_very_long_path_is_not_kept() {
    let cache = Cache::default();
    assert_eq!(cache.key_of(b"path".to_vec(), || key(1)), key(1));
    assert_eq!(cache.key_of(b"path".to_vec(), || unreachable!("it is known")), key(1));
    cache.key_of(vec![b'x'; MAX_CACHED_PATH_BYTES + 1], || key(2));
    assert_eq!(cache.key_of(vec![b'x'; MAX_CACHED_PATH_BYTES + 1], || key(3)), key(3));
}
