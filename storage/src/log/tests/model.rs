//! Random calls on both logs, against the plainest log there could be.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    Truncate(u64),
    Purge(u64),
    PurgeBeyond(u64),
    Vote(u8),
    Commit,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1..30u64).prop_map(Step::Append),
        2 => (0..10u64).prop_map(Step::Truncate),
        2 => (0..20u64).prop_map(Step::Purge),
        1 => (1..5u64).prop_map(Step::PurgeBeyond),
        1 => any::<u8>().prop_map(Step::Vote),
        1 => Just(Step::Commit),
        2 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..40)
}

#[derive(Default)]
struct Model {
    entries: Vec<Entry>,
    state: LogState,
}

impl Model {
    fn next(&self) -> u64 {
        end_of(self.state.last)
    }
}

fn run<P: Place>(place: &P, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut log = place.open().unwrap();
    let mut model = Model::default();
    for (term, step) in (1..).zip(steps) {
        match step {
            Step::Append(count) => {
                let new = entries(term, model.next()..model.next() + count);
                append(&log, new.clone());
                model.state.last = new.last().map(|entry| entry.id);
                model.entries.extend(new);
            }
            Step::Truncate(count) => {
                let left = model.entries.len().saturating_sub(usize::try_from(*count).unwrap());
                model.entries.truncate(left);
                model.state.last = model.entries.last().map(|entry| entry.id).or(model.state.purged);
                log.truncate_after(model.state.last).unwrap();
            }
            Step::Purge(count) => {
                let count = usize::try_from(*count).unwrap().min(model.entries.len());
                if let Some(upto) = model.entries.drain(..count).next_back() {
                    model.state.purged = Some(upto.id);
                    log.purge(upto.id).unwrap();
                }
            }
            Step::PurgeBeyond(count) => {
                let upto = id(term, model.next() + count);
                log.purge(upto).unwrap();
                model.entries.clear();
                (model.state.purged, model.state.last) = (Some(upto), Some(upto));
            }
            Step::Vote(vote) => {
                model.state.vote = Some(Bytes::copy_from_slice(&[*vote]));
                log.save_vote(Bytes::copy_from_slice(&[*vote])).unwrap();
            }
            Step::Commit => {
                model.state.committed = model.state.last;
                log.save_committed(model.state.last).unwrap();
            }
            Step::Restart => {
                drop(log);
                log = place.open().unwrap();
            }
        }
        prop_assert_eq!(log.state(), model.state.clone(), "after {:?}", step);
        let (Some(first), Some(last)) = (model.entries.first(), model.entries.last()) else { continue };
        prop_assert!(same(&log.read(first.id.index..last.id.index + 1, usize::MAX).unwrap(), &model.entries));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_durable_log_does_what_the_model_does(steps in steps()) {
        run(&Folder::new(), &steps)?;
    }

    #[test]
    fn the_memory_log_does_what_the_model_does(steps in steps()) {
        run(&Disk::new(), &steps)?;
    }
}
