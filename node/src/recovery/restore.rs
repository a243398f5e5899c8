//! `conclave operator restore`: a node of a snapshot, in an empty data folder, with shares and a new epoch.
//!
//! It becomes the only voter of the cluster that the snapshot was taken of; others join it as new nodes. The shares are those
//! of the moment of the snapshot. With them the list of digests is checked, so that nobody else's archive becomes a cluster.
//! What surprises: `node/node.cluster` is written last. Before it is there no server starts over the folder, so a restore that
//! was killed is thrown away with its folder.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use conclave_cli::archive::{self, Files, SEALED_SUMS, SUMS};
use conclave_cli::spelling;
use conclave_raft::Member;
use conclave_raft::sole_voter;
use conclave_storage::table::Table;
use conclave_vault::Core;
use zeroize::Zeroizing;

use super::stopped::StoppedNode;
use super::{Refusal, batches, open_with_shares, share};
use crate::config::address;
use crate::memory;
use crate::seal::state::Verdict;
use crate::server::chain;
use crate::view::SystemRandomness;

/// Make a node of a snapshot: the only voter of the cluster that the snapshot was taken of.
///
/// Asks for the shares of the moment of the snapshot. What was written after it is lost. No node of the cluster of before may
/// run again. Read docs/operating/recovery.md first.
#[derive(Parser)]
#[command(name = "conclave operator restore")]
struct RestoreFlags {
    /// The data folder to make, as `path` in the node's configuration. It must be empty, or not be there.
    #[arg(long, value_name = "FOLDER")]
    path: PathBuf,
    /// The snapshot.
    #[arg(long, value_name = "FILE")]
    snapshot: PathBuf,
    /// The node's name, as `node_id` in its configuration.
    #[arg(long, value_name = "NAME", default_value = "")]
    node_id: String,
    /// Where other nodes reach it: HOST:PORT.
    #[arg(long, value_name = "HOST:PORT")]
    cluster_addr: String,
    /// The URL of its API.
    #[arg(long, value_name = "URL")]
    api_addr: String,
}

/// Gives the next share; `None` at the end of the input.
type NextShare<'a> = &'a mut dyn FnMut(&str) -> io::Result<Option<Zeroizing<String>>>;

/// Runs the command with the arguments behind `operator restore`.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let switches = spelling::switches(&RestoreFlags::command());
    let program = OsString::from("conclave operator restore");
    let parsed =
        RestoreFlags::try_parse_from(std::iter::once(program).chain(spelling::normalise(arguments, &switches)));
    let flags = match parsed {
        Ok(flags) => flags,
        Err(error) => {
            // The message itself says what was wrong or asked for; if it cannot be printed there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    memory::harden();
    match restore(&flags, &mut share, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            // Whoever does not read this has the exit code.
            let _ = writeln!(io::stderr(), "Error: {}", chain(&refusal));
            ExitCode::FAILURE
        }
    }
}

fn restore(flags: &RestoreFlags, next: NextShare<'_>, out: &mut dyn Write) -> Result<(), Refusal> {
    if address::bindable(&flags.cluster_addr).is_none() {
        return Err(Refusal::Snapshot("-cluster-addr must be HOST:PORT".into()));
    }
    let files = std::fs::read(&flags.snapshot)?;
    let files = archive::read(&files)
        .map_err(|reason| Refusal::Snapshot(format!("the file is no whole snapshot: {reason}")))?;
    if !is_free(&flags.path)? {
        return Err(Refusal::Snapshot(format!("{} is not empty", flags.path.display())));
    }
    std::fs::create_dir_all(&flags.path)?;
    let made = make(flags, &files, next);
    if made.is_err() {
        // It was empty before, and a half of a node is none.
        for part in ["log", "table", "node"] {
            let _ = std::fs::remove_dir_all(flags.path.join(part));
        }
    }
    out.write_all(made?.as_bytes())?;
    Ok(())
}

fn is_free(folder: &Path) -> io::Result<bool> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Makes the node. Answers what to tell the operator.
fn make(flags: &RestoreFlags, files: &Files, next: NextShare<'_>) -> Result<String, Refusal> {
    let chunks: Vec<&[u8]> =
        files.iter().filter(|(name, _)| name.starts_with("state/")).map(|(_, chunk)| chunk.as_slice()).collect();
    let node = StoppedNode::make(&flags.path, &chunks)?;
    let outside = node.outside()?;
    let core = open_with_shares(&outside, next)?;
    let done = lead(flags, files, &node, &core, outside.cluster_id);
    core.revoke(&mut SystemRandomness::default());
    done
}

fn lead(
    flags: &RestoreFlags,
    files: &Files,
    node: &StoppedNode,
    core: &Core,
    cluster_id: [u8; 16],
) -> Result<String, Refusal> {
    check(files, core)?;
    if let Some((_, revision)) = node.keyring() {
        core.barrier().note_installed_at(core.barrier().active_term(), revision);
    }
    let before = node.members()?;
    let own = Member {
        id: node.identity.id(),
        name: flags.node_id.clone(),
        cluster_addr: flags.cluster_addr.clone(),
        api_addr: flags.api_addr.clone(),
        public_key: node.identity.public_key(),
        voter: true,
    };
    let members = [own];
    let verdict = Verdict::Unconfirmed { since: node.table.rewind_index() };
    let (batches, epoch) = batches(false, node, core, &members, verdict)?;
    let last = sole_voter::make_sole_voter(&node.identity, &node.log, &members, batches)?;
    node.apply_to(last.index)?;
    node.commit(last)?;
    sole_voter::found(&node.identity, cluster_id, &before)?;
    Ok(format!(
        "Restored: epoch {epoch}, the last entry is {} of term {}.\nStart the server, unseal it with the shares of the \
         snapshot, and let nodes with empty data folders join.\n",
        last.index, last.term
    ))
}

/// Checks that the cluster whose shares were entered made this snapshot.
fn check(files: &Files, core: &Core) -> Result<(), Refusal> {
    let file = |name: &str| files.get(name).map(Vec::as_slice).unwrap_or_default();
    let foreign =
        || Refusal::Snapshot("it was not made, or was changed since, by the cluster whose shares these are".into());
    let (term, mac) = file(SEALED_SUMS).split_first_chunk().ok_or_else(foreign)?;
    let verified = core.barrier().verify_snapshot(u32::from_be_bytes(*term), file(SUMS), mac);
    verified.map_err(|_| foreign())
}
