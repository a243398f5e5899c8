//! The joiner's side of a join by shares: it looks for a member, takes shares, proves, joins, and unseals itself.
//!
//! Shares and the key that they make stay on this node. The member is not believed: what it says can only make the proof
//! fail, and the token that comes back opens under the key of the shares or not at all.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use conclave_client::{Client, Discovery, Request, Secret};
use conclave_vault::seal::proof::{CHALLENGE_BYTES, Challenge, Exchange, JoinKey, Joiner, NONCE_BYTES};
use conclave_vault::seal::{Gathered, Key32, Parameters, Progress, ShareError};
use conclave_vault::{Error, ErrorKind, Random as _};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::join;
use crate::config::RetryJoin;
use crate::config::limits::{JOIN_CALL_TIME, JOIN_REPLY_BYTES, JOIN_UNSEAL_TIME};
use crate::seal::Seal;
use crate::seal::joining::{Found, Joining};
use crate::view::SystemRandomness;

/// Where a member is asked for a challenge, and where it gets the answer. As in Vault.
const CHALLENGE_PATH: &str = "sys/storage/raft/bootstrap/challenge";
const ANSWER_PATH: &str = "sys/storage/raft/bootstrap/answer";
/// Pause between two looks at whether the seal's record has arrived.
const PAUSE: Duration = Duration::from_millis(50);

/// How a member is reached. The text of an error is for the log.
pub(crate) async fn connect(at: &RetryJoin) -> Result<Client, String> {
    let at = at.clone();
    // Reads files, the system's authorities among them.
    let built = tokio::task::spawn_blocking(move || build(&at)).await;
    built.unwrap_or_else(|error| Err(error.to_string()))
}

fn build(at: &RetryJoin) -> Result<Client, String> {
    let [ca, certificate, key] = at.tls_texts()?;
    let mut builder = Client::builder()
        .address(&at.leader_api_addr)
        .discovery(Discovery::Off)
        .deadline(JOIN_CALL_TIME)
        .max_retries(0)
        .max_reply_bytes(JOIN_REPLY_BYTES);
    if let Some(ca) = ca {
        builder = builder.ca_cert_pem(ca.reveal());
    }
    if let (Some(certificate), Some(key)) = (certificate, key) {
        builder = builder.client_cert(certificate.reveal(), Secret::from(key.reveal().to_owned()));
    }
    if let Some(name) = &at.leader_tls_servername {
        builder = builder.tls_server_name(name);
    }
    builder.build().map_err(|error| error.to_string())
}

/// Asks a member for its cluster. From then on this node takes shares for that.
pub(crate) async fn look(seal: &Seal, at: &RetryJoin, client: &Client, as_non_voter: bool) -> Result<(), String> {
    let (found, _) = ask(seal, at, client, as_non_voter).await?;
    let (address, threshold, shares) = (at.leader_api_addr.clone(), found.threshold, found.shares);
    let mut joining = seal.joining.lock();
    let is_known = match joining.as_mut() {
        Some(known) => known.update(found),
        None => {
            *joining = Some(Joining::new(found));
            false
        }
    };
    drop(joining);
    if !is_known {
        tracing::info!(
            address,
            threshold,
            shares,
            "this node may join the cluster at this address: enter shares of it here (`conclave operator unseal`)"
        );
    }
    Ok(())
}

async fn ask(seal: &Seal, at: &RetryJoin, client: &Client, as_non_voter: bool) -> Result<(Found, Challenge), String> {
    let request = Request::post(CHALLENGE_PATH, &Value::Object(introduction(&joiner(seal))));
    let reply = client.send(request.about_one_node()).await.map_err(|error| error.to_string())?;
    let said = reply.data().ok_or("the member's answer is empty")?;
    let number = |name: &str| said.get(name).and_then(Value::as_u64).ok_or("the member's answer lacks a number");
    let (shares, threshold) = (number("secret_shares")?, number("secret_threshold")?);
    Parameters { shares, threshold }.check().map_err(|error| error.to_string())?;
    let found = Found {
        at: at.clone(),
        cluster_id: bytes(said, "cluster_id")?,
        generation: number("generation")?,
        shares,
        threshold,
        as_non_voter,
    };
    let challenge: [u8; CHALLENGE_BYTES] = bytes(said, "challenge")?;
    Ok((found, Challenge::from_bytes(challenge)))
}

fn joiner(seal: &Seal) -> Joiner {
    Joiner { id: seal.replica.identity.id(), public_key: seal.replica.identity.public_key() }
}

fn introduction(joiner: &Joiner) -> Map<String, Value> {
    Map::from_iter([
        ("server_id".to_owned(), hex::encode(joiner.id.to_be_bytes()).into()),
        ("public_key".to_owned(), hex::encode(joiner.public_key).into()),
    ])
}

fn bytes<const N: usize>(said: &Map<String, Value>, name: &str) -> Result<[u8; N], &'static str> {
    let mut bytes = [0; N];
    let text = said.get(name).and_then(Value::as_str).unwrap_or_default();
    hex::decode_to_slice(text, &mut bytes).map_err(|_| "the member's answer is malformed")?;
    Ok(bytes)
}

/// How far the shares for the cluster that was found are; `None` if none was found.
pub(crate) fn progress(seal: &Seal) -> Option<(Found, Progress)> {
    let joining = seal.joining.lock();
    joining.as_ref().map(|joining| (joining.found.clone(), joining.progress()))
}

/// Takes a share. The last one that is needed joins and unseals this node, which is a task of the node: a caller that goes
/// away changes nothing.
pub(crate) async fn enter(seal: &Arc<Seal>, key: &str, address: IpAddr) -> Result<(), Error> {
    let gathered = {
        let mut joining = seal.joining.lock();
        let joining = joining.as_mut().ok_or_else(|| Error::invalid("Vault is not initialized"))?;
        let gathered = joining.enter(key, address, &mut SystemRandomness::default(), Instant::now());
        gathered.map(|gathered| (gathered, joining.found.clone()))
    };
    match gathered {
        Ok((Gathered::Progress(progress), _)) => {
            let (entered, needed) = (progress.entered, progress.threshold);
            tracing::info!(%address, entered, needed, "a share was entered, with which this node may join its cluster");
            Ok(())
        }
        Ok((Gathered::Key(unseal_key), found)) => {
            let seal = Arc::clone(seal);
            let done = tokio::spawn(async move { finish(&seal, &found, &unseal_key).await }).await;
            done.unwrap_or_else(|_| Err(Error::unavailable("joining was interrupted; enter the shares again")))
        }
        Err(refused @ (ShareError::Unreadable | ShareError::Wrong)) => {
            seal.replica.metrics.refused_share();
            Err(Error::invalid(refused.to_string()))
        }
        Err(ShareError::Damaged(_)) => Err(not_the_key()),
    }
}

fn not_the_key() -> Error {
    Error::invalid(
        "the shares that were entered do not make the key of the cluster that this node is to join; which of them is wrong \
         cannot be told: enter all of them again",
    )
}

async fn finish(seal: &Arc<Seal>, found: &Found, unseal_key: &Key32) -> Result<(), Error> {
    let token = prove(seal, found, unseal_key).await?;
    join(seal, &token, found.as_non_voter).await?;
    *seal.joining.lock() = None;
    unseal(seal, found, unseal_key).await
}

/// Answers a fresh challenge, and opens the token.
async fn prove(seal: &Seal, found: &Found, unseal_key: &Key32) -> Result<Zeroizing<String>, Error> {
    // Whoever enters shares is not known, so what lies at the address is for the log.
    let unreached = |reason: String| {
        let mut failed = Error::unavailable(
            "the cluster that this node is to join did not answer; the log of this node says why: enter the shares again",
        );
        failed.detail = Some(reason);
        failed
    };
    let client = connect(&found.at).await.map_err(unreached)?;
    let (now, challenge) = ask(seal, &found.at, &client, found.as_non_voter).await.map_err(unreached)?;
    if now != *found {
        return Err(Error::invalid("the cluster has other shares since; enter those"));
    }
    let joiner = joiner(seal);
    let mut nonce = [0; NONCE_BYTES];
    SystemRandomness::default().fill(&mut nonce);
    let exchange = Exchange { joiner: &joiner, challenge: &challenge, nonce: &nonce };
    let key = JoinKey::of_unseal_key(unseal_key, &found.cluster_id, found.generation);
    let mut body = introduction(&joiner);
    body.insert("challenge".to_owned(), hex::encode(challenge.to_bytes()).into());
    body.insert("nonce".to_owned(), hex::encode(nonce).into());
    body.insert("proof".to_owned(), hex::encode(key.prove(&exchange)).into());
    let request = Request::post(ANSWER_PATH, &json!(body)).about_one_node();
    let reply = match client.send(request).await {
        Ok(reply) => reply,
        Err(error) if error.status() == Some(400) => return Err(not_the_key()),
        Err(error) => return Err(unreached(error.to_string())),
    };
    let sealed = reply.data().and_then(|said| said.get("token")).and_then(Value::as_str).unwrap_or_default();
    let opened = hex::decode(sealed).ok().and_then(|sealed| key.open_reply(&exchange, &sealed));
    opened.ok_or_else(|| unreached("its answer does not open under the key of the shares".into()))
}

/// Unseals with the key that is there already, once the records outside the barrier have arrived.
async fn unseal(seal: &Arc<Seal>, found: &Found, unseal_key: &Key32) -> Result<(), Error> {
    let deadline = Instant::now() + JOIN_UNSEAL_TIME;
    let late = "this node has joined and its data has not arrived yet; look at `conclave status`, and enter the shares again \
                when it shows the node as initialised";
    let outside = loop {
        match seal.replica.outside()? {
            Some(outside) => break outside,
            None if Instant::now() >= deadline => return Err(Error::unavailable(late)),
            None => tokio::time::sleep(PAUSE).await,
        }
    };
    let damaged = |error: &dyn std::fmt::Display| Error::new(ErrorKind::Internal, error.to_string());
    if (outside.cluster_id, outside.seal.generation) != (found.cluster_id, found.generation) {
        return Err(Error::unavailable("this node has joined, and its cluster has other shares since; enter those"));
    }
    let root_key = outside.unwrap_root_key(unseal_key).map_err(|error| damaged(&error))?;
    let barrier = outside.open_barrier(root_key).map_err(|error| damaged(&error))?;
    seal.unseal(barrier).await
}
