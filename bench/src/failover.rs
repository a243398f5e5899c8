//! How long a cluster takes no write after its leader was killed.

use std::time::{Duration, Instant};

use crate::error::BenchError;
use crate::report::{Sample, metric};
use crate::request::Operation;
use crate::subject::conclave::{Side, Vault};

/// Writes before each kill, so that all nodes have something to do.
const WRITES: u32 = 20;
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(2);
/// How long a try may take.
const TRY: Duration = Duration::from_secs(4);
/// How long the cluster may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the cluster is left alone before the next kill.
const REST: Duration = Duration::from_secs(2);

/// Kills the leader so many times; a sample for each.
pub(crate) async fn measure(vault: &Vault, kills: u32) -> Result<Vec<Sample>, BenchError> {
    let mut samples = Vec::new();
    for _ in 0..kills {
        let gap = kill_one(vault).await?;
        samples.push(Sample::from([(metric::GAP.to_owned(), gap.as_secs_f64() * 1e3)]));
    }
    Ok(samples)
}

async fn kill_one(vault: &Vault) -> Result<Duration, BenchError> {
    let leader = vault.cluster.wait_for_leader().await?;
    let follower = vault.on(Side::Follower).await?;
    for _ in 0..WRITES {
        follower.send(Operation::Write).await?;
    }
    vault.cluster.node(leader).kill()?;
    let killed = Instant::now();
    // Each try may meet a node that knows no leader yet; that is what is measured.
    while !matches!(tokio::time::timeout(TRY, follower.send(Operation::Write)).await, Ok(Ok(_))) {
        if killed.elapsed() > PATIENCE {
            return Err(BenchError::Settings(format!(
                "no write was acknowledged within {PATIENCE:?} of a leader's death"
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
    let gap = killed.elapsed();
    vault.cluster.restart_all().await?;
    vault.cluster.unseal_all().await?;
    vault.cluster.wait_until_serving().await?;
    tokio::time::sleep(REST).await;
    Ok(gap)
}
