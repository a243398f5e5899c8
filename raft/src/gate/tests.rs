use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use conclave_batch::{Guard, Op, WINDOW};
use conclave_storage::log::{Entry, LogId, Payload};
use conclave_storage::table::MemoryTable;
use tokio::sync::Notify;

use super::*;
use crate::hooks::{CallError, Peer};

/// Refuses what starts with this id byte, accepts the rest.
struct Keys;
const FORGED: u8 = 0xff;

impl Hooks for Keys {
    fn verify_for_append(&self, signed: &[u8], _: u64) -> Result<(), String> {
        let batch = Parsed::new(Bytes::copy_from_slice(signed)).expect("the gate passes on what it could read");
        if batch.id[0] == FORGED { Err("the tag does not verify".into()) } else { Ok(()) }
    }

    fn before_apply(&self, _: u64, _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn applied(&self, _: u64, _: &[Bytes]) {}

    fn installed(&self) {}

    fn call(&self, _: Peer, _: &str, _: Bytes) -> BoxFuture<'static, Result<Bytes, CallError>> {
        Box::pin(std::future::ready(Err(CallError::UnknownMethod)))
    }
}

/// A leader with a log of its own, which commits when it is let.
struct OneNode {
    table: Arc<MemoryTable>,
    term: AtomicU64,
    leads: AtomicBool,
    /// While set, appended batches stay unapplied.
    holds: AtomicBool,
    let_go: Notify,
    next: tokio::sync::Mutex<u64>,
    outcomes: Mutex<Vec<Outcome>>,
}

impl Leadership for Arc<OneNode> {
    fn ready(&self, _: Instant) -> BoxFuture<'_, Result<u64, String>> {
        let leads = self.leads.load(Ordering::SeqCst);
        let term = self.term.load(Ordering::SeqCst);
        Box::pin(std::future::ready(if leads { Ok(term) } else { Err("not the leader".into()) }))
    }

    fn append(&self, term: u64, signed: Bytes) -> BoxFuture<'_, Result<BoxFuture<'static, Completion>, String>> {
        Box::pin(async move {
            if term != self.term.load(Ordering::SeqCst) {
                return Err("another term".into());
            }
            let this = self.clone();
            let applied = tokio::spawn(async move {
                while this.holds.load(Ordering::SeqCst) {
                    this.let_go.notified().await;
                }
                let mut next = this.next.lock().await;
                tokio::task::yield_now().await;
                let entry = Entry { id: LogId { term, leader: 1, index: *next }, payload: Payload::Batch(signed) };
                *next += 1;
                let outcome = this.table.apply(&[entry]).expect("a memory table applies")[0].expect("it is a batch");
                this.outcomes.lock().push(outcome);
                outcome
            });
            let completion: BoxFuture<'static, Completion> =
                Box::pin(async move { Completion::Applied(applied.await.expect("no panic")) });
            Ok(completion)
        })
    }
}

fn setup(skip_guards: bool) -> (Arc<Gate>, Arc<OneNode>) {
    let table = Arc::new(MemoryTable::new());
    let node = Arc::new(OneNode {
        table: table.clone(),
        term: AtomicU64::new(1),
        leads: AtomicBool::new(true),
        holds: AtomicBool::new(false),
        let_go: Notify::new(),
        next: tokio::sync::Mutex::new(0),
        outcomes: Mutex::default(),
    });
    let first = Entry { id: LogId { term: 1, leader: 1, index: 0 }, payload: Payload::Blank };
    table.apply(&[first]).expect("a memory table applies");
    *node.next.try_lock().expect("nobody else has it") = 1;
    let mut gate = Gate::new(table, Arc::new(Keys), Arc::new(node.clone()), 1 << 20, 64 << 10);
    gate.skip_guards = skip_guards;
    (Arc::new(gate), node)
}

fn key(names: &[&str]) -> Bytes {
    let mut key = Vec::new();
    names.iter().for_each(|name| key::push_segment(&mut key, name.as_bytes()));
    key.into()
}

fn batch(id: u8, base: u64, guards: Vec<Guard>, puts: &[Bytes]) -> Bytes {
    let ops = puts.iter().map(|key| Op { key: key.clone(), value: Some(Bytes::from_static(b"value")) });
    let batch = Batch { id: vec![id; 16].into(), base, guards, ops: ops.collect(), ..Default::default() };
    SignedBatch { body: batch.encode_to_vec().into(), ..Default::default() }.encode_to_vec().into()
}

fn guard(key: &Bytes, revision: u64) -> Guard {
    Guard { key: key.clone(), is_directory: false, revision }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[tokio::test]
async fn a_batch_whose_guards_hold_is_applied() {
    let (gate, _) = setup(false);
    let k = key(&["a"]);
    let verdict = gate.submit(batch(1, 0, vec![guard(&k, 0)], std::slice::from_ref(&k)), None, soon()).await;
    assert_eq!(verdict, Verdict::Done(Outcome::Applied { index: 1 }));
}

#[tokio::test]
async fn a_doomed_batch_is_answered_without_an_entry() {
    let (gate, node) = setup(false);
    let k = key(&["a"]);
    gate.submit(batch(1, 0, vec![], std::slice::from_ref(&k)), None, soon()).await;
    let verdict = gate.submit(batch(2, 0, vec![guard(&k, 0)], std::slice::from_ref(&k)), None, soon()).await;
    assert_eq!(verdict, Verdict::Done(Outcome::Conflict { index: 1 }));
    assert_eq!(node.outcomes.lock().len(), 1);
}

#[tokio::test]
async fn a_batch_whose_id_may_have_left_the_window_is_too_old_although_its_guards_fail() {
    let (gate, node) = setup(false);
    let k = key(&["a"]);
    let lost = batch(1, 0, vec![guard(&k, 0)], std::slice::from_ref(&k));
    assert_eq!(gate.submit(lost.clone(), None, soon()).await, Verdict::Done(Outcome::Applied { index: 1 }));
    let blank = |index| Entry { id: LogId { term: 1, leader: 1, index }, payload: Payload::Blank };
    let passed: Vec<_> = (2..=WINDOW + 1).map(blank).collect();
    node.table.apply(&passed).expect("a memory table applies");
    assert_eq!(gate.submit(lost, None, soon()).await, Verdict::Done(Outcome::TooOld));
    assert_eq!(node.outcomes.lock().len(), 1);
}

/// Many batches count the same key up, each on the revision it just saw. Returns how many made a doomed entry.
async fn doomed_entries(skip_guards: bool) -> usize {
    let (gate, node) = setup(skip_guards);
    let k = key(&["counter"]);
    let mut running = Vec::new();
    for worker in 0..8u8 {
        let (gate, node, k) = (gate.clone(), node.clone(), k.clone());
        running.push(tokio::spawn(async move {
            let mut done = 0;
            for attempt in 0.. {
                let (base, revision) = {
                    let view = node.table.view().expect("a memory table has views");
                    let record = view.get(&k).expect("a memory table reads");
                    (view.index(), record.map_or(0, |record| record.revision))
                };
                tokio::task::yield_now().await;
                let mut id = [worker; 16];
                id[8..].copy_from_slice(&u64::to_be_bytes(attempt));
                let body = Batch {
                    id: id.to_vec().into(),
                    base,
                    guards: vec![guard(&k, revision)],
                    ops: vec![Op { key: k.clone(), value: Some(Bytes::from_static(b"1")) }],
                    ..Default::default()
                };
                let body = SignedBatch { body: body.encode_to_vec().into(), ..Default::default() };
                let verdict = gate.submit(body.encode_to_vec().into(), None, soon()).await;
                done += usize::from(matches!(verdict, Verdict::Done(Outcome::Applied { .. })));
                if done == 5 {
                    break;
                }
            }
        }));
    }
    for worker in running {
        worker.await.expect("no panic");
    }
    let outcomes = node.outcomes.lock();
    outcomes.iter().filter(|outcome| !matches!(outcome, Outcome::Applied { .. })).count()
}

#[tokio::test]
async fn contention_makes_no_doomed_entries() {
    assert_eq!(doomed_entries(false).await, 0);
}

#[tokio::test]
async fn a_gate_that_does_not_check_guards_is_found_out() {
    assert!(doomed_entries(true).await > 0, "the check above can fail");
}

#[tokio::test]
async fn the_same_id_in_flight_is_appended_once_and_answered_twice() {
    let (gate, node) = setup(false);
    node.holds.store(true, Ordering::SeqCst);
    let k = key(&["a"]);
    let bytes = batch(1, 0, vec![guard(&k, 0)], std::slice::from_ref(&k));
    let both = [bytes.clone(), bytes].map(|bytes| {
        let gate = gate.clone();
        tokio::spawn(async move { gate.submit(bytes, None, soon()).await })
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    node.holds.store(false, Ordering::SeqCst);
    node.let_go.notify_waiters();
    for one in both {
        assert_eq!(one.await.expect("no panic"), Verdict::Done(Outcome::Applied { index: 1 }));
    }
    assert_eq!(node.outcomes.lock().len(), 1);
}

#[tokio::test]
async fn an_applied_id_is_answered_before_its_guards_are_looked_at() {
    let (gate, _) = setup(false);
    let k = key(&["a"]);
    let bytes = batch(1, 0, vec![guard(&k, 0)], std::slice::from_ref(&k));
    gate.submit(bytes.clone(), None, soon()).await;
    assert_eq!(gate.submit(bytes, None, soon()).await, Verdict::Done(Outcome::Applied { index: 1 }));
}

#[tokio::test]
async fn other_keys_do_not_wait_for_one_that_is_in_flight() {
    let (gate, node) = setup(false);
    node.holds.store(true, Ordering::SeqCst);
    for id in 0..4u8 {
        let k = key(&["dir", &id.to_string()]);
        let gate = gate.clone();
        tokio::spawn(async move { gate.submit(batch(id, 0, vec![guard(&k, 0)], &[k]), None, soon()).await });
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let appended = gate.running.lock().in_flight.values().filter(|state| *state.borrow() == State::Appended).count();
    assert_eq!(appended, 4);
    node.holds.store(false, Ordering::SeqCst);
    node.let_go.notify_waiters();
}

#[tokio::test]
async fn who_guards_a_directory_waits_for_those_who_change_it() {
    let (gate, node) = setup(false);
    node.holds.store(true, Ordering::SeqCst);
    let k = key(&["dir", "new"]);
    let writer = tokio::spawn({
        let gate = gate.clone();
        async move { gate.submit(batch(1, 0, vec![], &[k]), None, soon()).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let unchanged = Guard { key: key(&["dir"]), is_directory: true, revision: 0 };
    let lister = tokio::spawn({
        let gate = gate.clone();
        async move { gate.submit(batch(2, 0, vec![unchanged], &[key(&["other"])]), None, soon()).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    node.holds.store(false, Ordering::SeqCst);
    node.let_go.notify_waiters();
    writer.await.expect("no panic");
    assert_eq!(lister.await.expect("no panic"), Verdict::Done(Outcome::Conflict { index: 1 }));
}

#[tokio::test]
async fn a_batch_still_in_line_at_its_deadline_was_not_appended() {
    let (gate, node) = setup(false);
    node.holds.store(true, Ordering::SeqCst);
    let k = key(&["a"]);
    let first = batch(1, 0, vec![], std::slice::from_ref(&k));
    let ahead = tokio::spawn({
        let gate = gate.clone();
        async move { gate.submit(first, None, soon()).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let deadline = Instant::now() + Duration::from_millis(50);
    let verdict = gate.submit(batch(2, 0, vec![], &[k]), None, deadline).await;
    assert!(matches!(verdict, Verdict::NotAppended(_)), "got {verdict:?}");
    node.holds.store(false, Ordering::SeqCst);
    node.let_go.notify_waiters();
    ahead.await.expect("no panic");
    assert_eq!(gate.queue.lock().len(), 0, "nobody is left in line");
    assert_eq!(gate.waiting().1, 0);
}

#[tokio::test]
async fn a_batch_in_the_log_at_its_deadline_is_unknown() {
    let (gate, node) = setup(false);
    node.holds.store(true, Ordering::SeqCst);
    let deadline = Instant::now() + Duration::from_millis(50);
    assert_eq!(gate.submit(batch(1, 0, vec![], &[key(&["a"])]), None, deadline).await, Verdict::Unknown);
    node.holds.store(false, Ordering::SeqCst);
    node.let_go.notify_waiters();
}

#[tokio::test]
async fn a_node_that_does_not_lead_appends_nothing() {
    let (gate, node) = setup(false);
    node.leads.store(false, Ordering::SeqCst);
    let verdict = gate.submit(batch(1, 0, vec![], &[key(&["a"])]), None, soon()).await;
    assert!(matches!(verdict, Verdict::NotLeader(_)), "got {verdict:?}");
}

#[tokio::test]
async fn a_copy_that_was_sent_to_an_earlier_term_is_refused() {
    let (gate, node) = setup(false);
    node.term.store(2, Ordering::SeqCst);
    let verdict = gate.submit(batch(1, 0, vec![], &[key(&["a"])]), Some(1), soon()).await;
    assert!(matches!(verdict, Verdict::NotLeader(_)), "got {verdict:?}");
}

#[tokio::test]
async fn a_copy_that_arrives_after_a_conflict_was_answered_has_no_effect() {
    let (gate, node) = setup(false);
    let k = key(&["a"]);
    gate.submit(batch(1, 0, vec![], std::slice::from_ref(&k)), None, soon()).await;
    let conflicting = batch(2, 0, vec![guard(&k, 0)], &[key(&["b"])]);
    let verdict = gate.submit(conflicting.clone(), None, soon()).await;
    assert_eq!(verdict, Verdict::Done(Outcome::Conflict { index: 1 }));
    let delete = Batch { id: vec![3; 16].into(), base: 1, ops: vec![Op { key: k, value: None }], ..Default::default() };
    let delete = SignedBatch { body: delete.encode_to_vec().into(), ..Default::default() }.encode_to_vec();
    gate.submit(delete.into(), None, soon()).await;
    // The guard "absent" holds again by now.
    assert_eq!(gate.submit(conflicting, None, soon()).await, verdict);
    assert_eq!(node.outcomes.lock().len(), 2);
}

// check 246
#[tokio::test]
async fn a_batch_whose_tag_does_not_verify_makes_no_entry() {
    let (gate, node) = setup(false);
    let verdict = gate.submit(batch(FORGED, 0, vec![], &[key(&["a"])]), None, soon()).await;
    assert!(matches!(verdict, Verdict::Refused(_)), "got {verdict:?}");
    assert!(node.outcomes.lock().is_empty());
}

// check 199
#[tokio::test]
async fn bytes_that_are_no_batch_make_no_entry() {
    let (gate, node) = setup(false);
    let verdict = gate.submit(Bytes::from_static(b"\xff\xff\xff"), None, soon()).await;
    assert_eq!(verdict, Verdict::Done(Outcome::Malformed));
    assert!(node.outcomes.lock().is_empty());
}

// check 243
#[tokio::test]
async fn a_batch_above_the_limit_is_refused_before_anything_else() {
    let (gate, _) = setup(false);
    assert_eq!(gate.submit(Bytes::from(vec![0; (64 << 10) + 1]), None, soon()).await, Verdict::TooLarge);
}

#[tokio::test]
async fn when_too_many_bytes_wait_more_are_refused() {
    let (gate, node) = setup(false);
    node.holds.store(true, Ordering::SeqCst);
    let mut id = 0;
    let mut fill = || {
        id += 1;
        let op = Op { key: key(&["k", &id.to_string()]), value: Some(Bytes::from(vec![0; 60 << 10])) };
        let batch = Batch { id: vec![id; 16].into(), ops: vec![op], ..Default::default() };
        let signed = SignedBatch { body: batch.encode_to_vec().into(), ..Default::default() };
        let gate = gate.clone();
        tokio::spawn(async move { gate.submit(signed.encode_to_vec().into(), None, soon()).await })
    };
    let inside: Vec<_> = (0..17).map(|_| fill()).collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let verdict = fill().await.expect("no panic");
    assert!(matches!(verdict, Verdict::NotAppended(_)), "got {verdict:?}");
    node.holds.store(false, Ordering::SeqCst);
    node.let_go.notify_waiters();
    for one in inside {
        one.await.expect("no panic");
    }
}
