//! The folder that a log or a table lies in: private, of a known format, and used by one process.
//!
//! Each of the two has a folder of its own inside the data folder (`log`, `table`), with a `format` file that names
//! it and a `lock` file that is held while it is open. A folder that others may enter is refused rather than
//! tightened, for what lay open before may have been read or changed; only an empty one, as an administrator makes
//! it for us, is tightened.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::REPLACE_NODE;

/// Name of the file that says what the folder holds.
const FORMAT: &str = "format";
/// Name of the file that is locked while the folder is in use.
const LOCK: &str = "lock";
/// Longest content of a small file that is read whole, in bytes.
const SMALL_FILE_MAX_BYTES: u64 = 4096;

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The file system failed.
    #[error("the data folder could not be used")]
    Io(#[from] io::Error),
    /// Others than the owner may enter it.
    #[error(
        "the data folder {path} has mode {mode:04o}: run `chmod 0700` on it, after making sure that nobody changed it"
    )]
    TooOpen {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process has it open.
    #[error("the data folder {path} is in use by another process: stop that one, or use another folder")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// It holds something of another version.
    #[error(
        "the data folder {path} holds {found:?} where {expected:?} is expected: use the version that wrote it; if no other \
         version ever ran here, the file `format` in it is damaged, and {REPLACE_NODE}"
    )]
    OtherFormat {
        /// The folder.
        path: PathBuf,
        /// What this version writes.
        expected: String,
        /// What the folder says.
        found: String,
    },
    /// Its file `format` names nothing that any version wrote, or is not there beside what was written.
    #[error(
        "the file {path}/format is damaged or missing; put it back from a copy of this folder, for it never changes, or {REPLACE_NODE}"
    )]
    Damaged {
        /// The folder.
        path: PathBuf,
    },
}

/// An open folder. Dropping it releases the lock.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Version of what was found; none if nothing was ever completed here.
    found: Option<u32>,
    version: u32,
    name: String,
    _lock: File,
}

impl Folder {
    /// Opens, or makes, the folder `name` in a data folder, which is made too. `version` counts the formats of what
    /// lies in it.
    pub(crate) fn open(data: &Path, name: &str, version: u32) -> Result<Self, LayoutError> {
        Self::open_since(data, name, version, version)
    }

    /// As [`Folder::open`], also if it holds an older version, from `oldest` on, which the caller brings up to date.
    pub(crate) fn open_since(data: &Path, name: &str, oldest: u32, version: u32) -> Result<Self, LayoutError> {
        create_private(data)?;
        let path = data.join(name);
        create_private(&path)?;
        let lock = private_file().write(true).truncate(false).open(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LayoutError::InUse { path }),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let found = match read_small(&path.join(FORMAT))? {
            None => None,
            Some(content) => {
                let known = (oldest..=version).find(|known| content == format_of(name, *known).as_bytes());
                Some(known.ok_or_else(|| other_format(&path, name, version, &content))?)
            }
        };
        Ok(Self { path, found, version, name: name.to_owned(), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing was ever completed here.
    pub(crate) fn is_new(&self) -> bool {
        self.found.is_none()
    }

    /// The version of what was found here, if it is an older one.
    pub(crate) fn older_version(&self) -> Option<u32> {
        self.found.filter(|found| *found < self.version)
    }

    /// Says that the folder holds what its name says, from now on.
    pub(crate) fn complete(&mut self) -> Result<(), LayoutError> {
        if self.found != Some(self.version) {
            write_atomically(&self.path, FORMAT, format_of(&self.name, self.version).as_bytes())?;
            self.found = Some(self.version);
        }
        Ok(())
    }
}

/// Whether somebody else's version, or nobody's, wrote a format.
fn other_format(path: &Path, name: &str, version: u32, found: &[u8]) -> LayoutError {
    let number = found.strip_prefix(format!("conclave {name} ").as_bytes());
    let number = number.and_then(|number| number.strip_suffix(b"\n"));
    if number.is_none_or(|number| number.is_empty() || !number.iter().all(u8::is_ascii_digit)) {
        return LayoutError::Damaged { path: path.to_owned() };
    }
    let (found, expected) =
        (String::from_utf8_lossy(found).trim().to_owned(), format_of(name, version).trim().to_owned());
    LayoutError::OtherFormat { path: path.to_owned(), expected, found }
}

fn format_of(name: &str, version: u32) -> String {
    format!("conclave {name} {version}\n")
}

/// Makes a folder with mode 0700 whatever the umask is, or checks that an existing one is not wider.
fn create_private(path: &Path) -> Result<(), LayoutError> {
    match DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    if is_open(path)? { Ok(std::fs::set_permissions(path, Permissions::from_mode(0o700))?) } else { Ok(()) }
}

/// Whether others may enter a folder in which nothing lies yet. One in which something lies is refused then.
fn is_open(path: &Path) -> Result<bool, LayoutError> {
    let mode = std::fs::metadata(path)?.mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(false);
    }
    if std::fs::read_dir(path)?.next().is_some() {
        return Err(LayoutError::TooOpen { path: path.to_owned(), mode });
    }
    Ok(true)
}

/// Whether a start would refuse an existing data folder, or one in it, because others may enter; changes nothing.
pub fn check_is_private(data: &Path) -> Result<(), LayoutError> {
    is_open(data)?;
    for name in ["log", "table"] {
        let path = data.join(name);
        if path.is_dir() {
            is_open(&path)?;
        }
    }
    Ok(())
}

/// Options that make a file with mode 0600 and follow no link.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// Puts a small file in the place of another: after a crash the old one or the new one is there, whole.
pub(crate) fn write_atomically(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    let mut file = private_file().write(true).truncate(true).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, folder.join(name))?;
    sync_folder(folder)
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The content of a small file; `None` if there is none.
pub(crate) fn read_small(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    file.take(SMALL_FILE_MAX_BYTES).read_to_end(&mut content)?;
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder for a data folder in it, which others may enter or not, as the platform has it.
    fn temporary() -> (tempfile::TempDir, PathBuf) {
        let outer = tempfile::tempdir().unwrap();
        let data = outer.path().join("data");
        (outer, data)
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("it was made").mode() & 0o777
    }

    // check 230
    #[test]
    fn a_new_folder_and_its_files_are_private_under_any_umask() {
        let before = rustix::process::umask(rustix::fs::Mode::empty());
        let (_outer, data) = temporary();
        let data = data.join("deeper");
        let mut folder = Folder::open(&data, "log", 1).unwrap();
        folder.complete().unwrap();
        rustix::process::umask(before);
        for path in [data.clone(), data.join("log")] {
            assert_eq!(mode(&path), 0o700, "{path:?}");
        }
        for name in [LOCK, FORMAT] {
            assert_eq!(mode(&data.join("log").join(name)), 0o600, "{name}");
        }
    }

    // check 230
    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let (_outer, data) = temporary();
        drop(Folder::open(&data, "log", 1).unwrap());
        for (folder, wide) in [(data.clone(), 0o750), (data.join("log"), 0o701), (data.clone(), 0o755)] {
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(wide)).unwrap();
            let error = Folder::open(&data, "log", 1).unwrap_err();
            assert!(matches!(error, LayoutError::TooOpen { mode, .. } if mode == wide), "{error}");
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        Folder::open(&data, "log", 1).unwrap();
    }

    // check 230
    #[test]
    fn an_empty_folder_that_others_may_enter_is_tightened() {
        let (_outer, data) = temporary();
        std::fs::create_dir(&data).unwrap();
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
        Folder::open(&data, "log", 1).unwrap();
        assert_eq!(mode(&data), 0o700);
    }

    #[test]
    fn a_folder_is_used_by_one_at_a_time() {
        let (_outer, data) = temporary();
        let folder = Folder::open(&data, "log", 1).unwrap();
        assert!(matches!(Folder::open(&data, "log", 1), Err(LayoutError::InUse { .. })));
        drop(folder);
        Folder::open(&data, "log", 1).unwrap();
    }

    #[test]
    fn a_folder_of_another_format_is_refused() {
        let (_outer, data) = temporary();
        let mut folder = Folder::open(&data, "log", 1).unwrap();
        assert!(folder.is_new());
        folder.complete().unwrap();
        drop(folder);
        assert_eq!(std::fs::read(data.join("log/format")).unwrap(), b"conclave log 1\n");
        assert!(matches!(Folder::open(&data, "log", 2), Err(LayoutError::OtherFormat { .. })));
        assert!(!Folder::open(&data, "log", 1).unwrap().is_new());
    }

    #[test]
    fn a_check_for_who_may_enter_refuses_what_an_opening_would_and_changes_nothing() {
        let (_outer, data) = temporary();
        let set = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        std::fs::create_dir(&data).unwrap();
        set(&data, 0o755);
        check_is_private(&data).unwrap();
        assert_eq!(mode(&data), 0o755);
        drop(Folder::open(&data, "log", 1).unwrap());
        check_is_private(&data).unwrap();
        for folder in [data.clone(), data.join("log")] {
            set(&folder, 0o750);
            let error = check_is_private(&data).unwrap_err();
            assert!(matches!(error, LayoutError::TooOpen { mode: 0o750, .. }), "{error}");
            set(&folder, 0o700);
        }
    }

    #[test]
    fn a_folder_of_an_older_format_is_opened_by_who_reads_it_and_named_anew_when_it_is_brought_up_to_date() {
        let (_outer, data) = temporary();
        let format = || std::fs::read(data.join("table/format")).unwrap();
        Folder::open(&data, "table", 1).unwrap().complete().unwrap();
        assert!(matches!(Folder::open_since(&data, "table", 2, 3), Err(LayoutError::OtherFormat { .. })));
        let mut folder = Folder::open_since(&data, "table", 1, 2).unwrap();
        assert_eq!((folder.is_new(), folder.older_version()), (false, Some(1)));
        assert_eq!(format(), b"conclave table 1\n");
        folder.complete().unwrap();
        assert_eq!((folder.older_version(), format()), (None, b"conclave table 2\n".to_vec()));
        drop(folder);
        assert!(matches!(Folder::open(&data, "table", 1), Err(LayoutError::OtherFormat { .. })));
    }
}
