//! What the faults of links do to the switch.
//!
//! Only links between nodes are touched, but for one fault: clients go on to reach both sides of a partition, which is how
//! a stale read would show.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use super::fault::Fault;
use crate::network::{Link, Network};

/// Packets of a thousand that are lost, while some are.
const LOSS_PERMILLE: std::ops::Range<u16> = 20..200;
/// How much longer packets take, in milliseconds, while they do: with the answer less than an election timeout.
const DELAY_MILLIS: std::ops::Range<u64> = 20..150;
/// Packets of a thousand that come twice, or are overtaken.
const DISORDER_PERMILLE: u16 = 200;

/// Disturbs the links.
pub(super) fn disturb(network: &Network, fault: Fault, nodes: &[usize], random: &mut StdRng) {
    let clients = network.clients();
    let disturbance = Disturbance::choose(fault, clients, random);
    network.switch().change(|from, to, link| {
        if fault == Fault::ClientsOnly {
            link.is_cut |= (from == clients && nodes.contains(&to)) || (to == clients && nodes.contains(&from));
        } else if from != clients && to != clients {
            disturbance.apply(fault, nodes, from, to, link);
        }
    });
}

/// What is drawn once for all links.
struct Disturbance {
    size: usize,
    loss_permille: u16,
    delay: Duration,
}

impl Disturbance {
    fn choose(fault: Fault, size: usize, random: &mut StdRng) -> Self {
        let loss_permille = if fault == Fault::Loss { random.random_range(LOSS_PERMILLE) } else { 0 };
        let delay = if fault == Fault::Delay { random.random_range(DELAY_MILLIS) } else { 0 };
        Self { size, loss_permille, delay: Duration::from_millis(delay) }
    }

    fn apply(&self, fault: Fault, nodes: &[usize], from: usize, to: usize, link: &mut Link) {
        let (from_hit, to_hit) = (nodes.contains(&from), nodes.contains(&to));
        match fault {
            Fault::LeaderInMinority | Fault::LeaderInMajority | Fault::Isolate | Fault::Flapping => {
                link.is_cut |= from_hit != to_hit;
            }
            Fault::LeaderDeaf => link.is_cut |= to_hit,
            Fault::LeaderMute => link.is_cut |= from_hit,
            Fault::Bridge => link.is_cut |= !from_hit && !to_hit && half(nodes, from) != half(nodes, to),
            Fault::Ring => link.is_cut |= !are_neighbours(self.size, from, to),
            Fault::Loss => link.loss_permille = self.loss_permille,
            Fault::Delay => {
                link.delay += self.delay;
                link.jitter += self.delay / 4;
            }
            Fault::Disorder => {
                link.duplicate_permille = DISORDER_PERMILLE;
                link.reorder_permille = DISORDER_PERMILLE;
            }
            _ => {}
        }
    }
}

/// Which half a node is in, when the bridge is left out.
fn half(bridge: &[usize], node: usize) -> usize {
    let before = bridge.iter().filter(|bridge| **bridge < node).count();
    (node - before) % 2
}

fn are_neighbours(size: usize, one: usize, other: usize) -> bool {
    (one + 1) % size == other || (other + 1) % size == one
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// Which of so many nodes reach which under a fault, as lines of 0 and 1.
    fn reach(fault: Fault, nodes: &[usize], size: usize) -> Vec<String> {
        let disturbance = Disturbance::choose(fault, size, &mut StdRng::seed_from_u64(1));
        let reaches = |from, to| {
            let mut link = Link::default();
            disturbance.apply(fault, nodes, from, to, &mut link);
            from == to || !link.is_cut
        };
        let line = |from| (0..size).map(|to| if reaches(from, to) { '1' } else { '0' }).collect();
        (0..size).map(line).collect()
    }

    #[test]
    fn partitions_cut_what_their_names_say() {
        assert_eq!(reach(Fault::LeaderInMinority, &[0], 3), ["100", "011", "011"]);
        assert_eq!(reach(Fault::LeaderInMajority, &[3, 4], 5), ["11100", "11100", "11100", "00011", "00011"]);
        assert_eq!(reach(Fault::LeaderDeaf, &[0], 3), ["111", "011", "011"]);
        assert_eq!(reach(Fault::LeaderMute, &[0], 3), ["100", "111", "111"]);
        assert_eq!(reach(Fault::Bridge, &[1], 3), ["110", "111", "011"]);
        assert_eq!(reach(Fault::Bridge, &[2], 5), ["10110", "01101", "11111", "10110", "01101"]);
        assert_eq!(reach(Fault::Ring, &[], 5), ["11001", "11100", "01110", "00111", "10011"]);
    }

    #[test]
    fn what_only_disturbs_cuts_nothing() {
        for fault in [Fault::Loss, Fault::Delay, Fault::Disorder] {
            assert_eq!(reach(fault, &[0, 1, 2], 3), ["111"; 3]);
        }
    }
}
