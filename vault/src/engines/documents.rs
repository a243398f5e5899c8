//! JSON objects under paths: what KV version 1 and the cubbyhole store.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::engines::listing;
use crate::error::Error;
use crate::store::{Area, Name, Store};

/// A tree of documents inside a mount's area, below a root of its own.
pub(crate) struct Documents<'r> {
    area: Area,
    root: &'r str,
}

impl<'r> Documents<'r> {
    /// The tree below `root`.
    pub(crate) fn new(area: Area, root: &'r str) -> Self {
        Self { area, root }
    }

    fn path<'p>(&self, path: &'p str) -> Vec<&'p str>
    where
        'r: 'p,
    {
        std::iter::once(self.root).chain(path.split('/').filter(|segment| !segment.is_empty())).collect()
    }

    /// Whether a document is there. A folder is none.
    pub(crate) fn contains(&self, store: &mut Store<'_>, path: &str) -> Result<bool, Error> {
        if is_folder(path) { Ok(false) } else { store.contains(&self.area, &self.path(path)) }
    }

    /// A document.
    pub(crate) fn get(&self, store: &mut Store<'_>, path: &str) -> Result<Option<Map<String, Value>>, Error> {
        if is_folder(path) {
            return Ok(None);
        }
        let bytes = store.get_bytes(&self.area, &self.path(path))?;
        let parse = |bytes: Zeroizing<Vec<u8>>| {
            serde_json::from_slice(&bytes).map_err(|_| Error::internal("a stored document is no JSON object"))
        };
        bytes.map(parse).transpose()
    }

    /// Replaces a document as a whole.
    pub(crate) fn put(&self, store: &mut Store<'_>, path: &str, document: &Map<String, Value>) -> Result<(), Error> {
        let bytes = serde_json::to_vec(document).map_err(|error| Error::internal(error.to_string()))?;
        store.put_bytes(&self.area, &self.path(path), Zeroizing::new(bytes))
    }

    /// Deletes a document; a folder stays.
    pub(crate) fn delete(&self, store: &mut Store<'_>, path: &str) -> Result<(), Error> {
        if !is_folder(path) && store.contains(&self.area, &self.path(path))? {
            store.delete(&self.area, &self.path(path));
        }
        Ok(())
    }

    /// The names of all documents below a folder, relative to it.
    pub(crate) fn below(&self, store: &mut Store<'_>, path: &str) -> Result<Vec<String>, Error> {
        listing::below(store, &self.area, &self.path(path))
    }

    /// The names in a folder.
    pub(crate) fn list(&self, store: &mut Store<'_>, path: &str) -> Result<std::sync::Arc<Vec<Name>>, Error> {
        store.list(&self.area, &self.path(path))
    }
}

fn is_folder(path: &str) -> bool {
    path.is_empty() || path.ends_with('/')
}
