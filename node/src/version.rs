//! Which version this server says it is.
//!
//! Clients choose features and tests by the version of Vault's API that a server speaks, so that is the number they see;
//! our own version stands beside it.

/// Version of Vault's API that this server speaks.
pub const API_VERSION: &str = "1.17.6";

/// Our own version.
pub const SERVER_VERSION: &str = env!("CARGO_PKG_VERSION");

/// When this was built, RFC 3339. A release build sets `CONCLAVE_BUILD_DATE`; otherwise it is the date of the version,
/// so that the same source gives the same binary.
pub const BUILD_DATE: &str = match option_env!("CONCLAVE_BUILD_DATE") {
    Some(date) => date,
    None => "2026-11-21T00:00:00Z",
};

/// The commit, or our own version where it is not known.
pub const COMMIT: &str = match option_env!("CONCLAVE_COMMIT") {
    Some(commit) => commit,
    None => concat!("conclave ", env!("CARGO_PKG_VERSION")),
};

/// The one line that `version` prints, in the form that client test suites parse.
pub fn line() -> String {
    format!("Vault v{API_VERSION} ({COMMIT}), built {BUILD_DATE}")
}
