//! What happens to a mount without a request: what its engine wanted to be reminded of, its engine's long work, and the
//! removal of what is out of reach.
//!
//! An entry of the calendar or a chore names its mount by id, never by path. One whose mount is gone has nothing to do: the
//! records of a mount go with it.

use std::sync::Arc;

use bytes::Bytes;

use crate::barrier::mount_keys::MountKeys;
use crate::context::Context;
use crate::engine::Work;
use crate::error::Error;
use crate::mount::Mount;
use crate::mount::table::MountTable;
use crate::store::{Area, MountId, Store};
use crate::task::calendar::{self, Reminder};
use crate::task::chore::{self, Chore, ChoreRecord};
use crate::task::tree;
use crate::time::Time;

/// Has the engine of a mount do what is due: [`crate::engine::Life::due`].
pub(crate) static REMINDER: Reminder = Reminder { word: "mount", due };
/// Has the engine of a mount do some of its long work: [`crate::engine::Life::chore`].
pub(crate) static CHORE: Chore = Chore { word: "mount", step: do_chore };
/// A mount is gone: deletes its records.
pub(crate) static DROP_MOUNT: Chore = Chore { word: "drop", step: delete_records };
/// What lay in a folder of a mount is out of reach: deletes it. The folder's name is never used again.
pub(crate) static DROP_FOLDER: Chore = Chore { word: "folder", step: delete_records };

impl Work<'_, '_> {
    /// Has the engine's [`crate::engine::Life::due`] called with a name once a time is past.
    pub fn remind(&mut self, when: Time, name: &str) -> Result<(), Error> {
        calendar::schedule(self.store, when, &REMINDER, &self.named(name))
    }

    /// Takes back [`Work::remind`]; absent is as good.
    pub fn forget_reminder(&mut self, when: Time, name: &str) {
        calendar::unschedule(self.store, when, &REMINDER, &self.named(name));
    }

    /// Has the engine's [`crate::engine::Life::chore`] called with a name until it finds nothing left.
    pub fn add_chore(&mut self, name: &str) -> Result<(), Error> {
        let mut record = ChoreRecord::default();
        record.mount_id = Bytes::copy_from_slice(&self.mount.record.id);
        name.clone_into(&mut record.name);
        chore::add(self.store, self.context.now, &CHORE, &self.named(name), record)
    }

    /// Has everything below a folder deleted that nobody reaches any more, and whose name is never used again.
    pub fn drop_folder(&mut self, path: &[&str]) -> Result<(), Error> {
        let name = self.named(&path.join("."));
        let mut record = of_mount(&self.mount);
        record.path = path.iter().copied().map(str::to_owned).collect();
        chore::add(self.store, self.context.now, &DROP_FOLDER, &name, record)
    }

    fn named(&self, name: &str) -> String {
        format!("{}.{name}", hex::encode(&self.mount.record.id))
    }
}

/// Has the records of a mount deleted whose entry the same batch removes from the mount table.
pub(crate) fn drop_mount(store: &mut Store<'_>, context: &Context<'_>, mount: &Mount) -> Result<(), Error> {
    chore::add(store, context.now, &DROP_MOUNT, &hex::encode(&mount.record.id), of_mount(mount))
}

fn of_mount(mount: &Mount) -> ChoreRecord {
    let mut record = ChoreRecord::default();
    record.mount_id = Bytes::copy_from_slice(&mount.record.id);
    record.mount_keys = mount.keys.to_bytes().to_vec();
    record
}

fn due<'s>(store: &mut Store<'s>, context: &mut Context<'s>, name: &str) -> Result<(), Error> {
    let (id, name) = name.split_once('.').ok_or_else(|| Error::internal("an entry of the calendar names no mount"))?;
    let mounts = MountTable::load(store)?;
    let Some(mount) = mounts.iter().find(|mount| hex::encode(&mount.record.id) == id).cloned() else { return Ok(()) };
    match mount.engine.life.due {
        Some(due) => due(&mut Work { context, store, mount: Arc::clone(&mount.mount) }, name),
        None => Ok(()),
    }
}

fn do_chore<'s>(
    store: &mut Store<'s>,
    context: &mut Context<'s>,
    record: &ChoreRecord,
    limit: usize,
) -> Result<usize, Error> {
    let mounts = MountTable::load(store)?;
    let Some(mount) = mounts.iter().find(|mount| mount.record.id == record.mount_id).cloned() else { return Ok(0) };
    match mount.engine.life.chore {
        Some(chore) => chore(&mut Work { context, store, mount: Arc::clone(&mount.mount) }, &record.name, limit),
        None => Ok(0),
    }
}

/// Deletes what lies below the path of a chore in the area of its mount, which may be gone from the mount table.
fn delete_records<'s>(
    store: &mut Store<'s>,
    _: &mut Context<'s>,
    record: &ChoreRecord,
    limit: usize,
) -> Result<usize, Error> {
    let id: MountId =
        record.mount_id.as_ref().try_into().map_err(|_| Error::internal("a dropped mount's id is not 16 bytes"))?;
    let keys = MountKeys::from_bytes(&record.mount_keys).map_err(|error| Error::internal(error.to_string()))?;
    let path: Vec<&str> = record.path.iter().map(String::as_str).collect();
    let area = Area::new(store.namespace(), id, keys.names());
    tree::delete_below(store, &area, &path, limit)
}
