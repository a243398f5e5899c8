//! The words between the core, which makes batches, and the table, which carries them out: batches and their outcomes,
//! keys, views, and the limits of each. Knows neither side.

mod batch;
pub mod key;
mod limits;
mod view;

pub use batch::{Batch, Checkpoint, Guard, NewEpoch, Op, Outcome, SignedBatch, WINDOW};
pub use limits::{MAX_BATCH_BYTES, MAX_GUARDS, MAX_KEY_BYTES, MAX_OPS, MAX_VALUE_BYTES};
pub use view::{Directory, Name, Record, View, ViewError};
