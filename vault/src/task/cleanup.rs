//! Removing what a small batch made unreachable: descendants of dead tokens, their private stores, unmounted engines.
//!
//! A task is written by the very batch that makes it necessary, and deleted by the batch that finds nothing left, so it
//! survives a crash at any point. Whoever could add to what is being removed guards the record that is already gone.

use bytes::Bytes;
use prost::Message;
use zeroize::{Zeroize, Zeroizing};

use crate::barrier::mount_keys::MountKeys;
use crate::context::Context;
use crate::error::Error;
use crate::mount::{Mount, MountTable};
use crate::store::{Area, MountId, ROOT_NAMESPACE, Store};
use crate::task::{Run, tree};
use crate::time::Time;
use crate::token::record::{self, TokenRecord};
use crate::token::{self, revoke};

/// Directory of the tasks.
const FOLDER: &str = "task";
/// Most tasks that one run looks at.
const MAX_TASKS: usize = 64;
/// Most pieces of work for one task in one run, so that a large one leaves room for others.
const MAX_TASK_ITEMS: usize = 128;

/// Work to be done.
#[derive(Clone, PartialEq, Eq)]
pub enum Task {
    /// A token is gone: end its children, then delete its private store.
    EndToken {
        /// Its hash.
        hash: String,
    },
    /// A token left a tombstone: make its children orphans, then delete tombstone and private store.
    OrphanChildren {
        /// Its hash.
        hash: String,
    },
    /// A mount is gone: delete its records.
    DropMount {
        /// Its id, 16 bytes.
        id: Vec<u8>,
        /// Its keys, without which its names cannot be read.
        keys: Zeroizing<Vec<u8>>,
    },
    /// What lay in a folder of a mount is out of reach: delete it. The folder's name is never used again.
    DropFolder {
        /// The mount's id, 16 bytes.
        id: Vec<u8>,
        /// The mount's keys.
        keys: Zeroizing<Vec<u8>>,
        /// The folder's path in the mount's area.
        path: Vec<String>,
    },
}

/// A task as it is stored; its kind is in its name.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct TaskRecord {
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
    /// Path of a folder in the mount's area; empty for other kinds.
    #[prost(string, repeated, tag = "5")]
    pub path: Vec<String>,
}

impl Drop for TaskRecord {
    fn drop(&mut self) {
        self.mount_keys.zeroize();
    }
}

impl Task {
    fn name(&self) -> String {
        match self {
            Self::EndToken { hash } => format!("end.{hash}"),
            Self::OrphanChildren { hash } => format!("orphan.{hash}"),
            Self::DropMount { id, .. } => format!("drop.{}", hex::encode(id)),
            Self::DropFolder { id, path, .. } => format!("folder.{}.{}", hex::encode(id), path.join(".")),
        }
    }

    fn from_record(name: &str, record: &TaskRecord) -> Option<Self> {
        let (id, keys) = (record.mount_id.to_vec(), Zeroizing::new(record.mount_keys.clone()));
        match name.split_once('.')?.0 {
            "end" => Some(Self::EndToken { hash: record.token.clone() }),
            "orphan" => Some(Self::OrphanChildren { hash: record.token.clone() }),
            "drop" => Some(Self::DropMount { id, keys }),
            "folder" => Some(Self::DropFolder { id, keys, path: record.path.clone() }),
            _ => None,
        }
    }

    fn record(&self, now: Time) -> TaskRecord {
        let mut record = TaskRecord::default();
        record.since_nanos = now.nanos();
        match self {
            Self::EndToken { hash } | Self::OrphanChildren { hash } => record.token.clone_from(hash),
            Self::DropMount { id, keys } => {
                record.mount_id = Bytes::copy_from_slice(id);
                record.mount_keys.clone_from(keys);
            }
            Self::DropFolder { id, keys, path } => {
                record.mount_id = Bytes::copy_from_slice(id);
                record.mount_keys.clone_from(keys);
                record.path.clone_from(path);
            }
        }
        record
    }
}

/// Whether what a token left is still to be removed.
pub fn is_ending(store: &mut Store<'_>, hash: &str) -> Result<bool, Error> {
    let system = store.system();
    for task in [Task::EndToken { hash: hash.to_owned() }, Task::OrphanChildren { hash: hash.to_owned() }] {
        if store.contains(&system, &[FOLDER, &task.name()])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes a task, in the batch that makes it necessary.
pub fn add(store: &mut Store<'_>, now: Time, task: &Task) -> Result<(), Error> {
    let system = store.system();
    store.put(&system, &[FOLDER, &task.name()], &task.record(now))
}

/// Writes the task that deletes the records of a mount whose entry the same batch removes from the mount table.
pub fn schedule_drop(store: &mut Store<'_>, context: &Context<'_>, mount: &Mount) -> Result<(), Error> {
    let (id, keys) = (mount.record.id.clone(), mount.keys.to_bytes());
    add(store, context.now, &Task::DropMount { id, keys })
}

/// Does some of the work that waits.
pub(super) fn run(store: &mut Store<'_>, context: &mut Context<'_>, run: &mut Run) -> Result<(), Error> {
    let now = context.now;
    for name in store.sample(&store.system(), &[FOLDER], MAX_TASKS)? {
        let limit = run.left.min(MAX_TASK_ITEMS);
        if limit == 0 {
            break;
        }
        run.attempt(store, |store| {
            let system = store.system();
            let Some(record) = store.get::<TaskRecord>(&system, &[FOLDER, &name.name])? else { return Ok(0) };
            let task = Task::from_record(&name.name, &record);
            let task =
                task.ok_or_else(|| Error::internal("a background task is of a kind that this version does not know"))?;
            let done = work(store, now, &task, limit)?;
            if done < limit {
                store.delete(&system, &[FOLDER, &name.name]);
            }
            Ok(done + 1)
        });
    }
    Ok(())
}

/// Does up to `limit` pieces of a task; fewer mean that nothing is left.
fn work(store: &mut Store<'_>, now: Time, task: &Task, limit: usize) -> Result<usize, Error> {
    match task {
        Task::EndToken { hash } => {
            let done = each_child(store, hash, limit, |store, child| match token::stored(store, child)? {
                Some(token) => revoke::end(store, now, &token),
                None => Ok(()),
            })?;
            delete_cubbyhole(store, hash, limit, done)
        }
        Task::OrphanChildren { hash } => {
            let done = each_child(store, hash, limit, make_orphan)?;
            let done = delete_cubbyhole(store, hash, limit, done)?;
            if done < limit {
                let system = store.system();
                store.delete(&system, &record::token_path(hash));
            }
            Ok(done)
        }
        Task::DropMount { id, keys } => tree::delete_below(store, &area_of(id, keys)?, &[], limit),
        Task::DropFolder { id, keys, path } => {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            tree::delete_below(store, &area_of(id, keys)?, &path, limit)
        }
    }
}

/// The area of a mount, which may be gone from the mount table.
fn area_of(id: &[u8], keys: &[u8]) -> Result<Area, Error> {
    let id: MountId = id.try_into().map_err(|_| Error::internal("a dropped mount's id is not 16 bytes"))?;
    let keys = MountKeys::from_bytes(keys).map_err(|error| Error::internal(error.to_string()))?;
    Ok(Area::new(ROOT_NAMESPACE, id, keys.names()))
}

/// Takes up to `limit` children off a token's list.
fn each_child(
    store: &mut Store<'_>,
    hash: &str,
    limit: usize,
    mut act: impl FnMut(&mut Store<'_>, &str) -> Result<(), Error>,
) -> Result<usize, Error> {
    let system = store.system();
    let children = store.sample(&system, &record::children_path(hash), limit)?;
    for child in &children {
        act(store, &child.name)?;
        store.delete(&system, &record::child_path(hash, &child.name));
    }
    Ok(children.len())
}

fn make_orphan(store: &mut Store<'_>, child: &str) -> Result<(), Error> {
    let system = store.system();
    let path = record::token_path(child);
    let Some(mut record) = store.get::<TokenRecord>(&system, &path)? else { return Ok(()) };
    record.parent.clear();
    store.put(&system, &path, &record)
}

/// Goes on with the private store of a token once its children are dealt with; returns all pieces done so far.
fn delete_cubbyhole(store: &mut Store<'_>, hash: &str, limit: usize, done: usize) -> Result<usize, Error> {
    if done >= limit {
        return Ok(done);
    }
    let mounts = MountTable::load(store)?;
    let mut done = done;
    for mount in mounts.iter().filter(|mount| mount.engine.kind == "cubbyhole") {
        if done < limit {
            done += tree::delete_below(store, &mount.area, &[hash], limit - done)?;
        }
    }
    Ok(done)
}
