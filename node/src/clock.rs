//! The node's clock, and whether somebody set it.
//!
//! Expiry goes by the system's clock, which can jump. A second clock that nobody sets shows the jump at once, before
//! the other nodes' clocks are compared again; what lies between is when a wrong clock would do its harm.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use conclave_vault::Time;
use parking_lot::Mutex;

/// The system's clock and when it was last found right.
pub struct Clock {
    trusted: Mutex<Trusted>,
    /// By how much the system's clock is wrong.
    #[cfg(test)]
    pub(crate) ahead_millis: std::sync::atomic::AtomicI64,
}

#[derive(Clone, Copy)]
struct Trusted {
    millis: i64,
    at: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        let trusted = Trusted { millis: system_millis(), at: Instant::now() };
        Self {
            trusted: Mutex::new(trusted),
            #[cfg(test)]
            ahead_millis: std::sync::atomic::AtomicI64::new(0),
        }
    }
}

impl Clock {
    /// Milliseconds since the Unix epoch.
    pub fn millis(&self) -> i64 {
        #[cfg(test)]
        return system_millis() + self.ahead_millis.load(std::sync::atomic::Ordering::SeqCst);
        #[cfg(not(test))]
        system_millis()
    }

    /// The time, as the core reads it.
    pub fn now(&self) -> Time {
        Time::from_nanos(self.millis().saturating_mul(1_000_000))
    }

    /// How many milliseconds the clock was set forward since it was last trusted.
    pub fn jump_millis(&self) -> i64 {
        let trusted = *self.trusted.lock();
        let passed = i64::try_from(trusted.at.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.millis().saturating_sub(trusted.millis.saturating_add(passed))
    }

    /// The clock is right as it is now.
    pub fn trust(&self) {
        *self.trusted.lock() = Trusted { millis: self.millis(), at: Instant::now() };
    }
}

fn system_millis() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
