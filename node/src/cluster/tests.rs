//! The attacker's part: a sealed node that forges, replays, or had its table written behind its back.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use conclave_batch::{Batch, Op, Outcome, SignedBatch};
use conclave_raft::{AttestationError, Hooks};
use conclave_storage::log::{Entry, Log, LogError, LogId, LogState, MemoryLog, Payload, Synced};
use conclave_storage::table::{MemoryTable, Rewound, Table};
use conclave_vault::members::MemberRecord;
use conclave_vault::seal::{KEYRING, Parameters, initialize};
use conclave_vault::{Context, Core, NewCluster, Proposal, Registry, Time, first_batch, open_key, rotate_term};
use prost::Message;

use super::hooks::NodeHooks;
use crate::replica::gated::GatedTable;
use crate::seal::keyring;
use crate::seal::state::{SealState, Verdict};
use crate::seal::table_check::{CheckError, check, is_right};
use crate::view::SystemRandomness;

/// Hooks over a state, and a table that holds nothing.
fn hooks_over(state: Arc<SealState>) -> NodeHooks {
    let table = GatedTable::new(Arc::new(MemoryTable::new()), keyring::before_snapshot(&state));
    NodeHooks::new(state, Arc::new(table), Arc::default())
}

/// One node's storage and the keys of its cluster.
struct Scene {
    core: Arc<Core>,
    table: GatedTable,
    log: MemoryLog,
}

fn context(random: &mut SystemRandomness) -> Context<'_> {
    Context::plain(Time::from_secs(1_700_000_000), random, 1, "1.17.6")
}

impl Scene {
    /// A cluster whose first batch is applied.
    fn new() -> Self {
        let mut random = SystemRandomness::default();
        let parameters = Parameters { shares: 1, threshold: 1 };
        let made = initialize(parameters, &mut random, Time::from_secs(1_700_000_000), [7; 16]).unwrap();
        let scene = Self {
            core: Arc::new(Core::new(made.barrier, Registry::built_in())),
            table: GatedTable::new(Arc::new(MemoryTable::new()), || {}),
            log: MemoryLog::new(),
        };
        scene.append(Payload::Blank);
        let first = {
            let view = scene.table.view().unwrap();
            let mut context = context(&mut random);
            let first = NewCluster {
                open_records: made.records,
                member: MemberRecord::default(),
                root_token: Some("root"),
                dev_kv: true,
            };
            first_batch(&scene.core, &mut context, &view, first).unwrap().0
        };
        assert!(matches!(scene.commit(&first.bytes), Outcome::Applied { .. }));
        scene
    }

    fn next_index(&self) -> u64 {
        self.log.state().last.map_or(0, |last| last.index + 1)
    }

    fn entry(&self, payload: Payload) -> Entry {
        Entry { id: LogId { term: 1, leader: 1, index: self.next_index() }, payload }
    }

    /// Appends an entry and applies it, as consensus does on every node.
    fn append(&self, payload: Payload) -> Option<Outcome> {
        let entry = self.entry(payload);
        self.log.append(vec![entry.clone()], Box::new(|synced| synced.unwrap())).unwrap();
        self.table.apply(&[entry]).unwrap()[0]
    }

    fn commit(&self, signed: &Bytes) -> Outcome {
        self.append(Payload::Batch(signed.clone())).unwrap()
    }

    /// An honest write of a record in the system's area.
    fn honest(&self, name: &str, value: &[u8]) -> Proposal {
        let view = self.table.view().unwrap();
        let mut random = SystemRandomness::default();
        let mut context = context(&mut random);
        let mut store = self.core.store(&view);
        let system = store.system();
        store.put_bytes(&system, &["test", name], zeroize::Zeroizing::new(value.to_vec())).unwrap();
        store.finish(&mut context).unwrap().unwrap()
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let view = self.table.view().unwrap();
        let mut store = self.core.store(&view);
        let system = store.system();
        store.get_bytes(&system, &["test", name]).unwrap().map(|bytes| bytes.to_vec())
    }

    /// Rotates the key term and loads it, as an unsealed node does.
    fn rotate(&self) {
        let batch = {
            let view = self.table.view().unwrap();
            let mut random = SystemRandomness::default();
            let mut context = context(&mut random);
            let mut store = self.core.store(&view);
            rotate_term(&mut store, &mut context).unwrap();
            store.finish(&mut context).unwrap().unwrap()
        };
        assert!(matches!(self.commit(&batch.bytes), Outcome::Applied { .. }));
        let keyring = self.table.view().unwrap().get(&open_key(KEYRING)).unwrap().unwrap();
        let barrier = self.core.barrier();
        barrier.load_keyring(&keyring.value, keyring.revision).unwrap();
        barrier.complete_reservation(barrier.open_reservation());
    }

    fn check(&self) -> Result<Verdict, CheckError> {
        check(&self.table, &self.log, &self.core, self.next_index().saturating_sub(1))
    }

    /// Marks an index, then confirms the digest that the table had there.
    fn checkpoint(&self) {
        let mut confirmed = None;
        for _ in 0..2 {
            let mut random = SystemRandomness::default();
            let base = self.next_index() - 1;
            let proposal = self.core.checkpoint(&mut context(&mut random), base, confirmed);
            let Outcome::Applied { index } = self.commit(&proposal.bytes) else { panic!("a checkpoint has no guards") };
            confirmed = Some((index, self.table.digest_at(index).unwrap().unwrap()));
        }
    }
}

fn now_millis() -> u64 {
    u64::try_from(SealState::default().clock().millis()).unwrap()
}

/// A batch that somebody without keys made: deletes a key, with a tag of zeros.
fn forged(key: &Bytes, base: u64) -> Bytes {
    let batch = Batch {
        id: Bytes::copy_from_slice(&[9; 16]),
        base,
        ops: vec![Op { key: key.clone(), value: None }],
        ..Batch::default()
    };
    let body = Bytes::from(batch.encode_to_vec());
    SignedBatch { body, term: 1, tag: Bytes::from_static(&[0; 32]) }.encode_to_vec().into()
}

fn key_of(signed: &Bytes) -> Bytes {
    let signed = SignedBatch::decode(signed.clone()).unwrap();
    Batch::decode(signed.body).unwrap().ops[0].key.clone()
}

// check 246
#[test]
fn an_unsealed_node_lets_a_forged_batch_neither_in_nor_through() {
    let scene = Scene::new();
    let honest = scene.honest("a", b"1");
    let forged = forged(&key_of(&honest.bytes), 0);
    let state = Arc::new(SealState::default());
    let hooks = hooks_over(Arc::clone(&state));
    assert!(state.begin_check(&scene.core));
    assert!(hooks.verify_for_append(&honest.bytes, now_millis()).is_err(), "its own table is not checked yet");
    assert!(state.end_check(&scene.core, Verdict::Confirmed));
    assert!(hooks.verify_for_append(&honest.bytes, now_millis()).is_ok());
    assert!(hooks.before_apply(5, &honest.bytes).is_ok());
    assert!(hooks.verify_for_append(&forged, now_millis()).is_err());
    assert!(hooks.before_apply(6, &forged).is_err());
}

#[test]
fn a_leader_appends_no_batch_of_a_clock_that_is_off_nor_any_when_its_own_is() {
    let scene = Scene::new();
    let honest = scene.honest("a", b"1").bytes;
    let state = Arc::new(SealState::default());
    let hooks = hooks_over(Arc::clone(&state));
    assert!(state.begin_check(&scene.core) && state.end_check(&scene.core, Verdict::Confirmed));
    assert_eq!(hooks.verify_for_append(&honest, now_millis()), Ok(()));
    let refused = hooks.verify_for_append(&honest, now_millis() + 31_536_000_000).unwrap_err();
    assert!(refused.contains("clock"), "{refused}");
    // Also within its own bounds: whoever's clock jumped cannot know what is right.
    state.clock().ahead_millis.store(31_536_000_000, Ordering::SeqCst);
    assert!(hooks.verify_for_append(&honest, now_millis() + 31_536_000_000).unwrap_err().contains("clock off by"));
}

#[test]
fn a_sealed_leader_appends_nothing() {
    let scene = Scene::new();
    let hooks = hooks_over(Arc::default());
    assert!(hooks.verify_for_append(&scene.honest("a", b"1").bytes, now_millis()).is_err());
}

// check 246
#[test]
fn a_sealed_node_cannot_answer_as_a_leader() {
    let scene = Scene::new();
    let (unsealed, sealed) = (Arc::new(SealState::default()), hooks_over(Arc::default()));
    assert!(unsealed.begin_check(&scene.core));
    let unsealed = hooks_over(unsealed);
    let attestation = unsealed.attest(b"index 7, nonce 1").unwrap();
    assert!(unsealed.verify_attestation(b"index 7, nonce 1", &attestation).is_ok());
    assert!(unsealed.verify_attestation(b"index 8, nonce 1", &attestation).is_err());
    assert!(unsealed.verify_attestation(b"index 7, nonce 1", b"").is_err());
    // A rotation that this node has not applied yet is no forgery; under its own term a wrong code is one.
    let under = |term: u32| [&term.to_be_bytes()[..], &attestation[4..]].concat();
    let refused = |claim: &[u8], attestation: &[u8]| unsealed.verify_attestation(claim, attestation).unwrap_err();
    assert!(matches!(refused(b"index 7, nonce 1", &under(2)), AttestationError::Newer(_)));
    assert!(matches!(refused(b"index 8, nonce 1", &under(1)), AttestationError::Refused(_)));
    assert!(sealed.attest(b"index 7, nonce 1").is_err());
}

// check 246
#[test]
fn a_forged_entry_that_was_applied_while_sealed_is_found_at_unseal() {
    for has_checkpoint in [false, true] {
        let scene = Scene::new();
        let honest = scene.honest("a", b"1");
        scene.commit(&honest.bytes);
        if has_checkpoint {
            scene.checkpoint();
        }
        let forged = forged(&key_of(&honest.bytes), scene.next_index() - 1);
        let at = scene.next_index();
        assert!(matches!(scene.commit(&forged), Outcome::Applied { .. }));
        assert_eq!(scene.read("a"), None, "the forged batch took effect on the sealed node");
        assert!(matches!(scene.check(), Err(CheckError::Tag(index)) if index == at));
    }
}

// check 246
#[test]
fn a_replayed_entry_does_nothing() {
    let scene = Scene::new();
    let first = scene.honest("a", b"1");
    scene.commit(&first.bytes);
    scene.commit(&scene.honest("a", b"2").bytes);
    scene.commit(&first.bytes);
    assert_eq!(scene.read("a").as_deref(), Some(b"2".as_slice()));
    assert_eq!(scene.check().unwrap(), Verdict::Confirmed);
    assert_eq!(scene.read("a").as_deref(), Some(b"2".as_slice()));
}

// check 231
#[test]
fn a_table_that_does_not_follow_from_the_log_is_made_right_before_it_is_served() {
    let scene = Scene::new();
    let honest = scene.honest("a", b"1");
    // The log says that the record was written; on this disk it was removed instead.
    let entry = scene.entry(Payload::Batch(honest.bytes.clone()));
    scene.log.append(vec![entry.clone()], Box::new(|synced| synced.unwrap())).unwrap();
    let forged = Entry { payload: Payload::Batch(forged(&key_of(&honest.bytes), 0)), ..entry };
    scene.table.apply(&[forged]).unwrap();
    assert_eq!(scene.read("a"), None);
    assert_eq!(scene.check().unwrap(), Verdict::Confirmed);
    assert_eq!(scene.read("a").as_deref(), Some(b"1".as_slice()));
}

#[test]
fn an_honest_table_is_confirmed_with_and_without_a_checkpoint() {
    let scene = Scene::new();
    scene.commit(&scene.honest("a", b"1").bytes);
    assert_eq!(scene.check().unwrap(), Verdict::Confirmed);
    scene.checkpoint();
    scene.commit(&scene.honest("b", b"2").bytes);
    assert_eq!(scene.check().unwrap(), Verdict::Confirmed);
    assert_eq!(scene.read("a").as_deref(), Some(b"1".as_slice()));
    assert_eq!(scene.read("b").as_deref(), Some(b"2".as_slice()));
}

#[test]
fn rotations_without_a_checkpoint_between_them_keep_the_log_readable() {
    for has_checkpoint in [false, true] {
        let scene = Scene::new();
        scene.commit(&scene.honest("a", b"1").bytes);
        if has_checkpoint {
            scene.checkpoint();
        }
        for name in ["b", "c", "d"] {
            scene.rotate();
            scene.commit(&scene.honest(name, b"2").bytes);
        }
        assert_eq!(scene.check().unwrap(), Verdict::Confirmed);
        assert_eq!(scene.read("d").as_deref(), Some(b"2".as_slice()));
        scene.checkpoint();
        scene.rotate();
        assert_eq!(scene.check().unwrap(), Verdict::Confirmed);
    }
}

#[test]
fn a_tag_of_a_term_that_no_longer_counted_at_its_entry_is_found() {
    let scene = Scene::new();
    let late = scene.honest("a", b"1");
    scene.rotate();
    scene.rotate();
    let at = scene.next_index();
    scene.commit(&late.bytes);
    assert!(matches!(scene.check(), Err(CheckError::Tag(index)) if index == at));
}

#[test]
fn a_log_from_its_first_entry_vouches_only_for_a_table_that_began_empty() {
    let nothing = MemoryTable::new().rewind().unwrap();
    assert!(is_right(&nothing, None));
    let edited = Rewound { digest: [1; 32], ..nothing };
    assert!(!is_right(&edited, None), "rows that were there before the log began");
    assert!(is_right(&edited, Some([1; 32])));
}

#[test]
fn a_table_that_came_by_snapshot_waits_for_a_checkpoint() {
    let scene = Scene::new();
    scene.commit(&scene.honest("a", b"1").bytes);
    let receiver = GatedTable::new(Arc::new(MemoryTable::new()), || {});
    let (mut export, mut import) = (scene.table.export().unwrap(), receiver.import().unwrap());
    while let Some(chunk) = export.next_chunk().unwrap() {
        import.push(&chunk).unwrap();
    }
    let since = import.install().unwrap().last.unwrap().index;
    let scene = Scene { table: receiver, ..scene };
    assert_eq!(scene.check().unwrap(), Verdict::Unconfirmed { since });
    scene.checkpoint();
    assert!(scene.table.applied().checkpoint.is_some_and(|(_, confirmed)| confirmed >= since));
    assert_eq!(scene.check().unwrap(), Verdict::Confirmed);
}

#[test]
fn a_snapshot_withdraws_the_node_before_it_can_be_read() {
    let scene = Scene::new();
    let state = Arc::new(SealState::default());
    assert!(state.begin_check(&scene.core) && state.end_check(&scene.core, Verdict::Confirmed));
    let receiver = GatedTable::new(Arc::new(MemoryTable::new()), keyring::before_snapshot(&state));
    let (mut export, mut import) = (scene.table.export().unwrap(), receiver.import().unwrap());
    while let Some(chunk) = export.next_chunk().unwrap() {
        import.push(&chunk).unwrap();
    }
    assert!(state.still_serves(&scene.core));
    let since = import.install().unwrap().last.unwrap().index;
    assert!(!state.still_serves(&scene.core));
    assert!(!state.confirm(since), "no checkpoint counts before the snapshot's index is known");
    assert!(state.withdraw(since) && state.confirm(since));
}

/// A node's log, whose first read takes so long that another entry is applied meanwhile.
struct SlowLog {
    scene: Arc<Scene>,
    was_read: AtomicBool,
}

impl Log for SlowLog {
    fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, LogError> {
        if !self.was_read.swap(true, Ordering::SeqCst) {
            let meanwhile = self.scene.honest("meanwhile", b"1");
            assert!(matches!(self.scene.commit(&meanwhile.bytes), Outcome::Applied { .. }));
        }
        self.scene.log.read(range, max_bytes)
    }

    fn state(&self) -> LogState {
        self.scene.log.state()
    }

    fn append(&self, entries: Vec<Entry>, synced: Synced) -> Result<(), LogError> {
        self.scene.log.append(entries, synced)
    }

    fn save_vote(&self, vote: Bytes) -> Result<(), LogError> {
        self.scene.log.save_vote(vote)
    }

    fn save_committed(&self, committed: Option<LogId>) -> Result<(), LogError> {
        self.scene.log.save_committed(committed)
    }

    fn sync(&self) -> Result<(), LogError> {
        Log::sync(&self.scene.log)
    }

    fn truncate_after(&self, last: Option<LogId>) -> Result<(), LogError> {
        self.scene.log.truncate_after(last)
    }

    fn purge(&self, upto: LogId) -> Result<(), LogError> {
        self.scene.log.purge(upto)
    }

    fn synced_index(&self) -> Option<u64> {
        self.scene.log.synced_index()
    }

    fn stalled_for(&self) -> Duration {
        self.scene.log.stalled_for()
    }
}

// If the check held apply up, this would never end.
#[test]
fn entries_are_applied_while_the_table_is_checked() {
    for has_checkpoint in [false, true] {
        let scene = Arc::new(Scene::new());
        scene.commit(&scene.honest("a", b"1").bytes);
        if has_checkpoint {
            scene.checkpoint();
            scene.commit(&scene.honest("a", b"2").bytes);
        }
        let log = SlowLog { scene: Arc::clone(&scene), was_read: AtomicBool::new(false) };
        let passed = scene.next_index() - 1;
        assert_eq!(check(&scene.table, &log, &scene.core, passed).unwrap(), Verdict::Confirmed);
        assert_eq!(scene.read("meanwhile").as_deref(), Some(b"1".as_slice()));
        assert_eq!(scene.check().unwrap(), Verdict::Confirmed);
    }
}
