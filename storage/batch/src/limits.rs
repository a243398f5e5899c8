//! Bounds of batches and of what the table holds, on both sides. `docs/reference/limits.md` lists them.

/// Most segments a key may have.
pub(crate) const MAX_SEGMENTS: usize = 64;
/// Longest key, in bytes, lengths included.
pub const MAX_KEY_BYTES: usize = 16 * 1024;
/// Most guards a batch may have.
pub const MAX_GUARDS: usize = 4_096;
/// Most operations a batch may have.
pub const MAX_OPS: usize = 4_096;
/// Longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 2 * 1024 * 1024;
/// Longest encoded signed batch, in bytes: more than a value and the record of an idempotency key.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
