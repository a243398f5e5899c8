//! `conclave operator recover`: a stopped node becomes the only voter of its cluster, with shares and a new epoch.
//!
//! Works on the data folder of a node that does not run. Everything that can refuse comes first and changes nothing: the
//! shares, and the check of the table that an unseal makes. From the first change to the last the file [`RECOVERY_MARKER`] lies in
//! the folder, so that a node which was half recovered is not started; the command can be run again from any point. Seen from
//! an operator: `docs/operating/recovery.md`.

mod flags;
pub mod restore;
mod stopped;

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::ExitCode;

use bytes::Bytes;
use conclave_cli::prompt;
use conclave_raft::Member;
use conclave_raft::sole_voter::{self, SoleVoterError};
use conclave_storage::log::{LogError, LogId};
use conclave_storage::table::{Table, TableError};
use conclave_vault::members::MemberRecord;
use conclave_vault::seal::{Ceremony, Entered, Entry, Outside, ShareError};
use conclave_vault::{Context, Core, EpochChange, Error, Registry, Time, begin_epoch};
use zeroize::Zeroizing;

use self::flags::RecoverFlags;
use self::stopped::{StoppedError, StoppedNode};
use crate::config::limits::SHARE_LINE_BYTES;
use crate::opening::RECOVERY_MARKER;
use crate::seal::state::Verdict;
use crate::seal::table_check::{self, CheckError};
use crate::server::chain;
use crate::view::{self, SystemRandomness};
use crate::{memory, version};

/// Why a node was not recovered.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Stopped(#[from] StoppedError),
    #[error("nothing was changed: share {number} of {needed} {reason}; run this again, and enter all of them")]
    Share { number: usize, needed: usize, reason: &'static str },
    #[error("nothing was changed: {0}")]
    Damaged(ShareError),
    #[error("nothing was changed: {given} of the {needed} shares that are needed came")]
    TooFewShares { given: usize, needed: usize },
    #[error("nothing was changed: {0}; choose another node")]
    Table(CheckError),
    #[error(
        "nothing was changed: the log entry at index {index} has no valid tag. It and all entries behind it, {count} in number, \
         can be dropped: run this again with -drop={keep}, which keeps everything up to index {keep}"
    )]
    BadTag { index: u64, count: u64, keep: u64 },
    #[error(
        "nothing was changed: the log entry at index {index} has no valid tag, and lies before what the newest checkpoint on \
         this node needs; choose a node that was unsealed when that entry came"
    )]
    BadCheckpoint { index: u64 },
    #[error(
        "nothing was changed: no entry without a valid tag is in the way, so -drop would lose entries for nothing; leave it out"
    )]
    NothingToDrop,
    #[error(
        "nothing was changed: no checkpoint vouches for this node's table, which came from another node. Choose another node, \
         or take the table as it is with -trust-table"
    )]
    Unconfirmed,
    #[error("nothing was restored: {0}")]
    Snapshot(String),
    #[error("the key had been rotated by an entry that was dropped; run this again, and enter the shares again")]
    Unrotated,
    #[error("the check after the cut failed, which cannot be if the disk keeps what it is given: {0}")]
    Broken(CheckError),
    #[error(transparent)]
    Consensus(#[from] SoleVoterError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Storage(#[from] TableError),
    #[error("the new epoch's batch cannot be made: {0}")]
    Batch(#[from] Error),
    #[error("the terminal or the data folder cannot be used")]
    Io(#[from] io::Error),
}

/// Runs the command with the arguments behind `operator recover`.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let flags = match RecoverFlags::parse(arguments) {
        Ok(flags) => flags,
        Err(error) => {
            // The message itself says what was wrong or asked for; if it cannot be printed there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    memory::harden();
    match recover_or_show(&flags, &mut share, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            // Whoever does not read this has the exit code.
            let _ = writeln!(io::stderr(), "Error: {}", chain(&refusal));
            ExitCode::FAILURE
        }
    }
}

/// Recovers a node with the shares that `next` gives, or shows what it has if that is all that is wanted.
fn recover_or_show(
    flags: &RecoverFlags,
    next: &mut dyn FnMut(&str) -> io::Result<Option<Zeroizing<String>>>,
    out: &mut dyn Write,
) -> Result<(), Refusal> {
    let node = StoppedNode::open(&flags.path)?;
    if !flags.is_forced {
        out.write_all(node.describe()?.as_bytes())?;
        return Ok(());
    }
    let outside = node.outside()?;
    let last = node.last()?;
    out.write_all(warning(&node, last.index)?.as_bytes())?;
    out.flush()?;
    let core = open_with_shares(&outside, next)?;
    let done = recover(flags, &node, &core);
    core.revoke(&mut SystemRandomness::default());
    out.write_all(done?.as_bytes())?;
    Ok(())
}

/// What an operator must know before entering a share.
fn warning(node: &StoppedNode, last: u64) -> Result<String, Refusal> {
    let others: Vec<_> = node.members()?.into_iter().filter(|member| member.id != node.identity.id()).collect();
    let names: Vec<_> = others.iter().map(stopped::shown_name).collect();
    let wipe = match names.as_slice() {
        [] => String::new(),
        names => format!("{} must never run again: wipe them.\n", names.join(", ")),
    };
    Ok(format!(
        "This makes this node the only voter of its cluster. What other nodes acknowledged and did not send here by index {last} \
         is lost.\n{wipe}"
    ))
}

/// Takes shares until they open the barrier: from a terminal hidden, from a pipe one a line.
fn open_with_shares(
    outside: &Outside,
    next: &mut dyn FnMut(&str) -> io::Result<Option<Zeroizing<String>>>,
) -> Result<Core, Refusal> {
    let mut ceremony = Ceremony::default();
    loop {
        let progress = ceremony.progress(outside);
        let question = format!("Share {} of {} (will be hidden): ", progress.entered + 1, progress.threshold);
        let Some(key) = next(&question)? else {
            return Err(Refusal::TooFewShares { given: progress.entered, needed: progress.threshold });
        };
        let entry = Entry { key: key.trim(), address: IpAddr::V4(Ipv4Addr::LOCALHOST), confirmed: Default::default() };
        let entered = ceremony.enter(entry, outside, &mut SystemRandomness::default());
        let (number, needed) = (progress.entered + 1, progress.threshold);
        let refused = |error| match error {
            ShareError::Damaged(_) => Refusal::Damaged(error),
            ShareError::Unreadable => Refusal::Share { number, needed, reason: "is neither hexadecimal nor base64" },
            ShareError::Wrong => Refusal::Share {
                number,
                needed,
                reason: "is no share of this cluster: it was mistyped, or belongs to another one",
            },
        };
        match entered.map_err(refused)? {
            Entered::Progress(_) => {}
            Entered::Unsealed { barrier, .. } => return Ok(Core::new(*barrier, Registry::built_in())),
        }
    }
}

/// The next share; `None` at the end of the input.
fn share(question: &str) -> io::Result<Option<Zeroizing<String>>> {
    if io::stdin().is_terminal() {
        return prompt::hidden(question).map(Some);
    }
    let mut line = Zeroizing::new(String::with_capacity(SHARE_LINE_BYTES));
    let mut input = io::stdin().lock().take(SHARE_LINE_BYTES as u64);
    Ok((input.read_line(&mut line)? > 0).then_some(line))
}

/// A recovery under way.
struct Work<'a> {
    flags: &'a RecoverFlags,
    node: &'a StoppedNode,
    core: &'a Core,
    plan: Plan,
    verdict: Verdict,
    done: Recovered,
}

/// What became of it.
#[derive(Clone, Copy, Default)]
struct Recovered {
    epoch: u64,
    last: LogId,
}

/// One change of the node.
type RecoveryStep = fn(&mut Work<'_>) -> Result<(), Refusal>;

/// What changes the node, in its order. Whichever is the last one that was done, all of them may be done again.
const STEPS: [RecoveryStep; 6] = [
    |work| Ok(begin(&work.flags.path)?),
    |work| work.lead_table(),
    |work| work.cut_log(),
    |work| work.leave_behind(),
    |work| work.append(),
    |work| Ok(end(&work.flags.path)?),
];

impl<'a> Work<'a> {
    /// Checks all that can refuse.
    fn plan(flags: &'a RecoverFlags, node: &'a StoppedNode, core: &'a Core) -> Result<Self, Refusal> {
        if let Some((_, revision)) = node.keyring() {
            core.barrier().note_installed_at(core.barrier().active_term(), revision);
        }
        let plan = plan(flags, node, core)?;
        Ok(Self { flags, node, core, plan, verdict: Verdict::Confirmed, done: Recovered::default() })
    }

    /// Leads the table to the end of what is kept. Also entries that were not known to be committed count: who could have
    /// decided otherwise is gone.
    fn lead_table(&mut self) -> Result<(), Refusal> {
        let keep = self.plan.keep;
        let led = self.node.table.hold(|table| table_check::in_place(table, &self.node.log, self.core, keep, keep));
        self.verdict = led.map_err(Refusal::Broken)?;
        // The log may be cut only when no table needs it any more: the one on the disk never goes beyond what is kept.
        self.node.table.sync()?;
        // Begun once more, it starts from there.
        if let Some(led_to) = self.node.table.applied().last {
            self.node.commit(led_to)?;
        }
        // The log may have rotated the key since the table that the shares opened: also an earlier run of this has done so.
        let keyring = self.node.keyring();
        let loaded = keyring.map(|(sealed, index)| self.core.barrier().load_keyring(&sealed, index));
        loaded.transpose().map(drop).map_err(|_| Refusal::Unrotated)
    }

    fn cut_log(&mut self) -> Result<(), Refusal> {
        Ok(self.node.cut(self.plan.keep)?)
    }

    fn leave_behind(&mut self) -> Result<(), Refusal> {
        Ok(sole_voter::leave_behind(&self.node.identity, &self.node.members()?)?)
    }

    fn append(&mut self) -> Result<(), Refusal> {
        let members = self.node.members()?;
        let (batches, epoch) = batches(self.flags.sets_time, self.node, self.core, &members, self.verdict)?;
        let last = sole_voter::make_sole_voter(&self.node.identity, &self.node.log, &members, batches)?;
        self.node.apply_to(last.index)?;
        self.node.commit(last)?;
        self.done = Recovered { epoch, last };
        Ok(())
    }
}

/// Checks, then changes. Answers what to tell the operator.
fn recover(flags: &RecoverFlags, node: &StoppedNode, core: &Core) -> Result<String, Refusal> {
    let mut work = Work::plan(flags, node, core)?;
    for step in STEPS {
        step(&mut work)?;
    }
    let (Recovered { epoch, last }, dropped) = (work.done, work.plan.dropped);
    let lost = if dropped > 0 { format!("{dropped} entries were dropped. ") } else { String::new() };
    Ok(format!(
        "{lost}Recovered: epoch {epoch}, the last entry is {} of term {}.\nStart the server, unseal it, and let nodes with empty \
         data folders join.\n",
        last.index, last.term
    ))
}

/// Up to where the log is kept.
struct Plan {
    keep: u64,
    dropped: u64,
}

/// Checks the table and every tag in the log, and says what is kept. Changes nothing that an unseal would not.
fn plan(flags: &RecoverFlags, node: &StoppedNode, core: &Core) -> Result<Plan, Refusal> {
    let last = node.last()?.index;
    let checkpoint = node.table.applied().checkpoint;
    let bad = match table_check::check(&node.table, &node.log, core, last) {
        Ok(Verdict::Unconfirmed { .. }) if !flags.trusts_table => return Err(Refusal::Unconfirmed),
        // Run again with the same flags, it finds done what it wants to do.
        Ok(_) if flags.drop.is_some() && !flags.path.join(RECOVERY_MARKER).exists() => {
            return Err(Refusal::NothingToDrop);
        }
        Ok(_) => return Ok(Plan { keep: last, dropped: 0 }),
        Err(CheckError::Tag(index)) => index,
        Err(error) => return Err(Refusal::Table(error)),
    };
    if checkpoint.is_some_and(|(at, _)| bad <= at) || bad <= node.table.rewind_index() {
        return Err(Refusal::BadCheckpoint { index: bad });
    }
    let (keep, dropped) = (bad - 1, last - bad + 1);
    if flags.drop != Some(keep) {
        return Err(Refusal::BadTag { index: bad, count: dropped, keep });
    }
    if checkpoint.is_none() && node.table.rewind_index() > 0 && !flags.trusts_table {
        return Err(Refusal::Unconfirmed);
    }
    Ok(Plan { keep, dropped })
}

/// The tagged batches that go into the log behind the new membership, and the new epoch.
fn batches(
    sets_time: bool,
    node: &StoppedNode,
    core: &Core,
    members: &[Member],
    verdict: Verdict,
) -> Result<(Vec<Bytes>, u64), Refusal> {
    let applied = node.table.applied();
    let own = members.iter().find(|member| member.id == node.identity.id()).ok_or(SoleVoterError::NotAMember)?;
    let (mut random, now) = (SystemRandomness::default(), view::now());
    let cluster_time = Time::from_millis(applied.time_millis);
    let now = if sets_time { now } else { now.max(cluster_time) };
    let context = Context::plain(now, &mut random, node.identity.id(), version::API_VERSION);
    let mut context = Context { epoch: applied.epoch, ..context };
    let mut batches = Vec::new();
    if let Verdict::Unconfirmed { since } = verdict {
        let digest = node.table.digest_at(since)?.map(|digest| (since, digest));
        let base = applied.last.map_or(0, |last| last.index);
        batches.push(core.checkpoint(&mut context, base, digest).bytes);
    }
    let view = node.table.view()?;
    let change = EpochChange { only_member: Some(to_record(own)), time: sets_time.then_some(now) };
    let (proposal, epoch) = begin_epoch(core, &mut context, &view, change)?;
    batches.push(proposal.bytes);
    Ok((batches, epoch))
}

fn to_record(member: &Member) -> MemberRecord {
    MemberRecord {
        id: member.id,
        name: member.name.clone(),
        public_key: member.public_key.to_vec(),
        cluster_addr: member.cluster_addr.clone(),
        api_addr: member.api_addr.clone(),
        is_blind: false,
        is_non_voter: false,
    }
}

/// From here on the server refuses to start over this folder.
fn begin(folder: &Path) -> io::Result<()> {
    std::fs::write(folder.join(RECOVERY_MARKER), "run `conclave operator recover` on this folder to its end\n")?;
    sync(folder)
}

fn end(folder: &Path) -> io::Result<()> {
    std::fs::remove_file(folder.join(RECOVERY_MARKER))?;
    sync(folder)
}

fn sync(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
