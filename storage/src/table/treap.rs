//! A persistent ordered map: a copy shares everything with its original until one of them changes.
//!
//! A treap (Seidel and Aragon, "Randomized Search Trees", 1996): ordered by key, heap-ordered by a priority that is
//! a hash of the key, so the shape depends on the content alone. A change copies the nodes on its path that
//! somebody else still holds, and no others. Depth is logarithmic with overwhelming probability, since the keys
//! here are ciphertext and the hash is not known to who picks them.

use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;

use super::TableError;
use super::rows::Visit;

static PRIORITY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

type Link = Option<Arc<Node>>;

#[derive(Clone)]
struct Node {
    key: Bytes,
    row: Bytes,
    priority: u64,
    left: Link,
    right: Link,
}

/// The map. Cloning it is one reference count.
#[derive(Clone, Default)]
pub(crate) struct Treap {
    root: Link,
}

impl Treap {
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Bytes> {
        let mut link = &self.root;
        while let Some(node) = link {
            link = match key.cmp(&node.key) {
                std::cmp::Ordering::Less => &node.left,
                std::cmp::Ordering::Greater => &node.right,
                std::cmp::Ordering::Equal => return Some(&node.row),
            };
        }
        None
    }

    pub(crate) fn insert(&mut self, key: Bytes, row: Bytes) {
        let priority = PRIORITY.hash_one(&key);
        insert(&mut self.root, key, row, priority);
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        // Looking first keeps a removal of what is absent from copying the path.
        if self.get(key).is_some() {
            remove(&mut self.root, key);
        }
    }

    /// Rows from the first key that is at least `from`, ascending, until the visitor breaks.
    pub(crate) fn scan_from(&self, from: &[u8], visit: Visit<'_>) -> Result<(), TableError> {
        let mut stack = Vec::new();
        let mut link = &self.root;
        while let Some(node) = link {
            if node.key.as_ref() >= from {
                stack.push(node);
                link = &node.left;
            } else {
                link = &node.right;
            }
        }
        while let Some(node) = stack.pop() {
            if let ControlFlow::Break(()) = visit(&node.key, &node.row)? {
                return Ok(());
            }
            let mut link = &node.right;
            while let Some(child) = link {
                stack.push(child);
                link = &child.left;
            }
        }
        Ok(())
    }
}

fn insert(link: &mut Link, key: Bytes, row: Bytes, priority: u64) {
    match link {
        Some(shared) if shared.key == key => Arc::make_mut(shared).row = row,
        Some(shared) if shared.priority >= priority => {
            let node = Arc::make_mut(shared);
            let side = if key < node.key { &mut node.left } else { &mut node.right };
            insert(side, key, row, priority);
        }
        _ => {
            // The key may still lie below, under its own priority, only if it equals; equal keys have equal
            // priorities and a parent's is never lower, so it would have been met on the way down.
            let (left, right) = split(link.take(), &key);
            *link = Some(Arc::new(Node { key, row, priority, left, right }));
        }
    }
}

/// Keys below `key`, and keys above it; `key` itself is not in the tree.
fn split(link: Link, key: &Bytes) -> (Link, Link) {
    let Some(mut shared) = link else { return (None, None) };
    let node = Arc::make_mut(&mut shared);
    if node.key < *key {
        let (low, high) = split(node.right.take(), key);
        node.right = low;
        (Some(shared), high)
    } else {
        let (low, high) = split(node.left.take(), key);
        node.left = high;
        (low, Some(shared))
    }
}

fn remove(link: &mut Link, key: &[u8]) {
    let Some(shared) = link else { return };
    let node = Arc::make_mut(shared);
    match key.cmp(&node.key) {
        std::cmp::Ordering::Less => remove(&mut node.left, key),
        std::cmp::Ordering::Greater => remove(&mut node.right, key),
        std::cmp::Ordering::Equal => *link = join(node.left.take(), node.right.take()),
    }
}

/// One tree of two, all keys of the first below all of the second.
fn join(low: Link, high: Link) -> Link {
    match (low, high) {
        (None, one) | (one, None) => one,
        (Some(mut low), Some(mut high)) => {
            if low.priority >= high.priority {
                let node = Arc::make_mut(&mut low);
                node.right = join(node.right.take(), Some(high));
                Some(low)
            } else {
                let node = Arc::make_mut(&mut high);
                node.left = join(Some(low), node.left.take());
                Some(high)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn content(treap: &Treap, from: &[u8]) -> Vec<(Bytes, Bytes)> {
        let mut rows = Vec::new();
        treap
            .scan_from(from, &mut |key, row| {
                rows.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(row)));
                Ok(ControlFlow::Continue(()))
            })
            .expect("the visitor does not fail");
        rows
    }

    proptest! {
        #[test]
        fn a_treap_is_an_ordered_map_and_its_copies_do_not_change(
            steps in prop::collection::vec((any::<u8>(), prop::option::of(any::<u8>())), 0..200),
            from in any::<u8>(),
        ) {
            let mut treap = Treap::default();
            let mut model = BTreeMap::new();
            let mut copies = Vec::new();
            for (key, row) in steps {
                let key = Bytes::copy_from_slice(&[key]);
                match row {
                    Some(row) => {
                        let row = Bytes::copy_from_slice(&[row]);
                        treap.insert(key.clone(), row.clone());
                        model.insert(key, row);
                    }
                    None => {
                        treap.remove(&key);
                        model.remove(&key);
                    }
                }
                copies.push((treap.clone(), model.clone()));
            }
            for (treap, model) in copies {
                let expected: Vec<_> = model.range(Bytes::copy_from_slice(&[from])..)
                    .map(|(key, row)| (key.clone(), row.clone())).collect();
                prop_assert_eq!(content(&treap, &[from]), expected);
                prop_assert_eq!(treap.get(&[from]), model.get(&[from][..]));
            }
        }
    }
}
