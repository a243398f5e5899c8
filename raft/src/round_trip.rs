//! The round trip to a peer as the network has it: the smallest one of a good while. A single one also says how busy the two
//! machines were, and what is far away is so at all times.

use std::time::Duration;

/// Probes of one window; they are made about once a second.
const WINDOW_PROBES: u32 = 60;

/// The smallest round trip of the last one to two windows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeastRoundTrip {
    /// Of the window that is filling, and how many probes are in it.
    current: Duration,
    probes: u32,
    /// Of the one before.
    before: Option<Duration>,
}

impl LeastRoundTrip {
    pub(crate) fn first(time: Duration) -> Self {
        Self { current: time, probes: 1, before: None }
    }

    /// With one more.
    pub(crate) fn with(self, time: Duration) -> Self {
        if self.probes == WINDOW_PROBES {
            return Self { before: Some(self.current), ..Self::first(time) };
        }
        Self { current: self.current.min(time), probes: self.probes + 1, ..self }
    }

    /// `None` before the first window is full.
    pub(crate) fn get(self) -> Option<Duration> {
        self.before.map(|before| before.min(self.current))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(times: impl IntoIterator<Item = u64>) -> Option<Duration> {
        let mut times = times.into_iter().map(Duration::from_millis);
        let first = LeastRoundTrip::first(times.next().unwrap_or_default());
        times.fold(first, LeastRoundTrip::with).get()
    }

    #[test]
    fn a_busy_machine_is_not_taken_for_a_far_one() {
        let window = u64::from(WINDOW_PROBES);
        assert_eq!(after([90; WINDOW_PROBES as usize]), None);
        assert_eq!(after([90; WINDOW_PROBES as usize + 1]), Some(Duration::from_millis(90)));
        let busy = (0..window * 10).map(|probe| if probe % window == 7 { 1 } else { 200 });
        assert_eq!(after(busy), Some(Duration::from_millis(1)));
        // What was near and is far now is found out after two windows.
        let moved = (0..=window * 3).map(|probe| if probe < window { 1 } else { 90 });
        assert_eq!(after(moved), Some(Duration::from_millis(90)));
    }
}
