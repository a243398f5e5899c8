//! The nodes that belong to the cluster, as the cluster's own keys vouch for them.
//!
//! Raft's membership says who replicates; this record, inside the barrier and tagged like all, says who may be given
//! keys. A node enters it by redeeming a join token: it proves to know the token's secret for its own public key, and
//! never sends the secret.

pub mod join_key;

use aws_lc_rs::hmac;
use prost::Message;
use prost::bytes::Bytes;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::context::Context;
use crate::error::Error;
use crate::limits::{MAX_JOIN_TOKEN_SECS, MAX_JOIN_TOKEN_USES, MAX_MEMBERS, MAX_NODE_NAME_BYTES};
use crate::printable;
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
    /// What people call it; empty if it has no name but its id. No two members have the same.
    #[prost(string, tag = "6")]
    pub name: String,
    /// Replicates for good without a vote.
    #[prost(bool, tag = "7")]
    pub is_non_voter: bool,
}

impl MemberRecord {
    /// What people call it: its name, or its id.
    pub fn shown_name(&self) -> String {
        if self.name.is_empty() { format!("{:016x}", self.id) } else { self.name.clone() }
    }
}

/// All nodes.
#[derive(Clone, PartialEq, Message)]
pub struct MembersRecord {
    /// In the order in which they joined.
    #[prost(message, repeated, tag = "1")]
    pub members: Vec<MemberRecord>,
}

/// A join token that was not redeemed to its end yet. Has no `Debug`, because of its secret.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct JoinTokenRecord {
    #[prost(bytes = "vec", tag = "1")]
    secret: Vec<u8>,
    #[prost(int64, tag = "2")]
    expires_secs: i64,
    /// Nodes that it still lets in; a record without the number lets in one.
    #[prost(uint64, tag = "3")]
    uses: u64,
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

/// Whether a node may have this name: people must be able to see it, and it must not be taken for another node's id.
pub fn check_name(id: u64, name: &str) -> Result<(), Error> {
    if name.len() > MAX_NODE_NAME_BYTES || !printable::is_printable(name) || name.trim() != name {
        return Err(Error::invalid(format!(
            "node_id must be a name of up to {MAX_NODE_NAME_BYTES} bytes that can be printed, without white space around it"
        )));
    }
    let looks_like_an_id = name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if looks_like_an_id && !name.eq_ignore_ascii_case(&format!("{id:016x}")) {
        return Err(Error::invalid("node_id must not look like the id of another node (16 hexadecimal digits)"));
    }
    Ok(())
}

fn check_free(record: &MembersRecord, member: &MemberRecord) -> Result<(), Error> {
    check_name(member.id, &member.name)?;
    let is_namesake = |known: &&MemberRecord| known.name == member.name && known.id != member.id;
    match record.members.iter().filter(|_| !member.name.is_empty()).find(is_namesake) {
        None => Ok(()),
        Some(known) => Err(Error::invalid(format!(
            "the cluster has a node with node_id \"{name}\" already, at {address}: if that one is gone for good, remove it \
             with `operator raft remove-peer {name}`; if not, give this one another node_id",
            name = known.name,
            address = known.cluster_addr,
        ))),
    }
}

/// Adds a node, or replaces its entry.
pub fn add(store: &mut Store<'_>, member: MemberRecord) -> Result<(), Error> {
    let mut record = load(store)?;
    check_free(&record, &member)?;
    record.members.retain(|known| known.id != member.id);
    if record.members.len() >= MAX_MEMBERS {
        return Err(Error::invalid(format!("the cluster has {MAX_MEMBERS} nodes already; remove one first")));
    }
    record.members.push(member);
    let system = store.system();
    store.put(&system, MEMBERS, &record)
}

/// Removes a node if `may_go` agrees, which is asked about the nodes that the record names at that very moment: what another
/// removal decided meanwhile counts.
pub fn remove(
    store: &mut Store<'_>,
    id: u64,
    may_go: impl FnOnce(&[MemberRecord]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut record = load(store)?;
    may_go(&record.members)?;
    record.members.retain(|known| known.id != id);
    let system = store.system();
    store.put(&system, MEMBERS, &record)
}

/// Makes a node the only one.
pub(crate) fn replace_all(store: &mut Store<'_>, member: MemberRecord) -> Result<(), Error> {
    let system = store.system();
    store.put(&system, MEMBERS, &MembersRecord { members: vec![member] })
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

/// Makes a token that lets in as many nodes as `uses` says, each once.
pub fn issue_token(
    store: &mut Store<'_>,
    context: &mut Context<'_>,
    ttl_secs: u64,
    uses: u64,
) -> Result<JoinToken, Error> {
    check_token(ttl_secs, uses)?;
    let token = JoinToken { id: context.bytes(), secret: context.bytes() };
    let expires = context.now.plus_secs(ttl_secs);
    let name = hex::encode(token.id);
    let system = store.system();
    store.put(
        &system,
        &["join", &name],
        &JoinTokenRecord { secret: token.secret.to_vec(), expires_secs: expires.secs(), uses },
    )?;
    calendar::schedule(store, expires, &EXPIRY, &name)?;
    Ok(token)
}

/// What a joiner brings.
pub struct Join<'a> {
    /// Names the token.
    pub token_id: &'a [u8; 16],
    /// What [`prove`] made.
    pub proof: &'a [u8],
    /// The node as it describes itself.
    pub member: MemberRecord,
    /// Whether it never had anything of the cluster, if its id is known already: the answer to its first join was lost.
    pub is_empty: bool,
}

/// Whether a join token may live so long and let in so many.
pub fn check_token(ttl_secs: u64, uses: u64) -> Result<(), Error> {
    if !(1..=MAX_JOIN_TOKEN_SECS).contains(&ttl_secs) {
        return Err(Error::invalid(format!("a join token's ttl must be from 1 to {MAX_JOIN_TOKEN_SECS} seconds")));
    }
    if !(1..=MAX_JOIN_TOKEN_USES).contains(&uses) {
        return Err(Error::invalid(format!("a join token's uses must be from 1 to {MAX_JOIN_TOKEN_USES}")));
    }
    Ok(())
}

/// Redeems a token for a node; the same batch makes the node a member. A node that asks again, because it did not hear
/// the answer, spends nothing.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] for a token that is not valid, and for a node that stands in another's place.
pub fn redeem(store: &mut Store<'_>, now: Time, cluster_id: &[u8; 16], join: Join<'_>) -> Result<(), Error> {
    let refused = || {
        Error::invalid(
            "the join token is not valid: it was redeemed as often as it may be, has expired, or belongs to another cluster; \
             make another with `operator raft join-token`",
        )
    };
    let name = hex::encode(join.token_id);
    let system = store.system();
    let record: JoinTokenRecord = store.get(&system, &["join", &name])?.ok_or_else(refused)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &record.secret);
    hmac::verify(&key, &proof_input(cluster_id, &join.member), join.proof).map_err(|_| refused())?;
    if record.expires_secs <= now.secs() {
        return Err(refused());
    }
    let members = load(store)?.members;
    check_place(&members, &join)?;
    if members.contains(&join.member) {
        return Ok(());
    }
    match record.uses {
        0 | 1 => store.delete(&system, &["join", &name]),
        uses => store.put(&system, &["join", &name], &JoinTokenRecord { uses: uses - 1, ..record })?,
    }
    add(store, join.member)
}

/// Refuses a joiner that would stand in a member's place. A pinned key never changes, and an id is never used again.
fn check_place(members: &[MemberRecord], join: &Join<'_>) -> Result<(), Error> {
    let joiner = &join.member;
    for known in members {
        let name = known.shown_name();
        match (known.id == joiner.id, known.public_key == joiner.public_key) {
            (true, true) if join.is_empty => {}
            (true, true) => {
                return Err(Error::invalid(format!(
                    "this node is a member already, and what it had is gone: remove it with \
                     `conclave operator raft remove-peer {name}`, stop it, delete its whole data folder (\"node\" \
                     included), and join it again"
                )));
            }
            (true, false) | (false, true) => {
                return Err(Error::invalid(format!(
                    "another node, {name}, has this id or this key: data folders are never copied; stop this node, \
                     delete its whole data folder (\"node\" included), and join it again"
                )));
            }
            (false, false) if known.cluster_addr == joiner.cluster_addr => {
                return Err(Error::invalid(format!(
                    "node {name} is listed at this node's address, {}: if its disk is lost, remove it with \
                     `conclave operator raft remove-peer {name}` and join this node then; if not, give this node an \
                     address of its own",
                    known.cluster_addr
                )));
            }
            (false, false) => {}
        }
    }
    Ok(())
}

/// Proves to know a token's secret, for a node as it describes itself (HMAC-SHA256, RFC 2104). Whoever passes the join on
/// can change nothing in it.
pub fn prove(secret: &[u8; 32], cluster_id: &[u8; 16], member: &MemberRecord) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::sign(&key, &proof_input(cluster_id, member)).as_ref().to_vec()
}

fn proof_input(cluster_id: &[u8; 16], member: &MemberRecord) -> Vec<u8> {
    [b"conclave join v2".as_slice(), cluster_id, &member.encode_to_vec()].concat()
}

#[cfg(test)]
mod tests;
