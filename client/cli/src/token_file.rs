//! The file that keeps the token between two commands: `~/.vault-token`, shared with Vault's own tools.
//!
//! What surprises: a symbolic link in its place is never followed, because whoever can place one could otherwise read
//! the token or plant another.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use conclave_client::Secret;
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The most that is read, in bytes; the longest tokens are batch tokens of a few hundred.
const MAX_BYTES: u64 = 64 * 1024;

/// The token's file.
pub(crate) struct TokenFile(PathBuf);

impl TokenFile {
    /// The file given, or the one in the home folder; nothing without a home.
    pub(crate) fn locate(given: Option<PathBuf>) -> Option<Self> {
        let home = || std::env::var_os("HOME").filter(|home| !home.is_empty());
        given.or_else(|| home().map(|home| PathBuf::from(home).join(".vault-token"))).map(Self)
    }

    /// The token, if one is kept.
    pub(crate) fn read(&self) -> Result<Option<Secret>, Failure> {
        let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).expect("open flags are small");
        let file = match fs::OpenOptions::new().read(true).custom_flags(no_follow).open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                let path = self.0.display();
                return Err(Failure::Usage(format!("{path} is a symbolic link, which is not followed; remove it")));
            }
            Err(error) => return Err(Failure::file(&self.0)(error)),
        };
        let mut text = Zeroizing::new(String::new());
        (&file).take(MAX_BYTES).read_to_string(&mut text).map_err(Failure::file(&self.0))?;
        let token = text.trim();
        Ok((!token.is_empty()).then(|| Secret::new(token)))
    }

    /// Keeps a token: a new file that takes the old one's place, whatever that was.
    pub(crate) fn write(&self, token: &Secret) -> Result<(), Failure> {
        let draft = self.0.with_extension(format!("draft-{}", std::process::id()));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .map_err(Failure::file(&draft))?;
        let written = file.write_all(token.expose().as_bytes()).and_then(|()| file.sync_all());
        let placed = written.and_then(|()| fs::rename(&draft, &self.0));
        placed.map_err(|error| {
            // The first error is the one to tell; a draft that stays is readable by its owner alone.
            let _ = fs::remove_file(&draft);
            Failure::file(&self.0)(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_token_is_kept_for_its_owner_alone() {
        // check 264
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile(folder.path().join("token"));
        file.write(&Secret::new("hvs.x")).unwrap();
        assert_eq!(fs::metadata(&file.0).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(file.read().unwrap().unwrap().expose(), "hvs.x");
    }

    #[test]
    fn a_symbolic_link_is_replaced_and_its_target_left_alone() {
        // check 264
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("token"));
        fs::write(&target, "other").unwrap();
        symlink(&target, &link).unwrap();
        TokenFile(link.clone()).write(&Secret::new("hvs.x")).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "other");
        assert!(!fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_symbolic_link_is_not_read() {
        // check 264
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("token"));
        fs::write(&target, "planted").unwrap();
        symlink(&target, &link).unwrap();
        assert!(TokenFile(link).read().is_err());
    }

    #[test]
    fn without_a_file_there_is_no_token() {
        let folder = tempfile::tempdir().unwrap();
        assert!(TokenFile(folder.path().join("token")).read().unwrap().is_none());
    }
}
