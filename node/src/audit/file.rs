//! A file that gets one line after the other.
//!
//! Whoever may enable devices may name a path, so the path is looked at: no symbolic link anywhere, nothing that could be
//! run, nothing that is not this process's own, nothing below its data, and no file that holds anything but records. What
//! surprises: lines are not synced to the disk one by one. They are with the system when the request goes on, so they
//! outlive the process, and may be lost with the power. Nodes on one machine may share a file: each locks it to write.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use conclave_cli::audit_chain::{Before, split};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use serde_json::Value;

use super::chain::Chain;
use super::output::{Output, joined};
use super::settings::DeviceTerms;
use crate::config::limits::MAX_AUDIT_TAIL_BYTES;

/// Part of the end of a file that its last line is looked for in at first, in bytes.
const TAIL_BYTES: u64 = 64 << 10;
/// What every record begins with, behind a prefix.
const FIRST_MEMBER: &[u8] = b"{\"time\":";

/// An open file.
pub(super) struct LogFile {
    path: PathBuf,
    mode: Option<u32>,
    terms: DeviceTerms,
    file: File,
    /// Whether it is a file and no pipe, so that half a line can be taken back.
    is_regular: bool,
    /// Whether nothing was written to it yet since it was opened.
    is_fresh: bool,
    /// Set when somebody may have moved the file away.
    is_moved: Arc<AtomicBool>,
}

impl LogFile {
    /// Opens a file, or makes it.
    pub(super) fn open(
        path: &Path,
        mode: Option<u32>,
        terms: &DeviceTerms,
        is_moved: Arc<AtomicBool>,
    ) -> Result<Self, String> {
        check_place(path, terms)?;
        let flags =
            OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let (made, links) = (Mode::from_raw_mode(mode.unwrap_or(0o600)), ResolveFlags::NO_SYMLINKS);
        let opened = match rustix::fs::openat2(rustix::fs::CWD, path, flags, made, links) {
            // Not there in old kernels, and not for everybody in some containers. The folder was checked for links before.
            Err(Errno::NOSYS | Errno::PERM) => rustix::fs::open(path, flags, made),
            opened => opened,
        };
        let file = File::from(opened.map_err(|error| failed(path, refusal(error)))?);
        let is_regular = check_file(&file, path)?;
        if is_regular {
            check_tail(&file, path)?;
            if let Some(mode) = mode {
                rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(|error| failed(path, error))?;
            }
        }
        // From here on a full pipe is waited for.
        rustix::fs::fcntl_setfl(&file, OFlags::APPEND).map_err(|error| failed(path, error))?;
        Ok(Self { path: path.to_owned(), mode, terms: terms.clone(), file, is_regular, is_fresh: true, is_moved })
    }

    fn write_locked(&mut self, chain: &mut Chain, records: &[Vec<u8>]) -> std::io::Result<()> {
        let before = if self.is_fresh { Some(self.before()?) } else { None };
        let (lines, last) = chain.linked(before.as_ref(), records);
        let mut bytes = joined(&lines);
        if before.is_some_and(|before| before.is_torn) {
            bytes.insert(0, b'\n');
        }
        self.append(&bytes)?;
        self.is_fresh = false;
        chain.keep(last);
        Ok(())
    }

    /// What the file ends with.
    fn before(&self) -> std::io::Result<Before> {
        if !self.is_regular {
            return Ok(Before::default());
        }
        let tail = Tail::of(&self.file)?;
        let last = tail.line.as_deref().and_then(split).map(|(_, link)| link);
        Ok(Before { last, is_torn: !tail.fragment.is_empty() })
    }

    /// Writes at the end, and takes back what was written of lines that did not fit whole.
    fn append(&self, bytes: &[u8]) -> std::io::Result<()> {
        let length = self.file.metadata()?.len();
        (&self.file).write_all(bytes).inspect_err(|_| {
            if self.is_regular {
                // If that fails too, the next opening finds half a line.
                let _ = self.file.set_len(length);
            }
        })
    }
}

impl Output for LogFile {
    fn write(&mut self, chain: &mut Chain, records: &[Vec<u8>]) -> Result<(), String> {
        if self.is_moved.swap(false, Ordering::AcqRel) {
            let (path, mode, terms) = (self.path.clone(), self.mode, self.terms.clone());
            *self = Self::open(&path, mode, &terms, Arc::clone(&self.is_moved))?;
        }
        let lock = rustix::fs::flock(&self.file, FlockOperation::LockExclusive);
        lock.map_err(|error| failed(&self.path, error))?;
        let written = self.write_locked(chain, records);
        // Closing the file unlocks it too.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
        written.map_err(|error| failed(&self.path, error))
    }
}

fn failed(path: &Path, reason: impl std::fmt::Display) -> String {
    format!("the file {}: {reason}", path.display())
}

fn refusal(error: Errno) -> String {
    match error {
        Errno::LOOP => "it is a symbolic link, or its folder is reached by one; name the place itself".to_owned(),
        Errno::ISDIR => "it is a folder".to_owned(),
        error => error.to_string(),
    }
}

/// Whether a device may write to a path at all.
pub(super) fn check_place(path: &Path, terms: &DeviceTerms) -> Result<(), String> {
    let is_plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    if !path.is_absolute() || !path.components().all(is_plain) || path.file_name().is_none() {
        return Err(failed(path, "the path must be absolute, without . and .."));
    }
    if !terms.paths.is_empty() && !terms.paths.iter().any(|allowed| path.starts_with(allowed)) {
        return Err(failed(path, "audit_paths in the configuration does not allow this place"));
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let real = folder.canonicalize().map_err(|error| failed(path, format!("its folder: {error}")))?;
    if real != folder {
        return Err(failed(path, refusal(Errno::LOOP)));
    }
    let is_below = |forbidden: &PathBuf| forbidden.canonicalize().is_ok_and(|forbidden| real.starts_with(forbidden));
    if terms.forbidden.iter().any(is_below) {
        return Err(failed(
            path,
            "audit devices write nowhere below the data, the configuration, the TLS files or the program of this server",
        ));
    }
    Ok(())
}

/// Whether an open file is one that records may go to; true if it is a file, false if it is a pipe.
fn check_file(file: &File, path: &Path) -> Result<bool, String> {
    let metadata = file.metadata().map_err(|error| failed(path, error))?;
    let kind = FileType::from_raw_mode(metadata.mode());
    if !matches!(kind, FileType::RegularFile | FileType::Fifo) {
        return Err(failed(path, "it is neither a file nor a pipe"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(failed(path, "it belongs to another user"));
    }
    if metadata.nlink() != 1 || metadata.mode() & 0o111 != 0 {
        return Err(failed(path, "it has a second name, or can be executed"));
    }
    Ok(kind == FileType::RegularFile)
}

/// Whether a file is empty, or ends with a record or with a part of one.
fn check_tail(file: &File, path: &Path) -> Result<(), String> {
    let tail = Tail::of(file).map_err(|error| failed(path, error))?;
    let is_record = match &tail.line {
        Some(line) => {
            let object = line.iter().position(|byte| *byte == b'{').map(|start| &line[start..]);
            let record: Option<Value> = object.and_then(|object| serde_json::from_slice(object).ok());
            record.is_some_and(|record| record["type"].is_string() && record["time"].is_string())
        }
        None => tail.fragment.is_empty() || tail.fragment.windows(FIRST_MEMBER.len()).any(|part| part == FIRST_MEMBER),
    };
    if is_record {
        return Ok(());
    }
    Err(failed(path, "it does not end with an audit record; name another one, or move it away"))
}

/// The end of a file.
#[derive(Default)]
struct Tail {
    /// Its last whole line.
    line: Option<Vec<u8>>,
    /// What follows that without an end, as a crash leaves it.
    fragment: Vec<u8>,
}

impl Tail {
    /// Looked for from the end, in growing pieces.
    fn of(mut file: &File) -> std::io::Result<Self> {
        let length = file.metadata()?.len();
        let mut piece = TAIL_BYTES;
        loop {
            let start = length.saturating_sub(piece);
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            file.take(length - start).read_to_end(&mut bytes)?;
            let is_all = start == 0 || piece >= MAX_AUDIT_TAIL_BYTES;
            let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
                if is_all {
                    return Ok(Self { line: None, fragment: bytes });
                }
                piece *= 8;
                continue;
            };
            let begin = bytes[..end].iter().rposition(|byte| *byte == b'\n').map(|before| before + 1);
            if let Some(begin) = begin.or(is_all.then_some(0)) {
                return Ok(Self { line: Some(bytes[begin..end].to_vec()), fragment: bytes[end + 1..].to_vec() });
            }
            piece *= 8;
        }
    }
}
