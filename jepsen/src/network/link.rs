//! What one directed link does to its packets.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

/// How much later a packet comes that is to be overtaken.
const OVERTAKEN: Duration = Duration::from_millis(15);

/// A directed link. The default carries everything at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Whether it carries nothing.
    pub is_cut: bool,
    /// Packets of a thousand that are lost.
    pub loss_permille: u16,
    /// Packets of a thousand that come twice.
    pub duplicate_permille: u16,
    /// Packets of a thousand that later ones overtake.
    pub reorder_permille: u16,
    /// How long each packet takes.
    pub delay: Duration,
    /// How much longer it may take, at most; later packets then wait, so that the order stays.
    pub jitter: Duration,
}

/// What becomes of one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Lost,
    /// It arrives after each of these times, and keeps its place in the order unless it is to be overtaken.
    Arrives {
        /// How long each copy takes.
        copies: Vec<Duration>,
        /// Whether later packets may come first.
        is_overtaken: bool,
    },
}

impl Link {
    /// Decides about the next packet.
    pub fn decide(&self, random: &mut StdRng) -> Fate {
        let mut happens = |permille: u16| permille > 0 && random.random_range(0..1_000) < permille;
        if self.is_cut || happens(self.loss_permille) {
            return Fate::Lost;
        }
        let count = if happens(self.duplicate_permille) { 2 } else { 1 };
        let is_overtaken = happens(self.reorder_permille);
        let mut time = || {
            let jitter = u64::try_from(self.jitter.as_micros()).unwrap_or(u64::MAX);
            let more = if jitter == 0 { 0 } else { random.random_range(0..=jitter) };
            self.delay + Duration::from_micros(more) + if is_overtaken { OVERTAKEN } else { Duration::ZERO }
        };
        Fate::Arrives { copies: (0..count).map(|_| time()).collect(), is_overtaken }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn fates(link: Link, seed: u64) -> Vec<Fate> {
        let mut random = StdRng::seed_from_u64(seed);
        (0..10_000).map(|_| link.decide(&mut random)).collect()
    }

    fn share(fates: &[Fate], is_it: impl Fn(&Fate) -> bool) -> usize {
        fates.iter().filter(|fate| is_it(fate)).count()
    }

    #[test]
    fn a_link_as_it_is_made_carries_everything_at_once() {
        let at_once = Fate::Arrives { copies: vec![Duration::ZERO], is_overtaken: false };
        assert!(fates(Link::default(), 1).iter().all(|fate| *fate == at_once));
    }

    #[test]
    fn a_cut_link_carries_nothing() {
        let cut = Link { is_cut: true, duplicate_permille: 1_000, ..Link::default() };
        assert_eq!(share(&fates(cut, 1), |fate| *fate == Fate::Lost), 10_000);
    }

    #[test]
    fn packets_are_lost_doubled_and_overtaken_as_often_as_said() {
        let link = Link { loss_permille: 100, duplicate_permille: 200, reorder_permille: 300, ..Link::default() };
        let fates = fates(link, 7);
        let lost = share(&fates, |fate| *fate == Fate::Lost);
        let twice = share(&fates, |fate| matches!(fate, Fate::Arrives { copies, .. } if copies.len() == 2));
        let late = share(&fates, |fate| matches!(fate, Fate::Arrives { is_overtaken: true, .. }));
        for (found, wanted) in [(lost, 1_000), (twice, 1_800), (late, 2_700)] {
            assert!(found.abs_diff(wanted) < wanted / 5, "{found} instead of about {wanted}");
        }
    }

    #[test]
    fn a_packet_takes_at_least_the_delay_and_at_most_the_jitter_more() {
        let (delay, jitter) = (Duration::from_millis(50), Duration::from_millis(5));
        let slow = Link { delay, jitter, ..Link::default() };
        for fate in fates(slow, 3) {
            let Fate::Arrives { copies, .. } = fate else { panic!("it was lost") };
            assert!(copies.iter().all(|time| (delay..=delay + jitter).contains(time)), "{copies:?}");
        }
    }

    #[test]
    fn the_same_seed_decides_the_same() {
        let link = Link { loss_permille: 300, duplicate_permille: 300, ..Link::default() };
        assert_eq!(fates(link, 5), fates(link, 5));
        assert_ne!(fates(link, 5), fates(link, 6));
    }
}
