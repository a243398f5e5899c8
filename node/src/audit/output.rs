//! Where the lines of a device go: the one place that writes them, each on a thread that may block.

use std::io::{self, Write};

use conclave_cli::audit_chain::Before;

use super::chain::Chain;

/// Takes records down. Blocks as long as it takes; who waits for it does not.
pub(super) trait Output: Send {
    /// Writes records as the next lines of a chain, so that they are with the system or the receiver once it returns. An error
    /// means that none of them counts as written; it is a text for the log.
    fn write(&mut self, chain: &mut Chain, records: &[Vec<u8>]) -> Result<(), String>;
}

/// Opens an output, again after each failure.
pub(super) type Open = Box<dyn FnMut() -> Result<Box<dyn Output>, String> + Send>;

/// Lines with their ends, in one piece.
pub(super) fn joined(lines: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
    for line in lines {
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    }
    bytes
}

/// Takes everything and keeps nothing.
pub(super) struct Discard;

impl Output for Discard {
    fn write(&mut self, _: &mut Chain, _: &[Vec<u8>]) -> Result<(), String> {
        Ok(())
    }
}

/// What takes lines one after the other, and holds nothing that was there before.
pub(super) struct Stream<S> {
    send: S,
    /// Whether nothing was written to it yet.
    is_fresh: bool,
}

impl<S: FnMut(&[Vec<u8>]) -> Result<(), String> + Send> Stream<S> {
    /// By what sends lines, all or none.
    pub(super) fn new(send: S) -> Self {
        Self { send, is_fresh: true }
    }
}

impl<S: FnMut(&[Vec<u8>]) -> Result<(), String> + Send> Output for Stream<S> {
    fn write(&mut self, chain: &mut Chain, records: &[Vec<u8>]) -> Result<(), String> {
        let (lines, last) = chain.linked(self.is_fresh.then(Before::default).as_ref(), records);
        (self.send)(&lines)?;
        self.is_fresh = false;
        chain.keep(last);
        Ok(())
    }
}

/// Standard output.
pub(super) fn stdout() -> impl Output {
    Stream::new(|lines: &[Vec<u8>]| {
        let mut out = io::stdout().lock();
        let written = out.write_all(&joined(lines)).and_then(|()| out.flush());
        written.map_err(|error| format!("standard output: {error}"))
    })
}
