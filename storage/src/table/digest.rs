//! The table digest: an additive hash over a set of rows.
//!
//! LtHash with 1,024 lanes of 16 bits (Bellare and Micciancio, "A New Paradigm for Collision-Free Hashing", 1997;
//! Lewi, Kim, Maykov and Weis, "Securing Update Propagation with Homomorphic Hashing", IACR 2019/227, which gives
//! these parameters at least 200 bits). The state is the lane-wise sum of one element a row, so a row is put in or
//! taken out in any order at a cost that does not depend on the table. The state is a set only while no row occurs
//! 2^16 times, which keys exclude. It authenticates nothing by itself: anybody can compute it.

use super::TableError;
use super::rows::{Partition, RowView};
use std::ops::ControlFlow;

/// Number of 16-bit lanes.
const LANES: usize = 1024;
/// Size of the state and of one element.
pub(crate) const STATE_BYTES: usize = LANES * 2;

/// The sum of all elements.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct LtHash {
    lanes: Box<[u16; LANES]>,
}

impl LtHash {
    /// The sum of nothing.
    pub(crate) fn empty() -> Self {
        Self { lanes: Box::new([0; LANES]) }
    }

    /// Reads a state: lanes in order, each little-endian. `None` if the length is wrong.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; STATE_BYTES] = bytes.try_into().ok()?;
        let mut state = Self::empty();
        for (lane, pair) in state.lanes.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *lane = u16::from_le_bytes(*pair);
        }
        Some(state)
    }

    /// Lanes in order, each little-endian.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.lanes.iter().flat_map(|lane| lane.to_le_bytes()).collect()
    }

    /// Puts a row in.
    pub(crate) fn add(&mut self, partition: Partition, key: &[u8], row: &[u8]) {
        let element = element(partition, key, row);
        for (lane, pair) in self.lanes.iter_mut().zip(element.as_chunks::<2>().0) {
            *lane = lane.wrapping_add(u16::from_le_bytes(*pair));
        }
    }

    /// Takes a row out that was put in.
    pub(crate) fn remove(&mut self, partition: Partition, key: &[u8], row: &[u8]) {
        let element = element(partition, key, row);
        for (lane, pair) in self.lanes.iter_mut().zip(element.as_chunks::<2>().0) {
            *lane = lane.wrapping_sub(u16::from_le_bytes(*pair));
        }
    }

    /// Adds what another state sums up: rows that were put in there, less those that were taken out.
    pub(crate) fn combine(&mut self, other: &Self) {
        for (lane, summand) in self.lanes.iter_mut().zip(other.lanes.iter()) {
            *lane = lane.wrapping_add(*summand);
        }
    }

    /// BLAKE3 of the state.
    pub(crate) fn digest(&self) -> [u8; 32] {
        *blake3::hash(&self.to_bytes()).as_bytes()
    }

    /// The sum over all rows of a view, read one by one.
    pub(crate) fn over(view: &impl RowView) -> Result<Self, TableError> {
        let mut state = Self::empty();
        for partition in Partition::DIGESTED {
            view.scan(partition, &[], None, &mut |key, row| {
                state.add(partition, key, row);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(state)
    }
}

/// BLAKE3 in extended output over partition, key length (`u32`, big-endian), key and row.
fn element(partition: Partition, key: &[u8], row: &[u8]) -> [u8; STATE_BYTES] {
    let mut hasher = blake3::Hasher::new();
    let length = u32::try_from(key.len()).expect("keys are bounded by MAX_KEY_BYTES");
    let mut head = [partition as u8; 5];
    head[1..].copy_from_slice(&length.to_be_bytes());
    hasher.update(&head).update(key).update(row);
    let mut element = [0; STATE_BYTES];
    hasher.finalize_xof().fill(&mut element);
    element
}
