//! The shares of one attempt on this node, and when they are forgotten.
//!
//! Shares that lie on a node lower the number that is needed next, so none outlives what it was entered for: they go when
//! the node is sealed, when it is unsealed, by whatever way, and when no further one came for [`SHARES_TIME`]. For the first
//! two [`super::state::SealState`] sees itself, for the last `forgetting.rs`.

use std::net::IpAddr;

use conclave_vault::Random;
use conclave_vault::seal::{Ceremony, Entered, Entry, Outside, Progress, ResetRefused, ShareError};
use tokio::time::Instant;

use crate::config::limits::SHARES_TIME;

/// When an attempt last came a share further. The same share again is not further.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pace {
    entered: usize,
    since: Option<Instant>,
}

impl Pace {
    /// So many different shares are there now.
    pub(crate) fn note(&mut self, entered: usize, now: Instant) {
        if entered > self.entered {
            self.since = Some(now);
        }
        self.entered = entered;
    }

    /// Whether there are shares, and too old ones.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.entered > 0 && self.since.is_some_and(|since| now.duration_since(since) >= SHARES_TIME)
    }
}

/// Shares of one attempt.
#[derive(Default)]
pub(crate) struct Shares {
    ceremony: Ceremony,
    pace: Pace,
}

impl Shares {
    /// How far the attempt is.
    pub(crate) fn progress(&self, outside: &Outside) -> Progress {
        self.ceremony.progress(outside)
    }

    /// Enters a share; see [`Ceremony::enter`].
    pub(crate) fn enter(
        &mut self,
        entry: Entry<'_>,
        outside: &Outside,
        random: &mut dyn Random,
        now: Instant,
    ) -> Result<Entered, ShareError> {
        self.forget_old(now);
        let entered = self.ceremony.enter(entry, outside, random);
        self.pace.note(self.ceremony.progress(outside).entered, now);
        entered
    }

    /// Starts over; see [`Ceremony::reset`].
    pub(crate) fn reset(&mut self, key: Option<&str>, address: IpAddr, outside: &Outside) -> Result<(), ResetRefused> {
        self.ceremony.reset(key, address, outside)?;
        self.pace = Pace::default();
        Ok(())
    }

    /// Wipes what waited too long for another share. Answers whether it did.
    pub(crate) fn forget_old(&mut self, now: Instant) -> bool {
        let is_over = self.pace.is_over(now);
        if is_over {
            *self = Self::default();
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::seal::holders::Holders;

    #[test]
    fn shares_wait_for_another_one_for_a_while_and_not_for_ever() {
        let (holders, mut shares, start) = (Holders::new(), Shares::default(), Instant::now());
        let almost = SHARES_TIME.checked_sub(Duration::from_millis(1)).unwrap();
        assert_eq!(holders.enter(&mut shares, 0, start), 1);
        assert_eq!(holders.enter(&mut shares, 1, start + almost), 2, "a further share gives time");
        assert_eq!(holders.enter(&mut shares, 1, start + almost + almost), 2, "the same again gives none");
        assert!(!shares.forget_old(start + almost + almost));
        assert_eq!(holders.enter(&mut shares, 4, start + almost + SHARES_TIME), 1, "the others came too early");
        assert!(shares.forget_old(start + almost + SHARES_TIME + SHARES_TIME));
        assert_eq!(shares.progress(&holders.outside).entered, 0);
    }
}
