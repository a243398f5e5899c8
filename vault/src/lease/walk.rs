//! Going through the leases at a place, some at a time, in the order in which the store keeps them.

use crate::error::Error;
use crate::lease::{Origin, borrowed};
use crate::store::Store;

/// A lease that was found: the directory and the name, as the store has them.
pub(crate) struct Found {
    path: Vec<String>,
}

impl Found {
    /// Its name, which is the hash of a token.
    pub(crate) fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// Removes its entry.
    pub(crate) fn remove(&self, store: &mut Store<'_>) {
        let system = store.system();
        store.delete(&system, &borrowed(&self.path));
    }

    /// Where a later walk at the same place goes on.
    pub(crate) fn cursor(&self, origin: &Origin) -> Vec<String> {
        self.path[origin.directory().len()..].to_vec()
    }
}

/// Up to `limit` leases at a place and below it, behind the one that an earlier walk ended with. Fewer mean that there
/// are no more. Not a guard: whoever changes something reads the record that the lease names.
pub(crate) fn leases(store: &Store<'_>, origin: &Origin, after: &[String], limit: usize) -> Result<Vec<Found>, Error> {
    let mut walk = Walk { store, limit, path: origin.directory(), found: Vec::new() };
    walk.go(after)?;
    Ok(walk.found)
}

struct Walk<'w, 's> {
    store: &'w Store<'s>,
    limit: usize,
    path: Vec<String>,
    found: Vec<Found>,
}

impl Walk<'_, '_> {
    /// Walks the directory at the present path: of each name first what lies below it, then itself.
    fn go(&mut self, after: &[String]) -> Result<(), Error> {
        let mut last = after.first().cloned();
        if let [name, deeper @ ..] = after
            && !deeper.is_empty()
        {
            self.path.push(name.clone());
            self.go(deeper)?;
            let has_value = self.store.holds(&self.store.system(), &borrowed(&self.path))?;
            self.found_here(has_value);
            self.path.pop();
        }
        while !self.is_full() {
            let wanted = self.limit - self.found.len();
            let path = borrowed(&self.path);
            let page = self.store.sample_after(&self.store.system(), &path, last.as_deref(), wanted)?;
            for name in &page {
                self.path.push(name.name.to_string());
                if name.has_children && !self.is_full() {
                    self.go(&[])?;
                }
                self.found_here(name.has_value);
                self.path.pop();
            }
            if page.len() < wanted {
                break;
            }
            last = page.last().map(|name| name.name.to_string());
        }
        Ok(())
    }

    fn found_here(&mut self, has_value: bool) {
        if has_value && !self.is_full() {
            self.found.push(Found { path: self.path.clone() });
        }
    }

    fn is_full(&self) -> bool {
        self.found.len() >= self.limit
    }
}
