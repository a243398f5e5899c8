//! The order that the version numbers prescribe, tried against real time.
//!
//! If the version of every write is known there is only one order of writes, and reads of a version lie behind its
//! write. Each operation is placed as early as that order and its own invocation allow; if one then lies behind its
//! return, no order exists, because placing anything later only makes it worse. A refused check-and-set must find a
//! moment at which the version was another: before the expected version was made, or after the next was. If the earliest
//! placement allows neither, only the first is left, so the expected version is made later, and all is placed anew.
//! Placements only move later, so this ends; and it is exact.
//!
//! A place is the index of the event that it directly follows.

use std::collections::BTreeMap;

use super::Flaw;
use super::operation::{Action, Operation};

/// What the order says.
pub(super) enum Judgement {
    /// It explains everything.
    Holds,
    /// It contradicts real time, and there is no other.
    Broken(Flaw),
    /// Some version is unknown, so there may be others.
    Undecided,
}

/// Judges a key's operations.
pub(super) fn judge(operations: &[Operation]) -> Judgement {
    match Order::new(operations) {
        Ok(Some(order)) => order.settle().map_or_else(Judgement::Broken, |()| Judgement::Holds),
        Ok(None) => Judgement::Undecided,
        Err(flaw) => Judgement::Broken(flaw),
    }
}

struct Order<'a> {
    /// The write of version v at v - 1.
    writes: Vec<&'a Operation>,
    /// The reads of version v at v.
    reads: Vec<Vec<&'a Operation>>,
    mismatches: Vec<(&'a Operation, u64)>,
}

/// The earliest place that a version may have beyond what the order says, and because of whom.
type Bounds<'a> = BTreeMap<usize, &'a Operation>;

impl<'a> Order<'a> {
    /// The order, or nothing if some version is unknown.
    fn new(operations: &'a [Operation]) -> Result<Option<Self>, Flaw> {
        let (mut writes, mut reads, mut mismatches) = (BTreeMap::new(), Vec::new(), Vec::new());
        for operation in operations {
            match operation.action {
                Action::Write { version: Some(version), .. } => drop(writes.insert(version, operation)),
                Action::Write { version: None, .. } => return Ok(None),
                Action::Read { version, .. } => reads.push((version, operation)),
                Action::Mismatch { expected } => mismatches.push((operation, expected)),
            }
        }
        let newest = writes.last_key_value().map_or(0, |(version, _)| *version);
        if let Some(gap) = (1..=newest).find(|version| !writes.contains_key(version)) {
            let next = writes.range(gap..).next().map(|(_, operation)| *operation);
            let words = format!("there is a version {newest}, but nobody wrote version {gap}");
            return Err(Flaw::new(words, &next.into_iter().collect::<Vec<_>>()));
        }
        let writes: Vec<_> = writes.into_values().collect();
        let mut by_version = vec![Vec::new(); writes.len() + 1];
        for (version, operation) in reads {
            let Some(same) = usize::try_from(version).ok().and_then(|version| by_version.get_mut(version)) else {
                return Err(Flaw::new(format!("version {version} was read, but nobody wrote it"), &[operation]));
            };
            same.push(operation);
        }
        Ok(Some(Self { writes, reads: by_version, mismatches }))
    }

    /// Places everything, refused check-and-sets too.
    fn settle(&self) -> Result<(), Flaw> {
        let mut bounds = Bounds::new();
        loop {
            let places = self.place(&bounds)?;
            let mut is_settled = true;
            for (operation, expected) in &self.mismatches {
                is_settled &= self.fits(operation, *expected, &places, &mut bounds)?;
            }
            if is_settled {
                return Ok(());
            }
        }
    }

    /// Whether a refusal finds its moment; if not, its version must be made later, which is noted.
    fn fits(
        &self,
        refused: &'a Operation,
        expected: u64,
        places: &[u64],
        bounds: &mut Bounds<'a>,
    ) -> Result<bool, Flaw> {
        let Some(version) = usize::try_from(expected).ok().filter(|version| *version < places.len()) else {
            return Ok(true);
        };
        let before = version > 0 && places[version] >= refused.invoked;
        let after = places.get(version + 1).is_some_and(|place| *place < refused.returned);
        if before || after {
            return Ok(true);
        }
        if version == 0 {
            return Err(self.wrongly_refused(refused, None));
        }
        bounds.insert(version, refused);
        Ok(false)
    }

    /// The earliest place of each version, 0 included, or what cannot be placed.
    fn place(&self, bounds: &Bounds<'a>) -> Result<Vec<u64>, Flaw> {
        let mut places = Vec::with_capacity(self.reads.len());
        let (mut now, mut because) = (0, None);
        for (version, reads) in self.reads.iter().enumerate() {
            let bound = bounds.get(&version).copied();
            let write = version.checked_sub(1).map(|before| self.writes[before]);
            for cause in bound.into_iter().chain(write) {
                if cause.invoked > now {
                    (now, because) = (cause.invoked, Some(cause));
                }
            }
            for operation in write.iter().chain(reads) {
                if now >= operation.returned {
                    return Err(self.too_late(operation, because));
                }
            }
            places.push(now);
            for read in reads {
                if read.invoked > now {
                    (now, because) = (read.invoked, Some(*read));
                }
            }
        }
        Ok(places)
    }

    fn too_late(&self, late: &Operation, because: Option<&Operation>) -> Flaw {
        let Some(because) = because else {
            return Flaw::new("an operation returned before the history began", &[late]);
        };
        match (because.action, late.action) {
            (Action::Mismatch { .. }, _) => self.wrongly_refused(because, Some(late)),
            (Action::Read { version, .. }, Action::Write { version: Some(newer), .. }) => {
                let words = format!(
                    "a read returned version {version} although version {newer} had been acknowledged before it began"
                );
                Flaw::new(words, &[late, because])
            }
            (Action::Read { version, .. }, Action::Read { version: newer, .. }) => {
                let words =
                    format!("a read returned version {version} although an earlier read had returned version {newer}");
                Flaw::new(words, &[late, because])
            }
            _ => {
                let words = "by their versions the second came before the first, but it began only after the first had returned";
                Flaw::new(words, &[late, because])
            }
        }
    }

    fn wrongly_refused(&self, refused: &Operation, late: Option<&Operation>) -> Flaw {
        let words = "a check-and-set was refused although the version was the expected one during the whole call";
        Flaw::new(words, &late.into_iter().chain([refused]).collect::<Vec<_>>())
    }
}
