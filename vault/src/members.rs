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

/// Redeems a token for a node; the same batch makes the node a member.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] for a token that is not valid, and for a node that stands in another's place.
pub fn redeem(store: &mut Store<'_>, now: Time, cluster_id: &[u8; 16], join: Join<'_>) -> Result<(), Error> {
    let refused =
        || Error::invalid("the join token is not valid: it was redeemed, has expired, or belongs to another cluster");
    let name = hex::encode(join.token_id);
    let system = store.system();
    let record: TokenRecord = store.get(&system, &["join", &name])?.ok_or_else(refused)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &record.secret);
    hmac::verify(&key, &proof_input(cluster_id, &join.member), join.proof).map_err(|_| refused())?;
    if record.expires_secs <= now.secs() {
        return Err(refused());
    }
    check_place(&load(store)?.members, &join)?;
    store.delete(&system, &["join", &name]);
    add(store, join.member)
}

/// Refuses a joiner that would stand in a member's place. A pinned key never changes, and an id is never used again.
fn check_place(members: &[MemberRecord], join: &Join<'_>) -> Result<(), Error> {
    let joiner = &join.member;
    for known in members {
        let id = known.id;
        match (id == joiner.id, known.public_key == joiner.public_key) {
            (true, true) if join.is_empty => {}
            (true, true) => {
                return Err(Error::invalid(format!(
                    "this node is a member already, and what it had is gone: remove it with \
                     `conclave operator raft remove-peer {id:016x}`, stop it, delete its whole data folder (\"node\" \
                     included), and join it again"
                )));
            }
            (true, false) | (false, true) => {
                return Err(Error::invalid(format!(
                    "another node, {id:016x}, has this id or this key: data folders are never copied; stop this node, \
                     delete its whole data folder (\"node\" included), and join it again"
                )));
            }
            (false, false) if known.cluster_addr == joiner.cluster_addr => {
                return Err(Error::invalid(format!(
                    "node {id:016x} is listed at this node's address, {}: if its disk is lost, remove it with \
                     `conclave operator raft remove-peer {id:016x}` and join this node then; if not, give this node an \
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
mod tests {
    use conclave_batch::Outcome;

    use super::*;
    use crate::testing::{Harness, context};

    const CLUSTER: [u8; 16] = [7; 16];

    fn member(id: u64) -> MemberRecord {
        MemberRecord {
            id,
            public_key: vec![u8::try_from(id).unwrap(); 32],
            cluster_addr: format!("10.0.0.{id}:8201"),
            api_addr: format!("https://10.0.0.{id}:8200"),
            is_blind: false,
        }
    }

    /// Commits a change and gives back what it answered.
    fn commit<T>(
        harness: &mut Harness,
        change: impl Fn(&mut Store<'_>, &mut Context<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let table = harness.table.snapshot();
        let mut context = context(&mut harness.random, harness.now);
        let mut store = harness.core.store(&table);
        let answer = change(&mut store, &mut context)?;
        if let Some(proposal) = store.finish(&mut context)? {
            assert!(matches!(harness.table.apply(&proposal), Outcome::Applied { .. }));
        }
        Ok(answer)
    }

    /// Joins with a fresh token; `sent` is what arrives of the node that made the proof.
    fn join(harness: &mut Harness, proven: &MemberRecord, sent: &MemberRecord, is_empty: bool) -> Result<(), Error> {
        let token = commit(harness, |store, context| issue_token(store, context, 60))?;
        let proof = prove(&token.secret, &CLUSTER, proven);
        commit(harness, |store, context| {
            let join = Join { token_id: &token.id, proof: &proof, member: sent.clone(), is_empty };
            redeem(store, context.now, &CLUSTER, join)
        })
    }

    fn listed(harness: &mut Harness) -> Vec<MemberRecord> {
        let mut members = commit(harness, |store, _| load(store)).unwrap().members;
        // The node that the cluster began with.
        members.remove(0);
        members
    }

    // check 229
    #[test]
    fn nothing_in_a_join_can_be_changed_on_its_way() {
        let mut harness = Harness::new();
        let edits: [fn(&mut MemberRecord); 5] = [
            |member| member.id = 99,
            |member| member.public_key = vec![99; 32],
            |member| member.cluster_addr = "10.6.6.6:8201".into(),
            |member| member.api_addr = "https://10.6.6.6:8200".into(),
            |member| member.is_blind = true,
        ];
        for edit in edits {
            let mut edited = member(2);
            edit(&mut edited);
            assert!(join(&mut harness, &member(2), &edited, false).is_err(), "{edited:?}");
        }
        assert_eq!(listed(&mut harness), []);
        join(&mut harness, &member(2), &member(2), false).unwrap();
        assert_eq!(listed(&mut harness), [member(2)]);
    }

    #[test]
    fn nobody_joins_in_a_members_place() {
        let mut harness = Harness::new();
        join(&mut harness, &member(2), &member(2), false).unwrap();
        let with = |edit: fn(&mut MemberRecord)| {
            let mut joiner = member(3);
            edit(&mut joiner);
            joiner
        };
        for (joiner, hint) in [
            (with(|member| member.id = 2), "another node, 0000000000000002"),
            (with(|member| member.public_key = vec![2; 32]), "another node, 0000000000000002"),
            (with(|member| member.cluster_addr = "10.0.0.2:8201".into()), "remove-peer 0000000000000002"),
            (member(2), "remove-peer 0000000000000002"),
        ] {
            let refused = join(&mut harness, &joiner, &joiner, false).unwrap_err().messages.join("; ");
            assert!(refused.contains(hint), "{refused}");
        }
        assert_eq!(listed(&mut harness), [member(2)]);
        // The answer to its join was lost, and it has nothing yet: it may ask again.
        join(&mut harness, &member(2), &member(2), true).unwrap();
        assert_eq!(listed(&mut harness), [member(2)]);
    }

    #[test]
    fn a_member_that_moves_keeps_its_key_and_its_place() {
        let mut harness = Harness::new();
        for id in [1, 2] {
            join(&mut harness, &member(id), &member(id), false).unwrap();
        }
        for id in [1, 9] {
            commit(&mut harness, |store, _| relocate(store, id, "10.0.1.1:1", "https://10.0.1.1:2")).unwrap();
        }
        let moved =
            MemberRecord { cluster_addr: "10.0.1.1:1".into(), api_addr: "https://10.0.1.1:2".into(), ..member(1) };
        assert_eq!(listed(&mut harness), [moved, member(2)]);
    }
}
