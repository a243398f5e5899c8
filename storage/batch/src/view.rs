//! The table as it is read: one point in time, ciphertext in and out.

use bytes::Bytes;

/// A stored value and the log index of its last change.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Log index of the entry that wrote it.
    pub revision: u64,
    /// The value, as it lies in the table.
    pub value: Bytes,
}

/// A directory: how many names it holds, and when one was last added or removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// Log index at which a name was last added or removed, or got or lost a value or children; 0 if it is empty.
    pub revision: u64,
    /// Names in it now.
    pub count: u64,
}

/// One encrypted name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The segment, as it lies in the table.
    pub segment: Bytes,
    /// Whether a value lies under it.
    pub has_value: bool,
    /// Whether names lie below it.
    pub has_children: bool,
}

/// The table could not answer.
#[derive(Debug, thiserror::Error)]
#[error("the store could not be read: {0}")]
pub struct ViewError(pub String);

/// One point in time of the table. Keys are encoded segments (`docs/internals/table.md`).
pub trait View: Send + Sync {
    /// Applied index of this point in time; 0 if nothing was applied.
    fn index(&self) -> u64;
    /// Names the table within this process. One that was rewound or received is another table, so what was learnt from
    /// an earlier one says nothing about it.
    fn lineage(&self) -> u64;
    /// Whether the value under a key may have been written or deleted behind an index of this table. If it says no, then
    /// nothing happened to the key from there up to this view; it may say yes for no reason.
    fn may_have_changed(&self, key: &[u8], since: u64) -> bool;
    /// The segments below a directory through which keys were written or deleted behind an index of this table, each once;
    /// `None` if that is not remembered any more. Some may have been written behind this view.
    fn written_below(&self, directory: &[u8], since: u64) -> Option<Vec<Bytes>>;
    /// The value under a key.
    fn get(&self, key: &[u8]) -> Result<Option<Record>, ViewError>;
    /// A directory's revision and count; the root directory is empty bytes.
    fn directory(&self, key: &[u8]) -> Result<Directory, ViewError>;
    /// Up to `limit` names of a directory, in the order of their bytes, behind `after`.
    fn names(&self, key: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Name>, ViewError>;
}

impl<V: View + ?Sized> View for Box<V> {
    fn index(&self) -> u64 {
        (**self).index()
    }

    fn lineage(&self) -> u64 {
        (**self).lineage()
    }

    fn may_have_changed(&self, key: &[u8], since: u64) -> bool {
        (**self).may_have_changed(key, since)
    }

    fn written_below(&self, directory: &[u8], since: u64) -> Option<Vec<Bytes>> {
        (**self).written_below(directory, since)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Record>, ViewError> {
        (**self).get(key)
    }

    fn directory(&self, key: &[u8]) -> Result<Directory, ViewError> {
        (**self).directory(key)
    }

    fn names(&self, key: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Name>, ViewError> {
        (**self).names(key, after, limit)
    }
}
