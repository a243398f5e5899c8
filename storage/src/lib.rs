//! Bytes on disk: the Raft log, the revisioned table and its snapshots.
//!
//! Knows no consensus and no secrets. What it stores is ciphertext that was made elsewhere; what it
//! guarantees is that nothing is lost, torn, rolled back or damaged without a word.

pub mod disk;
pub mod layout;
pub mod log;
pub mod table;

mod encoding;
