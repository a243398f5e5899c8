//! How many connections there are: all together, and from each client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;

/// The connections of all listeners.
pub struct Connections {
    all: Arc<Semaphore>,
    by_client: Mutex<HashMap<IpAddr, usize>>,
    most_by_client: usize,
}

/// One connection's place, given back when dropped.
pub struct Slot {
    connections: Arc<Connections>,
    client: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    /// None yet, and room for as many as the limits say.
    pub fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            all: Arc::new(Semaphore::new(limits.connections)),
            by_client: Mutex::default(),
            most_by_client: limits.connections_per_address,
        })
    }

    /// Waits until there is room for one more.
    pub async fn room(&self) -> OwnedSemaphorePermit {
        // The semaphore is never closed, so this waits and does not fail.
        self.all.clone().acquire_owned().await.expect("the semaphore of connections is never closed")
    }

    /// Counts a connection; `None` if its client has too many.
    pub fn enter(self: &Arc<Self>, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Slot> {
        let client = client_of(address);
        let mut by_client = self.by_client.lock();
        let count = by_client.entry(client).or_insert(0);
        if *count >= self.most_by_client {
            return None;
        }
        *count += 1;
        drop(by_client);
        Some(Slot { connections: self.clone(), client, _permit: permit })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut by_client = self.connections.by_client.lock();
        if let Some(count) = by_client.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                by_client.remove(&self.client);
            }
        }
    }
}

/// Who counts as one client: an IPv4 address, or an IPv6 network of 64 bits, which is what one site gets.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_client_cannot_take_all_connections() {
        // check 35, check 196
        let connections = Connections::new(&Limits { connections: 8, connections_per_address: 1, ..Limits::default() });
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::2".parse().unwrap();
        let other: IpAddr = "2001:db8:1::1".parse().unwrap();
        let slot = connections.enter(address, connections.room().await).unwrap();
        assert!(connections.enter(neighbour, connections.room().await).is_none());
        assert!(connections.enter(other, connections.room().await).is_some());
        drop(slot);
        assert!(connections.enter(neighbour, connections.room().await).is_some());
        assert!(connections.by_client.lock().is_empty(), "nothing is kept of those who left");
        assert_eq!(connections.all.available_permits(), 8);
    }
}
