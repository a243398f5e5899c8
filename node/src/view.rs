//! The system's randomness and clock, as the core takes them.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use conclave_vault::{Random, Time};

/// The operating system's randomness.
pub(crate) struct SystemRandomness(SystemRandom);

impl Default for SystemRandomness {
    fn default() -> Self {
        Self(SystemRandom::new())
    }
}

impl SystemRandomness {
    /// 32 random bytes.
    pub(crate) fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.fill(&mut seed);
        seed
    }
}

impl Random for SystemRandomness {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.0.fill(buffer).expect("the operating system gives random bytes, or nothing here is safe");
    }
}

/// The node's clock.
pub(crate) fn now() -> Time {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}
