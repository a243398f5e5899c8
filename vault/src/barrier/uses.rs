//! How often a term may encrypt, counted across nodes that do not talk about it.
//!
//! Random 96-bit nonces are safe for up to 2^32 messages under one key (NIST SP 800-38D, section 8.3). So each node
//! reserves uses in blocks, in a record under its own key, before it spends them; a block that a crash lost counts as
//! spent. The sum over all nodes' records says when the term must rotate.
//!
//! Writing the reservation's record is itself an encryption. So a node asks while a part of its block is left
//! ([`UseCounter::is_low`]), and one that has nothing, because it was just unsealed, is **lent** a few uses, which the
//! next reservation repays: they are counted unless the process dies before any reservation commits. The distance
//! between the rotation limit and 2^32, 429 million, is there for those.

use std::sync::atomic::{AtomicU64, Ordering};

use prost::Message;

use super::error::BarrierError;

/// Uses of one reservation, for each node and term.
pub(crate) const BLOCK_USES: u64 = 1 << 16;
/// With fewer uses left than this, a node reserves again.
pub(crate) const LOW_USES: u64 = BLOCK_USES / 4;
/// Uses lent for the record of a reservation, reruns included.
pub(crate) const LENT_USES: u64 = 64;

/// Default number of encryptions after which a term rotates: nine tenths of 2^32, as clients of the API expect.
pub(crate) const DEFAULT_ROTATION_LIMIT: u64 = 3_865_470_566;
/// Lowest limit that can be set.
pub(crate) const MIN_ROTATION_LIMIT: u64 = 1_000_000;

/// A node's budget under one term, in memory.
#[derive(Default)]
pub struct UseCounter {
    left: AtomicU64,
    lent: AtomicU64,
}

/// A block that is being reserved. Its uses go into the node's record; after that committed, it is completed.
#[must_use = "a reservation grants nothing until it is completed"]
pub struct Reservation {
    term: u32,
    repays: u64,
}

impl Reservation {
    /// The term that it is for.
    pub fn term(&self) -> u32 {
        self.term
    }

    /// Uses to add to the node's record: a block, and what was lent before.
    pub fn uses(&self) -> u64 {
        BLOCK_USES + self.repays
    }
}

impl UseCounter {
    /// Takes uses before they happen, all or none.
    pub fn take(&self, uses: u64) -> Result<(), BarrierError> {
        let taken = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(uses));
        taken.map(|_| ()).map_err(|_| BarrierError::NeedsReservation)
    }

    /// Uses left.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Acquire)
    }

    /// Whether it is time to reserve.
    pub fn is_low(&self) -> bool {
        self.left() < LOW_USES
    }

    /// Lends uses. They are owed before they can be spent, so that no reservation overlooks them.
    pub(crate) fn lend(&self) {
        self.lent.fetch_add(LENT_USES, Ordering::AcqRel);
        self.left.fetch_add(LENT_USES, Ordering::AcqRel);
    }

    /// Begins a reservation, and lends what writing its record takes if less is left.
    pub(crate) fn open_reservation(&self, term: u32) -> Reservation {
        if self.left() < LENT_USES {
            self.lend();
        }
        Reservation { term, repays: self.lent.load(Ordering::Acquire) }
    }

    /// Grants the block of a reservation whose record committed.
    pub(crate) fn complete_reservation(&self, reservation: Reservation) {
        let repaid = |lent: u64| Some(lent.saturating_sub(reservation.repays));
        // The closure never refuses, so the update cannot fail.
        let _ = self.lent.fetch_update(Ordering::AcqRel, Ordering::Acquire, repaid);
        self.left.fetch_add(BLOCK_USES, Ordering::AcqRel);
    }
}

/// What a node reserved so far. Lies in the system's area under the node's own key, so counters never conflict.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct NodeUses {
    /// One entry for each term, in any order.
    #[prost(message, repeated, tag = "1")]
    pub terms: Vec<TermUses>,
}

/// What a node reserved under one term.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TermUses {
    /// The term.
    #[prost(uint32, tag = "1")]
    pub term: u32,
    /// Encryptions, spent or lost.
    #[prost(uint64, tag = "2")]
    pub reserved: u64,
}

impl NodeUses {
    /// Adds a reservation. Entries of older terms go, because their sum decides nothing any more.
    pub(crate) fn reserve(&mut self, reservation: &Reservation) {
        self.terms.retain(|uses| uses.term >= reservation.term);
        match self.terms.iter_mut().find(|uses| uses.term == reservation.term) {
            Some(uses) => uses.reserved = uses.reserved.saturating_add(reservation.uses()),
            None => self.terms.push(TermUses { term: reservation.term, reserved: reservation.uses() }),
        }
    }

    /// Encryptions that this node reserved under a term.
    pub(crate) fn reserved(&self, term: u32) -> u64 {
        self.terms.iter().filter(|uses| uses.term == term).fold(0, |sum, uses| sum.saturating_add(uses.reserved))
    }
}

/// Encryptions that all nodes reserved under a term.
pub(crate) fn total_uses<'a>(nodes: impl IntoIterator<Item = &'a NodeUses>, term: u32) -> u64 {
    nodes.into_iter().fold(0, |sum, node| sum.saturating_add(node.reserved(term)))
}

/// Whether a limit may be set: from [`MIN_ROTATION_LIMIT`] to [`DEFAULT_ROTATION_LIMIT`].
pub(crate) fn is_valid_rotation_limit(limit: u64) -> bool {
    (MIN_ROTATION_LIMIT..=DEFAULT_ROTATION_LIMIT).contains(&limit)
}

/// Whether a term must rotate.
pub(crate) fn needs_rotation(total: u64, limit: u64) -> bool {
    total >= limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_encrypted_before_it_is_reserved() {
        let counter = UseCounter::default();
        assert_eq!(counter.take(1), Err(BarrierError::NeedsReservation));
        let reservation = counter.open_reservation(1);
        counter.complete_reservation(reservation);
        assert_eq!(counter.take(1), Ok(()));
    }

    #[test]
    fn uses_are_taken_all_or_none() {
        let counter = UseCounter::default();
        let _unfinished = counter.open_reservation(1);
        assert_eq!(counter.take(LENT_USES + 1), Err(BarrierError::NeedsReservation));
        assert_eq!(counter.take(LENT_USES), Ok(()));
        assert_eq!(counter.take(1), Err(BarrierError::NeedsReservation));
    }

    #[test]
    fn what_was_lent_is_repaid_by_the_next_reservation_that_commits() {
        let counter = UseCounter::default();
        let _lost = counter.open_reservation(1);
        counter.take(LENT_USES).unwrap();
        let second = counter.open_reservation(1);
        assert_eq!(second.uses(), BLOCK_USES + 2 * LENT_USES);
        counter.complete_reservation(second);
        assert_eq!(counter.open_reservation(1).uses(), BLOCK_USES);
    }

    #[test]
    fn uses_that_happen_never_exceed_what_the_record_says() {
        let counter = UseCounter::default();
        let mut record = NodeUses::default();
        let mut spent = 0;
        for round in 0..200_u64 {
            let reservation = counter.open_reservation(1);
            while round % 3 != 0 && counter.take(97).is_ok() {
                spent += 97;
            }
            record.reserve(&reservation);
            counter.complete_reservation(reservation);
            assert!(spent <= record.reserved(1), "{spent} spent, {} reserved", record.reserved(1));
        }
        assert!(spent > 0);
    }

    #[test]
    fn a_node_with_a_part_of_its_block_left_is_lent_nothing() {
        let counter = UseCounter::default();
        let first = counter.open_reservation(1);
        counter.complete_reservation(first);
        counter.take(BLOCK_USES - LOW_USES).unwrap();
        assert!(!counter.is_low());
        counter.take(LENT_USES + 1).unwrap();
        assert!(counter.is_low());
        assert_eq!(counter.open_reservation(1).uses(), BLOCK_USES);
    }

    #[test]
    fn the_sum_over_nodes_decides_the_rotation() {
        let uses = |term, reserved| NodeUses { terms: vec![TermUses { term, reserved }] };
        let nodes = [uses(1, 600_000), uses(1, 400_000), uses(2, 5)];
        let total = total_uses(&nodes, 1);
        assert_eq!(total, 1_000_000);
        assert!(needs_rotation(total, 1_000_000));
        assert!(!needs_rotation(total, 1_000_001));
        assert_eq!(total_uses(&[uses(1, u64::MAX), uses(1, 1)], 1), u64::MAX);
    }

    #[test]
    fn the_limit_leaves_room_below_two_to_the_32() {
        assert!(!is_valid_rotation_limit(MIN_ROTATION_LIMIT - 1));
        assert!(is_valid_rotation_limit(MIN_ROTATION_LIMIT));
        assert!(is_valid_rotation_limit(DEFAULT_ROTATION_LIMIT));
        assert!(!is_valid_rotation_limit(DEFAULT_ROTATION_LIMIT + 1));
        const { assert!(DEFAULT_ROTATION_LIMIT + 1000 * BLOCK_USES < 1 << 32) };
    }

    #[test]
    fn a_reservation_under_a_new_term_drops_the_old_entry() {
        let mut record = NodeUses { terms: vec![TermUses { term: 1, reserved: 9 }] };
        record.reserve(&UseCounter::default().open_reservation(2));
        assert_eq!(record.terms.len(), 1);
        assert_eq!(record.reserved(2), BLOCK_USES + LENT_USES);
    }
}
