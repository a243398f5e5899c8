//! Random batches on both engines, against the plainest table there could be.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;

/// Paths with shared directories, values under names with children, and names that start alike.
const PATHS: [&str; 12] = ["a", "b", "ab", "a/a", "a/b", "a/b/c", "a/b/d", "b/x", "b/x/y", "ab/c", "c/d/e/f", "c/d/g"];

#[derive(Clone, Debug)]
struct Plan {
    ops: BTreeMap<usize, Option<u8>>,
    /// Path, whether the directory is meant, and whether the true revision is named.
    guards: Vec<(usize, bool, bool)>,
    repeats: Option<u64>,
    is_checkpoint: bool,
    ends_call: bool,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let ops = prop::collection::btree_map(0..PATHS.len(), prop::option::of(any::<u8>()), 0..5);
    let guards = prop::collection::vec((0..PATHS.len(), any::<bool>(), prop::bool::weighted(0.9)), 0..3);
    let repeats = prop::option::weighted(0.1, 1..30u64);
    let plan = (ops, guards, repeats, prop::bool::weighted(0.15), any::<bool>());
    let plan = plan.prop_map(|(ops, guards, repeats, is_checkpoint, ends_call)| Plan {
        ops,
        guards,
        repeats,
        is_checkpoint,
        ends_call,
    });
    prop::collection::vec(plan, 1..40)
}

/// Values, and what follows from them.
#[derive(Clone, Default)]
struct Model {
    values: BTreeMap<String, (u64, u8)>,
    directories: BTreeMap<String, u64>,
    answers: HashMap<u64, Outcome>,
}

impl Model {
    /// Flags of each name in a directory.
    fn names(&self, directory: &str) -> BTreeMap<String, (bool, bool)> {
        let mut names: BTreeMap<String, (bool, bool)> = BTreeMap::new();
        for path in self.values.keys() {
            let inside =
                if directory.is_empty() { Some(path.as_str()) } else { path.strip_prefix(&format!("{directory}/")) };
            let Some(inside) = inside else { continue };
            match inside.split_once('/') {
                None => names.entry(inside.to_owned()).or_default().0 = true,
                Some((name, _)) => names.entry(name.to_owned()).or_default().1 = true,
            }
        }
        names
    }

    fn all_directories() -> BTreeSet<String> {
        let parents = |path: &str| path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect::<Vec<_>>();
        PATHS.iter().flat_map(|path| parents(path)).chain([String::new()]).collect()
    }

    fn revision(&self, path: &str, is_directory: bool) -> u64 {
        if is_directory {
            self.directories.get(path).copied().unwrap_or(0)
        } else {
            self.values.get(path).map_or(0, |(revision, _)| *revision)
        }
    }

    fn apply(&mut self, index: u64, number: u64, plan: &Plan, holds: bool) -> Outcome {
        if let Some(answer) = self.answers.get(&number) {
            return *answer;
        }
        let outcome = if holds { Outcome::Applied { index } } else { Outcome::Conflict { index } };
        self.answers.insert(number, outcome);
        if holds {
            // One by one, since a directory may empty and fill again in one batch.
            for (path, value) in &plan.ops {
                let before: Vec<_> =
                    Self::all_directories().into_iter().map(|path| (self.names(&path), path)).collect();
                match value {
                    Some(value) => drop(self.values.insert(PATHS[*path].to_owned(), (index, *value))),
                    None => drop(self.values.remove(PATHS[*path])),
                }
                for (names, directory) in before {
                    let now = self.names(&directory);
                    if now.is_empty() {
                        self.directories.remove(&directory);
                    } else if now != names {
                        self.directories.insert(directory, index);
                    }
                }
            }
        }
        outcome
    }
}

/// Entries as the plans say, with what the model answers to each.
fn entries_of(plans: &[Plan], tables: &dyn Fn(u64) -> Option<[u8; 32]>) -> (Vec<Entry>, Vec<Outcome>, Model) {
    let mut model = Model::default();
    let (mut entries, mut outcomes) = (Vec::new(), Vec::new());
    for (index, plan) in (1..).zip(plans) {
        let number = plan.repeats.filter(|number| *number < index).unwrap_or(index);
        let mut holds = true;
        let mut guards = Vec::new();
        for (path, is_directory, is_true) in &plan.guards {
            let revision = model.revision(PATHS[*path], *is_directory);
            guards.push(Guard {
                key: key(PATHS[*path]),
                is_directory: *is_directory,
                revision: if *is_true { revision } else { revision + 1 },
            });
            holds &= is_true;
        }
        let op = |(path, value): (&usize, &Option<u8>)| Op {
            key: key(PATHS[*path]),
            value: value.map(|value| Bytes::copy_from_slice(&[value])),
        };
        let checkpoint = plan.is_checkpoint.then(|| {
            let digest = tables(0).unwrap_or_default();
            Checkpoint { index: 0, digest: Bytes::copy_from_slice(&digest) }
        });
        let id = Bytes::copy_from_slice(&batch_id(number));
        let ops = plan.ops.iter().map(op).collect();
        entries.push(entry(index, &Batch { id, guards, checkpoint, ..batch(index, ops) }));
        outcomes.push(model.apply(index, number, plan, holds));
    }
    (entries, outcomes, model)
}

fn apply_in_calls(table: &impl Table, plans: &[Plan], entries: &[Entry]) -> Vec<Outcome> {
    let (mut outcomes, mut call) = (Vec::new(), Vec::new());
    for (plan, entry) in plans.iter().zip(entries) {
        call.push(entry.clone());
        if plan.ends_call {
            outcomes.extend(table.apply(&std::mem::take(&mut call)).unwrap());
        }
    }
    outcomes.extend(table.apply(&call).unwrap());
    outcomes.into_iter().flatten().collect()
}

fn check(table: &impl Table, model: &Model) -> Result<(), TestCaseError> {
    for path in PATHS {
        let found = table.view().unwrap().get(&key(path)).unwrap().map(|record| (record.revision, record.value[0]));
        prop_assert_eq!(found, model.values.get(path).copied(), "value of {}", path);
    }
    for path in Model::all_directories() {
        let names = table.view().unwrap().names(&key(&path), None, usize::MAX).unwrap();
        let found: Vec<_> =
            names.iter().map(|name| (name.segment.to_vec(), (name.has_value, name.has_children))).collect();
        let expected: Vec<_> = model.names(&path).into_iter().map(|(name, flags)| (name.into_bytes(), flags)).collect();
        prop_assert_eq!(directory(table, &path), (model.revision(&path, true), expected.len() as u64), "{:?}", path);
        prop_assert_eq!(found, expected, "names of {:?}", path);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn both_tables_do_what_the_model_does(plans in plans()) {
        let folder = Folder::new();
        let (durable, memory) = (folder.open(), MemoryTable::new());
        let (entries, expected, model) = entries_of(&plans, &|index| memory.digest_at(index).unwrap());
        prop_assert_eq!(&apply_in_calls(&durable, &plans, &entries), &expected);
        prop_assert_eq!(&apply_in_calls(&memory, &plans, &entries), &expected);
        check(&durable, &model)?;
        check(&memory, &model)?;
        prop_assert_eq!(durable.applied(), memory.applied());
        prop_assert_eq!(durable.digest().unwrap(), memory.digest().unwrap());
        memory.verify().unwrap();
        durable.verify().unwrap();
        let (applied, digest) = (durable.applied(), durable.digest().unwrap());
        drop(durable);
        let durable = folder.open();
        prop_assert_eq!(durable.applied(), Applied::default());
        prop_assert_eq!(&apply_in_calls(&durable, &plans, &entries), &expected);
        prop_assert_eq!((durable.applied(), durable.digest().unwrap()), (applied.clone(), digest));
        check(&durable, &model)?;
        // Nothing was confirmed but the empty table, so everything is undone.
        let rewound = durable.rewind().unwrap();
        prop_assert_eq!(rewound.digest, *blake3::hash(&[0; 2048]).as_bytes());
        check(&durable, &Model::default())?;
        prop_assert_eq!(&apply_in_calls(&durable, &plans, &entries), &expected);
        prop_assert_eq!((durable.applied(), durable.digest().unwrap()), (applied, digest));
    }
}
