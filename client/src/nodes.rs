//! The nodes a client knows, and which to try next.
//!
//! It sends nothing and reads no clock: the time is given. What surprises: a node that failed is not dropped, only
//! tried last for a while, because when all nodes have failed any of them may be the first to come back.

use std::time::{Duration, Instant};

use crate::address::{Address, Origin};

/// How many nodes a client knows at most, so that a false cluster cannot fill its memory.
pub(crate) const MAX_NODES: usize = 64;

pub(crate) struct Nodes {
    /// Configured ones first, in the order given; never empty.
    known: Vec<Node>,
    /// The node that answered last.
    preferred: Address,
}

struct Node {
    address: Address,
    learned: bool,
    cooling_until: Option<Instant>,
}

impl Nodes {
    /// `configured` must not be empty; the builder sees to it.
    pub(crate) fn new(configured: Vec<Address>) -> Self {
        let preferred = configured[0].clone();
        let mut known: Vec<Node> = Vec::new();
        for address in configured {
            if known.iter().all(|node| node.address != address) && known.len() < MAX_NODES {
                known.push(Node { address, learned: false, cooling_until: None });
            }
        }
        Self { known, preferred }
    }

    /// The first configured node.
    pub(crate) fn first(&self) -> &Address {
        &self.known[0].address
    }

    pub(crate) fn count(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn addresses(&self) -> Vec<Address> {
        self.known.iter().map(|node| node.address.clone()).collect()
    }

    /// The next node that is not in `visited`: the preferred one, then those in good standing, then those that cool.
    pub(crate) fn choose(&self, visited: &[Address], now: Instant) -> Option<Address> {
        let open = || self.known.iter().filter(|node| !visited.contains(&node.address));
        let well = |node: &&Node| node.cooling_until.is_none_or(|until| until <= now);
        open()
            .filter(well)
            .find(|node| node.address == self.preferred)
            .or_else(|| open().find(well))
            .or_else(|| open().min_by_key(|node| node.cooling_until))
            .map(|node| node.address.clone())
    }

    /// Notes that a node answered.
    pub(crate) fn answered(&mut self, address: &Address) {
        if let Some(node) = self.find(address) {
            node.cooling_until = None;
            self.preferred = address.clone();
        }
    }

    /// Notes that a node should be tried last for a while.
    pub(crate) fn cool(&mut self, address: &Address, now: Instant, pause: Duration) {
        if let Some(node) = self.find(address) {
            node.cooling_until = Some(now + pause);
        }
    }

    /// Takes over what the cluster says about its nodes. Those learned earlier and no longer named are dropped.
    pub(crate) fn learn(&mut self, named: &[Address]) {
        self.known.retain(|node| !node.learned || named.contains(&node.address));
        for address in named {
            if self.known.len() < MAX_NODES && self.known.iter().all(|node| node.address != *address) {
                self.known.push(Node { address: address.clone(), learned: true, cooling_until: None });
            }
        }
        if self.known.iter().all(|node| node.address != self.preferred) {
            self.preferred = self.first().clone();
        }
    }

    /// The node at this origin; a token may be sent to no other.
    pub(crate) fn at(&self, origin: &Origin) -> Option<Address> {
        self.known.iter().find(|node| node.address.origin() == origin).map(|node| node.address.clone())
    }

    fn find(&mut self, address: &Address) -> Option<&mut Node> {
        self.known.iter_mut().find(|node| node.address == *address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(name: &str) -> Address {
        Address::parse(&format!("https://{name}:8200")).unwrap()
    }

    fn three() -> Nodes {
        Nodes::new(vec![address("a"), address("b"), address("c")])
    }

    #[test]
    fn the_node_that_answered_last_is_tried_first() {
        let mut nodes = three();
        nodes.answered(&address("b"));
        assert_eq!(nodes.choose(&[], Instant::now()), Some(address("b")));
    }

    #[test]
    fn a_node_that_failed_is_tried_last_until_it_has_cooled() {
        let (mut nodes, now) = (three(), Instant::now());
        nodes.cool(&address("a"), now, Duration::from_secs(5));
        assert_eq!(nodes.choose(&[], now), Some(address("b")));
        assert_eq!(nodes.choose(&[address("b"), address("c")], now), Some(address("a")));
        assert_eq!(nodes.choose(&[], now + Duration::from_secs(5)), Some(address("a")));
    }

    #[test]
    fn a_round_ends_when_every_node_was_visited() {
        let nodes = Nodes::new(vec![address("a")]);
        assert_eq!(nodes.choose(&[address("a")], Instant::now()), None);
    }

    #[test]
    fn a_learned_node_that_left_the_cluster_is_dropped_and_a_configured_one_is_kept() {
        let mut nodes = Nodes::new(vec![address("a")]);
        nodes.learn(&[address("b"), address("c")]);
        nodes.answered(&address("b"));
        nodes.learn(&[address("c")]);
        assert_eq!(nodes.addresses(), [address("a"), address("c")]);
        assert_eq!(nodes.choose(&[], Instant::now()), Some(address("a")));
    }

    #[test]
    fn a_cluster_cannot_name_more_nodes_than_the_limit() {
        let mut nodes = three();
        let many: Vec<Address> = (0..MAX_NODES * 2).map(|number| address(&format!("n{number}"))).collect();
        nodes.learn(&many);
        assert_eq!(nodes.count(), MAX_NODES);
    }
}
