//! Randomness as keys need it, given by whoever calls.

/// A source of random bytes fit for keys. The node gives the operating system's; tests give a seeded one.
pub trait Random: Send {
    /// Fills the buffer.
    fn fill(&mut self, buffer: &mut [u8]);
}
