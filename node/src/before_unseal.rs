//! What this node answers itself, before any token: its seal, its health, its part in the cluster.

pub(crate) mod health;
pub(crate) mod init;
pub(crate) mod join;
pub(crate) mod leader;
mod reset_time;
pub(crate) mod seal_status;
pub(crate) mod unseal;

use std::sync::Arc;

use conclave_vault::Operation;
use serde_json::Value;

use crate::audit::Audit;
use crate::cluster::handover::candidates::Candidates;
use crate::gateway::{Incoming, Outgoing};
use crate::paths::{self, OwnPath};
use crate::seal::Seal;

/// What these paths are answered from.
pub(crate) struct BeforeUnseal {
    pub(crate) seal: Arc<Seal>,
    pub(crate) candidates: Candidates,
    pub(crate) audit: Arc<Audit>,
}

impl BeforeUnseal {
    /// Over a node's seal.
    pub(crate) fn new(seal: Arc<Seal>, audit: Arc<Audit>) -> Self {
        Self { seal, candidates: Candidates::default(), audit }
    }

    /// Answers the paths that need no core; `None` for all others.
    pub(crate) async fn answer(&self, incoming: &Incoming) -> Option<Outgoing> {
        let (seal, audit) = (&self.seal, &self.audit);
        // A question about a path is answered from the table of all paths, which needs a core.
        if incoming.request.operation == Operation::Help && !seal.state.is_sealed() {
            return None;
        }
        Some(match paths::own(incoming.request.path.as_str())? {
            OwnPath::Health => health::answer(seal, incoming),
            OwnPath::SealStatus => seal_status::answer(seal, incoming),
            OwnPath::Leader => leader::answer(seal, incoming),
            OwnPath::Init => audit.noting(incoming, init::answer(seal, incoming)).await,
            OwnPath::Unseal => audit.noting(incoming, unseal::answer(seal, incoming)).await,
            OwnPath::CeremonyNode => unseal::node(seal, incoming),
            OwnPath::CeremonyNodes => unseal::nodes(seal, &self.candidates, incoming).await,
            OwnPath::Join => audit.noting(incoming, join::answer(seal, incoming)).await,
            // The brake comes after these, see `brake.rs`.
            OwnPath::Seal => return None,
        })
    }
}

/// A reply that is a JSON document without an envelope.
pub(crate) fn plain(status: u16, body: &Value) -> Outgoing {
    let mut text = body.to_string();
    text.push('\n');
    Outgoing { status, content_type: "application/json".into(), headers: Vec::new(), body: text.into() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use conclave_vault::{CanonicalPath, Request};
    use serde_json::Map;
    use tokio::time::Instant;

    use super::*;
    use crate::app::App;
    use crate::config::Config;
    use crate::gateway::{Consistency, Noted};

    fn read(path: &str) -> Incoming {
        let request = Request {
            id: "1".into(),
            operation: Operation::Read,
            path: CanonicalPath::new(path).unwrap(),
            namespace: String::new(),
            data: Map::new(),
            has_body: false,
            token: None,
            wrap_ttl: None,
            idempotency_key: None,
            remote_address: None,
            client_certificates: Default::default(),
        };
        Incoming {
            request,
            method: "GET".into(),
            query: Vec::new(),
            consistency: Consistency::Linearizable,
            wanted_indexes: Vec::new(),
            body_bytes: 0,
            noted: Noted::default(),
            deadline: Instant::now() + Duration::from_secs(1),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_node_answers_what_the_table_says_that_it_answers_and_no_more() {
        let (app, _) = App::start_dev(Config::memory("127.0.0.1:0"), Some("root-of-test")).await.unwrap();
        let described: BTreeSet<String> = conclave_vault::before_unseal().collect();
        assert_eq!(described.len(), 6);
        for (path, own) in paths::all_own().filter(|(_, own)| *own != OwnPath::Seal) {
            assert!(app.before_unseal.answer(&read(path)).await.is_some(), "{path}");
            // What nodes tell each other and operators of a ceremony is no path of Vault's, and stands in no table of it.
            let is_of_a_ceremony = matches!(own, OwnPath::CeremonyNode | OwnPath::CeremonyNodes);
            assert_ne!(described.contains(path), is_of_a_ceremony, "{path}");
        }
        for path in [
            "sys/mounts",
            "sys/seal",
            "sys/metrics",
            "sys/unseal/other",
            "sys/storage/raft/configuration",
            "auth/token/lookup-self",
        ] {
            assert!(app.before_unseal.answer(&read(path)).await.is_none(), "{path}");
        }
    }
}
