//! What others say of what is made here: the program `openssl`, run on files of a directory of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::testing::Harness;

/// A directory that is gone with its value.
pub(super) struct Judge(PathBuf);

impl Drop for Judge {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Judge {
    /// An empty directory; the name tells tests apart.
    pub(super) fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("pki-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory can be made");
        Self(directory)
    }

    /// Writes a file.
    #[expect(clippy::disallowed_methods, reason = "another program reads it")]
    pub(super) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("a file can be written");
        path
    }

    /// Reads a file.
    #[expect(clippy::disallowed_methods, reason = "another program wrote it")]
    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).expect("a file can be read")
    }

    /// Runs `openssl`: whether it went well, and what it said.
    pub(super) fn openssl(&self, arguments: &[&str]) -> (bool, String) {
        let output =
            Command::new("openssl").args(arguments).current_dir(&self.0).output().expect("openssl is installed");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Whether a certificate comes from a root, by way of others, at the time of a harness, judged strictly.
    pub(super) fn verify(&self, harness: &Harness, leaf: &Path, root: &Path, between: Option<&Path>) -> (bool, String) {
        let now = harness.now.secs().to_string();
        let mut arguments = vec!["verify", "-x509_strict", "-attime", &now, "-CAfile", text(root)];
        if let Some(between) = between {
            arguments.extend(["-untrusted", text(between)]);
        }
        arguments.push(text(leaf));
        self.openssl(&arguments)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}
