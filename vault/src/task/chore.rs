//! Removing what a small batch made unreachable: descendants of dead tokens, their private stores, unmounted engines.
//!
//! A chore is written by the very batch that makes it necessary, and deleted by the batch that finds nothing left, so it
//! survives a crash at any point. Whoever could add to what is being removed guards the record that is already gone.

use bytes::Bytes;
use prost::Message;
use zeroize::Zeroize;

use crate::context::Context;
use crate::error::Error;
use crate::limits::{MAX_CHORE_ITEMS, MAX_CHORES};
use crate::store::Store;
use crate::task::budget::Budget;
use crate::time::Time;

/// Directory of the chores.
const FOLDER: &str = "task";

/// Does up to a number of pieces of a chore; fewer mean that nothing is left.
pub(crate) type Step = for<'s> fn(&mut Store<'s>, &mut Context<'s>, &ChoreRecord, usize) -> Result<usize, Error>;

/// A kind of chore.
pub(crate) struct Chore {
    /// The first part of the stored names, up to a dot.
    pub word: &'static str,
    /// What is done in one run.
    pub step: Step,
}

/// A chore as it is stored; its kind is in its name.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct ChoreRecord {
    /// When it was written, nanoseconds since the Unix epoch.
    #[prost(int64, tag = "1")]
    pub since_nanos: i64,
    /// Hash of a token; empty for other kinds.
    #[prost(string, tag = "2")]
    pub token: String,
    /// Id of a mount; empty for other kinds.
    #[prost(bytes = "bytes", tag = "3")]
    pub mount_id: Bytes,
    /// Keys of the mount; secret, and wiped when the record is dropped.
    #[prost(bytes = "vec", tag = "4")]
    pub mount_keys: Vec<u8>,
    /// Path of a folder in the mount's area, or where a chore goes on; empty for other kinds.
    #[prost(string, repeated, tag = "5")]
    pub path: Vec<String>,
    /// What the engine calls it, or a path below the mount; empty for other kinds.
    #[prost(string, tag = "6")]
    pub name: String,
    /// Generation of a mark (see [`crate::lease::revocation`]); 0 for other kinds.
    #[prost(uint64, tag = "7")]
    pub generation: u64,
    /// Whether what cannot be taken back is forgotten.
    #[prost(bool, tag = "8")]
    pub is_forced: bool,
}

impl Drop for ChoreRecord {
    fn drop(&mut self) {
        self.mount_keys.zeroize();
    }
}

impl Chore {
    fn entry(&self, name: &str) -> String {
        format!("{}.{name}", self.word)
    }
}

/// Writes a chore, in the batch that makes it necessary. `name` tells it from others of its kind.
pub(crate) fn add(
    store: &mut Store<'_>,
    now: Time,
    chore: &Chore,
    name: &str,
    mut record: ChoreRecord,
) -> Result<(), Error> {
    let system = store.system();
    record.since_nanos = now.nanos();
    store.put(&system, &[FOLDER, &chore.entry(name)], &record)
}

/// Takes back [`add`]; absent is as good.
pub(crate) fn forget(store: &mut Store<'_>, chore: &Chore, name: &str) {
    let system = store.system();
    store.delete(&system, &[FOLDER, &chore.entry(name)]);
}

/// Whether a chore is not done yet.
pub(crate) fn is_left(store: &mut Store<'_>, chore: &Chore, name: &str) -> Result<bool, Error> {
    let system = store.system();
    store.contains(&system, &[FOLDER, &chore.entry(name)])
}

/// Does some of the work that waits.
pub(super) fn run<'s>(
    store: &mut Store<'s>,
    context: &mut Context<'s>,
    budget: &mut Budget,
    chores: &[&Chore],
) -> Result<(), Error> {
    for name in store.sample(&store.system(), &[FOLDER], MAX_CHORES)? {
        let limit = budget.left.min(MAX_CHORE_ITEMS);
        if limit == 0 {
            break;
        }
        budget.attempt(store, |store| {
            let system = store.system();
            let Some(record) = store.get::<ChoreRecord>(&system, &[FOLDER, &name.name])? else { return Ok(0) };
            let word = name.name.split_once('.').map_or("", |(word, _)| word);
            let chore = chores
                .iter()
                .find(|chore| chore.word == word)
                .ok_or_else(|| Error::internal("a background task is of a kind that this version does not know"))?;
            let done = (chore.step)(store, context, &record, limit)?;
            if done < limit {
                store.delete(&system, &[FOLDER, &name.name]);
            }
            Ok(done + 1)
        });
    }
    Ok(())
}
