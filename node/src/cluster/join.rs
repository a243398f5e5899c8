//! How a node enters a cluster: a token, made by an unsealed node, redeemed by each node that has it.
//!
//! The token's text names the cluster, the members with their keys, and a secret. The joiner connects to a member whose
//! key it checks, and sends an HMAC over its own public key, never the secret. Whoever is asked passes it to the leader.
//! A node on which shares are entered gets its token by them: `by_shares.rs` and, on the member, `challenge.rs`.

pub(crate) mod by_shares;
pub(crate) mod challenge;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use conclave_client::Client;
use conclave_raft::{CallError, Member, Peer, Role};
use conclave_vault::members::{self, Join, MemberRecord};
use conclave_vault::{Error, ErrorKind};
use prost::Message;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::cluster::failure;
use crate::config::limits::LOG_REMINDER_INTERVAL;
use crate::config::{RetryJoin, Storage};
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
/// Pause between two looks at a cluster that waits for shares.
const FOUND_PAUSE: Duration = Duration::from_secs(30);
/// How long one member may take to answer a join.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a join may take in all, and one member with its answer: the next one may be there.
const JOIN_TIME: Duration = Duration::from_secs(60);
const CONTACT_TIME: Duration = Duration::from_secs(10);

/// A member that a joiner can ask.
#[derive(Clone, PartialEq, Message)]
struct MemberAddress {
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
    contacts: Vec<MemberAddress>,
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
    let contact = |member: &Member| MemberAddress {
        cluster_addr: member.cluster_addr.clone(),
        public_key: member.public_key.to_vec(),
    };
    let text = TokenText {
        cluster_id: seal.replica.cluster_id().unwrap_or_default().to_vec(),
        token_id: token.id.to_vec(),
        secret: token.secret.to_vec(),
        contacts: seal.replica.raft.status().members.iter().map(contact).collect(),
    };
    let bytes = Zeroizing::new(text.encode_to_vec());
    Ok(Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
}

/// Joins the cluster that a token names; for good without a vote, if that is wanted.
pub(crate) async fn join(seal: &Seal, text: &str, as_non_voter: bool) -> Result<(), Error> {
    let token = read_token(text).ok_or_else(|| {
        Error::invalid(
            "this is no join token: one begins with \"cjt.\" and comes from sys/storage/raft/join-token on a member",
        )
    })?;
    // One at a time, so that what one found free another does not take; strangers may ask, so not for long, and an operator
    // who makes a cluster of this node comes first.
    let deadline = Instant::now() + JOIN_TIME;
    let joining = async {
        let _entering = seal.replica.entering.to_join().await;
        join_named(seal, token, as_non_voter, deadline).await
    };
    tokio::select! {
        joined = joining => joined,
        () = seal.replica.entering.founder_waits() => Err(Error::unavailable("this node is being initialised instead")),
    }
}

/// What a token's text holds, if it is one.
fn read_token(text: &str) -> Option<TokenText> {
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text.trim().strip_prefix(PREFIX)?).ok()?);
    TokenText::decode(bytes.as_slice()).ok().filter(|token| token.contacts.len() <= conclave_vault::MAX_MEMBERS)
}

/// Asks the members that a token names, one after the other.
async fn join_named(seal: &Seal, token: TokenText, as_non_voter: bool, deadline: Instant) -> Result<(), Error> {
    let malformed = || Error::invalid("this join token is damaged; get a new one from sys/storage/raft/join-token");
    let cluster_id: [u8; 16] = token.cluster_id.as_slice().try_into().map_err(|_| malformed())?;
    let secret = Zeroizing::new(<[u8; 32]>::try_from(token.secret.as_slice()).map_err(|_| malformed())?);
    if seal.replica.is_initialized() || seal.replica.raft.is_initialized() {
        return Err(already());
    }
    let own = MemberRecord { is_non_voter: as_non_voter, ..seal.replica.own_record() };
    let proof = members::prove(&secret, &cluster_id, &own);
    let request = JoinRequest { token_id: token.token_id, proof, member: Some(own) };
    let body = Bytes::from(request.encode_to_vec());
    let mut last = "the token names no member".to_owned();
    for contact in token.contacts {
        // A member is known by its key and by nothing else, so one without a key is none.
        let key = Some(contact.public_key.as_slice().try_into().map_err(|_| malformed())?);
        let until = deadline.min(Instant::now() + CONTACT_TIME);
        match seal.replica.raft.call_address(&contact.cluster_addr, key, METHOD, body.clone(), until).await {
            Ok(answer) => return accept(seal, cluster_id, &answer),
            Err(CallError::Failed { code, message }) if failure::is(code, ErrorKind::Invalid) => {
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

/// An entry of the configuration, or what an operator asked for, that is tried until this node belongs to a cluster.
struct Attempt {
    at: RetryJoin,
    as_non_voter: bool,
    client: Option<Client>,
    reminder: Reminder<String>,
}

impl Attempt {
    fn new(at: RetryJoin, as_non_voter: bool) -> Self {
        Self { at, as_non_voter, client: None, reminder: Reminder::every(LOG_REMINDER_INTERVAL) }
    }

    /// Joins with the token, or finds the cluster for which shares are entered. An error is for the log.
    async fn once(&mut self, seal: &Seal) -> Result<(), Error> {
        if let Some(token) = &self.at.token {
            return join(seal, token.reveal(), self.as_non_voter).await;
        }
        let unreached = |reason: String| {
            let mut failed = Error::unavailable(
                "the member does not answer, or its certificate is from no authority that is trusted here (-leader-ca-cert names \
                 one); the log of this node says why",
            );
            failed.detail = Some(reason);
            failed
        };
        let client = match &self.client {
            Some(client) => client.clone(),
            None => self.client.insert(by_shares::connect(&self.at).await.map_err(unreached)?).clone(),
        };
        by_shares::look(seal, &self.at, &client, self.as_non_voter).await.map_err(unreached)
    }

    /// Whom it asks: the members that the token names, or the one that the configuration does.
    fn addresses(&self) -> String {
        let Some(token) = &self.at.token else { return self.at.leader_api_addr.clone() };
        let contacts = read_token(token.reveal()).map_or_else(Vec::new, |token| token.contacts);
        let addresses: Vec<_> = contacts.into_iter().map(|contact| contact.cluster_addr).collect();
        addresses.join(", ")
    }

    async fn once_with_a_word(&mut self, seal: &Seal) -> Result<(), Error> {
        let done = self.once(seal).await;
        match &done {
            Ok(()) => self.reminder.clear(),
            Err(error) => {
                let reason = error.detail.clone().unwrap_or_else(|| error.to_string());
                if self.reminder.is_due(reason.clone(), Instant::now()) {
                    tracing::warn!(address = self.addresses(), reason, "joining failed; it is tried again");
                }
            }
        }
        done
    }
}

/// Whether this node belongs to no cluster and enters none.
fn is_free(seal: &Seal) -> bool {
    !seal.replica.raft.is_initialized() && !seal.replica.is_initialized()
}

/// Joins as the configuration says, if this node belongs to no cluster yet.
pub(crate) async fn join_as_configured(seal: Arc<Seal>) {
    let Storage::Raft(settings) = &seal.replica.config.storage else { return };
    let attempts = settings.retry_join.iter().map(|at| Attempt::new(at.clone(), settings.is_non_voter));
    keep_trying(&seal, attempts.collect()).await;
}

async fn keep_trying(seal: &Seal, mut attempts: Vec<Attempt>) {
    while is_free(seal) && !attempts.is_empty() {
        let mut pause = RETRY_PAUSE;
        for attempt in &mut attempts {
            if attempt.once_with_a_word(seal).await.is_ok() {
                // Whether it still has the same shares is looked at now and then.
                pause = FOUND_PAUSE;
                break;
            }
        }
        tokio::select! {
            () = seal.replica.wakeups.stopping() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Joins as somebody asks who knows this node's address and nothing else. With `retry` it is tried until it succeeds, by
/// one task at a time.
pub(crate) async fn join_as_asked(
    seal: &Arc<Seal>,
    at: RetryJoin,
    as_non_voter: bool,
    retry: bool,
) -> Result<(), Error> {
    if !is_free(seal) {
        return Err(already());
    }
    let mut attempt = Attempt::new(at, as_non_voter);
    let done = attempt.once(seal).await;
    if done.is_err() && !retry {
        return done;
    }
    if retry {
        let trying = Arc::clone(seal);
        let task = tokio::spawn(async move { keep_trying(&trying, vec![attempt]).await });
        if let Some(before) = seal.trying.lock().replace(task.abort_handle()) {
            before.abort();
        }
    }
    Ok(())
}

fn already() -> Error {
    Error::invalid("this node already belongs to a cluster; a node joins with an empty data folder")
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
        voter: !record.is_non_voter,
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
        .map_err(|error| failure::to_call(&error))
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
    let contact = MemberAddress { cluster_addr: address.into(), public_key: vec![1; 32] };
    let text =
        TokenText { cluster_id: vec![9; 16], token_id: vec![2; 16], secret: vec![3; 32], contacts: vec![contact] };
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(text.encode_to_vec()))
}
