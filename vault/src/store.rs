//! One request's window on the store: plaintext paths in, guards and operations out.
//!
//! Every key that is read is recorded with the revision it had and becomes a guard; every write waits until the request
//! ends and becomes an operation, encrypted under the batch's id. [`Store::get`] sees the request's own writes. Listing reads
//! the directory as it was, because no request lists what it just wrote.

mod area;
mod names;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use conclave_batch::View;
use conclave_batch::key::push_segment;
use conclave_batch::{Batch, Guard, MAX_BATCH_BYTES, MAX_GUARDS, MAX_OPS, MAX_VALUE_BYTES, Op};
use parking_lot::RwLockReadGuard;
use prost::Message;
use zeroize::Zeroizing;

pub(crate) use self::area::{Area, MountId, NamespaceId, ROOT_NAMESPACE, SYSTEM};
pub(crate) use self::names::Name;
use crate::barrier::Barrier;
use crate::barrier::cipher::VALUE_OVERHEAD_BYTES;
use crate::batch::{self, Proposal};
use crate::cache::Cache;
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::limits::MAX_SEGMENT_BYTES;
use crate::seal::record::KEYRING;

/// First segment of keys outside the barrier; no namespace id has its length.
const OPEN: &[u8] = b"open";
/// How much larger than its record a decoded object is at most, roughly.
const DECODED_FACTOR: usize = 4;
/// Longest plaintext of a record, in bytes: what encryption adds counts as well.
pub(crate) const MAX_PLAINTEXT_BYTES: usize = MAX_VALUE_BYTES - VALUE_OVERHEAD_BYTES;

/// The key of a record outside the barrier.
pub fn open_key(name: &str) -> Bytes {
    let mut key = Vec::with_capacity(8 + name.len());
    push_segment(&mut key, OPEN);
    push_segment(&mut key, name.as_bytes());
    key.into()
}

/// The engines of a core, which a store hands on to handlers. [`crate::registry::Registry`] is the one type that is this;
/// were the store to name it, the two would be one knot.
pub(crate) trait Engines: Any + Send + Sync {}

/// A state of a request's writes.
pub struct Savepoint(BTreeMap<Bytes, Write>);

/// A write that waits for the request to end.
#[derive(Clone)]
enum Write {
    Put { namespace: NamespaceId, plaintext: Zeroizing<Vec<u8>>, is_open: bool },
    Delete,
}

/// One request's reads and writes.
pub struct Store<'a> {
    view: &'a dyn View,
    barrier: &'a Barrier,
    cache: &'a Cache,
    engines: &'a dyn Engines,
    /// Keeps the keys in memory until this request is done with them.
    _run: RwLockReadGuard<'a, ()>,
    system: Area,
    /// Key, whether the directory was read rather than the record, revision. One may stand here more than once.
    reads: Vec<(Bytes, bool, u64)>,
    writes: BTreeMap<Bytes, Write>,
    /// Keys of the writes that stay although the request is refused.
    lasting: BTreeSet<Bytes>,
    is_lasting: bool,
    /// Whether what it decodes goes into the cache.
    fills_cache: bool,
}

impl<'a> Store<'a> {
    /// A window on a view, for the length of a run; [`crate::core::Core::store`] makes it.
    pub(crate) fn new(
        view: &'a dyn View,
        barrier: &'a Barrier,
        cache: &'a Cache,
        engines: &'a dyn Engines,
        run: RwLockReadGuard<'a, ()>,
    ) -> Self {
        let system = Area::new(ROOT_NAMESPACE, SYSTEM, barrier.system_names());
        let (reads, writes, lasting) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        Self {
            view,
            barrier,
            cache,
            engines,
            _run: run,
            system,
            reads,
            writes,
            lasting,
            is_lasting: false,
            fills_cache: true,
        }
    }

    /// Answers from the cache and puts nothing there: for work that walks over what no request needs again.
    pub(crate) fn passing(mut self) -> Self {
        self.fills_cache = false;
        self
    }

    /// The namespace that this window is on.
    pub(crate) fn namespace(&self) -> NamespaceId {
        self.system.namespace
    }

    /// The system's area of the namespace.
    pub fn system(&self) -> Area {
        self.system.clone()
    }

    /// The keys behind it.
    pub fn barrier(&self) -> &'a Barrier {
        self.barrier
    }

    /// Decoded objects, for what is made from several records.
    pub fn cache(&self) -> &'a Cache {
        self.cache
    }

    /// The core's engines; [`crate::registry::Registry::of`] gives them their type.
    pub(crate) fn engines(&self) -> &'a dyn Engines {
        self.engines
    }

    /// Log index of the view.
    pub fn index(&self) -> u64 {
        self.view.index()
    }

    /// Whether the request wrote anything.
    pub fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    /// The writes so far, to go back to with [`Store::discard_since`].
    pub fn mark(&mut self) -> Savepoint {
        Savepoint(self.writes.clone())
    }

    /// Forgets the writes since the mark, but for lasting ones; the reads stay guards.
    pub fn discard_since(&mut self, mark: Savepoint) {
        let since = std::mem::replace(&mut self.writes, mark.0);
        self.writes.extend(since.into_iter().filter(|(key, _)| self.lasting.contains(key)));
    }

    /// Forgets the writes before the mark; the reads stay guards.
    pub fn keep_since(&mut self, mark: &Savepoint) {
        self.writes.retain(|key, _| !mark.0.contains_key(key));
    }

    /// Lets the writes of some work stay although the request is refused, such as the count of refused logins.
    pub fn lasting<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        self.is_lasting = true;
        let done = work(self);
        self.is_lasting = false;
        done
    }

    /// The encrypted key of a path.
    fn key(&self, area: &Area, path: &[&str]) -> Bytes {
        let (path, make) = (area.plain(path), || area.key(path));
        if self.fills_cache { self.cache.key_of(path, make) } else { self.cache.known_key(&path).unwrap_or_else(make) }
    }

    fn write(&mut self, key: Bytes, write: Write) {
        if self.is_lasting {
            self.lasting.insert(key.clone());
        }
        self.writes.insert(key, write);
    }

    /// A record's plaintext.
    pub fn get_bytes(&mut self, area: &Area, path: &[&str]) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let key = self.key(area, path);
        self.get_key(area, &key)
    }

    fn get_key(&mut self, area: &Area, key: &Bytes) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        if let Some(write) = self.writes.get(key) {
            return Ok(match write {
                Write::Put { plaintext, .. } => Some(plaintext.clone()),
                Write::Delete => None,
            });
        }
        let record = self.view.get(key)?;
        self.reads.push((key.clone(), false, record.as_ref().map_or(0, |record| record.revision)));
        record.map(|record| self.open(area.namespace, key, &record.value)).transpose()
    }

    fn open(&self, namespace: NamespaceId, key: &Bytes, value: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.barrier
            .open_value(&namespace, key, value)
            .map_err(|error| Error::internal(format!("a record does not open: {error}")))
    }

    /// A record, decoded.
    pub fn get<T: Message + Default>(&mut self, area: &Area, path: &[&str]) -> Result<Option<T>, Error> {
        self.get_bytes(area, path)?.map(|bytes| decode(&bytes)).transpose()
    }

    /// A record, made into an object that is kept under its revision. For what many requests need; never for users' secrets.
    pub fn get_cached<T, F>(&mut self, area: &Area, path: &[&str], make: F) -> Result<Option<Arc<T>>, Error>
    where
        T: Send + Sync + 'static,
        F: FnOnce(&[u8]) -> Result<T, Error>,
    {
        let key = self.key(area, path);
        if self.writes.contains_key(&key) {
            return self.get_key(area, &key)?.map(|bytes| make(&bytes).map(Arc::new)).transpose();
        }
        if let Some((revision, object)) = self.cache.current(&key, self.view) {
            self.reads.push((key, false, revision));
            return Ok(Some(object));
        }
        let record = self.view.get(&key)?;
        self.reads.push((key.clone(), false, record.as_ref().map_or(0, |record| record.revision)));
        let Some(record) = record else { return Ok(None) };
        if let Some(object) = self.cache.get(&key, record.revision, self.view) {
            return Ok(Some(object));
        }
        let plaintext = self.open(area.namespace, &key, &record.value)?;
        let object = Arc::new(make(&plaintext)?);
        self.keep(&key, record.revision, &object, DECODED_FACTOR * plaintext.len());
        Ok(Some(object))
    }

    /// As [`Store::get_cached`], for a record that is usually absent, which stands for the default and is remembered too.
    pub fn get_cached_or_default<T, F>(&mut self, area: &Area, path: &[&str], make: F) -> Result<Arc<T>, Error>
    where
        T: Default + Send + Sync + 'static,
        F: FnOnce(&[u8]) -> Result<T, Error>,
    {
        if let Some(object) = self.get_cached(area, path, make)? {
            return Ok(object);
        }
        let (key, object) = (self.key(area, path), Arc::default());
        if !self.writes.contains_key(&key) {
            self.keep(&key, 0, &object, 0);
        }
        Ok(object)
    }

    /// Puts an object of about `bytes` into the cache, if this run fills it.
    fn keep<T: Send + Sync + 'static>(&self, key: &Bytes, revision: u64, object: &Arc<T>, bytes: usize) {
        if self.fills_cache {
            self.cache.put(key, revision, self.view, Arc::clone(object), bytes);
        }
    }

    /// Whether a record is there.
    pub fn contains(&mut self, area: &Area, path: &[&str]) -> Result<bool, Error> {
        let key = self.key(area, path);
        if let Some(write) = self.writes.get(&key) {
            return Ok(matches!(write, Write::Put { .. }));
        }
        let revision = self.view.get(&key)?.map_or(0, |record| record.revision);
        self.reads.push((key, false, revision));
        Ok(revision != 0)
    }

    /// The revision of a record as the view holds it; 0 if absent.
    pub fn revision(&mut self, area: &Area, path: &[&str]) -> Result<u64, Error> {
        let key = self.key(area, path);
        let revision = self.view.get(&key)?.map_or(0, |record| record.revision);
        self.reads.push((key, false, revision));
        Ok(revision)
    }

    /// Writes a record.
    pub fn put<T: Message>(&mut self, area: &Area, path: &[&str], record: &T) -> Result<(), Error> {
        self.put_bytes(area, path, Zeroizing::new(record.encode_to_vec()))
    }

    /// Writes a record's plaintext.
    pub fn put_bytes(&mut self, area: &Area, path: &[&str], plaintext: Zeroizing<Vec<u8>>) -> Result<(), Error> {
        if plaintext.len() > MAX_PLAINTEXT_BYTES {
            let message = format!(
                "the value is too large: {} bytes, at most {MAX_PLAINTEXT_BYTES} are stored in one record",
                plaintext.len()
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        if path.iter().any(|segment| segment.len() > MAX_SEGMENT_BYTES) {
            return Err(Error::invalid(format!("a name in the path is longer than {MAX_SEGMENT_BYTES} bytes")));
        }
        self.write(self.key(area, path), Write::Put { namespace: area.namespace, plaintext, is_open: false });
        Ok(())
    }

    /// Deletes a record; absent is as good.
    pub fn delete(&mut self, area: &Area, path: &[&str]) {
        self.write(self.key(area, path), Write::Delete);
    }

    /// A record outside the barrier.
    pub fn get_open(&mut self, name: &str) -> Result<Option<Bytes>, Error> {
        let key = open_key(name);
        let record = self.view.get(&key)?;
        self.reads.push((key, false, record.as_ref().map_or(0, |record| record.revision)));
        Ok(record.map(|record| record.value))
    }

    /// Writes a record outside the barrier. The list of those is closed: see [`crate::seal`].
    pub fn put_open(&mut self, name: &str, bytes: Vec<u8>) {
        let plaintext = Zeroizing::new(bytes);
        self.writes.insert(open_key(name), Write::Put { namespace: ROOT_NAMESPACE, plaintext, is_open: true });
    }

    /// Makes a record's present revision a guard without reading its content.
    pub fn guard_open(&mut self, name: &str) -> Result<(), Error> {
        self.get_open(name).map(|_| ())
    }

    /// Whether the view holds a record, not a guard: for work in the background.
    pub fn holds(&self, area: &Area, path: &[&str]) -> Result<bool, Error> {
        Ok(self.view.get(&self.key(area, path))?.is_some())
    }

    /// Ends the request: `None` if it wrote nothing, else a tagged batch with all reads as guards.
    pub fn finish(mut self, context: &mut Context<'_>) -> Result<Option<Proposal>, Error> {
        if self.writes.is_empty() {
            return Ok(None);
        }
        // A batch tagged under a term that was rotated away meanwhile loses the race and runs again under the new one.
        self.guard_open(KEYRING)?;
        if self.writes.len() > MAX_OPS {
            let message = format!("the request changes {} records, at most {MAX_OPS} at once", self.writes.len());
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        // One point in time has one revision of a key.
        self.reads.sort_unstable();
        self.reads.dedup();
        if self.reads.len() > MAX_GUARDS {
            let message = format!(
                "the request changes something and depends on {} records, at most {MAX_GUARDS} at once; ask for less",
                self.reads.len()
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let id = context.bytes::<16>();
        let mut ops = Vec::with_capacity(self.writes.len());
        for (key, write) in &self.writes {
            let value = match write {
                Write::Delete => None,
                Write::Put { plaintext, is_open: true, .. } => Some(Bytes::copy_from_slice(plaintext)),
                Write::Put { namespace, plaintext, is_open: false } => {
                    let sealed = self.barrier.seal_value(namespace, key, &id, plaintext, context.random);
                    Some(Bytes::from(sealed.map_err(|error| Error::new(ErrorKind::Unavailable, error.to_string()))?))
                }
            };
            ops.push(Op { key: key.clone(), value });
        }
        let guard = |(key, is_directory, revision)| Guard { key, is_directory, revision };
        let batch = Batch {
            id: Bytes::copy_from_slice(&id),
            epoch: context.epoch,
            base: self.view.index(),
            time_millis: context.now.millis(),
            guards: self.reads.into_iter().map(guard).collect(),
            ops,
            checkpoint: None,
            new_epoch: None,
        };
        let proposal = batch::sign(&batch, self.barrier);
        if proposal.bytes.len() > MAX_BATCH_BYTES {
            let message =
                format!("the request's changes take {} bytes, at most {MAX_BATCH_BYTES} at once", proposal.bytes.len());
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(Some(proposal))
    }
}

/// Decodes a record; one that opened but does not decode was written by a newer version.
pub(crate) fn decode<T: Message + Default>(bytes: &[u8]) -> Result<T, Error> {
    T::decode(bytes).map_err(|error| Error::internal(format!("a record does not decode: {error}")))
}

#[cfg(test)]
mod tests;
