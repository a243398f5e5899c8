//! The quickstart's folder: what lies where, with which permissions, and whether it is one of ours.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Node;
use super::error::QuickstartError;

/// Says that the folder is a quickstart cluster, and with which settings.
const MARKER: &str = "quickstart.json";

#[derive(Serialize, Deserialize)]
struct Marker {
    format: u32,
    nodes: u16,
    port: u16,
    /// Whether everything is there that a node needs. Before, none has started, so that all may be made again.
    is_complete: bool,
}

/// The folder.
pub(super) struct Folder {
    path: PathBuf,
    nodes: u16,
    port: u16,
    is_new: bool,
}

impl Folder {
    /// Makes the folder, or opens one that an earlier run made with the same settings.
    pub(super) fn open(path: &Path, nodes: u16, port: u16) -> Result<Self, QuickstartError> {
        let marker = path.join(MARKER);
        match fs::read(&marker) {
            Ok(text) => Self::resume(path, &text, nodes, port),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path, nodes, port),
            Err(source) => Err(QuickstartError::File { path: marker, source }),
        }
    }

    fn resume(path: &Path, text: &[u8], nodes: u16, port: u16) -> Result<Self, QuickstartError> {
        let path = absolute(path)?;
        let marker: Marker =
            serde_json::from_slice(text).map_err(|_| QuickstartError::ForeignFolder { path: path.clone() })?;
        if !marker.is_complete {
            return Self::fill(path, nodes, port);
        }
        if (marker.nodes, marker.port) != (nodes, port) {
            return Err(QuickstartError::OtherSettings { path, nodes: marker.nodes, port: marker.port });
        }
        Ok(Self { path, nodes, port, is_new: false })
    }

    fn create(path: &Path, nodes: u16, port: u16) -> Result<Self, QuickstartError> {
        let is_used = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        if is_used || path.is_file() {
            return Err(QuickstartError::ForeignFolder { path: path.to_owned() });
        }
        make_private_folder(path)?;
        Self::fill(absolute(path)?, nodes, port)
    }

    /// Makes what a folder holds, from the beginning.
    fn fill(path: PathBuf, nodes: u16, port: u16) -> Result<Self, QuickstartError> {
        let folder = Self { path, nodes, port, is_new: true };
        folder.mark(false)?;
        for part in ["tls", "shares"] {
            make_private_folder(&folder.path.join(part))?;
        }
        for node in folder.nodes() {
            make_private_folder(&folder.path.join(&node.name))?;
        }
        Ok(folder)
    }

    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The nodes, by name and port.
    pub(super) fn nodes(&self) -> Vec<Node> {
        super::nodes(self.nodes, self.port)
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.path.join("tls/ca.pem")
    }

    pub(super) fn certificate(&self, node: &Node) -> PathBuf {
        self.path.join(format!("tls/{}.pem", node.name))
    }

    pub(super) fn key(&self, node: &Node) -> PathBuf {
        self.path.join(format!("tls/{}-key.pem", node.name))
    }

    pub(super) fn configuration(&self, node: &Node) -> PathBuf {
        self.path.join(format!("{}/{}.hcl", node.name, node.name))
    }

    pub(super) fn data(&self, node: &Node) -> PathBuf {
        self.path.join(format!("{}/data", node.name))
    }

    pub(super) fn log(&self, node: &Node) -> PathBuf {
        self.path.join(format!("{}/log", node.name))
    }

    /// Where the shares lie.
    pub(super) fn shares(&self) -> PathBuf {
        self.path.join("shares")
    }

    pub(super) fn share(&self, number: usize) -> PathBuf {
        self.shares().join(format!("share-{number}"))
    }

    pub(super) fn root_token(&self) -> PathBuf {
        self.shares().join("root-token")
    }

    pub(super) fn environment(&self) -> PathBuf {
        self.path.join("env")
    }

    /// Writes the marker: from now on the folder is resumed, not made again.
    pub(super) fn mark_complete(&self) -> Result<(), QuickstartError> {
        self.mark(true)
    }

    fn mark(&self, is_complete: bool) -> Result<(), QuickstartError> {
        let marker = Marker { format: 1, nodes: self.nodes, port: self.port, is_complete };
        let text = serde_json::to_string(&marker).expect("numbers always serialise");
        write_private(&self.path.join(MARKER), text.as_bytes())
    }
}

/// Writes a file that only its owner reads, whole or not at all.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<(), QuickstartError> {
    let failed = |source| QuickstartError::File { path: path.to_owned(), source };
    let draft = path.with_extension("draft");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&draft, path).map_err(failed)
}

fn make_private_folder(path: &Path) -> Result<(), QuickstartError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| QuickstartError::File { path: path.to_owned(), source })
}

fn absolute(path: &Path) -> Result<PathBuf, QuickstartError> {
    fs::canonicalize(path).map_err(|source| QuickstartError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_holds_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
        let refused = Folder::open(folder.path(), 3, 8200);
        assert!(matches!(refused, Err(QuickstartError::ForeignFolder { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_was_left_half_made_is_made_again_with_any_settings() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("cluster");
        assert!(Folder::open(&path, 3, 8200).unwrap().is_new());
        let again = Folder::open(&path, 5, 9200).unwrap();
        assert!(again.is_new());
        again.mark_complete().unwrap();
        assert!(!Folder::open(&path, 5, 9200).unwrap().is_new());
    }

    #[test]
    fn a_second_run_resumes_and_other_settings_are_told() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("cluster");
        let first = Folder::open(&path, 3, 8200).unwrap();
        assert!(first.is_new());
        first.mark_complete().unwrap();
        assert!(!Folder::open(&path, 3, 8200).unwrap().is_new());
        let other = Folder::open(&path, 5, 8200);
        assert!(matches!(other, Err(QuickstartError::OtherSettings { nodes: 3, port: 8200, .. })));
    }
}
