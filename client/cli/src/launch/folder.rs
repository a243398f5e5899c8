//! A folder in memory with one file for each secret, gone with the value that stands for it.
//!
//! What surprises: where no memory file system is found nothing is written at all, because what once lay on a disk can
//! be read from it long after it was deleted.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::failure::Failure;

/// What `statfs` calls tmpfs and ramfs (`linux/magic.h`).
#[cfg(target_os = "linux")]
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// Files that only this user reads.
pub(crate) struct SecretFolder(TempDir);

impl SecretFolder {
    /// Makes an empty one.
    pub(crate) fn make() -> Result<Self, Failure> {
        let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let candidates = own.into_iter().chain(["/dev/shm", "/run", "/tmp"].map(PathBuf::from));
        let mut maker = tempfile::Builder::new();
        maker.prefix("conclave-run-").permissions(Permissions::from_mode(0o700));
        let made = candidates.filter(|folder| is_in_memory(folder)).find_map(|folder| maker.tempdir_in(folder).ok());
        made.map(Self).ok_or_else(|| {
            let words = "No memory file system was found for the secrets' files (XDG_RUNTIME_DIR, /dev/shm). Mount one, or \
                         hand them over as variables with -environment.";
            Failure::Usage(words.to_owned())
        })
    }

    /// Writes a file that cannot be changed.
    pub(crate) fn write(&self, name: &str, value: &str) -> Result<PathBuf, Failure> {
        let path = self.0.path().join(name);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&path);
        made.and_then(|mut file| file.write_all(value.as_bytes())).map_err(Failure::file(&path))?;
        Ok(path)
    }
}

#[cfg(target_os = "linux")]
fn is_in_memory(folder: &Path) -> bool {
    rustix::fs::statfs(folder)
        .is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|kind| IN_MEMORY.contains(&kind)))
}

/// Other systems do not say.
#[cfg(not(target_os = "linux"))]
fn is_in_memory(_: &Path) -> bool {
    false
}
