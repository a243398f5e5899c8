//! How a node enters a cluster: a token, made by an unsealed node, redeemed by each node that has it.
//!
//! The token's text names the cluster, the members with their keys, and a secret. The joiner connects to a member whose
//! key it checks, and sends an HMAC over its own public key, never the secret. Whoever is asked passes it to the leader.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use conclave_raft::{CallError, Member, Peer, Role};
use conclave_vault::members::{self, Join, MemberRecord};
use conclave_vault::{Error, ErrorKind};
use prost::Message;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::config::Storage;
use crate::config::limits::LOG_REMINDER_INTERVAL;
use crate::reminder::Reminder;
use crate::seal::Seal;

/// The joiner's request.
pub(crate) const METHOD: &str = "join";
/// The same, passed on by a member.
pub(crate) const RELAY_METHOD: &str = "join-relay";
/// In front of a token's text, so that secret scanners can know it.
const PREFIX: &str = "cjt.";
/// Pause between two attempts to join as the configuration says.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// What a node says that is told to join and not how to prove that it may.
const WITHOUT_TOKEN: &str = "retry_join has no token, so this node does not join by itself. On a member: `conclave \
     operator raft join-token -uses=3 -ttl=24h`; put its token into retry_join (token = \"cjt.…\") and start this node \
     again, or here: `conclave operator raft join -token=cjt.…`";
/// How long joining may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A member that a joiner can ask.
#[derive(Clone, PartialEq, Message)]
struct Contact {
    #[prost(string, tag = "1")]
    cluster_addr: String,
    #[prost(bytes = "vec", tag = "2")]
    public_key: Vec<u8>,
}

/// What a join token's text holds.
#[derive(Clone, PartialEq, Message)]
struct TokenText {
    #[prost(bytes = "vec", tag = "1")]
    cluster_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    token_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    secret: Vec<u8>,
    #[prost(message, repeated, tag = "4")]
    contacts: Vec<Contact>,
}

/// What the joiner sends.
#[derive(Clone, PartialEq, Message)]
struct JoinRequest {
    #[prost(bytes = "vec", tag = "1")]
    token_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    proof: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    member: Option<MemberRecord>,
}

/// What it gets.
#[derive(Clone, PartialEq, Message)]
struct JoinReply {
    #[prost(message, repeated, tag = "1")]
    members: Vec<MemberRecord>,
}

/// Makes a join token's text.
pub(crate) async fn issue(seal: &Arc<Seal>, ttl_secs: u64, uses: u64) -> Result<Zeroizing<String>, Error> {
    let core = seal.state.serving().ok_or_else(|| Error::unavailable("Vault is sealed"))?;
    let deadline = Instant::now() + TIMEOUT;
    let token = seal
        .replica
        .change(&core, deadline, |store, context| members::issue_token(store, context, ttl_secs, uses))
        .await?;
    let contact =
        |member: &Member| Contact { cluster_addr: member.cluster_addr.clone(), public_key: member.public_key.to_vec() };
    let text = TokenText {
        cluster_id: seal.replica.cluster_id().unwrap_or_default().to_vec(),
        token_id: token.id.to_vec(),
        secret: token.secret.to_vec(),
        contacts: seal.replica.raft.status().members.iter().map(contact).collect(),
    };
    let bytes = Zeroizing::new(text.encode_to_vec());
    Ok(Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
}

/// Joins the cluster that a token names.
pub(crate) async fn join(seal: &Arc<Seal>, text: &str) -> Result<(), Error> {
    let malformed = || {
        Error::invalid(
            "this is no join token: one begins with \"cjt.\" and comes from sys/storage/raft/join-token on a member",
        )
    };
    let encoded = text.trim().strip_prefix(PREFIX).ok_or_else(malformed)?;
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).map_err(|_| malformed())?);
    let token = TokenText::decode(bytes.as_slice()).map_err(|_| malformed())?;
    let cluster_id: [u8; 16] = token.cluster_id.as_slice().try_into().map_err(|_| malformed())?;
    let secret = Zeroizing::new(<[u8; 32]>::try_from(token.secret.as_slice()).map_err(|_| malformed())?);
    // One at a time, so that what one found free another does not take.
    let _entering = seal.replica.entering.lock().await;
    if seal.replica.is_initialized() || seal.replica.raft.is_initialized() {
        return Err(Error::invalid("this node already belongs to a cluster; a node joins with an empty data folder"));
    }
    let own = seal.replica.own_record();
    let proof = members::prove(&secret, &cluster_id, &own);
    let request = JoinRequest { token_id: token.token_id, proof, member: Some(own) };
    let body = Bytes::from(request.encode_to_vec());
    let mut last = "the token names no member".to_owned();
    for contact in token.contacts {
        // A member is known by its key and by nothing else, so one without a key is none.
        let key = Some(contact.public_key.as_slice().try_into().map_err(|_| malformed())?);
        let deadline = Instant::now() + TIMEOUT;
        match seal.replica.raft.call_address(&contact.cluster_addr, key, METHOD, body.clone(), deadline).await {
            Ok(answer) => return accept(seal, cluster_id, &answer),
            Err(CallError::Failed { code, message }) if code == u32::from(ErrorKind::Invalid as u8) + 100 => {
                return Err(Error::invalid(message));
            }
            Err(error) => last = error.to_string(),
        }
    }
    // Whoever asks is not known, so it learns nothing of what lies at the addresses that it chose.
    let mut failed = Error::unavailable("no member of the cluster answered the join; the log of this node says why");
    failed.detail = Some(last);
    Err(failed)
}

/// Joins with the tokens of the configuration until one is accepted, if this node belongs to no cluster yet.
pub(crate) async fn join_as_configured(seal: Arc<Seal>) {
    let Storage::Raft(settings) = &seal.replica.config.storage else { return };
    let tokens = settings.retry_join.iter().filter_map(|entry| entry.token.clone());
    let mut tokens: Vec<_> = tokens.map(|token| (token, Reminder::every(LOG_REMINDER_INTERVAL))).collect();
    let is_alone = || !seal.replica.raft.is_initialized() && !seal.replica.is_initialized();
    if tokens.is_empty() {
        if is_alone() && !settings.retry_join.is_empty() {
            tracing::warn!("{WITHOUT_TOKEN}");
        }
        return;
    }
    while is_alone() {
        for (token, reminder) in &mut tokens {
            match join(&seal, token.reveal()).await {
                Ok(()) => return,
                Err(error) if reminder.is_due(error.to_string(), Instant::now()) => {
                    tracing::warn!(%error, "joining failed; it is tried again");
                }
                Err(_) => {}
            }
        }
        tokio::select! {
            () = seal.replica.wakeups.stopping() => return,
            () = tokio::time::sleep(RETRY_PAUSE) => {}
        }
    }
}

/// Takes cluster and members, now that a member has let this node in. Before, nothing is kept: a join that fails leaves
/// a node that can still be initialised, or join another cluster.
fn accept(seal: &Seal, cluster_id: [u8; 16], answer: &[u8]) -> Result<(), Error> {
    let reply = JoinReply::decode(answer).map_err(|_| Error::internal("the answer to the join does not decode"))?;
    let members = reply.members.iter().filter_map(to_member).collect();
    seal.replica.raft.enter(cluster_id, members).map_err(|error| Error::internal(error.to_string()))?;
    tracing::info!(cluster = seal.replica.raft.cluster_id().map(hex::encode), "the cluster lets this node join");
    Ok(())
}

pub(crate) fn to_member(record: &MemberRecord) -> Option<Member> {
    Some(Member {
        id: record.id,
        name: record.name.clone(),
        cluster_addr: record.cluster_addr.clone(),
        api_addr: record.api_addr.clone(),
        public_key: record.public_key.as_slice().try_into().ok()?,
        voter: true,
    })
}

/// Answers a joiner, as the leader or by asking it.
pub(crate) async fn answer(seal: &Arc<Seal>, public_key: [u8; 32], body: &[u8]) -> Result<Bytes, CallError> {
    let request =
        JoinRequest::decode(body).map_err(|_| CallError::Denied("the join request does not decode".into()))?;
    let member = request.member.clone().unwrap_or_default();
    if member.public_key != public_key {
        return Err(CallError::Denied("a node can only join with the key of its own connection".into()));
    }
    let status = seal.replica.raft.status();
    if status.role == Role::Leader {
        return redeem(seal, request, member).await;
    }
    let leader =
        status.leader.map(|leader| leader.id).ok_or_else(|| CallError::Unreachable("there is no leader".into()))?;
    seal.replica.raft.call(leader, RELAY_METHOD, Bytes::copy_from_slice(body), Instant::now() + TIMEOUT).await
}

/// Answers a join that a member passed on. The proof covers the joiner's key, so the member cannot put in its own.
pub(crate) async fn answer_relayed(seal: &Arc<Seal>, from: Peer, body: &[u8]) -> Result<Bytes, CallError> {
    if from.id.is_none() {
        return Err(CallError::Denied("only members pass joins on".into()));
    }
    let request =
        JoinRequest::decode(body).map_err(|_| CallError::Denied("the join request does not decode".into()))?;
    let member = request.member.clone().unwrap_or_default();
    redeem(seal, request, member).await
}

async fn redeem(seal: &Arc<Seal>, request: JoinRequest, member: MemberRecord) -> Result<Bytes, CallError> {
    let core =
        seal.state.serving().ok_or_else(|| CallError::Unreachable("the leader is sealed; unseal it first".into()))?;
    let cluster_id = seal.replica.cluster_id().unwrap_or_default();
    let token_id: [u8; 16] = request
        .token_id
        .as_slice()
        .try_into()
        .map_err(|_| CallError::Denied("the token's id is not 16 bytes".into()))?;
    to_member(&member).ok_or_else(|| CallError::Denied("the joiner's key is not 32 bytes".into()))?;
    let is_empty = is_empty(seal, &member);
    let deadline = Instant::now() + TIMEOUT;
    seal.replica
        .change(&core, deadline, |store, context| {
            let join = Join { token_id: &token_id, proof: &request.proof, member: member.clone(), is_empty };
            members::redeem(store, context.now, &cluster_id, join)?;
            members::load(store)
        })
        .await
        .map(|record| {
            // The joiner is reachable only once it has read this answer and knows whom to trust; the loop tries until it is.
            seal.replica.wakeups.wake_membership();
            Bytes::from(JoinReply { members: record.members }.encode_to_vec())
        })
        .map_err(|error| CallError::Failed {
            code: u32::from(error.kind as u8) + 100,
            message: error.messages.join("; "),
        })
}

/// Whether a node that is listed already has never had anything of the log: then it loses nothing that it promised.
fn is_empty(seal: &Seal, member: &MemberRecord) -> bool {
    let status = seal.replica.raft.status();
    let votes = status.members.iter().any(|known| known.id == member.id && known.voter);
    let has_some = status.peers.iter().any(|peer| peer.id == member.id && peer.matched.is_some_and(|index| index > 0));
    !votes && !has_some
}

/// A token that nobody issued, whose only member is at `address`.
#[cfg(test)]
pub(crate) fn made_up_token(address: &str) -> String {
    let contact = Contact { cluster_addr: address.into(), public_key: vec![1; 32] };
    let text =
        TokenText { cluster_id: vec![9; 16], token_id: vec![2; 16], secret: vec![3; 32], contacts: vec![contact] };
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(text.encode_to_vec()))
}
