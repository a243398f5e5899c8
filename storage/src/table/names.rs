//! Directories: which names lie in them, kept as values come and go.
//!
//! A name may have a value under it, names under it, or both; it is one name and counts once. A directory exists
//! while it has names; an empty one has no row and revision 0, so that a guard on it says "empty". A name that
//! appears in an empty directory makes that directory appear in its own parent, and so on up; the last one that
//! vanishes undoes it.

use bytes::Bytes;
use conclave_batch::Directory;

use super::TableError;
use super::format::{HAS_CHILDREN, HAS_VALUE, directory_row, malformed, name_key, name_row, read_directory, read_name};
use super::rows::{Partition, RowView};
use super::transaction::Transaction;

/// A key got its first value at `index`.
pub(crate) fn value_appeared<V: RowView>(
    transaction: &mut Transaction<'_, V>,
    key: &Bytes,
    index: u64,
) -> Result<(), TableError> {
    let mut flag = HAS_VALUE;
    for name in path_upwards(key) {
        let name_key = Bytes::from(name_key(&name.directory, &name.segment));
        let flags = flags_of(transaction, &name_key)?;
        transaction.set(Partition::Names, name_key, Some(name_row(index, flags | flag)))?;
        let directory = directory_of(transaction, &name.directory)?;
        let count = directory.count + u64::from(flags == 0);
        set_directory(transaction, name.directory, Directory { revision: index, count })?;
        if directory.count > 0 {
            return Ok(());
        }
        flag = HAS_CHILDREN;
    }
    Ok(())
}

/// A key lost its value at `index`.
pub(crate) fn value_vanished<V: RowView>(
    transaction: &mut Transaction<'_, V>,
    key: &Bytes,
    index: u64,
) -> Result<(), TableError> {
    let mut flag = HAS_VALUE;
    for name in path_upwards(key) {
        let name_key = Bytes::from(name_key(&name.directory, &name.segment));
        let flags = flags_of(transaction, &name_key)?;
        let directory = directory_of(transaction, &name.directory)?;
        if flags & flag == 0 || directory.count == 0 {
            return Err(malformed("name or directory"));
        }
        let left = flags & !flag;
        transaction.set(Partition::Names, name_key, (left != 0).then(|| name_row(index, left)))?;
        let count = directory.count - u64::from(left == 0);
        set_directory(transaction, name.directory, Directory { revision: index, count })?;
        if count > 0 {
            return Ok(());
        }
        flag = HAS_CHILDREN;
    }
    Ok(())
}

/// The directory's row as of now; the default if there is none.
pub(crate) fn directory_of<V: RowView>(
    transaction: &mut Transaction<'_, V>,
    key: &Bytes,
) -> Result<Directory, TableError> {
    transaction.get(Partition::Directories, key)?.map_or(Ok(Directory::default()), |row| read_directory(&row))
}

fn set_directory<V: RowView>(
    transaction: &mut Transaction<'_, V>,
    key: Bytes,
    directory: Directory,
) -> Result<(), TableError> {
    transaction.set(Partition::Directories, key, (directory.count > 0).then(|| directory_row(directory)))
}

fn flags_of<V: RowView>(transaction: &mut Transaction<'_, V>, name_key: &Bytes) -> Result<u8, TableError> {
    transaction.get(Partition::Names, name_key)?.map_or(Ok(0), |row| read_name(&row))
}

/// One step of a key's path.
struct Step {
    directory: Bytes,
    segment: Bytes,
}

/// The steps of a well-formed key, the last segment first.
fn path_upwards(key: &Bytes) -> impl Iterator<Item = Step> {
    let mut starts = Vec::with_capacity(8);
    let mut at = 0;
    while let Some(length) = key[at..].first_chunk::<2>() {
        starts.push(at);
        at += 2 + usize::from(u16::from_be_bytes(*length));
    }
    let key = key.clone();
    let mut end = at;
    starts.into_iter().rev().map(move |start| {
        let step = Step { directory: key.slice(..start), segment: key.slice(start + 2..end) };
        end = start;
        step
    })
}
