//! Bounds of what is kept in memory for the disk. Those of batches and records are in the crate `storage/batch`;
//! `docs/reference/limits.md` lists all.

/// Blocks of the table kept in memory, in bytes.
pub(crate) const BLOCK_CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Rows of the table kept in memory before they are sorted into a file, in bytes.
pub(crate) const MEMTABLE_BYTES: u64 = 32 * 1024 * 1024;
/// Journals of the table kept before old ones are forced out, in bytes.
pub(crate) const JOURNAL_BYTES: u64 = 256 * 1024 * 1024;
