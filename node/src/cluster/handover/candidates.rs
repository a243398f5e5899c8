//! Who could be given the root key: the list from which the holders of shares choose.
//!
//! A sealed node takes it from the Raft membership, because it cannot read the members record; nothing follows from the
//! list but what people see. Whoever knows the address of the API may ask, as for the seal's status, since holders have no
//! tokens. So one list is made at a time, and nobody waits for one that somebody else has made: a member that does not
//! answer takes seconds, and strangers would take all places of this node by waiting.

use std::sync::Arc;
use std::time::Duration;

use conclave_raft::node_id;
use conclave_vault::seal::handover::Fingerprint;
use conclave_vault::{Error, Random};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{ask_for_offer, locate};
use crate::seal::Seal;
use crate::view::SystemRandomness;

/// How long a list is answered again.
const FRESH: Duration = Duration::from_secs(1);
/// How long a list is answered while the next one is being made: a little longer than that takes.
const KEPT: Duration = Duration::from_secs(10);

/// The newest list.
#[derive(Default)]
pub(crate) struct Candidates {
    /// Held while a list is made.
    making: Mutex<()>,
    newest: parking_lot::Mutex<Option<(Instant, Value)>>,
}

struct Candidate {
    id: u64,
    api_addr: String,
    cluster_addr: String,
    node_key: Vec<u8>,
}

impl Candidates {
    /// The other members as a JSON list, with the fingerprint of each that is sealed.
    ///
    /// # Errors
    /// [`conclave_vault::ErrorKind::Unavailable`] while the first list for a while is being made for somebody else.
    pub(crate) async fn list(&self, seal: &Arc<Seal>) -> Result<Value, Error> {
        if let Some(list) = self.not_older_than(FRESH) {
            return Ok(list);
        }
        let Ok(_making) = self.making.try_lock() else {
            let wait =
                || Error::unavailable("the list of nodes is being made for somebody else; ask again in a moment");
            return self.not_older_than(KEPT).ok_or_else(wait);
        };
        let list = make(seal).await;
        *self.newest.lock() = Some((Instant::now(), list.clone()));
        Ok(list)
    }

    fn not_older_than(&self, age: Duration) -> Option<Value> {
        self.newest.lock().as_ref().filter(|(made, _)| made.elapsed() < age).map(|(_, list)| list.clone())
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
            "voter": seal.replica.is_voter(other.id),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use crate::config::Config;

    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_waits_for_a_list_that_is_made_for_somebody_else() {
        let (app, _) = App::start_dev(Config::memory("127.0.0.1:0"), Some("root-of-test")).await.unwrap();
        let candidates = Candidates::default();
        let making = candidates.making.lock().await;
        let refused = candidates.list(&app.seal).await;
        assert_eq!(refused.err().map(|error| error.kind), Some(conclave_vault::ErrorKind::Unavailable));
        let old = Instant::now() - (FRESH + KEPT) / 2;
        *candidates.newest.lock() = Some((old, json!(["old"])));
        assert_eq!(candidates.list(&app.seal).await.ok(), Some(json!(["old"])));
        drop(making);
        assert_eq!(candidates.list(&app.seal).await.ok(), Some(json!([])));
    }
}
