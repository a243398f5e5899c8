//! The nodes that belong to the cluster, as the cluster's own keys vouch for them.
//!
//! Raft's membership says who replicates; this record, inside the barrier and tagged like all, says who may be given
//! keys. A node enters it by redeeming a join token: it proves to know the token's secret for its own public key, and
//! never sends the secret.

use aws_lc_rs::hmac;
use prost::Message;
use prost::bytes::Bytes;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::context::Context;
use crate::error::Error;
use crate::store::Store;
use crate::task::calendar::{self, Reminder};
use crate::time::Time;

/// A token with which a node may join is void, by its id. It is never prolonged, so its entry tells the truth.
pub static EXPIRY: Reminder = Reminder {
    word: "join",
    due: |store, _, name| {
        let system = store.system();
        store.delete(&system, &["join", name]);
        Ok(())
    },
};

/// Where the record lies in the system area.
const MEMBERS: &[&str] = &["core", "members"];
/// Most nodes of a cluster.
pub const MAX_MEMBERS: usize = 64;
/// Longest time that a join token may be redeemed, in seconds.
pub const MAX_TOKEN_SECS: u64 = 24 * 3600;

/// A node.
#[derive(Clone, PartialEq, Message)]
pub struct MemberRecord {
    /// Random, never reused.
    #[prost(fixed64, tag = "1")]
    pub id: u64,
    /// Ed25519, 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub public_key: Vec<u8>,
    /// `host:port` for other nodes.
    #[prost(string, tag = "3")]
    pub cluster_addr: String,
    /// URL of its API.
    #[prost(string, tag = "4")]
    pub api_addr: String,
    /// Replicates, and is given no keys until an operator confirms it.
    #[prost(bool, tag = "5")]
    pub is_blind: bool,
}

/// All nodes.
#[derive(Clone, PartialEq, Message)]
pub struct MembersRecord {
    /// In the order in which they joined.
    #[prost(message, repeated, tag = "1")]
    pub members: Vec<MemberRecord>,
}

/// A join token that was not redeemed yet. Has no `Debug`, because of its secret.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct TokenRecord {
    #[prost(bytes = "vec", tag = "1")]
    secret: Vec<u8>,
    #[prost(int64, tag = "2")]
    expires_secs: i64,
}

/// A fresh join token. Has no `Debug`: the secret is one.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct JoinToken {
    /// Names the token.
    #[zeroize(skip)]
    pub id: [u8; 16],
    /// What the joiner proves to know.
    pub secret: [u8; 32],
}

/// Reads the record.
pub fn load(store: &mut Store<'_>) -> Result<MembersRecord, Error> {
    let system = store.system();
    Ok(store.get(&system, MEMBERS)?.unwrap_or_default())
}

/// The record and where it lies.
pub struct Located {
    /// The record.
    pub record: MembersRecord,
    /// Log index of its last change; 0 if there is none.
    pub revision: u64,
    /// Its encrypted key, by which a node without keys can find the revision in its own table and log.
    pub key: Bytes,
}

/// Reads the record, and says where it lies.
pub fn locate(store: &mut Store<'_>) -> Result<Located, Error> {
    let system = store.system();
    Ok(Located { record: load(store)?, revision: store.revision(&system, MEMBERS)?, key: system.key(MEMBERS) })
}

/// Adds a node, or replaces its entry.
pub fn add(store: &mut Store<'_>, member: MemberRecord) -> Result<(), Error> {
    let mut record = load(store)?;
    record.members.retain(|known| known.id != member.id);
    if record.members.len() >= MAX_MEMBERS {
        return Err(Error::invalid(format!("the cluster has {MAX_MEMBERS} nodes already; remove one first")));
    }
    record.members.push(member);
    let system = store.system();
    store.put(&system, MEMBERS, &record)
}

/// Removes a node.
pub fn remove(store: &mut Store<'_>, id: u64) -> Result<(), Error> {
    let mut record = load(store)?;
    record.members.retain(|known| known.id != id);
    let system = store.system();
    store.put(&system, MEMBERS, &record)
}

/// Changes a member's addresses; whoever is no member is left out.
pub fn relocate(store: &mut Store<'_>, id: u64, cluster_addr: &str, api_addr: &str) -> Result<(), Error> {
    let mut record = load(store)?;
    let Some(member) = record.members.iter_mut().find(|member| member.id == id) else { return Ok(()) };
    cluster_addr.clone_into(&mut member.cluster_addr);
    api_addr.clone_into(&mut member.api_addr);
    let system = store.system();
    store.put(&system, MEMBERS, &record)
}

/// Makes a token that one node may redeem once.
pub fn issue_token(store: &mut Store<'_>, context: &mut Context<'_>, ttl_secs: u64) -> Result<JoinToken, Error> {
    if !(1..=MAX_TOKEN_SECS).contains(&ttl_secs) {
        return Err(Error::invalid(format!("the token's ttl must be from 1 to {MAX_TOKEN_SECS} seconds")));
    }
    let token = JoinToken { id: context.bytes(), secret: context.bytes() };
    let expires = context.now.plus_secs(ttl_secs);
    let name = hex::encode(token.id);
    let system = store.system();
    store.put(
        &system,
        &["join", &name],
        &TokenRecord { secret: token.secret.to_vec(), expires_secs: expires.secs() },
    )?;
    calendar::schedule(store, expires, &EXPIRY, &name)?;
    Ok(token)
}

/// Redeems a token for a node; the same batch makes the node a member.
pub fn redeem(
    store: &mut Store<'_>,
    now: Time,
    cluster_id: &[u8; 16],
    token_id: &[u8; 16],
    proof: &[u8],
    member: MemberRecord,
) -> Result<(), Error> {
    let refused =
        || Error::invalid("the join token is not valid: it was redeemed, has expired, or belongs to another cluster");
    let name = hex::encode(token_id);
    let system = store.system();
    let record: TokenRecord = store.get(&system, &["join", &name])?.ok_or_else(refused)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &record.secret);
    hmac::verify(&key, &proof_input(cluster_id, &member.public_key), proof).map_err(|_| refused())?;
    if record.expires_secs <= now.secs() {
        return Err(refused());
    }
    store.delete(&system, &["join", &name]);
    add(store, member)
}

/// Proves to know a token's secret for a public key (HMAC-SHA256, RFC 2104).
pub fn prove(secret: &[u8; 32], cluster_id: &[u8; 16], public_key: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::sign(&key, &proof_input(cluster_id, public_key)).as_ref().to_vec()
}

fn proof_input(cluster_id: &[u8; 16], public_key: &[u8]) -> Vec<u8> {
    [b"conclave join v1".as_slice(), cluster_id, public_key].concat()
}
