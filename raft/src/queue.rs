//! First come, first served, per key: which batch may go to the log next.
//!
//! Not a lock around data: it only orders batches that could spoil one another's guards, so that the loser is found
//! before it makes an entry. A ticket enters all its lines at once, so two tickets stand in the same order in every
//! line they share, and no circle of waiting can arise.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use tokio::sync::oneshot;

/// What a batch does to a key or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It depends on the revision (a guard).
    Read,
    /// It may change a directory's revision, in an order that does not matter among those who do.
    Touch,
    /// It changes the key, or both depends on the directory and may change it.
    Write,
}

impl Mode {
    fn join(self, other: Self) -> Self {
        if self == other { self } else { Mode::Write }
    }
}

/// A key, or the directory of that name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) key: Bytes,
    pub(crate) is_directory: bool,
}

/// The places of one batch, each once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims(BTreeMap<Place, Mode>);

impl Claims {
    pub(crate) fn add(&mut self, key: Bytes, is_directory: bool, mode: Mode) {
        let place = Place { key, is_directory };
        self.0.entry(place).and_modify(|held| *held = held.join(mode)).or_insert(mode);
    }
}

/// Names a batch that stands in line or holds its places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// All lines.
#[derive(Default)]
pub(crate) struct Queue {
    lines: HashMap<Place, Line>,
    tickets: HashMap<Ticket, Held>,
    next: u64,
}

/// One place: who holds it, by mode, and who waits. `readers`, `touchers` and `writers` are never positive together,
/// and `writers` is at most one.
#[derive(Default)]
struct Line {
    readers: usize,
    touchers: usize,
    writers: usize,
    waiting: VecDeque<(Ticket, Mode)>,
}

struct Held {
    claims: Claims,
    /// Places not granted yet.
    missing: usize,
    wake: Option<oneshot::Sender<()>>,
}

impl Line {
    fn admits(&self, mode: Mode) -> bool {
        match mode {
            Mode::Read => self.writers == 0 && self.touchers == 0,
            Mode::Touch => self.writers == 0 && self.readers == 0,
            Mode::Write => self.writers == 0 && self.readers == 0 && self.touchers == 0,
        }
    }

    fn holders(&mut self, mode: Mode) -> &mut usize {
        match mode {
            Mode::Read => &mut self.readers,
            Mode::Touch => &mut self.touchers,
            Mode::Write => &mut self.writers,
        }
    }

    fn is_unused(&self) -> bool {
        self.readers + self.touchers + self.writers == 0 && self.waiting.is_empty()
    }
}

impl Queue {
    /// Enters all lines. The receiver resolves when every place is granted; `None` if that is so at once.
    pub(crate) fn enter(&mut self, claims: Claims) -> (Ticket, Option<oneshot::Receiver<()>>) {
        let ticket = Ticket(self.next);
        self.next += 1;
        let mut missing = 0;
        for (place, mode) in &claims.0 {
            let line = self.lines.entry(place.clone()).or_default();
            if line.waiting.is_empty() && line.admits(*mode) {
                *line.holders(*mode) += 1;
            } else {
                line.waiting.push_back((ticket, *mode));
                missing += 1;
            }
        }
        let (wake, granted) = oneshot::channel();
        let waits = missing > 0;
        self.tickets.insert(ticket, Held { claims, missing, wake: waits.then_some(wake) });
        (ticket, waits.then_some(granted))
    }

    /// Gives up what the ticket only read: its entry stands in the log before any that may come now.
    pub(crate) fn release_reads(&mut self, ticket: Ticket) {
        let Some(held) = self.tickets.get_mut(&ticket) else { return };
        debug_assert_eq!(held.missing, 0, "only a ticket that holds everything is appended");
        let read: Vec<_> =
            held.claims.0.iter().filter(|(_, mode)| **mode == Mode::Read).map(|(p, _)| p.clone()).collect();
        held.claims.0.retain(|_, mode| *mode != Mode::Read);
        for place in read {
            self.leave(ticket, place, Mode::Read);
        }
    }

    /// Leaves every line, whether the place was granted or not.
    pub(crate) fn release(&mut self, ticket: Ticket) {
        let Some(held) = self.tickets.remove(&ticket) else { return };
        for (place, mode) in held.claims.0 {
            self.leave(ticket, place, mode);
        }
    }

    /// Tickets that hold or wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.tickets.len()
    }

    fn leave(&mut self, ticket: Ticket, place: Place, mode: Mode) {
        let Some(line) = self.lines.get_mut(&place) else { return };
        match line.waiting.iter().position(|(waiting, _)| *waiting == ticket) {
            Some(position) => drop(line.waiting.remove(position)),
            None => *line.holders(mode) -= 1,
        }
        while let Some((next, mode)) = line.waiting.front().copied() {
            if !line.admits(mode) {
                break;
            }
            line.waiting.pop_front();
            *line.holders(mode) += 1;
            let held = self.tickets.get_mut(&next).expect("whoever waits in a line has a ticket");
            held.missing -= 1;
            if held.missing == 0
                && let Some(wake) = held.wake.take()
            {
                // Whoever gave up waiting releases the ticket, and with it the place.
                let _ = wake.send(());
            }
        }
        if line.is_unused() {
            self.lines.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(items: &[(&'static str, bool, Mode)]) -> Claims {
        let mut claims = Claims::default();
        for (key, is_directory, mode) in items {
            claims.add(Bytes::from_static(key.as_bytes()), *is_directory, *mode);
        }
        claims
    }

    fn granted(waiting: &mut Option<oneshot::Receiver<()>>) -> bool {
        waiting.as_mut().is_none_or(|waiting| waiting.try_recv().is_ok())
    }

    #[test]
    fn readers_of_one_key_go_together() {
        let mut queue = Queue::default();
        let (_, mut first) = queue.enter(claims(&[("k", false, Mode::Read)]));
        let (_, mut second) = queue.enter(claims(&[("k", false, Mode::Read)]));
        assert!(granted(&mut first) && granted(&mut second));
    }

    #[test]
    fn a_writer_waits_for_a_writer() {
        let mut queue = Queue::default();
        let (first, _) = queue.enter(claims(&[("k", false, Mode::Write)]));
        let (_, mut second) = queue.enter(claims(&[("k", false, Mode::Write)]));
        assert!(!granted(&mut second));
        queue.release(first);
        assert!(granted(&mut second));
    }

    #[test]
    fn nobody_overtakes_a_waiting_writer() {
        let mut queue = Queue::default();
        let (reader, _) = queue.enter(claims(&[("k", false, Mode::Read)]));
        let (writer, mut waiting_writer) = queue.enter(claims(&[("k", false, Mode::Write)]));
        let (_, mut late_reader) = queue.enter(claims(&[("k", false, Mode::Read)]));
        queue.release(reader);
        assert!(granted(&mut waiting_writer) && !granted(&mut late_reader));
        queue.release(writer);
        assert!(granted(&mut late_reader));
    }

    #[test]
    fn those_who_touch_a_directory_do_not_wait_for_one_another() {
        let mut queue = Queue::default();
        let (_, mut first) = queue.enter(claims(&[("d", true, Mode::Touch)]));
        let (_, mut second) = queue.enter(claims(&[("d", true, Mode::Touch)]));
        assert!(granted(&mut first) && granted(&mut second));
        let (_, mut lister) = queue.enter(claims(&[("d", true, Mode::Read)]));
        assert!(!granted(&mut lister));
    }

    #[test]
    fn a_key_and_a_directory_of_one_name_are_two_places() {
        let mut queue = Queue::default();
        let (_, _) = queue.enter(claims(&[("x", false, Mode::Write)]));
        let (_, mut other) = queue.enter(claims(&[("x", true, Mode::Write)]));
        assert!(granted(&mut other));
    }

    #[test]
    fn releasing_reads_lets_a_writer_pass_and_keeps_the_writes() {
        let mut queue = Queue::default();
        let (first, _) = queue.enter(claims(&[("guard", false, Mode::Read), ("k", false, Mode::Write)]));
        let (_, mut on_guard) = queue.enter(claims(&[("guard", false, Mode::Write)]));
        let (_, mut on_key) = queue.enter(claims(&[("k", false, Mode::Write)]));
        queue.release_reads(first);
        assert!(granted(&mut on_guard) && !granted(&mut on_key));
    }

    #[test]
    fn a_key_that_is_guarded_and_written_is_held_until_the_end() {
        let mut queue = Queue::default();
        let (first, _) = queue.enter(claims(&[("k", false, Mode::Read), ("k", false, Mode::Write)]));
        queue.release_reads(first);
        let (_, mut second) = queue.enter(claims(&[("k", false, Mode::Read)]));
        assert!(!granted(&mut second));
    }

    #[test]
    fn whoever_gives_up_lets_the_others_move_up() {
        let mut queue = Queue::default();
        let (holder, _) = queue.enter(claims(&[("k", false, Mode::Read)]));
        let (gives_up, _) = queue.enter(claims(&[("k", false, Mode::Write)]));
        let (_, mut reader) = queue.enter(claims(&[("k", false, Mode::Read)]));
        assert!(!granted(&mut reader));
        queue.release(gives_up);
        assert!(granted(&mut reader));
        queue.release(holder);
    }

    #[test]
    fn crossed_claims_do_not_wait_in_a_circle() {
        let mut queue = Queue::default();
        let both = || claims(&[("a", false, Mode::Write), ("b", false, Mode::Write)]);
        let (first, _) = queue.enter(both());
        let (second, mut waits) = queue.enter(both());
        let (third, mut last) = queue.enter(both());
        queue.release(first);
        assert!(granted(&mut waits) && !granted(&mut last));
        queue.release(second);
        assert!(granted(&mut last));
        queue.release(third);
        assert!(queue.lines.is_empty() && queue.tickets.is_empty(), "nothing is left behind");
    }
}
