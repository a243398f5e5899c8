//! The names in a directory: decrypted, sorted, and kept up to date by what is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use conclave_batch::key::push_segment;

use crate::error::Error;
use crate::store::{Area, Store};

/// What a name in a list costs besides its own bytes, in bytes, roughly.
const NAME_BYTES: usize = 32;
/// Names that are looked at one by one, however short a list is.
const FEW_EDITS: usize = 16;
/// Names read from a directory at once.
const NAMES_PAGE: usize = 1024;
/// One name of a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The segment, decrypted; lists of different points in time share it.
    pub name: Arc<str>,
    /// Whether a record lies under it.
    pub has_value: bool,
    /// Whether names lie below it.
    pub has_children: bool,
}

impl Store<'_> {
    /// How many names a directory holds.
    pub fn count(&mut self, area: &Area, path: &[&str]) -> Result<u64, Error> {
        let key = self.key(area, path);
        let directory = self.view.directory(&key)?;
        self.reads.push((key, true, directory.revision));
        Ok(directory.count)
    }

    /// All names of a directory, sorted. The sorted list is kept under the directory's revision, and edited when that changes.
    pub fn list(&mut self, area: &Area, path: &[&str]) -> Result<Arc<Vec<Name>>, Error> {
        let key = self.key(area, path);
        let directory = self.view.directory(&key)?;
        self.reads.push((key.clone(), true, directory.revision));
        if directory.count == 0 {
            return Ok(Arc::default());
        }
        if let Some(names) = self.cache.get::<Vec<Name>>(&key, directory.revision, self.view) {
            return Ok(names);
        }
        let names = match self.edited(area, &key, directory.count)? {
            Some(names) => names,
            None => self.read_names(area, &key, directory.count)?,
        };
        let bytes = names.iter().map(|name| size_of::<Name>() + NAME_BYTES + name.name.len()).sum();
        let names = Arc::new(names);
        self.keep(&key, directory.revision, &names, bytes);
        Ok(names)
    }

    fn read_names(&self, area: &Area, key: &Bytes, count: u64) -> Result<Vec<Name>, Error> {
        let mut names = Vec::with_capacity(usize::try_from(count).unwrap_or(0).min(1 << 20));
        let mut after: Option<Bytes> = None;
        loop {
            let page = self.view.names(key, after.as_deref(), NAMES_PAGE)?;
            for name in &page {
                names.push(self.open_name(area, key, name)?);
            }
            after = page.last().map(|name| name.segment.clone());
            if page.len() < NAMES_PAGE {
                break;
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The names of a directory out of an earlier list and the keys that were written since, of which alone the names are
    /// decrypted and looked at; `None` if there is no such list, or so much was written that it is better read anew.
    fn edited(&self, area: &Area, key: &Bytes, count: u64) -> Result<Option<Vec<Name>>, Error> {
        let Some((since, earlier)) = self.cache.earlier::<Vec<Name>>(key, self.view) else { return Ok(None) };
        let Some(segments) = self.view.written_below(key, since) else { return Ok(None) };
        // A name that is looked at costs about four that are read in a row.
        if segments.len() > FEW_EDITS && u64::try_from(segments.len()).is_ok_and(|edits| edits > count / 4) {
            return Ok(None);
        }
        let mut edits: BTreeMap<Arc<str>, Name> = BTreeMap::new();
        for segment in segments {
            let mut inner = key.to_vec();
            push_segment(&mut inner, &segment);
            let has_value = self.view.get(&inner)?.is_some();
            let has_children = self.view.directory(&inner)?.count > 0;
            let name = self.open_name(area, key, &conclave_batch::Name { segment, has_value, has_children })?;
            edits.insert(Arc::clone(&name.name), name);
        }
        let mut names = Vec::with_capacity(earlier.len() + edits.len());
        names.extend(earlier.iter().filter(|name| !edits.contains_key(&name.name)).cloned());
        names.extend(edits.into_values().filter(|name| name.has_value || name.has_children));
        // Two runs that are sorted already.
        names.sort();
        // The table counts by itself; a list that does not add up is read anew.
        Ok((u64::try_from(names.len()).ok() == Some(count)).then_some(names))
    }

    /// Up to `limit` names of a directory in no particular order, not a guard: for work in the background.
    pub fn sample(&self, area: &Area, path: &[&str], limit: usize) -> Result<Vec<Name>, Error> {
        self.sample_after(area, path, None, limit)
    }

    /// The names that [`Store::sample`] gives behind one of them, which need not be there any more.
    pub fn sample_after(
        &self,
        area: &Area,
        path: &[&str],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Name>, Error> {
        let key = self.key(area, path);
        let after = after.map(|name| area.names.encrypt(name, &key));
        let page = self.view.names(&key, after.as_deref(), limit)?;
        page.iter().map(|name| self.open_name(area, &key, name)).collect()
    }

    fn open_name(&self, area: &Area, parent: &[u8], name: &conclave_batch::Name) -> Result<Name, Error> {
        let text = area
            .names
            .decrypt(&name.segment, parent)
            .map_err(|error| Error::internal(format!("a name does not open: {error}")))?;
        Ok(Name { name: text.into(), has_value: name.has_value, has_children: name.has_children })
    }
}
