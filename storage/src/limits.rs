//! Bounds of what is kept in memory for the disk. Those of batches and records are in the crate `storage/batch`;
//! `docs/reference/limits.md` lists all.

/// Blocks of the table kept in memory, in bytes.
pub(crate) const BLOCK_CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Rows of the table kept in memory before they are sorted into a file, in bytes.
pub(crate) const MEMTABLE_BYTES: u64 = 32 * 1024 * 1024;
/// Journals of the table kept before old ones are forced out, in bytes.
pub(crate) const JOURNAL_BYTES: u64 = 256 * 1024 * 1024;
/// Closed segments of what was applied since the checkpoint that are kept apart. Above that the two oldest become one, and
/// the index between them is forgotten: only a table that no checkpoint confirms comes so far.
pub(crate) const SEGMENTS_MAX: usize = 64;
/// Changed rows of the table in memory, in bytes. Above that apply takes nothing until what is confirmed lies on the disk, and
/// ends if nothing is; a leader makes checkpoints long before.
pub(crate) const CHANGES_MAX_BYTES: usize = 1 << 30;
