//! The task that forgets shares which wait too long for another one.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::Seal;
use crate::config::limits::SHARES_TIME;

/// How often a node looks for shares to forget.
const INTERVAL: Duration = Duration::from_secs(1);

/// Runs until the application stops.
pub(crate) async fn run(seal: Arc<Seal>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = seal.replica.wakeups.stopping() => return,
            _ = ticks.tick() => {}
        }
        let now = Instant::now();
        let own = seal.state.attempts.lock().forget_old(now);
        let joining = seal.joining.lock().as_mut().is_some_and(|joining| joining.forget_old(now));
        if own || joining {
            let minutes = SHARES_TIME.as_secs() / 60;
            tracing::info!(
                minutes,
                "the shares entered so far were forgotten, because no further one came: begin again"
            );
        }
    }
}
