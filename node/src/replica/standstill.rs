//! Whether this node comes to what its leader confirms, or stands still behind it.
//!
//! The leader confirms an index, and this node is to apply that. One that applies slowly will come to it. One that applies
//! nothing, because its disk hangs, because nobody brings it entries, or because the leader refuses it, must not let
//! requests wait for it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What a look at a node sees.
pub(crate) struct Look {
    pub(crate) now: Instant,
    /// Index of the last entry that it has applied.
    pub(crate) applied: u64,
    /// Newest index that a leader confirmed to it.
    pub(crate) read_point: u64,
    /// Whether it could be expected to apply: it has its keys, and a quorum confirms a leader to it at the moment.
    pub(crate) is_expected: bool,
}

#[derive(Clone, Copy)]
struct Still {
    /// Index of the last entry that it has applied.
    applied: u64,
    since: Instant,
    /// Whether it has lasted for too long already.
    is_behind: bool,
}

/// Since when it stands still, if it does.
#[derive(Default)]
pub(crate) struct Standstill(Mutex<Option<Still>>);

impl Standstill {
    /// Looks once more. Says how many entries the node lacks if it has applied none of them for `patience`. Once that is
    /// so, only applying something ends it.
    pub(crate) fn look(&self, look: &Look, patience: Duration) -> Option<u64> {
        let mut standstill = self.0.lock();
        if look.applied >= look.read_point {
            *standstill = None;
            return None;
        }
        let still =
            standstill.filter(|before| before.applied == look.applied && (look.is_expected || before.is_behind));
        let since = still.map_or(look.now, |before| before.since);
        let is_behind = look.now - since >= patience;
        *standstill = Some(Still { applied: look.applied, since, is_behind });
        is_behind.then(|| look.read_point - look.applied)
    }

    /// Since when it has applied nothing of what it lacks; `None` if it lacks nothing.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.0.lock().map(|standstill| standstill.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Looks at these seconds: applied, read point, whether it is expected to apply; and what each look says.
    fn check(looks: &[(u64, u64, u64, bool, Option<u64>)]) {
        let (standstill, start) = (Standstill::default(), Instant::now());
        for (secs, applied, read_point, is_expected, expected) in looks.iter().copied() {
            let look = Look { now: start + Duration::from_secs(secs), applied, read_point, is_expected };
            assert_eq!(standstill.look(&look, PATIENCE), expected, "at {secs} s");
            assert_eq!(standstill.since().is_some(), applied < read_point);
        }
    }

    #[test]
    fn a_node_that_applies_nothing_for_long_is_behind_until_it_goes_on() {
        check(&[(0, 5, 5, true, None), (20, 5, 9, true, None), (29, 5, 9, true, None), (30, 5, 12, true, Some(7))]);
        check(&[(0, 5, 9, true, None), (10, 5, 9, true, Some(4)), (11, 6, 9, true, None), (12, 9, 9, true, None)]);
    }

    #[test]
    fn a_node_that_is_slow_is_not_behind() {
        check(&[(0, 5, 99, true, None), (9, 6, 99, true, None), (18, 7, 99, true, None), (27, 8, 99, true, None)]);
    }

    #[test]
    fn time_without_a_leader_or_keys_does_not_count_and_ends_nothing() {
        check(&[(0, 5, 9, true, None), (60, 5, 9, false, None), (61, 5, 9, true, None), (70, 5, 9, true, Some(4))]);
        check(&[(0, 5, 9, true, None), (10, 5, 9, true, Some(4)), (11, 5, 9, false, Some(4)), (12, 9, 9, false, None)]);
    }
}
