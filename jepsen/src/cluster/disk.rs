//! A node's file system in a file, so that its power can be cut: what was written and not synced is gone then.
//!
//! The file system is ext4, shut down without flushing its journal (`EXT4_IOC_SHUTDOWN` of fs/ext4/ext4.h, the same
//! number as XFS's `FS_IOC_GOINGDOWN`). What surprises: what the kernel keeps in memory for the file below is not lost, so
//! a disk that lies about syncs cannot be played with this.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How large the file system is; the file takes what is written only.
const SIZE_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// `_IOR('X', 125, u32)`.
const SHUTDOWN: libc::Ioctl = 0x8004_587d;
/// Without flushing the journal.
const WITHOUT_FLUSH: u32 = 2;

/// A mounted file system; dropping it unmounts it.
pub(super) struct Disk {
    image: PathBuf,
    place: PathBuf,
}

/// Whether this machine mounts files; the reason if not.
pub(crate) fn probe() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let made = Disk::make(folder.path());
    made.map(drop).map_err(|error| format!("mounting ext4 in a file needs root, mkfs.ext4 and loop devices: {error}"))
}

impl Disk {
    /// Makes a file system in `folder/disk.img` and mounts it at `folder/disk`.
    pub(super) fn make(folder: &Path) -> io::Result<Self> {
        let disk = Self { image: folder.join("disk.img"), place: folder.join("disk") };
        File::create_new(&disk.image)?.set_len(SIZE_BYTES)?;
        fs::create_dir_all(&disk.place)?;
        // Without reserved blocks, and with its tables made at once: no thread of the kernel writes them later.
        let options = ["-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
        call(Command::new("mkfs.ext4").args(options).arg(&disk.image))?;
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    /// Cuts the power. Whoever writes from now on gets an error.
    pub(super) fn lose_power(&self) -> io::Result<()> {
        let root = File::open(&self.place)?;
        let flags = WITHOUT_FLUSH;
        // SAFETY: the descriptor is open, and the call reads the number, which outlives it.
        let done = unsafe { libc::ioctl(root.as_raw_fd(), SHUTDOWN, &raw const flags) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Mounts it anew after its power was cut, which plays its journal back. Nobody may have a file open there.
    pub(super) fn come_back(&self) -> io::Result<()> {
        call(Command::new("umount").arg(&self.place))?;
        self.mount()
    }

    fn mount(&self) -> io::Result<()> {
        call(Command::new("mount").args(["-o", "loop,noatime"]).arg(&self.image).arg(&self.place))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, because a process that was just killed may still hold a file for a moment.
        let _ = call(Command::new("umount").arg("-l").arg(&self.place));
    }
}

fn call(command: &mut Command) -> io::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.output().map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
    if done.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{name}: {}", String::from_utf8_lossy(&done.stderr).trim())))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Where files cannot be mounted there is nothing to be tested; a run says so by itself.
    #[test]
    fn what_was_not_synced_is_gone_with_the_power_and_what_was_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let Ok(disk) = Disk::make(folder.path()) else { return };
        let kept = disk.place().join("kept");
        let mut file = File::create(&kept).unwrap();
        file.write_all(b"synced").unwrap();
        file.sync_all().unwrap();
        File::open(disk.place()).unwrap().sync_all().unwrap();
        file.write_all(b", not synced").unwrap();
        disk.lose_power().unwrap();
        drop(file);
        disk.come_back().unwrap();
        assert_eq!(fs::read(&kept).unwrap(), b"synced");
    }
}
