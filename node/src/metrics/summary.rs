//! Times as Vault shows them: how many, their sum, and quantiles over the last ones, in milliseconds.
//!
//! Counting never waits: if two threads finish at the same moment, one of the two times is missing from the quantiles,
//! and in count and sum it is there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, const_mutex};
use prometheus::proto;

/// Times that quantiles are made of.
const RECENT: usize = 512;
/// Those that Vault shows.
const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

/// The last times in milliseconds, in a ring.
struct Recent {
    millis: [f32; RECENT],
    next: usize,
    filled: usize,
}

/// One series.
pub(crate) struct Summary {
    count: AtomicU64,
    sum_micros: AtomicU64,
    recent: Mutex<Recent>,
}

impl Default for Summary {
    fn default() -> Self {
        Self::new()
    }
}

impl Summary {
    pub(crate) const fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            sum_micros: AtomicU64::new(0),
            recent: const_mutex(Recent { millis: [0.0; RECENT], next: 0, filled: 0 }),
        }
    }

    pub(crate) fn observe(&self, time: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        if let Some(mut recent) = self.recent.try_lock() {
            let next = recent.next;
            recent.millis[next] = time.as_micros() as f32 / 1_000.0;
            recent.next = (next + 1) % RECENT;
            recent.filled = (recent.filled + 1).min(RECENT);
        }
    }

    /// How many times were observed.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn sum_millis(&self) -> f64 {
        self.sum_micros.load(Ordering::Relaxed) as f64 / 1_000.0
    }

    /// As the text format writes it. A quantile of nothing is not a number.
    pub(crate) fn metric(&self) -> proto::Metric {
        let mut sorted = {
            let recent = self.recent.lock();
            recent.millis[..recent.filled].to_vec()
        };
        sorted.sort_by(f32::total_cmp);
        let quantile = |quantile: f64| {
            let place = (quantile * sorted.len() as f64).ceil() as usize;
            let mut shown = proto::Quantile::default();
            shown.set_quantile(quantile);
            shown.set_value(sorted.get(place.saturating_sub(1)).map_or(f64::NAN, |millis| f64::from(*millis)));
            shown
        };
        let mut summary = proto::Summary::default();
        summary.set_sample_count(self.count());
        summary.set_sample_sum(self.sum_millis());
        summary.set_quantile(QUANTILES.map(quantile).to_vec());
        let mut metric = proto::Metric::default();
        metric.set_summary(summary);
        metric
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_last_times_and_the_sum_is_of_all() {
        let summary = Summary::new();
        for _ in 0..RECENT {
            summary.observe(Duration::from_secs(9));
        }
        for millis in 1..=RECENT as u64 {
            summary.observe(Duration::from_millis(millis));
        }
        let metric = summary.metric();
        let shown = metric.get_summary();
        assert_eq!(shown.sample_count(), 2 * RECENT as u64);
        assert_eq!(shown.sample_sum(), (RECENT * 9_000 + RECENT * (RECENT + 1) / 2) as f64);
        let values: Vec<_> = shown.get_quantile().iter().map(|quantile| quantile.value().round()).collect();
        assert_eq!(values, [256.0, 461.0, 507.0]);
    }
}
