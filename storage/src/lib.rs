//! Bytes on disk: the Raft log, the revisioned table and its snapshots.
//!
//! Knows no consensus and no secrets. What it stores is ciphertext that was made elsewhere; what it
//! guarantees is that nothing is lost, torn, rolled back or damaged without a word.

pub mod disk;
pub mod layout;
pub mod log;
pub mod table;

mod encoding;
mod limits;

/// What to do with a node that must not go on with what lies on its disk, as the end of a sentence.
pub const REPLACE_NODE: &str = "remove this node from its cluster (`conclave operator raft remove-peer`), empty its data folder and \
     let it join as a new node; if it stands alone, put its whole data folder back from a backup";
