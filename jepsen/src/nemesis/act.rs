//! Does a fault to a cluster, and takes it back.

use conclave_client::Error;
use rand::Rng;
use rand::rngs::StdRng;

use super::fault::Fault;
use super::{Outcome, links};
use crate::cluster::{Cluster, ClusterError, PATIENCE, wait_until};

/// By how many seconds a clock jumps, either way.
const JUMP_SECS: &[i64] = &[1, 3, 30, 3_600, 86_400];

/// Does it. Faults that are over at once are so when this returns.
pub(super) async fn hurt(cluster: &Cluster, fault: Fault, nodes: &[usize], random: &mut StdRng) -> Outcome {
    if nodes.is_empty() {
        return Outcome::Skipped("a cluster of one or two nodes has no minority to spare".to_owned());
    }
    if fault.is_of_links() {
        return hurt_links(cluster, fault, nodes, random);
    }
    let done = match fault {
        Fault::KillAll => cluster.kill_all(),
        Fault::PowerLoss => cluster.lose_power(),
        Fault::KillLeader | Fault::KillFollowers => nodes.iter().try_for_each(|node| cluster.node(*node).kill()),
        Fault::PauseLeader | Fault::PauseFollowers => nodes.iter().try_for_each(|node| cluster.node(*node).pause()),
        Fault::Clock => jump(cluster, nodes, random),
        Fault::Seal => seal(cluster, nodes).await,
        Fault::Transfer => step_down(cluster, nodes[0]).await,
        Fault::Replace => return remove(cluster, nodes[0]).await,
        _ => Ok(()),
    };
    done.map_or_else(|error| Outcome::Indeterminate(error.to_string()), |()| Outcome::Installed)
}

fn hurt_links(cluster: &Cluster, fault: Fault, nodes: &[usize], random: &mut StdRng) -> Outcome {
    let Some(network) = cluster.network() else {
        return Outcome::Skipped("the cluster has no switch".to_owned());
    };
    if fault == Fault::Ring && cluster.size() < 5 {
        return Outcome::Skipped("a ring of fewer than five nodes cuts nothing".to_owned());
    }
    links::disturb(network, fault, nodes, random);
    Outcome::Installed
}

/// What happens again and again while a fault lasts.
pub(super) fn go_on(cluster: &Cluster, fault: Fault, nodes: &[usize], random: &mut StdRng) {
    if let (Fault::Flapping, Some(network)) = (fault, cluster.network())
        && random.random_bool(0.25)
    {
        if random.random_bool(0.5) {
            network.switch().mend();
        } else {
            links::disturb(network, fault, nodes, random);
        }
    }
}

fn jump(cluster: &Cluster, nodes: &[usize], random: &mut StdRng) -> Result<(), ClusterError> {
    let secs = JUMP_SECS[random.random_range(0..JUMP_SECS.len())];
    let offset_secs = if random.random_bool(0.5) { secs } else { -secs };
    nodes.iter().try_for_each(|node| cluster.node(*node).set_clock(offset_secs))
}

async fn seal(cluster: &Cluster, nodes: &[usize]) -> Result<(), ClusterError> {
    for node in nodes {
        cluster.seal(*node).await?;
    }
    Ok(())
}

async fn step_down(cluster: &Cluster, leader: usize) -> Result<(), ClusterError> {
    let asked = cluster.client_of(leader).cluster().step_down().await;
    asked.map_err(ClusterError::request("asking the leader to hand over"))
}

/// Removes a node, which a cluster may refuse.
async fn remove(cluster: &Cluster, node: usize) -> Outcome {
    let removed = try_remove(cluster, node).await;
    match removed {
        Ok(()) => Outcome::Installed,
        Err(error) if error.may_have_happened() => Outcome::Indeterminate(error.to_string()),
        Err(error) => Outcome::Skipped(error.to_string()),
    }
}

async fn try_remove(cluster: &Cluster, node: usize) -> Result<(), Error> {
    let address = cluster.node(node).cluster_address();
    let client = cluster.client();
    let servers = client.cluster().raft_configuration().await?;
    let id = servers.into_iter().find(|server| server.address == address).map(|server| server.node_id);
    client.cluster().remove_peer(&id.unwrap_or_default()).await
}

/// Takes a fault back and waits until every node serves.
pub(super) async fn heal(
    cluster: &Cluster,
    fault: Fault,
    nodes: &[usize],
    outcome: &Outcome,
) -> Result<(), ClusterError> {
    if let Some(network) = cluster.network() {
        network.switch().mend();
    }
    match fault {
        Fault::Clock => nodes.iter().try_for_each(|node| cluster.node(*node).set_clock(0))?,
        Fault::Replace if !matches!(outcome, Outcome::Skipped(_)) => join_anew(cluster, nodes[0]).await?,
        Fault::KillAll | Fault::PowerLoss => cluster.restart_all().await?,
        Fault::KillLeader | Fault::KillFollowers => {
            for node in nodes {
                cluster.node(*node).restart().await?;
            }
        }
        Fault::PauseLeader | Fault::PauseFollowers => resume(cluster, nodes)?,
        _ => {}
    }
    // One that ended by itself is a finding, not something to be healed in silence.
    if let Some(node) = cluster.nodes().iter().find(|node| !node.is_running()) {
        return Err(ClusterError::Ended { node: node.name().to_owned(), tail: node.log_tail() });
    }
    cluster.unseal_all().await?;
    cluster.wait_until_serving().await
}

fn resume(cluster: &Cluster, nodes: &[usize]) -> Result<(), ClusterError> {
    let mut paused = nodes.iter().map(|node| cluster.node(*node)).filter(|node| node.is_paused());
    paused.try_for_each(|node| node.resume())
}

/// Lets a node that was removed join as a new one.
async fn join_anew(cluster: &Cluster, index: usize) -> Result<(), ClusterError> {
    let node = cluster.node(index);
    node.kill()?;
    // Nobody can tell whether a removal whose answer was lost took place; asked again, it certainly did.
    let _ = try_remove(cluster, index).await;
    node.wipe()?;
    node.restart().await?;
    // Asked again while no quorum confirms a leader: the nodes that are left cannot spare one for a moment.
    let joined = async || {
        let Ok(host) = cluster.wait_for_leader().await else { return false };
        let is_new = cluster.join_through(host, index).await.is_ok();
        is_new || node.client(PATIENCE).seals().status().await.is_ok_and(|status| status.initialized)
    };
    wait_until(&format!("letting {} join anew", node.name()), PATIENCE, joined).await?;
    cluster.unseal_all().await?;
    let host = cluster.wait_for_leader().await?;
    let client = cluster.client_of(host);
    let voters = async || {
        let servers = client.cluster().raft_configuration().await.unwrap_or_default();
        servers.iter().filter(|server| server.voter).count() == cluster.size()
    };
    wait_until(&format!("making {} a voter again", node.name()), PATIENCE, voters).await
}
