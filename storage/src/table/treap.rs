//! A persistent ordered map: a copy shares everything with its original until one of them changes.
//!
//! A treap (Seidel and Aragon, "Randomized Search Trees", 1996): ordered by key, heap-ordered by a priority that is
//! a hash of the key, so the shape depends on the content alone. A change copies the nodes on its path that
//! somebody else still holds, and no others. Depth is logarithmic with overwhelming probability, since the keys
//! here are ciphertext and the hash is not known to who picks them.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;

static PRIORITY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

type Link<V> = Option<Arc<Node<V>>>;

#[derive(Clone)]
struct Node<V> {
    key: Bytes,
    value: V,
    priority: u64,
    left: Link<V>,
    right: Link<V>,
}

/// The map. Cloning it is one reference count.
pub(crate) struct Treap<V> {
    root: Link<V>,
}

impl<V> Clone for Treap<V> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone() }
    }
}

impl<V> Default for Treap<V> {
    fn default() -> Self {
        Self { root: None }
    }
}

impl<V: Clone> Treap<V> {
    pub(crate) fn get(&self, key: &[u8]) -> Option<&V> {
        let mut link = &self.root;
        while let Some(node) = link {
            link = match key.cmp(&node.key) {
                std::cmp::Ordering::Less => &node.left,
                std::cmp::Ordering::Greater => &node.right,
                std::cmp::Ordering::Equal => return Some(&node.value),
            };
        }
        None
    }

    pub(crate) fn insert(&mut self, key: Bytes, value: V) {
        let priority = PRIORITY.hash_one(&key);
        insert(&mut self.root, key, value, priority);
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        // Looking first keeps a removal of what is absent from copying the path.
        if self.get(key).is_some() {
            remove(&mut self.root, key);
        }
    }

    /// Entries from the first key that is at least `from`, ascending.
    pub(crate) fn iter_from(&self, from: &[u8]) -> Iter<'_, V> {
        let mut stack = Vec::new();
        let mut link = &self.root;
        while let Some(node) = link {
            if node.key.as_ref() >= from {
                stack.push(node.as_ref());
                link = &node.left;
            } else {
                link = &node.right;
            }
        }
        Iter { stack }
    }
}

/// Entries of a map, ascending.
pub(crate) struct Iter<'a, V> {
    /// The next node, and those above it that come later.
    stack: Vec<&'a Node<V>>,
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (&'a Bytes, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let node = self.stack.pop()?;
        let mut link = &node.right;
        while let Some(child) = link {
            self.stack.push(child);
            link = &child.left;
        }
        Some((&node.key, &node.value))
    }
}

fn insert<V: Clone>(link: &mut Link<V>, key: Bytes, value: V, priority: u64) {
    match link {
        Some(shared) if shared.key == key => Arc::make_mut(shared).value = value,
        Some(shared) if shared.priority >= priority => {
            let node = Arc::make_mut(shared);
            let side = if key < node.key { &mut node.left } else { &mut node.right };
            insert(side, key, value, priority);
        }
        _ => {
            // The key may still lie below, under its own priority, only if it equals; equal keys have equal
            // priorities and a parent's is never lower, so it would have been met on the way down.
            let (left, right) = split(link.take(), &key);
            *link = Some(Arc::new(Node { key, value, priority, left, right }));
        }
    }
}

/// Keys below `key`, and keys above it; `key` itself is not in the tree.
fn split<V: Clone>(link: Link<V>, key: &Bytes) -> (Link<V>, Link<V>) {
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

fn remove<V: Clone>(link: &mut Link<V>, key: &[u8]) {
    let Some(shared) = link else { return };
    let node = Arc::make_mut(shared);
    match key.cmp(&node.key) {
        std::cmp::Ordering::Less => remove(&mut node.left, key),
        std::cmp::Ordering::Greater => remove(&mut node.right, key),
        std::cmp::Ordering::Equal => *link = join(node.left.take(), node.right.take()),
    }
}

/// One tree of two, all keys of the first below all of the second.
fn join<V: Clone>(low: Link<V>, high: Link<V>) -> Link<V> {
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

    fn content(treap: &Treap<Bytes>, from: &[u8]) -> Vec<(Bytes, Bytes)> {
        treap.iter_from(from).map(|(key, row)| (key.clone(), row.clone())).collect()
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
