//! What the members say about each other before a root key leaves a node. A sealed node can say it too: it finds the
//! members record by its encrypted key, and reads nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_batch::{Batch, SignedBatch};
use conclave_raft::{CallError, Peer};
use conclave_storage::log::{self, Log, Payload};
use conclave_storage::table::Table;
use conclave_vault::members::Located;
use conclave_vault::seal::handover::Fingerprint;
use conclave_vault::seal::handover::survey::{Heard, Survey, Testimony};
use futures::future::join_all;
use prost::Message;
use tokio::time::Instant;

use crate::seal::Seal;

/// Asks a member.
pub(crate) const METHOD: &str = "handover-testimony";
/// How long one may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most entries behind the applied ones that a node looks through; with more it does not answer.
const MOST_ENTRIES: u64 = 1 << 18;
/// How much of the log is read at once, in bytes.
const READ_BYTES: usize = 1 << 20;

#[derive(Clone, PartialEq, Message)]
struct Question {
    #[prost(bytes = "bytes", tag = "1")]
    members_key: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(uint64, tag = "1")]
    applied_revision: u64,
    #[prost(uint64, tag = "2")]
    logged_revision: u64,
    #[prost(message, repeated, tag = "3")]
    heard: Vec<HeardProcess>,
}

#[derive(Clone, PartialEq, Message)]
struct HeardProcess {
    #[prost(fixed64, tag = "1")]
    node: u64,
    #[prost(bytes = "vec", tag = "2")]
    process: Vec<u8>,
    #[prost(uint64, tag = "3")]
    millis_ago: u64,
}

/// What those say who answered, this node included.
pub(crate) struct Testimonies {
    seal: Arc<Seal>,
    question: Bytes,
    members: usize,
    revision: u64,
    /// When each was asked, and what it said.
    answers: BTreeMap<u64, (Instant, Testimony)>,
}

/// Asks every member of the record.
pub(crate) async fn ask_all(seal: &Arc<Seal>, located: &Located) -> Testimonies {
    let mut testimonies = Testimonies {
        seal: Arc::clone(seal),
        question: Question { members_key: located.key.clone() }.encode_to_vec().into(),
        members: located.record.members.len(),
        revision: located.revision,
        answers: BTreeMap::new(),
    };
    testimonies.ask(located.record.members.iter().map(|member| member.id).collect()).await;
    testimonies
}

impl Testimonies {
    /// Asks those who answered once more, after a while.
    pub(crate) async fn ask_again_after(&mut self, pause: Duration) {
        if pause.is_zero() {
            return;
        }
        tokio::time::sleep(pause).await;
        self.ask(self.answers.keys().copied().collect()).await;
    }

    async fn ask(&mut self, members: Vec<u64>) {
        let asked = Instant::now();
        let answers = join_all(members.into_iter().map(|member| self.ask_one(member))).await;
        self.answers.extend(answers.into_iter().flatten().map(|(member, said)| (member, (asked, said))));
    }

    async fn ask_one(&self, member: u64) -> Option<(u64, Testimony)> {
        let answer = if member == self.seal.replica.identity.id() {
            testify(&self.seal, &self.question).await.ok()?
        } else {
            let asked =
                self.seal.replica.raft.call(member, METHOD, self.question.clone(), Instant::now() + TIMEOUT).await;
            asked.inspect_err(|error| tracing::debug!(%error, "a member says nothing about the members")).ok()?
        };
        Some((member, read(&answer)?))
    }

    /// All of it, as of now. What was heard ages while it is on its way, and rather too much than too little.
    pub(crate) fn survey(&self, is_current: bool) -> Survey {
        let aged = |(asked, said): &(Instant, Testimony)| {
            let heard = said.heard.iter().map(|heard| Heard { ago: heard.ago + asked.elapsed(), ..*heard });
            Testimony { heard: heard.collect(), ..said.clone() }
        };
        let testimonies = self.answers.values().map(aged).collect();
        Survey { members: self.members, revision: self.revision, is_current, testimonies }
    }
}

fn read(answer: &[u8]) -> Option<Testimony> {
    let answer = Answer::decode(answer).ok()?;
    let heard = answer.heard.into_iter().map(|heard| {
        let process = Fingerprint::from_bytes(heard.process.try_into().ok()?);
        Some(Heard { node: heard.node, process, ago: Duration::from_millis(heard.millis_ago) })
    });
    Some(Testimony {
        applied_revision: answer.applied_revision,
        logged_revision: answer.logged_revision,
        heard: heard.collect::<Option<_>>()?,
    })
}

/// Answers a member that is about to hand over.
pub(crate) async fn answer(seal: &Arc<Seal>, from: Peer, body: &[u8]) -> Result<Bytes, CallError> {
    if from.id.is_none() {
        return Err(CallError::Denied("only members ask for this".into()));
    }
    testify(seal, body).await
}

async fn testify(seal: &Arc<Seal>, question: &[u8]) -> Result<Bytes, CallError> {
    let denied = |message: &str| CallError::Denied(message.to_owned());
    let question = Question::decode(question).map_err(|_| denied("the question does not decode"))?;
    let node = Arc::clone(seal);
    let revisions = tokio::task::spawn_blocking(move || revisions(&node, &question.members_key)).await;
    let (applied_revision, logged_revision) =
        revisions.ok().flatten().ok_or_else(|| denied("this node's log and table cannot be read now"))?;
    let members = seal.replica.raft.status().members;
    let heard = members.iter().flat_map(|member| {
        let processes = seal.replica.raft.processes(member.id).into_iter();
        processes.map(|process| HeardProcess {
            node: member.id,
            process: process.name.to_vec(),
            millis_ago: u64::try_from(process.last.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    });
    Ok(Answer { applied_revision, logged_revision, heard: heard.collect() }.encode_to_vec().into())
}

/// Where a key was changed last, in the table and in the entries of the log that the table does not have yet.
fn revisions(seal: &Seal, key: &Bytes) -> Option<(u64, u64)> {
    let applied = seal.replica.table.applied().last.map_or(0, |last| last.index);
    let revision = seal.replica.table.view().ok()?.get(key).ok()?.map_or(0, |record| record.revision);
    Some((revision, newest_in_log(seal.replica.log.as_ref(), applied, key)?))
}

fn newest_in_log(log: &dyn Log, applied: u64, key: &Bytes) -> Option<u64> {
    let state = log.state();
    let purged = state.purged.map_or(0, |purged| purged.index);
    let end = state.last.map_or(0, |last| last.index + 1);
    let next = applied.max(purged) + 1;
    if end.saturating_sub(next) > MOST_ENTRIES {
        return None;
    }
    let mut newest = 0;
    for entries in log::pieces(log, next..end, READ_BYTES) {
        let changes = entries.ok()?.into_iter().filter(|entry| changes(&entry.payload, key));
        newest = changes.last().map_or(newest, |entry| entry.id.index);
    }
    Some(newest)
}

fn changes(payload: &Payload, key: &Bytes) -> bool {
    let Payload::Batch(signed) = payload else { return false };
    let batch = SignedBatch::decode(signed.clone()).and_then(|signed| Batch::decode(signed.body));
    batch.is_ok_and(|batch| batch.ops.iter().any(|op| op.key == *key))
}

#[cfg(test)]
mod tests {
    use conclave_batch::Op;
    use conclave_storage::log::{Entry, LogId, MemoryLog};

    use super::*;

    fn entry(index: u64, key: &'static str) -> Entry {
        let op = Op { key: Bytes::from_static(key.as_bytes()), value: None };
        let body = Batch { ops: vec![op], ..Batch::default() }.encode_to_vec().into();
        let signed = SignedBatch { body, ..SignedBatch::default() }.encode_to_vec().into();
        Entry { id: LogId { term: 1, leader: 1, index }, payload: Payload::Batch(signed) }
    }

    fn newest(applied: u64) -> Option<u64> {
        let log = MemoryLog::default();
        let keys = ["members", "other", "members", "other", "other"];
        let entries = keys.iter().enumerate().map(|(at, key)| entry(at as u64 + 1, key)).collect();
        log.append(entries, Box::new(|_| {})).unwrap();
        newest_in_log(&log, applied, &Bytes::from_static(b"members"))
    }

    #[test]
    fn the_newest_change_behind_the_applied_entries_is_found() {
        assert_eq!(newest(0), Some(3));
        assert_eq!(newest(2), Some(3));
        assert_eq!(newest(3), Some(0));
        assert_eq!(newest(5), Some(0));
        assert_eq!(newest_in_log(&MemoryLog::default(), 0, &Bytes::from_static(b"members")), Some(0));
    }
}
