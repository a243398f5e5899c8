//! Turns for what makes a node belong to a cluster: being the first of one, or joining one.
//!
//! Both are asked for without a token, and a join waits for members that somebody else named. So whoever makes a cluster of
//! this node ends the joins that are under way, rather than wait behind them.

use tokio::sync::{Mutex, MutexGuard, watch};

/// The turn, of which there is one.
pub(crate) struct Entering {
    turn: Mutex<()>,
    founders: watch::Sender<usize>,
}

impl Default for Entering {
    fn default() -> Self {
        Self { turn: Mutex::default(), founders: watch::Sender::new(0) }
    }
}

/// Counts one who waits to make a cluster, until dropped.
struct Founder<'a>(&'a watch::Sender<usize>);

impl Drop for Founder<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|founders| *founders -= 1);
    }
}

impl Entering {
    /// The turn of one who makes a cluster of this node.
    pub(crate) async fn to_found(&self) -> MutexGuard<'_, ()> {
        self.founders.send_modify(|founders| *founders += 1);
        let _waiting = Founder(&self.founders);
        self.turn.lock().await
    }

    /// The turn of one who joins. It is to end as soon as [`Entering::founder_waits`] does.
    pub(crate) async fn to_join(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Ends when somebody waits to make a cluster of this node.
    pub(crate) async fn founder_waits(&self) {
        // The sender lives as long as this.
        let _ = self.founders.subscribe().wait_for(|founders| *founders > 0).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_founder_ends_the_joins_before_it_and_joins_do_not_end_each_other() {
        let entering = Entering::default();
        let join = || async {
            tokio::select! {
                () = async {
                    let _turn = entering.to_join().await;
                    tokio::time::sleep(Duration::from_secs(3600)).await;
                } => "joined",
                () = entering.founder_waits() => "ended",
            }
        };
        let found = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let _turn =
                tokio::time::timeout(Duration::from_secs(1), entering.to_found()).await.expect("it comes first");
        };
        let (first, second, ()) = tokio::join!(join(), join(), found);
        assert_eq!((first, second), ("ended", "ended"));
        assert_eq!(join().await, "joined", "nobody waits any more");
    }
}
