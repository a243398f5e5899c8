//! What the quickstart prints once the cluster runs.

use super::ceremony::Ceremony;
use super::error::QuickstartError;
use super::folder::Folder;
use super::processes::Ended;

/// Prints the nodes, how to reach them, what to try, and what a real cluster does differently.
pub(super) async fn print(ceremony: &Ceremony<'_>, folder: &Folder) -> Result<(), QuickstartError> {
    println!("\n{:<7} {:<24} {:<9} {:<7} {:>8}", "Node", "Address", "State", "Sealed", "Applied");
    for seat in &ceremony.seats {
        let sealed = seat.client.seals().status().await.map(|status| status.sealed);
        let leader = seat.client.cluster().leader().await;
        let (state, applied) = match &leader {
            Ok(leader) if leader.is_self => ("leader", leader.raft_applied_index),
            Ok(leader) => ("follower", leader.raft_applied_index),
            Err(_) => ("unknown", 0),
        };
        let sealed = sealed.map_or("unknown".to_owned(), |sealed| sealed.to_string());
        println!("{:<7} {:<24} {:<9} {:<7} {:>8}", seat.node.name, seat.node.address(), state, sealed, applied);
    }
    let environment = ceremony.environment()?;
    println!("\nPoint any Vault client at it (these lines are also in {}):\n", folder.environment().display());
    print!("{}", environment.as_str());
    println!("\nThen try:\n");
    println!("  conclave kv put secret/hello greeting=world");
    println!("  VAULT_ADDR={} conclave kv get secret/hello", ceremony.seats[ceremony.seats.len() - 1].node.address());
    println!("  conclave operator members");
    println!("  {}/ui/ in a browser", ceremony.seats[0].node.address());
    println!("\nIn production: one machine for each node; each share to another person, none in a file; a certificate");
    println!("from your own authority; and the root token revoked once your own policies and logins work.");
    println!("\nCtrl-C stops all nodes; the same command resumes them.");
    Ok(())
}

/// Says that a node ended by itself, and how it comes back.
pub(super) fn node_ended(folder: &Folder, ended: &Ended, left: usize) {
    let configuration = folder.path().join(format!("{}/{}.hcl", ended.name, ended.name));
    println!("\n==> {} stopped by itself ({}). Its log is {}.", ended.name, ended.how, ended.log.display());
    println!("    {left} of the nodes go on; the cluster works as long as they are a majority.");
    println!("    To bring it back, press Ctrl-C and run the same command again; or start it in another terminal,");
    println!("      conclave server -config={}", configuration.display());
    println!("    and unseal it with the shares in {}.", folder.shares().display());
}
