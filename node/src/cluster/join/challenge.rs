//! The member's side of a join by shares: it challenges, checks the answer, and gives a join token for one node.
//!
//! Any unsealed member does it. Strangers may ask as often as they like: nothing is kept for them, and nothing is written
//! before a proof was right.

use std::sync::Arc;

use conclave_raft::node_id;
use conclave_storage::table::Table;
use conclave_vault::members::join_key;
use conclave_vault::seal::Outside;
use conclave_vault::seal::proof::{CHALLENGE_SECS, Exchange, JoinKey, Joiner};
use conclave_vault::{Core, Error};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{TIMEOUT, issue};
use crate::seal::Seal;
use crate::view::SystemRandomness;

/// What the joiner must know before shares are entered, and a challenge.
pub(crate) fn challenge(seal: &Seal, joiner: &Joiner) -> Result<Map<String, Value>, Error> {
    let (outside, key) = own_key(seal)?;
    let challenge = key.challenge(joiner, seal.replica.clock.now(), &mut SystemRandomness::default());
    Ok(Map::from_iter([
        ("cluster_id".to_owned(), hex::encode(outside.cluster_id).into()),
        ("generation".to_owned(), outside.seal.generation.into()),
        ("secret_shares".to_owned(), outside.seal.shares.into()),
        ("secret_threshold".to_owned(), outside.seal.threshold.into()),
        ("challenge".to_owned(), hex::encode(challenge.to_bytes()).into()),
    ]))
}

/// Checks an answer, and answers with a token that the joiner alone can read and use.
pub(crate) async fn answer(
    seal: &Arc<Seal>,
    exchange: &Exchange<'_>,
    proof: &[u8; 32],
) -> Result<Map<String, Value>, Error> {
    let (_, key) = own_key(seal)?;
    check(seal, &key, exchange, proof)?;
    let node = node_id(exchange.joiner.id);
    tracing::info!(node, "a node proved with shares of this cluster that it may join");
    let token = issue(seal, CHALLENGE_SECS, 1).await?;
    let sealed = key.seal_reply(exchange, &token, &mut SystemRandomness::default());
    Ok(Map::from_iter([("token".to_owned(), hex::encode(sealed).into())]))
}

fn check(seal: &Seal, key: &JoinKey, exchange: &Exchange<'_>, proof: &[u8; 32]) -> Result<(), Error> {
    let now = seal.replica.clock.now();
    if !key.is_open(exchange.joiner, exchange.challenge, now) {
        return Err(Error::invalid(format!(
            "the challenge is not one of this cluster for this node, or is older than {CHALLENGE_SECS} s; ask for another"
        )));
    }
    if !key.verify(exchange, proof) {
        seal.replica.metrics.refused_share();
        if seal.ceremonies.lock().refusals.is_due((), Instant::now()) {
            tracing::warn!(
                node = node_id(exchange.joiner.id),
                "a node wanted to join with shares that are not this cluster's"
            );
        }
        return Err(Error::invalid("the shares do not make the key of this cluster"));
    }
    if !seal.answered.lock().is_first(exchange.challenge, now) {
        return Err(Error::invalid("the challenge was answered before; ask for another"));
    }
    Ok(())
}

/// The seal, and the key with which nodes prove that they have its shares.
fn own_key(seal: &Seal) -> Result<(Outside, JoinKey), Error> {
    let core = seal.state.serving().ok_or_else(|| Error::unavailable("Vault is sealed"))?;
    let outside = seal.replica.outside()?.ok_or_else(|| Error::unavailable("Vault is sealed"))?;
    let view = seal.replica.table.view().map_err(|error| Error::internal(error.to_string()))?;
    let key = join_key::load(&mut core.store(&view), outside.seal.generation)?;
    let key = key.ok_or_else(|| {
        Error::unavailable(
            "this cluster cannot check shares yet: enter them once on a member (`conclave operator unseal -cluster`), or \
             join with a token (`conclave operator raft join-token`)",
        )
    })?;
    Ok((outside, key))
}

/// Writes down the key of the ceremony that was held here, if that is still to be done.
pub(crate) async fn write_key(seal: &Seal, core: &Core) {
    let Some((key, generation)) = seal.join_key.lock().take() else { return };
    let deadline = Instant::now() + TIMEOUT;
    let written = seal.replica.change(core, deadline, |store, _| join_key::note(store, &key, generation)).await;
    if let Err(error) = written {
        tracing::debug!(%error, "the key for joins by shares could not be written yet; it is tried again");
        seal.join_key.lock().get_or_insert((key, generation));
    }
}
