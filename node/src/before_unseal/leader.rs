//! `sys/leader`: who leads, for clients and load balancers that want to know.

use conclave_raft::Role;
use serde_json::json;

use crate::before_unseal::plain;
use crate::gateway::{Incoming, Outgoing};
use crate::http::error;
use crate::seal::Seal;

/// Answers `GET sys/leader`.
pub(crate) fn answer(seal: &Seal, incoming: &Incoming) -> Outgoing {
    if incoming.method != "GET" {
        return error::failure(405, &[]);
    }
    // A node that has nobody beside it leads nobody, sealed or not.
    if !seal.replica.is_clustered() {
        let body = json!({
            "ha_enabled": false, "is_self": false, "active_time": "0001-01-01T00:00:00Z", "leader_address": "",
            "leader_cluster_address": "", "performance_standby": false, "performance_standby_last_remote_wal": 0,
        });
        return plain(200, &body);
    }
    if seal.state.is_sealed() {
        return error::failure(503, &["Vault is sealed"]);
    }
    let status = seal.replica.status();
    let is_self = status.role == Role::Leader;
    let (api, cluster) = match &status.leader {
        Some(leader) => (leader.api_addr.clone(), seal.replica.cluster_url(&leader.cluster_addr)),
        None => (String::new(), String::new()),
    };
    let mut body = json!({
        "ha_enabled": true,
        "is_self": is_self,
        "active_time": "0001-01-01T00:00:00Z",
        "leader_address": api,
        "leader_cluster_address": cluster,
        "performance_standby": false,
        "performance_standby_last_remote_wal": 0,
        "raft_committed_index": status.committed,
        "raft_applied_index": status.applied,
    });
    if is_self {
        body["active_time"] = seal.replica.active_since().to_string().into();
    }
    plain(200, &body)
}
