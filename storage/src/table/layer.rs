//! The rows that the entries of one segment changed, in memory.
//!
//! A row is there once, however often it was changed, with what it was before the segment. So a segment by itself says what it
//! does to the digest and to the rows below it, and a row that every entry changes costs what a row costs that one entry changes.

use bytes::Bytes;

use super::digest::LtHash;
use super::rows::Partition;
use super::treap::{Iter, Treap};

/// What a changed row costs in memory besides its bytes, about: its node in the map, and four allocations.
const ROW_COST_BYTES: usize = 192;

/// A changed row.
#[derive(Clone)]
pub(crate) struct Changed {
    /// As it is now; absent if it was removed.
    pub(crate) row: Option<Bytes>,
    /// As it was before the segment.
    pub(crate) before: Option<Bytes>,
}

/// Changed rows. Cloning it is a few reference counts, and the clone does not change.
#[derive(Clone, Default)]
pub(crate) struct Layer {
    maps: [Treap<Changed>; Partition::DIGESTED.len()],
    bytes: usize,
}

impl Layer {
    /// A row, if it was changed.
    pub(crate) fn get(&self, partition: Partition, key: &[u8]) -> Option<&Changed> {
        self.maps[partition.digested_place()?].get(key)
    }

    /// Changes a row. `before` is what lies below this layer, and heeded at the row's first change.
    pub(crate) fn put(&mut self, partition: Partition, key: &Bytes, before: Option<&Bytes>, row: Option<Bytes>) {
        let place = partition.digested_place().expect("only rows of the digest are changed in memory");
        let map = &mut self.maps[place];
        let known = map.get(key).cloned();
        let old_bytes = known.as_ref().map_or(0, |known| cost(key, known));
        // Keys share their entry's buffer, and rows that were read a block of a file: both would stay in memory with them.
        let (key, before) = match known {
            Some(known) => (key.clone(), known.before),
            None => (Bytes::copy_from_slice(key), before.map(|before| Bytes::copy_from_slice(before))),
        };
        let changed = Changed { row, before };
        self.bytes = self.bytes - old_bytes + cost(&key, &changed);
        map.insert(key, changed);
    }

    /// Changed rows of a partition from a key on, ascending.
    pub(crate) fn iter_from(&self, partition: Partition, from: &[u8]) -> Iter<'_, Changed> {
        let place = partition.digested_place().expect("only rows of the digest are changed in memory");
        self.maps[place].iter_from(from)
    }

    /// All changed rows.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Partition, &Bytes, &Changed)> {
        let rows_of = |partition| self.iter_from(partition, &[]).map(move |(key, changed)| (partition, key, changed));
        Partition::DIGESTED.into_iter().flat_map(rows_of)
    }

    /// What it takes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What it adds to the digest's state of the rows below it.
    pub(crate) fn delta(&self) -> LtHash {
        let mut delta = LtHash::empty();
        for (partition, key, Changed { row, before }) in
            self.iter().filter(|(.., changed)| changed.row != changed.before)
        {
            if let Some(before) = before {
                delta.remove(partition, key, before);
            }
            if let Some(row) = row {
                delta.add(partition, key, row);
            }
        }
        delta
    }
}

fn cost(key: &Bytes, Changed { row, before }: &Changed) -> usize {
    let length = |row: &Option<Bytes>| row.as_ref().map_or(0, Bytes::len);
    ROW_COST_BYTES + key.len() + length(row) + length(before)
}
