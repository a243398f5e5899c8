//! Who could be given the root key: the list from which the holders of shares choose.
//!
//! A sealed node takes it from the Raft membership, because it cannot read the members record; nothing follows from the
//! list but what people see. Whoever knows the address of the API may ask, as for the seal's status, since holders have no
//! tokens. So one list is made at a time, and kept for a second.

use std::sync::Arc;
use std::time::Duration;

use conclave_raft::node_id;
use conclave_vault::Random;
use conclave_vault::seal::handover::Fingerprint;
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{ask_for_offer, locate};
use crate::seal::Seal;
use crate::view::SystemRandomness;

/// How long a list is answered again.
const FRESH: Duration = Duration::from_secs(1);

/// The newest list.
#[derive(Default)]
pub(crate) struct Candidates(Mutex<Option<(Instant, Value)>>);

struct Candidate {
    id: u64,
    api_addr: String,
    cluster_addr: String,
    node_key: Vec<u8>,
}

impl Candidates {
    /// The other members as a JSON list, with the fingerprint of each that is sealed.
    pub(crate) async fn list(&self, seal: &Arc<Seal>) -> Value {
        let mut newest = self.0.lock().await;
        match newest.as_ref() {
            Some((made, list)) if made.elapsed() < FRESH => list.clone(),
            _ => {
                let list = make(seal).await;
                *newest = Some((Instant::now(), list.clone()));
                list
            }
        }
    }
}

async fn make(seal: &Arc<Seal>) -> Value {
    let mut nonce = [0; 16];
    SystemRandomness::default().fill(&mut nonce);
    let others = others(seal);
    let asked = others.iter().map(|other| ask_for_offer(seal, other.id, &other.node_key, nonce));
    let offers = join_all(asked).await;
    let node = |(other, offered): (Candidate, Result<Option<Fingerprint>, String>)| {
        json!({
            "node_id": seal.replica.node_name(other.id),
            "id": node_id(other.id),
            "address": other.api_addr,
            "cluster_address": seal.replica.cluster_url(&other.cluster_addr),
            "sealed": offered.as_ref().ok().map(Option::is_some),
            "fingerprint": offered.as_ref().ok().copied().flatten().map(|fingerprint| fingerprint.to_string()),
            "error": offered.err(),
        })
    };
    let offers = offers.into_iter().map(|offered| offered.map(|offered| offered.map(|(_, _, shown)| shown)));
    Value::Array(others.into_iter().zip(offers).map(node).collect())
}

fn others(seal: &Seal) -> Vec<Candidate> {
    let own = seal.replica.identity.id();
    let recorded = seal.state.unsealed().and_then(|core| locate(seal, &core).ok());
    let all: Vec<_> = match recorded {
        Some(located) => located
            .record
            .members
            .into_iter()
            .map(|member| Candidate {
                id: member.id,
                api_addr: member.api_addr,
                cluster_addr: member.cluster_addr,
                node_key: member.public_key,
            })
            .collect(),
        None => seal
            .replica
            .raft
            .status()
            .members
            .into_iter()
            .map(|member| Candidate {
                id: member.id,
                api_addr: member.api_addr,
                cluster_addr: member.cluster_addr,
                node_key: member.public_key.to_vec(),
            })
            .collect(),
    };
    all.into_iter().filter(|candidate| candidate.id != own).collect()
}
