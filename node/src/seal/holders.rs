//! For tests: a seal, and those who hold its shares.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use conclave_vault::Time;
use conclave_vault::seal::{Entered, Entry, Initialized, Outside, Parameters, initialize};
use tokio::time::Instant;

use super::shares::Shares;
use crate::view::SystemRandomness;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A seal of five shares, three of which open it.
pub(crate) struct Holders {
    pub(crate) outside: Outside,
    made: Initialized,
}

impl Holders {
    pub(crate) fn new() -> Self {
        let parameters = Parameters { shares: 5, threshold: 3 };
        let mut random = SystemRandomness::default();
        let made = initialize(parameters, &mut random, Time::from_secs(1_700_000_000), [7; 16]).unwrap();
        let [cluster, seal, keyring] = [0, 1, 2].map(|record| &made.records[record].1);
        Self { outside: Outside::decode(cluster, seal, keyring).unwrap(), made }
    }

    /// One of them enters a share; answers how many are there.
    pub(crate) fn enter(&self, shares: &mut Shares, number: usize, now: Instant) -> usize {
        let key = self.made.shares[number].to_hex();
        let entry = Entry { key: &key, address: HERE, confirmed: BTreeSet::new() };
        let entered = shares.enter(entry, &self.outside, &mut SystemRandomness::default(), now);
        assert!(matches!(entered, Ok(Entered::Progress(_))), "no share unseals");
        shares.progress(&self.outside).entered
    }
}
