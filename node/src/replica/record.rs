//! What the replica says of the cluster without a key: the records outside the barrier, names and addresses of nodes.

use bytes::Bytes;
use conclave_raft::{Member, node_id};
use conclave_vault::Error;
use conclave_vault::members::MemberRecord;
use conclave_vault::seal::{self, Outside};
use prost::Message;

use super::Replica;
use crate::config::Storage;

impl Replica {
    /// A record outside the barrier, with its revision.
    pub(crate) fn open_record(&self, name: &str) -> Option<(u64, Bytes)> {
        self.table.open_record(name)
    }

    /// The records outside the barrier, as this node's table has them; `None` before initialisation.
    pub(crate) fn outside(&self) -> Result<Option<Outside>, Error> {
        let (Some(cluster), Some(seal), Some(keyring)) =
            (self.open_record(seal::CLUSTER), self.open_record(seal::SEAL), self.open_record(seal::KEYRING))
        else {
            return Ok(None);
        };
        let outside = Outside::decode(&cluster.1, &seal.1, &keyring.1);
        outside.map(Some).map_err(|error| Error::internal(error.to_string()))
    }

    /// Whether the vault was initialised, as far as this node knows.
    pub(crate) fn is_initialized(&self) -> bool {
        self.open_record(seal::SEAL).is_some()
    }

    /// Whether this node listens for others.
    pub(crate) fn is_clustered(&self) -> bool {
        matches!(self.config.storage, Storage::Raft(_))
    }

    pub(crate) fn cluster_id(&self) -> Option<[u8; 16]> {
        let record = seal::ClusterRecord::decode(self.open_record(seal::CLUSTER)?.1).ok()?;
        record.cluster_id.as_slice().try_into().ok()
    }

    /// The cluster id in the form of a UUID.
    pub(crate) fn cluster_id_text(&self) -> String {
        self.cluster_id().map(|id| uuid::Uuid::from_bytes(id).to_string()).unwrap_or_default()
    }

    pub(crate) fn cluster_name(&self) -> String {
        let id = self.cluster_id_text();
        self.config.cluster_name.clone().unwrap_or_else(|| format!("conclave-cluster-{}", &id[..id.len().min(8)]))
    }

    /// A node's cluster address as the API shows it.
    pub(crate) fn cluster_url(&self, address: &str) -> String {
        if address.is_empty() || address.contains("://") { address.to_owned() } else { format!("https://{address}") }
    }

    /// This node as the members record describes it.
    pub(crate) fn own_record(&self) -> MemberRecord {
        let own = self.raft.member();
        MemberRecord {
            id: own.id,
            name: own.name,
            public_key: own.public_key.to_vec(),
            cluster_addr: own.cluster_addr,
            api_addr: own.api_addr,
            is_blind: false,
            is_non_voter: false,
        }
    }

    /// What people call a node.
    pub(crate) fn node_name(&self, id: u64) -> String {
        self.raft.name_of(id)
    }

    /// Whether a node votes, as far as this one knows; `None` if it has no part in the replication.
    pub(crate) fn is_voter(&self, id: u64) -> Option<bool> {
        self.raft.status().members.iter().find(|member| member.id == id).map(|member| member.voter)
    }

    /// Whether this node knows others of its cluster.
    pub(crate) fn has_others(&self) -> bool {
        self.raft.status().members.iter().any(|member| member.id != self.identity.id())
    }

    /// The member with a name or an id.
    pub(crate) fn find_node(&self, text: &str) -> Option<Member> {
        let members = self.raft.status().members;
        let named = members.iter().find(|member| member.name == text && !text.is_empty());
        let found = named.or_else(|| members.iter().find(|member| node_id(member.id).eq_ignore_ascii_case(text)));
        found.cloned()
    }
}
