//! Lost power, on the disk in memory and under real files, and failing operations.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::power::Held;
use super::*;
use crate::disk::{Fault, Keep};

/// A log whose syncs wait until they are asked for, on something that can lose its power.
pub(super) trait Powered: Sized {
    /// How many kinds of [`Keep`] it knows.
    const KINDS: u8;
    fn start() -> Self;
    fn state(&self) -> LogState;
    fn read(&self, range: Range<u64>) -> Vec<Entry>;
    fn append(&mut self, entries: Vec<Entry>);
    fn sync(&mut self);
    fn truncate_after(&mut self, last: Option<LogId>);
    fn purge(&mut self, upto: LogId);
    /// Saves it and syncs that.
    fn save_vote(&mut self, vote: Bytes);
    /// Loses the power, and opens what is left.
    fn crash(self, keep: Keep) -> Result<Self, LogError>;
}

/// The log in memory on a disk in memory.
struct Simulated {
    log: MemoryLog,
    disk: Disk,
}

impl Powered for Simulated {
    const KINDS: u8 = 4;

    fn start() -> Self {
        let disk = Disk::new();
        let log = disk.open().unwrap();
        log.hold_syncs(true);
        Self { log, disk }
    }

    fn state(&self) -> LogState {
        self.log.state()
    }

    fn read(&self, range: Range<u64>) -> Vec<Entry> {
        self.log.read(range, usize::MAX).unwrap()
    }

    fn append(&mut self, entries: Vec<Entry>) {
        drop(append_later(&self.log, entries));
    }

    fn sync(&mut self) {
        self.log.sync();
    }

    fn truncate_after(&mut self, last: Option<LogId>) {
        self.log.truncate_after(last).unwrap();
    }

    fn purge(&mut self, upto: LogId) {
        self.log.purge(upto).unwrap();
    }

    fn save_vote(&mut self, vote: Bytes) {
        self.log.save_vote(vote).unwrap();
    }

    fn crash(self, keep: Keep) -> Result<Self, LogError> {
        drop(self.log);
        self.disk.crash(keep);
        let log = self.disk.open()?;
        log.hold_syncs(true);
        Ok(Self { log, disk: self.disk })
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    Sync,
    Truncate(u64),
    Purge(u64),
    Vote(u8),
    Crash(u8, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (1..12u64).prop_map(Step::Append),
        3 => Just(Step::Sync),
        1 => (0..10u64).prop_map(Step::Truncate),
        1 => (0..20u64).prop_map(Step::Purge),
        1 => any::<u8>().prop_map(Step::Vote),
        3 => (0..4u8, any::<u64>()).prop_map(|(keep, seed)| Step::Crash(keep, seed)),
    ];
    prop::collection::vec(step, 1..60)
}

/// What was written and what was acknowledged.
#[derive(Default)]
struct Promises {
    /// Every id that was ever at an index since it was last certain.
    written: BTreeMap<u64, Vec<LogId>>,
    /// Highest index that was acknowledged and not cut since.
    acknowledged: Option<u64>,
    vote: Option<Bytes>,
    /// The end as the log says it.
    last: Option<LogId>,
    purged: Option<LogId>,
}

impl Promises {
    fn check(&mut self, log: &impl Powered) -> Result<(), TestCaseError> {
        let state = log.state();
        prop_assert_eq!(&state.vote, &self.vote);
        let end = state.last.map(|last| last.index);
        prop_assert!(end >= self.acknowledged, "it ends at {:?}, {:?} was acknowledged", end, self.acknowledged);
        let begin = end_of(state.purged);
        if begin < end_of(state.last) {
            for entry in log.read(begin..end_of(state.last)) {
                let written = self.written.get(&entry.id.index).cloned().unwrap_or_default();
                prop_assert!(written.contains(&entry.id), "{:?} was never written", entry.id);
                prop_assert!(entry == super::entry(entry.id.term, entry.id.index));
            }
        }
        (self.last, self.purged) = (state.last, state.purged);
        self.acknowledged = end;
        Ok(())
    }

    /// Carries out any step but a crash.
    fn carry_out(&mut self, log: &mut impl Powered, term: u64, step: &Step) {
        match step {
            Step::Append(count) => {
                let start = end_of(self.last);
                for index in start..start + count {
                    self.written.entry(index).or_default().push(id(term, index));
                }
                log.append(entries(term, start..start + count));
                self.last = Some(id(term, start + count - 1));
            }
            Step::Sync => {
                log.sync();
                self.acknowledged = self.last.map(|last| last.index);
            }
            Step::Truncate(count) => {
                let end = end_of(self.last).saturating_sub(*count).max(end_of(self.purged));
                let keep = (end > end_of(self.purged)).then(|| log.read(end - 1..end)[0].id);
                log.truncate_after(keep);
                self.last = keep.or(self.purged);
                self.acknowledged = self.acknowledged.min(self.last.map(|last| last.index));
            }
            Step::Purge(count) => {
                let upto = (end_of(self.purged) + count).min(end_of(self.last));
                if upto > end_of(self.purged) {
                    let upto = log.read(upto - 1..upto)[0].id;
                    log.purge(upto);
                    self.purged = Some(upto);
                }
            }
            Step::Vote(vote) => {
                let vote = Bytes::copy_from_slice(&[*vote]);
                self.vote = Some(vote.clone());
                log.save_vote(vote);
                self.acknowledged = self.last.map(|last| last.index);
            }
            Step::Crash(..) => unreachable!("a crash makes another log"),
        }
    }
}

fn keep(kind: u8, seed: u64) -> Keep {
    [Keep::Nothing, Keep::Everything, Keep::Prefix(seed), Keep::Sectors(seed)][usize::from(kind)]
}

fn run<L: Powered>(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut log = L::start();
    let mut promises = Promises::default();
    for (term, step) in (1..).zip(steps) {
        let Step::Crash(kind, seed) = step else {
            promises.carry_out(&mut log, term, step);
            continue;
        };
        let keep = keep(kind % L::KINDS, *seed);
        match log.crash(keep) {
            Ok(opened) => log = opened,
            // Sectors that were kept behind others that were not look like damage, and may be refused.
            Err(LogError::Damaged(_)) if matches!(keep, Keep::Sectors(_)) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(format!("after {step:?}: {error}"))),
        }
        promises.check(&log)?;
    }
    Ok(())
}

/// As many cases as `PROPTEST_CASES` says, or else so many.
fn cases(ordinary: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = ordinary;
    }
    config
}

proptest! {
    #![proptest_config(cases(512))]

    // check 237
    #[test]
    fn nothing_acknowledged_is_lost_with_the_power(steps in steps()) {
        run::<Simulated>(&steps)?;
    }
}

proptest! {
    #![proptest_config(cases(64))]

    // check 237
    #[test]
    fn nothing_acknowledged_is_lost_from_real_files(steps in steps()) {
        run::<Held>(&steps)?;
    }
}

// check 237
#[test]
fn a_log_cut_to_a_purge_that_the_power_took_back_opens() {
    use Step::{Append, Crash, Purge, Sync, Truncate};
    let written = [Append(1), Append(1), Append(3), Append(8), Sync];
    for kind in 0..3 {
        let lost = [Purge(4), Truncate(9), Crash(kind, 0), Append(2), Sync, Crash(0, 0)];
        let steps = [&written[..], &lost].concat();
        run::<Simulated>(&steps).unwrap();
        run::<Held>(&steps).unwrap();
    }
}

// check 236
#[test]
fn a_failed_sync_is_reported_to_all_that_wait_and_ends_the_log() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    append(&log, entries(1, 0..5));
    log.hold_syncs(true);
    let waiting = [append_later(&log, entries(1, 5..7)), append_later(&log, entries(1, 7..9))];
    disk.fail(Fault::Sync, 0);
    log.sync();
    for wait in waiting {
        wait.recv().unwrap().unwrap_err();
    }
    assert!(log.append(entries(1, 9..10), Box::new(|_| {})).is_err());
    assert!(log.save_vote(Bytes::from_static(b"v")).is_err());
    assert!(log.truncate_after(None).is_err());
    assert_eq!(log.synced_index(), Some(4));
    drop(log);
    disk.crash(Keep::Nothing);
    assert_eq!(disk.open().unwrap().state().last, Some(id(1, 4)));
}

// check 236
#[test]
fn a_failed_write_ends_the_log() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    append(&log, entries(1, 0..5));
    disk.fail(Fault::Write, 0);
    assert!(matches!(log.append(entries(1, 5..6), Box::new(|_| {})), Err(LogError::Io(_))));
    assert!(log.append(entries(1, 5..6), Box::new(|_| {})).is_err());
    drop(log);
    assert_eq!(disk.open().unwrap().state().last, Some(id(1, 4)));
}

#[test]
fn a_vote_whose_sync_fails_is_not_saved() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    disk.fail(Fault::Sync, 0);
    assert!(log.save_vote(Bytes::from_static(b"v")).is_err());
    drop(log);
    disk.crash(Keep::Nothing);
    assert_eq!(disk.open().unwrap().state().vote, None);
}

#[test]
fn purged_entries_leave_the_disk() {
    let disk = Disk::new();
    let log = disk.open().unwrap();
    log.save_vote(Bytes::from_static(b"kept")).unwrap();
    let big = |index| Entry { id: id(1, index), payload: Payload::Batch(vec![7; 50_000].into()) };
    for index in 0..100 {
        append(&log, vec![big(index)]);
    }
    let before = disk.length("log");
    log.purge(id(1, 89)).unwrap();
    assert!(disk.length("log") < before / 5, "{} of {before} bytes are left", disk.length("log"));
    drop(log);
    disk.crash(Keep::Nothing);
    let log = disk.open().unwrap();
    assert_eq!(log.state().vote.unwrap(), &b"kept"[..]);
    assert!(same(&log.read(90..100, usize::MAX).unwrap(), &(90..100).map(big).collect::<Vec<_>>()));
}

#[test]
fn a_flipped_bit_of_the_memory_log_is_found() {
    let disk = Disk::new();
    append(&disk.open().unwrap(), entries(1, 0..10));
    for at in 0..disk.length("log") {
        let at = usize::try_from(at).unwrap();
        disk.damage("log", |bytes| bytes[at] ^= 8);
        assert!(matches!(disk.open(), Err(LogError::Damaged(_))), "byte {at}");
        disk.damage("log", |bytes| bytes[at] ^= 8);
    }
    disk.open().unwrap();
}
