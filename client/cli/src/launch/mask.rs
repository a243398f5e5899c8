//! Takes secrets out of a stream of bytes, in the forms in which programs are wont to print them.
//!
//! An automaton of Aho and Corasick ("Efficient string matching", CACM 18, 1975) that is told the bytes as they come.
//! Own, because what may be let go depends on how deep the automaton stands, which libraries keep to themselves. What
//! surprises: bytes that may begin a secret are held back until it is clear that they do not, however long that takes.

use std::collections::{HashMap, VecDeque};

use zeroize::Zeroizing;

/// What stands in the place of a secret.
pub(crate) const MASK: &[u8] = b"********";

/// What is shorter is not looked for, or half of all output would be masked.
pub(crate) const SHORTEST_BYTES: usize = 4;

/// A beginning of a secret with which the output ends is masked from here on.
const SHORTEST_REST_BYTES: usize = SHORTEST_BYTES;

/// All forms of all secrets.
#[derive(Default)]
pub(crate) struct Patterns {
    nodes: Vec<Step>,
    next: HashMap<(u32, u8), u32>,
}

#[derive(Clone, Copy, Default)]
struct Step {
    /// How many bytes lead here: the longest end of the input that begins a pattern.
    depth: usize,
    /// Where to go on if no pattern goes on with the next byte.
    fallback: u32,
    /// The longest pattern that ends here, or 0.
    found: usize,
}

impl Patterns {
    /// Builds the automaton; patterns that are too short are left out.
    pub(crate) fn new(patterns: impl IntoIterator<Item = Zeroizing<Vec<u8>>>) -> Self {
        let mut made = Self { nodes: vec![Step::default()], next: HashMap::new() };
        for pattern in patterns.into_iter().filter(|pattern| pattern.len() >= SHORTEST_BYTES) {
            let end = pattern.iter().fold(0, |at, byte| made.child(at, *byte));
            made.nodes[end as usize].found = pattern.len();
        }
        made.link();
        made
    }

    fn child(&mut self, at: u32, byte: u8) -> u32 {
        if let Some(known) = self.next.get(&(at, byte)) {
            return *known;
        }
        let depth = self.nodes[at as usize].depth + 1;
        let added = u32::try_from(self.nodes.len()).expect("the limit on secrets is far below");
        self.nodes.push(Step { depth, ..Step::default() });
        self.next.insert((at, byte), added);
        added
    }

    /// Sets where each node falls back to, the shallow ones first.
    fn link(&mut self) {
        let mut children = vec![Vec::new(); self.nodes.len()];
        for (&(from, byte), &to) in &self.next {
            children[from as usize].push((byte, to));
        }
        let mut queue = VecDeque::from([0]);
        while let Some(at) = queue.pop_front() {
            for &(byte, child) in &children[at as usize] {
                let fallback = if at == 0 { 0 } else { self.step(self.nodes[at as usize].fallback, byte) };
                let shorter = self.nodes[fallback as usize].found;
                let node = &mut self.nodes[child as usize];
                node.fallback = fallback;
                node.found = node.found.max(shorter);
                queue.push_back(child);
            }
        }
    }

    fn step(&self, mut at: u32, byte: u8) -> u32 {
        loop {
            match self.next.get(&(at, byte)) {
                Some(next) => return *next,
                None if at == 0 => return 0,
                None => at = self.nodes[at as usize].fallback,
            }
        }
    }
}

/// One stream that is being masked.
pub(crate) struct Masker<'a> {
    patterns: &'a Patterns,
    at: u32,
    /// Bytes that are not let go yet, and whether each belongs to a secret.
    held: VecDeque<(u8, bool)>,
    /// Whether the last byte that was let go belonged to a secret, whose mask is then written.
    is_inside: bool,
}

impl<'a> Masker<'a> {
    pub(crate) fn new(patterns: &'a Patterns) -> Self {
        Self { patterns, at: 0, held: VecDeque::new(), is_inside: false }
    }

    /// Takes bytes of the stream and gives those that can be shown by now.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut shown = Vec::with_capacity(bytes.len());
        for byte in bytes {
            self.at = self.patterns.step(self.at, *byte);
            self.held.push_back((*byte, false));
            let node = self.patterns.nodes[self.at as usize];
            self.held.iter_mut().rev().take(node.found).for_each(|(_, is_secret)| *is_secret = true);
            self.release(self.held.len() - node.depth, &mut shown);
        }
        shown
    }

    /// Gives what was held back at the end of the stream; the beginning of a secret is masked.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let depth = self.patterns.nodes[self.at as usize].depth;
        if depth >= SHORTEST_REST_BYTES {
            self.held.iter_mut().rev().take(depth).for_each(|(_, is_secret)| *is_secret = true);
        }
        let mut shown = Vec::new();
        self.release(self.held.len(), &mut shown);
        shown
    }

    fn release(&mut self, count: usize, shown: &mut Vec<u8>) {
        for (byte, is_secret) in self.held.drain(..count) {
            match (is_secret, self.is_inside) {
                (true, false) => shown.extend_from_slice(MASK),
                (true, true) => {}
                (false, _) => shown.push(byte),
            }
            self.is_inside = is_secret;
        }
    }
}

#[cfg(test)]
mod tests;
