//! A lease's place in the tree: below the path that gave it, under its name.

use prost::Message;

use crate::error::Error;
use crate::lease::origin::Origin;
use crate::store::Store;

/// A lease's entry, and whatever else only says that a lease is there.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct EntryRecord {}

/// As the store takes it.
pub(super) fn borrowed(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

/// Lets a lease be found by its path.
pub(crate) fn add(store: &mut Store<'_>, origin: &Origin, name: &str) -> Result<(), Error> {
    let system = store.system();
    store.put(&system, &borrowed(&origin.place(name)), &EntryRecord {})
}

/// Takes back [`add`]; absent is as good.
pub(crate) fn remove(store: &mut Store<'_>, origin: &Origin, name: &str) {
    let system = store.system();
    store.delete(&system, &borrowed(&origin.place(name)));
}

/// Whether anything may lie at a place or below it.
pub(crate) fn is_any(store: &mut Store<'_>, origin: &Origin) -> Result<bool, Error> {
    let system = store.system();
    Ok(store.count(&system, &borrowed(&origin.directory()))? > 0)
}
