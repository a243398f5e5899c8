//! When something that lasts is worth a line in the log: when it begins, when it becomes something else, and once in a
//! while as long as it stays. So a fault that is met twice a second costs one line a minute.

use std::time::Duration;

use tokio::time::Instant;

/// Remembers what was said last, and when.
pub(crate) struct Reminder<T> {
    interval: Duration,
    said: Option<(T, Instant)>,
}

impl<T: PartialEq> Reminder<T> {
    /// Reminds once in an interval.
    pub(crate) fn every(interval: Duration) -> Self {
        Self { interval, said: None }
    }

    /// Whether it is to be said now that this holds.
    pub(crate) fn is_due(&mut self, what: T, now: Instant) -> bool {
        let is_due = match &self.said {
            Some((said, at)) => *said != what || now.duration_since(*at) >= self.interval,
            None => true,
        };
        if is_due {
            self.said = Some((what, now));
        }
        is_due
    }

    /// It is over; the next time it is said at once.
    pub(crate) fn clear(&mut self) {
        self.said = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_said_at_first_and_once_an_interval() {
        let start = Instant::now();
        let mut reminder = Reminder::every(Duration::from_secs(60));
        let said = (0..181).filter(|second| reminder.is_due("gone", start + Duration::from_secs(*second)));
        assert_eq!(said.collect::<Vec<_>>(), [0, 60, 120, 180]);
        assert!(reminder.is_due("other", start + Duration::from_secs(181)));
        reminder.clear();
        assert!(reminder.is_due("other", start + Duration::from_secs(182)));
    }
}
