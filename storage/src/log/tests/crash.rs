//! Lost power and failing operations, on the disk in memory.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::disk::{Fault, Keep};

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
    fn check(&mut self, log: &MemoryLog) -> Result<(), TestCaseError> {
        let state = log.state();
        prop_assert_eq!(&state.vote, &self.vote);
        let end = state.last.map(|last| last.index);
        prop_assert!(end >= self.acknowledged, "it ends at {:?}, {:?} was acknowledged", end, self.acknowledged);
        let begin = end_of(state.purged);
        if begin < end_of(state.last) {
            for entry in log.read(begin..end_of(state.last), usize::MAX).unwrap() {
                let written = self.written.get(&entry.id.index).cloned().unwrap_or_default();
                prop_assert!(written.contains(&entry.id), "{:?} was never written", entry.id);
                prop_assert!(entry == super::entry(entry.id.term, entry.id.index));
            }
        }
        (self.last, self.purged) = (state.last, state.purged);
        Ok(())
    }
}

fn keep(kind: u8, seed: u64) -> Keep {
    [Keep::Nothing, Keep::Everything, Keep::Prefix(seed), Keep::Sectors(seed)][usize::from(kind)]
}

fn run(steps: &[Step]) -> Result<(), TestCaseError> {
    let disk = Disk::new();
    let mut log = disk.open().unwrap();
    log.hold_syncs(true);
    let mut promises = Promises::default();
    for (term, step) in (1..).zip(steps) {
        match step {
            Step::Append(count) => {
                let start = end_of(promises.last);
                for index in start..start + count {
                    promises.written.entry(index).or_default().push(id(term, index));
                }
                drop(append_later(&log, entries(term, start..start + count)));
                promises.last = Some(id(term, start + count - 1));
            }
            Step::Sync => {
                log.sync();
                promises.acknowledged = promises.last.map(|last| last.index);
            }
            Step::Truncate(count) => {
                let end = end_of(promises.last).saturating_sub(*count).max(end_of(promises.purged));
                let keep = (end > end_of(promises.purged)).then(|| log.read(end - 1..end, 0).unwrap()[0].id);
                log.truncate_after(keep).unwrap();
                promises.last = keep.or(promises.purged);
                promises.acknowledged = promises.acknowledged.min(promises.last.map(|last| last.index));
            }
            Step::Purge(count) => {
                let upto = (end_of(promises.purged) + count).min(end_of(promises.last));
                if upto > end_of(promises.purged) {
                    let upto = log.read(upto - 1..upto, 0).unwrap()[0].id;
                    log.purge(upto).unwrap();
                    promises.purged = Some(upto);
                }
            }
            Step::Vote(vote) => {
                promises.vote = Some(Bytes::copy_from_slice(&[*vote]));
                log.save_vote(Bytes::copy_from_slice(&[*vote])).unwrap();
                promises.acknowledged = promises.last.map(|last| last.index);
            }
            Step::Crash(kind, seed) => {
                drop(log);
                disk.crash(keep(*kind, *seed));
                match disk.open() {
                    Ok(opened) => log = opened,
                    // Sectors that were kept behind others that were not look like damage, and may be refused.
                    Err(LogError::Damaged(_)) if *kind == 3 => return Ok(()),
                    Err(error) => return Err(TestCaseError::fail(format!("after {step:?}: {error}"))),
                }
                log.hold_syncs(true);
                promises.check(&log)?;
                promises.acknowledged = promises.last.map(|last| last.index);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    // check 237
    #[test]
    fn nothing_acknowledged_is_lost_with_the_power(steps in steps()) {
        run(&steps)?;
    }
}

// check 237
#[test]
fn a_log_cut_to_a_purge_that_the_power_took_back_opens() {
    use Step::{Append, Crash, Purge, Sync, Truncate};
    let written = [Append(1), Append(1), Append(3), Append(8), Sync];
    for kind in 0..3 {
        let lost = [Purge(4), Truncate(9), Crash(kind, 0), Append(2), Sync, Crash(0, 0)];
        run(&[&written[..], &lost].concat()).unwrap();
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
