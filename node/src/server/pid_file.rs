//! The file that names a running server by its process id.

use std::path::PathBuf;
use std::{fs, io, process};

/// A file with this process's id. It is removed at the end, unless another process has written its own into it.
pub(super) struct PidFile(PathBuf);

impl PidFile {
    pub(super) fn write(path: PathBuf) -> io::Result<Self> {
        fs::write(&path, process::id().to_string())?;
        Ok(Self(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if fs::read_to_string(&self.0).is_ok_and(|text| text == process::id().to_string()) {
            // If it stays, it names a process that is gone, as after a kill.
            let _ = fs::remove_file(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_another_process_has_taken_over_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        drop(PidFile::write(path.clone()).unwrap());
        assert!(!path.exists());
        let file = PidFile::write(path.clone()).unwrap();
        fs::write(&path, "1").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "1");
    }
}
