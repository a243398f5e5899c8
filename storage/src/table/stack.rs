//! The table's rows at a point in time: those on the disk, and in memory, segment by segment, what the log changed since.
//!
//! The base is what the newest confirmed checkpoint names, or was so until a moment ago. Above it lie the segments that remembered
//! indexes have closed, oldest first, and the one that is open. A row is that of the newest layer which has it.

use std::iter::Peekable;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::TableError;
use super::digest::LtHash;
use super::layer::{Changed, Layer};
use super::rows::{Change, Partition, RowView, Visit};
use super::treap::Iter;
use crate::limits::SEGMENTS_MAX;
use crate::log::LogId;

/// An index at which the table may be confirmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The last entry; none before the first.
    pub(crate) last: Option<LogId>,
    /// Log id and encoding of the membership there.
    pub(crate) membership: Option<(LogId, Bytes)>,
}

impl Place {
    pub(crate) fn index(&self) -> u64 {
        self.last.map_or(0, |last| last.index)
    }
}

/// Rows on the disk, which do not change.
pub(crate) struct Base<V> {
    pub(crate) view: V,
    pub(crate) at: Place,
    /// The digest's state over them.
    pub(crate) hash: LtHash,
}

impl<V: RowView> RowView for Base<V> {
    fn get(&self, partition: Partition, key: &[u8]) -> Result<Option<Bytes>, TableError> {
        self.view.get(partition, key)
    }

    fn scan(
        &self,
        partition: Partition,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: Visit<'_>,
    ) -> Result<(), TableError> {
        self.view.scan(partition, prefix, after, visit)
    }
}

/// A closed segment.
pub(crate) struct Segment {
    layer: Layer,
    /// The remembered index that closes it.
    end: Place,
    /// Added up once, by whoever needs it first: as a rule the table's thread, as soon as the segment is closed.
    delta: OnceLock<LtHash>,
}

impl Segment {
    pub(crate) fn delta(&self) -> &LtHash {
        self.delta.get_or_init(|| self.layer.delta())
    }
}

/// The rows. Cloning it costs a few reference counts, and the clone does not change.
pub(crate) struct Stack<V> {
    base: Arc<Base<V>>,
    /// Oldest first.
    closed: Vec<Arc<Segment>>,
    open: Layer,
}

impl<V> Clone for Stack<V> {
    fn clone(&self) -> Self {
        Self { base: Arc::clone(&self.base), closed: self.closed.clone(), open: self.open.clone() }
    }
}

impl<V> Stack<V> {
    pub(crate) fn new(base: Arc<Base<V>>) -> Self {
        Self { base, closed: Vec::new(), open: Layer::default() }
    }

    pub(crate) fn base(&self) -> &Arc<Base<V>> {
        &self.base
    }

    pub(crate) fn closed(&self) -> &[Arc<Segment>] {
        &self.closed
    }

    /// The newest remembered index.
    pub(crate) fn end(&self) -> u64 {
        self.closed.last().map_or(&self.base.at, |segment| &segment.end).index()
    }

    /// Changes a row in the open segment; `before` is what it was below that.
    pub(crate) fn put(&mut self, partition: Partition, key: &Bytes, before: Option<&Bytes>, row: Option<Bytes>) {
        self.open.put(partition, key, before, row);
    }

    /// Closes the open segment: its end is remembered. Segments up to `confirmed` stay as they are.
    pub(crate) fn close(&mut self, end: Place, confirmed: u64) {
        let layer = std::mem::take(&mut self.open);
        self.closed.push(Arc::new(Segment { layer, end, delta: OnceLock::new() }));
        if self.closed.len() > SEGMENTS_MAX
            && let [first, second, ..] = &self.closed[..]
            && first.end.index() > confirmed
        {
            let joined = Arc::new(joined(first, second));
            self.closed.splice(..2, [joined]);
        }
    }

    /// The digest's state at a remembered index.
    pub(crate) fn hash_at(&self, index: u64) -> Option<LtHash> {
        let count = match self.base.at.index() {
            base if base == index => 0,
            _ => self.closed.binary_search_by_key(&index, |segment| segment.end.index()).ok()? + 1,
        };
        Some(self.hash_over(count))
    }

    /// The digest's state now, which costs two elements for each row of the open segment.
    pub(crate) fn hash(&self) -> LtHash {
        let mut hash = self.hash_over(self.closed.len());
        hash.combine(&self.open.delta());
        hash
    }

    /// What the rows in memory take, in bytes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes_behind(self.base.at.index())
    }

    /// What those take that changed in segments which end behind an index.
    pub(crate) fn bytes_behind(&self, index: u64) -> usize {
        let later = self.closed.iter().filter(|segment| segment.end.index() > index);
        later.map(|segment| segment.layer.bytes()).sum::<usize>() + self.open.bytes()
    }

    /// The same rows over another base that holds the older segments already.
    pub(crate) fn rebased(&self, base: Arc<Base<V>>) -> Self {
        let kept = self.closed.iter().filter(|segment| segment.end.index() > base.at.index());
        Self { closed: kept.cloned().collect(), open: self.open.clone(), base }
    }

    /// The same rows in memory over the same base, seen another way.
    pub(crate) fn over<W>(&self, base: Arc<Base<W>>) -> Stack<W> {
        Stack { base, closed: self.closed.clone(), open: self.open.clone() }
    }

    /// What leads the base to the end of a segment: each row that differs, once; the place and the digest's state there.
    pub(crate) fn difference(&self, index: u64) -> Option<(Vec<Change>, Place, LtHash)> {
        let count = self.closed.binary_search_by_key(&index, |segment| segment.end.index()).ok()? + 1;
        let segments = &self.closed[..count];
        let mut changes = Vec::new();
        for partition in Partition::DIGESTED {
            let layers = segments.iter().rev().map(|segment| segment.layer.iter_from(partition, &[]).peekable());
            let differing = Merged { layers: layers.collect() }.filter(|met| met.newest.row != met.oldest.before);
            changes.extend(differing.map(|met| Change {
                partition,
                key: met.key.clone(),
                row: met.newest.row.clone(),
            }));
        }
        Some((changes, segments[count - 1].end.clone(), self.hash_over(count)))
    }

    /// Partition and key of every row that was changed in memory; some come more than once.
    pub(crate) fn changed(&self) -> impl Iterator<Item = (Partition, &Bytes)> {
        self.layers().flat_map(|layer| layer.iter().map(|(partition, key, _)| (partition, key)))
    }

    /// Newest first.
    fn layers(&self) -> impl Iterator<Item = &Layer> {
        std::iter::once(&self.open).chain(self.closed.iter().rev().map(|segment| &segment.layer))
    }

    fn hash_over(&self, count: usize) -> LtHash {
        let mut hash = self.base.hash.clone();
        self.closed[..count].iter().for_each(|segment| hash.combine(segment.delta()));
        hash
    }
}

/// Two neighbours as one.
fn joined(first: &Segment, second: &Segment) -> Segment {
    let mut layer = first.layer.clone();
    for (partition, key, Changed { row, before }) in second.layer.iter() {
        layer.put(partition, key, before.as_ref(), row.clone());
    }
    Segment { layer, end: second.end.clone(), delta: OnceLock::new() }
}

/// A changed row of several layers.
struct Met<'a> {
    key: &'a Bytes,
    newest: &'a Changed,
    oldest: &'a Changed,
}

/// Changed rows of several layers, ascending, each once.
struct Merged<'a> {
    /// Newest first.
    layers: Vec<Peekable<Iter<'a, Changed>>>,
}

impl<'a> Iterator for Merged<'a> {
    type Item = Met<'a>;

    fn next(&mut self) -> Option<Met<'a>> {
        let key = self.layers.iter_mut().filter_map(|layer| layer.peek().map(|(key, _)| *key)).min()?;
        let having = self.layers.iter_mut().filter_map(|layer| layer.next_if(|(own, _)| *own == key));
        let mut having = having.map(|(_, changed)| changed);
        let newest = having.next()?;
        let oldest = having.last().unwrap_or(newest);
        Some(Met { key, newest, oldest })
    }
}

impl<V: RowView> RowView for Stack<V> {
    fn get(&self, partition: Partition, key: &[u8]) -> Result<Option<Bytes>, TableError> {
        match self.layers().find_map(|layer| layer.get(partition, key)) {
            Some(changed) => Ok(changed.row.clone()),
            None => self.base.view.get(partition, key),
        }
    }

    fn scan(
        &self,
        partition: Partition,
        prefix: &[u8],
        after: Option<&[u8]>,
        visit: Visit<'_>,
    ) -> Result<(), TableError> {
        if partition.digested_place().is_none() {
            return self.base.view.scan(partition, prefix, after, visit);
        }
        let from = after.unwrap_or(prefix).max(prefix);
        let layers = self.layers().map(|layer| layer.iter_from(partition, from).peekable()).collect();
        let mut changed = Merged { layers }
            .take_while(|met| met.key.starts_with(prefix))
            .filter(|met| after != Some(met.key.as_ref()))
            .peekable();
        let mut flow = ControlFlow::Continue(());
        self.base.view.scan(partition, prefix, after, &mut |key, row| {
            let mut is_changed = false;
            while let Some(met) = changed.next_if(|met| met.key.as_ref() <= key) {
                is_changed = met.key.as_ref() == key;
                if let Some(row) = &met.newest.row {
                    flow = visit(met.key, row)?;
                }
                if flow.is_break() {
                    return Ok(flow);
                }
            }
            if !is_changed {
                flow = visit(key, row)?;
            }
            Ok(flow)
        })?;
        while flow.is_continue()
            && let Some(met) = changed.next()
        {
            if let Some(row) = &met.newest.row {
                flow = visit(met.key, row)?;
            }
        }
        Ok(())
    }
}
