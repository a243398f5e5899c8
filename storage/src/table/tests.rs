//! One suite for both engines, a model, and what damage, rewinds and transfers do.

mod bounds;
mod damage;
mod format;
mod merge;
mod migration;
mod model;
mod power;
mod rewind;
mod snapshot;
mod trial;

use std::path::PathBuf;

use conclave_batch::key::push_segment;
use conclave_batch::{
    Batch, Checkpoint, Directory, Guard, MAX_BATCH_BYTES, MAX_GUARDS, MAX_OPS, MAX_VALUE_BYTES, Name, NewEpoch, Op,
    SignedBatch, WINDOW,
};
use prost::Message;

use super::*;
use crate::log::Payload;

/// A folder for a durable table.
pub(super) struct Folder {
    pub(super) data: PathBuf,
    _temporary: tempfile::TempDir,
}

impl Folder {
    pub(super) fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        Self { data: temporary.path().join("data"), _temporary: temporary }
    }

    pub(super) fn open(&self) -> DurableTable {
        DurableTable::open(&self.data).unwrap()
    }
}

pub(super) fn key(path: &str) -> Bytes {
    let mut key = Vec::new();
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .for_each(|segment| push_segment(&mut key, segment.as_bytes()));
    key.into()
}

pub(super) fn put(path: &str, value: &str) -> Op {
    Op { key: key(path), value: Some(Bytes::copy_from_slice(value.as_bytes())) }
}

pub(super) fn delete(path: &str) -> Op {
    Op { key: key(path), value: None }
}

pub(super) fn guard(path: &str, revision: u64) -> Guard {
    Guard { key: key(path), is_directory: false, revision }
}

pub(super) fn directory_guard(path: &str, revision: u64) -> Guard {
    Guard { key: key(path), is_directory: true, revision }
}

pub(super) fn batch_id(number: u64) -> [u8; 16] {
    u128::from(number).to_be_bytes()
}

/// A batch with an id of its own, computed on the entry before.
pub(super) fn batch(index: u64, ops: Vec<Op>) -> Batch {
    let id = Bytes::copy_from_slice(&batch_id(index));
    Batch { id, base: index.saturating_sub(1), time_millis: 1000 + index, ops, ..Batch::default() }
}

pub(super) fn signed(batch: &Batch) -> Bytes {
    let signed = SignedBatch { body: batch.encode_to_vec().into(), term: 1, tag: Bytes::from_static(&[9; 32]) };
    signed.encode_to_vec().into()
}

pub(super) fn entry_of(index: u64, payload: Payload) -> Entry {
    Entry { id: LogId { term: 1, leader: 2, index }, payload }
}

pub(super) fn entry(index: u64, batch: &Batch) -> Entry {
    entry_of(index, Payload::Batch(signed(batch)))
}

/// Applies batches from an index on, one call each, and answers what they did.
pub(super) fn apply_from(table: &impl Table, start: u64, batches: &[Batch]) -> Vec<Outcome> {
    let apply = |(index, batch)| table.apply(&[entry(index, batch)]).unwrap()[0].unwrap();
    (start..).zip(batches).map(apply).collect()
}

/// Applies operations at the next index, and expects that they are done.
pub(super) fn run(table: &impl Table, ops: Vec<Op>) -> u64 {
    let index = table.applied().last.map_or(1, |last| last.index + 1);
    assert_eq!(apply_from(table, index, &[batch(index, ops)]), [Outcome::Applied { index }]);
    index
}

pub(super) fn value(table: &impl Table, path: &str) -> Option<(u64, String)> {
    let record = table.view().unwrap().get(&key(path)).unwrap()?;
    Some((record.revision, String::from_utf8(record.value.to_vec()).unwrap()))
}

/// Names of a directory: `name`, or `name/` if it has children, or `name+/` if it has both.
pub(super) fn listing(table: &impl Table, path: &str) -> Vec<String> {
    let names = table.view().unwrap().names(&key(path), None, usize::MAX).unwrap();
    names.iter().map(display).collect()
}

fn display(name: &Name) -> String {
    let segment = std::str::from_utf8(&name.segment).unwrap();
    match (name.has_value, name.has_children) {
        (true, false) => segment.to_owned(),
        (false, true) => format!("{segment}/"),
        (true, true) => format!("{segment}+/"),
        (false, false) => panic!("a name without anything under it"),
    }
}

pub(super) fn directory(table: &impl Table, path: &str) -> (u64, u64) {
    let Directory { revision, count } = table.view().unwrap().directory(&key(path)).unwrap();
    (revision, count)
}

macro_rules! for_both_tables {
    ($($name:ident),* $(,)?) => {
        mod durable {
            $(#[test] fn $name() {
                let folder = crate::table::tests::Folder::new();
                super::$name(&folder.open());
            })*
        }
        mod memory {
            $(#[test] fn $name() { super::$name(&crate::table::MemoryTable::new()); })*
        }
    };
}
pub(super) use for_both_tables;

for_both_tables!(
    a_new_table_is_empty,
    a_value_has_the_index_of_its_last_change,
    a_batch_whose_guards_do_not_hold_does_nothing,
    an_absent_value_has_revision_zero,
    a_directory_can_be_guarded,
    a_repeated_id_does_nothing_and_answers_the_same,
    a_batch_of_another_epoch_does_nothing,
    a_new_epoch_refuses_batches_of_the_old_one_and_may_set_time_back,
    a_batch_that_breaks_a_limit_does_nothing,
    a_batch_at_a_limit_is_done,
    bytes_that_are_no_batch_do_nothing,
    a_base_must_lie_below_the_entry,
    blanks_and_memberships_are_applied,
    an_index_out_of_order_is_refused,
    cluster_time_never_goes_back_and_heeds_only_what_was_done,
    a_view_stays_as_it_is,
    names_come_in_the_order_of_their_bytes_and_in_pages,
    a_name_may_have_a_value_and_children,
    a_directory_vanishes_with_its_last_name,
    a_deep_key_makes_its_directories,
    the_digest_does_not_depend_on_how_entries_are_grouped,
    the_digest_forgets_what_was_undone,
    an_outcome_can_be_looked_up_by_id,
);

fn a_new_table_is_empty(table: &impl Table) {
    let empty = *blake3::hash(&[0; 2048]).as_bytes();
    assert_eq!((table.applied(), table.digest().unwrap()), (Applied::default(), empty));
    assert_eq!(table.view().unwrap().index(), 0);
    assert_eq!(value(table, "a"), None);
    assert_eq!(directory(table, ""), (0, 0));
    assert!(listing(table, "").is_empty());
    assert_eq!(table.rewind_index(), 0);
    assert_eq!(table.digest_at(0).unwrap(), Some(empty));
}

fn a_value_has_the_index_of_its_last_change(table: &impl Table) {
    run(table, vec![put("a", "1"), put("b", "2")]);
    run(table, vec![put("a", "3")]);
    assert_eq!(value(table, "a"), Some((2, "3".into())));
    assert_eq!(value(table, "b"), Some((1, "2".into())));
    run(table, vec![delete("a"), delete("never there")]);
    assert_eq!(value(table, "a"), None);
    assert_eq!(table.view().unwrap().index(), 3);
}

fn a_batch_whose_guards_do_not_hold_does_nothing(table: &impl Table) {
    run(table, vec![put("a", "1")]);
    let before = table.digest().unwrap();
    let guarded = |guards| Batch { guards, ..batch(2, vec![put("b", "2"), delete("a")]) };
    let outcomes = apply_from(table, 2, &[guarded(vec![guard("a", 1), guard("c", 1)])]);
    assert_eq!(outcomes, [Outcome::Conflict { index: 2 }]);
    assert_eq!((value(table, "a"), value(table, "b")), (Some((1, "1".into())), None));
    assert_ne!(table.digest().unwrap(), before, "the answer is kept");
    let again = Batch { id: Bytes::copy_from_slice(&batch_id(99)), ..guarded(vec![guard("a", 1), guard("c", 0)]) };
    assert_eq!(apply_from(table, 3, &[again]), [Outcome::Applied { index: 3 }]);
}

fn an_absent_value_has_revision_zero(table: &impl Table) {
    let create = |index| Batch { guards: vec![guard("a", 0)], ..batch(index, vec![put("a", "1")]) };
    let outcomes = apply_from(table, 1, &[create(1), create(2)]);
    assert_eq!(outcomes, [Outcome::Applied { index: 1 }, Outcome::Conflict { index: 2 }]);
    run(table, vec![delete("a")]);
    assert_eq!(apply_from(table, 4, &[create(4)]), [Outcome::Applied { index: 4 }]);
}

fn a_directory_can_be_guarded(table: &impl Table) {
    run(table, vec![put("d/a", "1")]);
    let seen =
        |index, revision| Batch { guards: vec![directory_guard("d", revision)], ..batch(index, vec![put("x", "")]) };
    assert_eq!(apply_from(table, 2, &[seen(2, 1)]), [Outcome::Applied { index: 2 }]);
    run(table, vec![put("d/a", "another value changes no name")]);
    assert_eq!(apply_from(table, 4, &[seen(4, 1)]), [Outcome::Applied { index: 4 }]);
    run(table, vec![put("d/b", "2")]);
    assert_eq!(apply_from(table, 6, &[seen(6, 1)]), [Outcome::Conflict { index: 6 }]);
    let root = Batch { guards: vec![directory_guard("", 2)], ..batch(7, vec![]) };
    assert_eq!(apply_from(table, 7, &[root]), [Outcome::Applied { index: 7 }]);
}

fn a_repeated_id_does_nothing_and_answers_the_same(table: &impl Table) {
    let first = batch(1, vec![put("a", "1")]);
    let conflict = Batch { guards: vec![guard("a", 7)], ..batch(2, vec![put("a", "2")]) };
    apply_from(table, 1, &[first.clone(), conflict.clone()]);
    run(table, vec![delete("a")]);
    let outcomes = apply_from(table, 4, &[first.clone(), conflict]);
    assert_eq!(outcomes, [Outcome::Applied { index: 1 }, Outcome::Conflict { index: 2 }]);
    assert_eq!(value(table, "a"), None);
    let together = [entry(6, &batch(6, vec![put("b", "1")])), entry(7, &batch(6, vec![put("b", "2")]))];
    let outcomes = table.apply(&together).unwrap();
    assert_eq!(outcomes, [Some(Outcome::Applied { index: 6 }); 2]);
    assert_eq!(value(table, "b"), Some((6, "1".into())));
}

fn a_batch_of_another_epoch_does_nothing(table: &impl Table) {
    let other = Batch { epoch: 1, ..batch(1, vec![put("a", "1")]) };
    assert_eq!(apply_from(table, 1, &[other]), [Outcome::WrongEpoch]);
    assert_eq!(value(table, "a"), None);
}

fn a_new_epoch_refuses_batches_of_the_old_one_and_may_set_time_back(table: &impl Table) {
    let ahead = Batch { time_millis: 90_000, ..batch(1, vec![put("a", "1")]) };
    let new = NewEpoch { epoch: 7, time_millis: Some(5_000) };
    let begin = Batch { new_epoch: Some(new), ..batch(2, vec![]) };
    let old = batch(3, vec![put("a", "2")]);
    let current = Batch { epoch: 7, time_millis: 6_000, ..batch(4, vec![put("a", "3")]) };
    let kept = NewEpoch { epoch: 8, time_millis: None };
    let again = Batch { epoch: 7, new_epoch: Some(kept), ..batch(5, vec![]) };
    let backwards = Batch { epoch: 8, new_epoch: Some(NewEpoch { epoch: 8, ..kept }), ..batch(6, vec![]) };
    let outcomes = apply_from(table, 1, &[ahead, begin, old, current, again, backwards]);
    let applied = |index| Outcome::Applied { index };
    let expected = [applied(1), applied(2), Outcome::WrongEpoch, applied(4), applied(5), Outcome::Malformed];
    assert_eq!(outcomes, expected);
    assert_eq!(value(table, "a"), Some((4, "3".to_owned())));
    assert_eq!((table.applied().epoch, table.applied().time_millis), (8, 6_000));
}

fn a_batch_that_breaks_a_limit_does_nothing(table: &impl Table) {
    let big = || Op { key: key("a"), value: Some(vec![0; MAX_VALUE_BYTES + 1].into()) };
    let numbered = |count: usize| (0..count).map(|number| put(&format!("k{number}"), "")).collect::<Vec<_>>();
    let bare = |key: &'static [u8]| Op { key: Bytes::from_static(key), value: Some(Bytes::new()) };
    let half = || Op { key: key("a"), value: Some(vec![0; MAX_VALUE_BYTES].into()) };
    let bad = [
        batch(1, vec![big()]),
        batch(2, numbered(MAX_OPS + 1)),
        Batch { guards: vec![guard("a", 0); MAX_GUARDS + 1], ..batch(3, vec![]) },
        batch(4, vec![put("a", "1"), delete("a")]),
        batch(5, vec![bare(b"")]),
        batch(6, vec![bare(b"\0\x05abc")]),
        batch(7, vec![Op { key: key(&"a/".repeat(65)), value: None }]),
        batch(8, vec![Op { key: key(&"long".repeat(4096)), value: None }]),
        Batch { guards: vec![Guard { key: Bytes::new(), is_directory: false, revision: 0 }], ..batch(9, vec![]) },
        Batch { id: Bytes::from_static(b"short"), ..batch(10, vec![put("a", "1")]) },
        Batch { checkpoint: Some(Checkpoint { index: 0, digest: Bytes::new() }), ..batch(11, vec![]) },
        batch(12, vec![half(), Op { key: key("b"), ..half() }]),
    ];
    assert_eq!(apply_from(table, 1, &bad), [Outcome::Malformed; 12]);
    assert!(listing(table, "").is_empty());
}

fn a_batch_at_a_limit_is_done(table: &impl Table) {
    run(table, vec![Op { key: key("a"), value: Some(vec![0; MAX_VALUE_BYTES].into()) }]);
    run(table, (0..MAX_OPS).map(|number| put(&format!("k{number}"), "")).collect());
    run(table, vec![put(&"a/".repeat(64), "deep")]);
    assert_eq!(directory(table, "").1, 1 + MAX_OPS as u64);
    assert_eq!(value(table, &"a/".repeat(64)), Some((3, "deep".into())));
}

fn bytes_that_are_no_batch_do_nothing(table: &impl Table) {
    let bytes = [Bytes::new(), Bytes::from_static(&[255; 40]), vec![0; MAX_BATCH_BYTES + 1].into()];
    for (index, bytes) in (1..).zip(bytes) {
        let outcomes = table.apply(&[entry_of(index, Payload::Batch(bytes))]).unwrap();
        assert_eq!(outcomes, [Some(Outcome::Malformed)]);
    }
    assert_eq!(table.applied().last.unwrap().index, 3);
}

fn a_base_must_lie_below_the_entry(table: &impl Table) {
    let ahead = |index, base| Batch { base, ..batch(index, vec![put("a", "1")]) };
    let outcomes = apply_from(table, 1, &[ahead(1, 1), ahead(2, 9), ahead(3, 2)]);
    assert_eq!(outcomes, [Outcome::Malformed, Outcome::Malformed, Outcome::Applied { index: 3 }]);
}

fn blanks_and_memberships_are_applied(table: &impl Table) {
    let members = Bytes::from_static(b"who");
    let entries = [entry_of(0, Payload::Membership(members.clone())), entry_of(1, Payload::Blank)];
    assert_eq!(table.apply(&entries).unwrap(), [None, None]);
    let applied = table.applied();
    assert_eq!(applied.last, Some(entries[1].id));
    assert_eq!(applied.membership, Some((entries[0].id, members)));
    assert_eq!(table.apply(&[]).unwrap(), []);
}

fn an_index_out_of_order_is_refused(table: &impl Table) {
    assert!(matches!(table.apply(&[entry_of(2, Payload::Blank)]), Err(TableError::Misuse(_))));
    table.apply(&[entry_of(1, Payload::Blank)]).unwrap();
    for index in [0, 1, 3] {
        assert!(matches!(table.apply(&[entry_of(index, Payload::Blank)]), Err(TableError::Misuse(_))), "{index}");
    }
    table.apply(&[entry_of(2, Payload::Blank)]).unwrap();
}

fn cluster_time_never_goes_back_and_heeds_only_what_was_done(table: &impl Table) {
    let at = |index, time_millis| Batch { time_millis, ..batch(index, vec![]) };
    let refused = Batch { guards: vec![guard("a", 5)], ..at(3, 9_000) };
    let mut times = Vec::new();
    for (index, batch) in (1..).zip([at(1, 500), at(2, 400), refused, at(4, 600)]) {
        table.apply(&[entry(index, &batch)]).unwrap();
        times.push(table.applied().time_millis);
    }
    assert_eq!(times, [500, 500, 500, 600]);
}

fn a_view_stays_as_it_is(table: &impl Table) {
    run(table, vec![put("d/a", "1")]);
    let view = table.view().unwrap();
    for _ in 0..50 {
        run(table, vec![put("d/a", "2"), put("d/b", "2")]);
        run(table, vec![delete("d/a"), delete("d/b")]);
    }
    assert_eq!(view.index(), 1);
    assert_eq!(view.get(&key("d/a")).unwrap().unwrap().value, &b"1"[..]);
    assert_eq!(view.directory(&key("d")).unwrap(), Directory { revision: 1, count: 1 });
    assert_eq!(view.names(&key("d"), None, 9).unwrap().len(), 1);
    assert_eq!(directory(table, "d"), (0, 0));
}

fn names_come_in_the_order_of_their_bytes_and_in_pages(table: &impl Table) {
    let paths = ["d/bb", "d/a", "d/aa", "d/c/x", "d/b", "dd/z", "d/ab", "d", "e"];
    run(table, paths.iter().map(|path| put(path, "")).collect());
    assert_eq!(listing(table, "d"), ["a", "aa", "ab", "b", "bb", "c/"]);
    assert_eq!(listing(table, ""), ["d+/", "dd/", "e"]);
    let view = table.view().unwrap();
    let page = |after: Option<&str>, limit| {
        let names = view.names(&key("d"), after.map(str::as_bytes), limit).unwrap();
        names.iter().map(display).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2), ["a", "aa"]);
    assert_eq!(page(Some("aa"), 3), ["ab", "b", "bb"]);
    assert_eq!(page(Some("b\u{1}"), 9), ["bb", "c/"]);
    assert_eq!(page(Some("c"), 9), Vec::<String>::new());
    assert_eq!(page(None, 0), Vec::<String>::new());
}

fn a_name_may_have_a_value_and_children(table: &impl Table) {
    run(table, vec![put("d/x", "1")]);
    assert_eq!(directory(table, "d"), (1, 1));
    run(table, vec![put("d/x/y", "2")]);
    assert_eq!(listing(table, "d"), ["x+/"]);
    assert_eq!(directory(table, "d"), (2, 1), "it counts once, and its new flag shows");
    run(table, vec![delete("d/x")]);
    assert_eq!(listing(table, "d"), ["x/"]);
    assert_eq!(directory(table, "d"), (3, 1));
    run(table, vec![put("d/x", "3")]);
    run(table, vec![delete("d/x/y")]);
    assert_eq!(listing(table, "d"), ["x"]);
    assert_eq!(directory(table, "d"), (5, 1));
    assert_eq!(directory(table, ""), (1, 1));
}

fn a_directory_vanishes_with_its_last_name(table: &impl Table) {
    run(table, vec![put("a/b/c/x", ""), put("a/b/c/y", ""), put("a/z", "")]);
    run(table, vec![delete("a/b/c/x")]);
    assert_eq!(directory(table, "a/b/c"), (2, 1));
    assert_eq!(directory(table, "a/b"), (1, 1));
    run(table, vec![delete("a/b/c/y")]);
    assert_eq!((directory(table, "a/b/c"), directory(table, "a/b")), ((0, 0), (0, 0)));
    assert_eq!(directory(table, "a"), (3, 1));
    assert_eq!(listing(table, "a"), ["z"]);
    run(table, vec![delete("a/z")]);
    assert_eq!(directory(table, ""), (0, 0));
}

fn a_deep_key_makes_its_directories(table: &impl Table) {
    run(table, vec![put("a/b/c", "")]);
    run(table, vec![put("a/b/d", "")]);
    assert_eq!(["", "a", "a/b"].map(|path| directory(table, path)), [(1, 1), (1, 1), (2, 2)]);
    assert_eq!(["", "a", "a/b"].map(|path| listing(table, path)), [vec!["a/"], vec!["b/"], vec!["c", "d"]]);
}

fn the_digest_does_not_depend_on_how_entries_are_grouped(table: &impl Table) {
    let batches: Vec<_> = (1..=40)
        .map(|index| {
            let ops = vec![put(&format!("d/{}", index % 7), "v"), delete(&format!("d/{}", (index + 3) % 7))];
            Batch { checkpoint: (index % 9 == 0).then(none_confirmed), ..batch(index, ops) }
        })
        .collect();
    let entries: Vec<_> = (1..).zip(&batches).map(|(index, batch)| entry(index, batch)).collect();
    let other = MemoryTable::new();
    other.apply(&entries).unwrap();
    entries.chunks(3).for_each(|some| drop(table.apply(some).unwrap()));
    assert_eq!(table.applied(), other.applied());
    assert_eq!(table.digest().unwrap(), other.digest().unwrap());
    assert_eq!(table.digest_at(27).unwrap(), other.digest_at(27).unwrap());
    assert!(table.digest_at(27).unwrap().is_some());
}

/// A checkpoint that names no remembered index.
pub(super) fn none_confirmed() -> Checkpoint {
    Checkpoint { index: 1, digest: Bytes::from_static(&[0; 32]) }
}

fn the_digest_forgets_what_was_undone(table: &impl Table) {
    let other = MemoryTable::new();
    let same = |index, ops| Batch { time_millis: 7, ..batch(index, ops) };
    apply_from(table, 1, &[same(1, vec![put("a/b", "1")]), same(2, vec![delete("a/b")])]);
    apply_from(&other, 1, &[same(1, vec![]), same(2, vec![])]);
    assert_eq!(table.digest().unwrap(), other.digest().unwrap());
}

fn an_outcome_can_be_looked_up_by_id(table: &impl Table) {
    run(table, vec![]);
    apply_from(table, 2, &[Batch { guards: vec![guard("a", 1)], ..batch(2, vec![]) }]);
    assert_eq!(table.outcome_of(&batch_id(1)).unwrap(), Some(Outcome::Applied { index: 1 }));
    assert_eq!(table.outcome_of(&batch_id(2)).unwrap(), Some(Outcome::Conflict { index: 2 }));
    assert_eq!(table.outcome_of(&batch_id(3)).unwrap(), None);
}

#[test]
fn a_batch_older_than_the_window_is_too_old_and_its_id_is_forgotten_just_then() {
    let table = MemoryTable::new();
    let old = |base| Batch { base, ..batch(1, vec![put("a", "1")]) };
    apply_from(&table, 1, &[old(0)]);
    let blanks = |range: std::ops::Range<u64>| range.map(|index| entry_of(index, Payload::Blank)).collect::<Vec<_>>();
    table.apply(&blanks(2..WINDOW)).unwrap();
    assert_eq!(table.outcome_of(&batch_id(1)).unwrap(), Some(Outcome::Applied { index: 1 }));
    assert_eq!(apply_from(&table, WINDOW, &[old(0)]), [Outcome::Applied { index: 1 }]);
    // Entry 1 leaves the window here, and a base of 0 lies one too far back.
    assert_eq!(table.outcome_of(&batch_id(1)).unwrap(), None);
    assert_eq!(apply_from(&table, WINDOW + 1, &[old(0)]), [Outcome::TooOld]);
    assert_eq!(value(&table, "a"), Some((1, "1".into())));
    table.verify().unwrap();
}

#[test]
fn a_durable_table_stands_at_the_confirmed_index_when_it_is_opened_and_the_log_leads_it_on() {
    let folder = Folder::new();
    let table = folder.open();
    table.apply(&[entry_of(0, Payload::Membership(Bytes::from_static(b"who")))]).unwrap();
    for number in 0..30 {
        run(&table, vec![put(&format!("d/{}", number % 10), &number.to_string())]);
    }
    let mark = rewind::checkpoint(&table, 0, vec![put("marked", "1")]);
    let (there, digest) = (table.applied(), table.digest().unwrap());
    let confirms = rewind::checkpoint(&table, mark, vec![]);
    let later = run(&table, vec![put("d/x", "on")]);
    let (applied, last_digest) = (table.applied(), table.digest().unwrap());
    assert_eq!(table.sync().unwrap(), applied);
    drop(table);
    let table = folder.open();
    let there = Applied { checkpoint: Some((confirms, mark)), ..there };
    assert_eq!((table.applied(), table.digest().unwrap()), (there.clone(), digest));
    assert_eq!((table.verify().unwrap(), table.rewind_index()), (there, mark));
    assert_eq!(table.outcome_of(&batch_id(17)).unwrap(), Some(Outcome::Applied { index: 17 }));
    assert_eq!((listing(&table, "d").len(), value(&table, "marked")), (10, Some((mark, "1".into()))));
    assert_eq!(rewind::checkpoint(&table, mark, vec![]), confirms);
    assert_eq!(run(&table, vec![put("d/x", "on")]), later);
    assert_eq!((table.applied(), table.digest().unwrap()), (applied, last_digest));
    assert_eq!(table.path().unwrap(), folder.data.join("table"));
}
