//! Which server to run.

use std::env;
use std::path::{Path, PathBuf};

use super::error::ClusterError;

/// The name of the variable that names the server.
const VARIABLE: &str = "CONCLAVE_BINARY";

/// Finds the server: what was asked for, or what the variable names, or `conclave` beside the running program, which
/// for a test is the folder above `deps`.
pub(super) fn find(asked: Option<&Path>) -> Result<PathBuf, ClusterError> {
    let named = asked.map(Path::to_owned).or_else(|| env::var_os(VARIABLE).map(PathBuf::from));
    let path = match named {
        Some(path) => path,
        None => beside(&env::current_exe().map_err(ClusterError::file("the running program"))?),
    };
    // Absolute, because a node may run in another folder.
    path.canonicalize().map_err(|_| ClusterError::NoBinary(path))
}

fn beside(program: &Path) -> PathBuf {
    let folder = program.parent().unwrap_or(Path::new("."));
    let is_test = folder.file_name().is_some_and(|name| name == "deps");
    let folder = if is_test { folder.parent().unwrap_or(folder) } else { folder };
    folder.join("conclave")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_finds_the_server_of_its_own_profile() {
        assert_eq!(beside(Path::new("target/debug/deps/register-12ab")), Path::new("target/debug/conclave"));
        assert_eq!(beside(Path::new("target/release/conclave-jepsen")), Path::new("target/release/conclave"));
    }

    #[test]
    fn a_missing_server_is_an_error_that_says_what_to_run() {
        let error = find(Some(Path::new("no/such/server"))).unwrap_err();
        assert!(error.to_string().contains("cargo build"), "{error}");
    }
}
