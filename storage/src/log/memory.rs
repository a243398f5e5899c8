//! The log on a [`Disk`] in memory: for development, tests and simulation.
//!
//! It stores the same records as the durable log, between frames of its own, and keeps the same tail. It has no
//! thread: a sync happens inside the call that needs it, or when [`MemoryLog::sync`] is called while syncs are held
//! back. So a run depends on nothing but its calls.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use conclave_batch::MAX_BATCH_BYTES;
use parking_lot::Mutex;

use super::chain::{Walk, collect, decode_at};
use super::record::{self, Chain, chain_start};
use super::tail::{self, Found, Reach, Tail, TailBytes};
use super::{Entry, Log, LogError, LogId, LogState, Synced, check_next, end_of, misuse};
use crate::disk::Disk;
use crate::encoding::{Fields, put_log_id, put_optional_log_id};

/// Name of the file with the frames.
const FRAMES: &str = "log";
/// Name of the file that takes its place when purged entries are dropped.
const FRAMES_NEW: &str = "log.new";
/// Name of the tail.
const TAIL: &str = "tail";
/// Syncs of the log for one sync of the tail.
const SYNCS_PER_TAIL_SYNC: u64 = 64;
/// Purged bytes are dropped once they are more than those kept and this many.
const COMPACTION_MIN_BYTES: u64 = 1024 * 1024;
/// Bytes before the body of a frame: length, its complement, half a hash of the body.
const FRAME_HEAD_BYTES: usize = 4 + 4 + 16;
const FRAME_MAX_BYTES: usize = MAX_BATCH_BYTES + 64 * 1024;

const FRAME_ENTRY: u8 = 1;
const FRAME_VOTE: u8 = 2;
const FRAME_COMMITTED: u8 = 3;
const FRAME_TRUNCATE: u8 = 4;
const FRAME_PURGE: u8 = 5;

/// The log in memory.
pub struct MemoryLog {
    core: Mutex<Core>,
}

struct Core {
    disk: Disk,
    tail: Tail<DiskTail>,
    content: Content,
    /// Bytes of the records in `content`.
    record_bytes: u64,
    syncs: u64,
    /// Index through which entries are synced, plus one.
    synced: u64,
    waiting: Vec<Synced>,
    holds_syncs: bool,
    /// Since when the oldest append waits, while syncs are held back.
    held_since: Option<Instant>,
    has_failed: bool,
}

/// What the frames say.
#[derive(Default)]
struct Content {
    records: BTreeMap<u64, (LogId, Bytes)>,
    reach: Reach,
    purged: Option<LogId>,
    /// Chain hash of the purged entry, which may be there again after a power loss.
    purged_chain: Chain,
    vote: Option<Bytes>,
    committed: Option<LogId>,
}

impl MemoryLog {
    /// An empty log on a disk of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::open(Disk::new()).expect("an empty disk holds nothing that could be damaged")
    }

    /// Opens, or makes, the log on a disk, and checks every entry in it.
    ///
    /// # Errors
    ///
    /// [`LogError::Damaged`] as for the durable log.
    pub fn open(disk: Disk) -> Result<Self, LogError> {
        disk.remove(FRAMES_NEW);
        let tail_bytes = DiskTail(disk.clone());
        let tail = if disk.list().is_empty() { Tail::create(tail_bytes)? } else { Tail::open(tail_bytes)? };
        let content = read_frames(&disk)?;
        let core = Core::check(disk, tail, content)?;
        Ok(Self { core: Mutex::new(core) })
    }

    /// Whether appends wait for [`MemoryLog::sync`], so that a test can crash before it.
    pub fn hold_syncs(&self, hold: bool) {
        self.core.lock().holds_syncs = hold;
    }

    /// Syncs what waits and completes it.
    pub fn sync(&self) {
        let completion = self.core.lock().sync();
        completion.run();
    }

    fn usable(&self) -> Result<parking_lot::MutexGuard<'_, Core>, LogError> {
        let core = self.core.lock();
        if core.has_failed { Err(LogError::Io(failed())) } else { Ok(core) }
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl Log for MemoryLog {
    fn state(&self) -> LogState {
        let Content { reach, purged, vote, committed, .. } = &self.core.lock().content;
        LogState { purged: *purged, last: reach.last, vote: vote.clone(), committed: *committed }
    }

    fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, LogError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let core = self.core.lock();
        let content = &core.content;
        let is_present = content.records.first_key_value().is_some_and(|(first, _)| *first <= range.start);
        if !is_present || range.end > end_of(content.reach.last) {
            return Err(misuse(format!("entries {range:?} are not all in the log")));
        }
        collect(
            range.clone(),
            max_bytes,
            content.records.range(range).map(|(_, record)| Ok::<_, LogError>(record.clone())),
        )
    }

    fn append(&self, entries: Vec<Entry>, synced: Synced) -> Result<(), LogError> {
        let completion = {
            let mut core = self.usable()?;
            core.append(entries)?;
            core.waiting.push(synced);
            if core.holds_syncs {
                core.held_since = core.held_since.or_else(|| Some(Instant::now()));
                Completion::default()
            } else {
                core.sync()
            }
        };
        completion.run();
        Ok(())
    }

    fn save_vote(&self, vote: Bytes) -> Result<(), LogError> {
        let completion = {
            let mut core = self.usable()?;
            let votes = core.content.reach.votes + 1;
            core.write(FRAME_VOTE, &[&votes.to_be_bytes(), vote.as_ref()].concat())?;
            core.content.reach.votes = votes;
            core.content.vote = Some(vote);
            core.sync()
        };
        let result = completion.error.as_ref().map_or(Ok(()), |_| Err(LogError::Io(failed())));
        completion.run();
        result
    }

    fn save_committed(&self, committed: Option<LogId>) -> Result<(), LogError> {
        let mut core = self.usable()?;
        core.write(FRAME_COMMITTED, &optional(committed))?;
        core.content.committed = committed;
        Ok(())
    }

    fn sync(&self) -> Result<(), LogError> {
        let completion = self.usable()?.sync();
        let result = completion.error.as_ref().map_or(Ok(()), |_| Err(LogError::Io(failed())));
        completion.run();
        result
    }

    fn truncate_after(&self, last: Option<LogId>) -> Result<(), LogError> {
        self.usable()?.truncate_after(last)
    }

    fn purge(&self, upto: LogId) -> Result<(), LogError> {
        let completion = self.usable()?.purge(upto)?;
        completion.run();
        Ok(())
    }

    fn synced_index(&self) -> Option<u64> {
        self.core.lock().synced.checked_sub(1)
    }

    fn stalled_for(&self) -> Duration {
        self.core.lock().held_since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// What waited for a sync, to be told without the lock.
#[derive(Default)]
struct Completion {
    waiting: Vec<Synced>,
    error: Option<String>,
}

impl Completion {
    fn run(self) {
        for synced in self.waiting {
            synced(self.error.as_ref().map_or(Ok(()), |error| Err(io::Error::other(error.clone()))));
        }
    }
}

impl Core {
    fn check(disk: Disk, tail: Tail<DiskTail>, mut content: Content) -> Result<Self, LogError> {
        let mut walk = Walk::new(content.purged, tail.written().last);
        for (id, record) in content.records.values() {
            walk.next(*id, record)?;
        }
        content.reach.last = walk.last();
        content.reach.chain = walk.chain();
        content.purged_chain = chain_start(content.purged);
        let Content { reach, purged, .. } = &content;
        let found = Found { purged: *purged, last: reach.last, votes: reach.votes, at_tail: walk.at_tail() };
        tail::check(tail.written(), &found)?;
        let record_bytes = content.records.values().map(|(_, record)| record.len() as u64).sum();
        let synced = end_of(content.reach.last);
        let waiting = Vec::new();
        Ok(Self {
            disk,
            tail,
            content,
            record_bytes,
            syncs: 0,
            synced,
            waiting,
            holds_syncs: false,
            held_since: None,
            has_failed: false,
        })
    }

    fn append(&mut self, entries: Vec<Entry>) -> Result<(), LogError> {
        let Reach { mut last, mut chain, .. } = self.content.reach;
        let mut frames = Vec::new();
        let mut records = Vec::with_capacity(entries.len());
        for entry in &entries {
            check_next(last, entry.id)?;
            let (record, next) = record::encode(entry, &chain);
            put_frame(&mut frames, FRAME_ENTRY, &record);
            records.push((entry.id.index, (entry.id, record)));
            (last, chain) = (Some(entry.id), next);
        }
        self.disk.append(FRAMES, &frames).inspect_err(|_| self.has_failed = true)?;
        self.record_bytes += records.iter().map(|(_, (_, record))| record.len() as u64).sum::<u64>();
        self.content.records.extend(records);
        (self.content.reach.last, self.content.reach.chain) = (last, chain);
        Ok(())
    }

    fn write(&mut self, kind: u8, body: &[u8]) -> Result<(), LogError> {
        let mut frame = Vec::with_capacity(body.len() + FRAME_HEAD_BYTES + 1);
        put_frame(&mut frame, kind, body);
        Ok(self.disk.append(FRAMES, &frame).inspect_err(|_| self.has_failed = true)?)
    }

    fn sync(&mut self) -> Completion {
        let waiting = std::mem::take(&mut self.waiting);
        self.held_since = None;
        let result = if self.has_failed { Err(failed()) } else { self.sync_files() };
        if result.is_ok() {
            self.synced = end_of(self.content.reach.last);
        } else {
            self.has_failed = true;
        }
        Completion { waiting, error: result.err().map(|error| error.to_string()) }
    }

    fn sync_files(&mut self) -> io::Result<()> {
        self.disk.sync(FRAMES)?;
        self.tail.raise(self.content.reach)?;
        self.syncs += 1;
        if self.syncs.is_multiple_of(SYNCS_PER_TAIL_SYNC) { self.tail.sync() } else { Ok(()) }
    }

    fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), LogError> {
        let keep = last.or(self.content.purged);
        if end_of(keep) >= end_of(self.content.reach.last) {
            return Ok(());
        }
        let chain = self.content.chain_at(keep)?;
        self.tail.lower(keep, chain).inspect_err(|_| self.has_failed = true)?;
        // What comes right behind a purge follows its start, whether the entry before it was cut or never there.
        let chain = if keep == self.content.purged { chain_start(keep) } else { chain };
        self.write(FRAME_TRUNCATE, &optional(keep))?;
        self.content.truncate_after(keep);
        (self.content.reach.last, self.content.reach.chain) = (keep, chain);
        self.record_bytes = self.content.records.values().map(|(_, record)| record.len() as u64).sum();
        self.synced = self.synced.min(end_of(keep));
        Ok(())
    }

    fn purge(&mut self, upto: LogId) -> Result<Completion, LogError> {
        if end_of(self.content.purged) > upto.index {
            return Ok(Completion::default());
        }
        let is_held = self.content.records.contains_key(&upto.index);
        let chain = if is_held { self.content.chain_at(Some(upto))? } else { chain_start(Some(upto)) };
        let mut body = Vec::new();
        put_log_id(&mut body, upto);
        self.write(FRAME_PURGE, &body)?;
        self.content.purge(upto);
        self.content.purged_chain = chain;
        self.record_bytes = self.content.records.values().map(|(_, record)| record.len() as u64).sum();
        let dropped = self.disk.length(FRAMES).saturating_sub(self.record_bytes);
        let is_worth_it = dropped > self.record_bytes && dropped > COMPACTION_MIN_BYTES;
        if is_worth_it { self.compact() } else { Ok(Completion::default()) }
    }

    /// Writes what is left to a new file, which takes the place of the old one.
    fn compact(&mut self) -> Result<Completion, LogError> {
        let mut frames = Vec::new();
        let Content { records, reach, purged, vote, committed, .. } = &self.content;
        if let Some(purged) = purged {
            let mut body = Vec::new();
            put_log_id(&mut body, *purged);
            put_frame(&mut frames, FRAME_PURGE, &body);
        }
        if let Some(vote) = vote {
            put_frame(&mut frames, FRAME_VOTE, &[&reach.votes.to_be_bytes(), vote.as_ref()].concat());
        }
        put_frame(&mut frames, FRAME_COMMITTED, &optional(*committed));
        records.values().for_each(|(_, record)| put_frame(&mut frames, FRAME_ENTRY, record));
        let written = self.disk.append(FRAMES_NEW, &frames).and_then(|()| self.disk.sync(FRAMES_NEW));
        written.and_then(|()| self.disk.rename(FRAMES_NEW, FRAMES)).inspect_err(|_| self.has_failed = true)?;
        Ok(self.sync())
    }
}

impl Content {
    /// Chain hash of the entry `id`, which must be in the log, or be the purged one.
    fn chain_at(&self, id: Option<LogId>) -> Result<Chain, LogError> {
        let Some(id) = id.filter(|id| self.purged != Some(*id)) else { return Ok(self.purged_chain) };
        let found = self.records.get(&id.index).filter(|(found, _)| *found == id);
        let (_, record) = found.ok_or_else(|| misuse(format!("the log has no entry {id:?}")))?;
        Ok(decode_at(id, record)?.chain)
    }

    fn truncate_after(&mut self, keep: Option<LogId>) {
        self.records.split_off(&end_of(keep));
    }

    fn purge(&mut self, upto: LogId) {
        self.records = self.records.split_off(&(upto.index + 1));
        self.purged = Some(upto);
        if self.reach.last.is_none_or(|last| last.index <= upto.index) {
            (self.reach.last, self.reach.chain) = (Some(upto), chain_start(Some(upto)));
        }
    }

    /// Takes in one frame; `None` if no such frame was ever written.
    fn replay(&mut self, kind: u8, body: Bytes) -> Option<()> {
        let mut fields = Fields::new(&body);
        match kind {
            FRAME_ENTRY => {
                let id = record::decode(&body)?.entry.id;
                self.records.insert(id.index, (id, body.clone()));
            }
            FRAME_VOTE => {
                self.reach.votes = fields.u64()?;
                self.vote = Some(body.slice(8..));
            }
            FRAME_COMMITTED => self.committed = fields.optional_log_id()?,
            FRAME_TRUNCATE => self.truncate_after(fields.optional_log_id()?),
            FRAME_PURGE => {
                let upto = fields.log_id()?;
                self.purge(upto);
            }
            _ => return None,
        }
        Some(())
    }
}

/// Reads all frames, and cuts a torn one off the end.
fn read_frames(disk: &Disk) -> Result<Content, LogError> {
    let bytes = Bytes::from(disk.read(FRAMES).unwrap_or_default());
    let mut content = Content::default();
    let mut at = 0;
    while at < bytes.len() {
        let rest = bytes.slice(at..);
        match frame_at(&rest) {
            Frame::Whole(kind, body) => {
                at += FRAME_HEAD_BYTES + 1 + body.len();
                content
                    .replay(kind, body)
                    .ok_or_else(|| tail::damaged(format!("the frame before {at} is malformed")))?;
            }
            Frame::Torn => {
                disk.truncate(FRAMES, at as u64)?;
                disk.sync(FRAMES)?;
                break;
            }
            Frame::Damaged => return Err(tail::damaged(format!("the frame at {at} is not what was written"))),
        }
    }
    Ok(content)
}

enum Frame {
    Whole(u8, Bytes),
    /// Cut short by the end of the file, or nothing but zeros up to it.
    Torn,
    Damaged,
}

fn frame_at(rest: &Bytes) -> Frame {
    if rest.iter().all(|byte| *byte == 0) {
        return Frame::Torn;
    }
    let mut fields = Fields::new(rest);
    let (Some(length), Some(complement), Some(hash)) = (fields.u32(), fields.u32(), fields.array::<16>()) else {
        return Frame::Torn;
    };
    let length =
        usize::try_from(length).ok().filter(|length| *length <= FRAME_MAX_BYTES && complement == !(*length as u32));
    match length {
        None | Some(0) => Frame::Damaged,
        Some(length) if rest.len() < FRAME_HEAD_BYTES + length => Frame::Torn,
        Some(length) => {
            let body = rest.slice(FRAME_HEAD_BYTES..FRAME_HEAD_BYTES + length);
            if blake3::hash(&body).as_bytes()[..16] != hash {
                return Frame::Damaged;
            }
            Frame::Whole(body[0], body.slice(1..))
        }
    }
}

fn put_frame(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let length = u32::try_from(1 + body.len()).expect("frames are bounded by FRAME_MAX_BYTES");
    let hash = *blake3::Hasher::new().update(&[kind]).update(body).finalize().as_bytes();
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&(!length).to_be_bytes());
    out.extend_from_slice(&hash[..16]);
    out.push(kind);
    out.extend_from_slice(body);
}

fn optional(id: Option<LogId>) -> Vec<u8> {
    let mut body = Vec::new();
    put_optional_log_id(&mut body, id);
    body
}

fn failed() -> io::Error {
    io::Error::other("an earlier write or sync failed; the process must stop, and open the log anew")
}

struct DiskTail(Disk);

impl TailBytes for DiskTail {
    fn read(&self) -> io::Result<Vec<u8>> {
        Ok(self.0.read(TAIL).unwrap_or_default())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(TAIL, offset, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync(TAIL)
    }
}
