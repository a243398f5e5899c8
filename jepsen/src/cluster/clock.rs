//! A node's wall clock, set from outside by libfaketime: <https://github.com/wolfcw/libfaketime>.
//!
//! What surprises: only the wall clock is changed. The monotonic clock stays, as it does when somebody sets the time of a
//! machine, so timers of the server go on as before.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where distributions put the library; the second word of each is the architecture's on Debian.
const PLACES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// The library; the reason if there is none.
pub(crate) fn library() -> Result<&'static str, String> {
    let found = PLACES.iter().find(|place| Path::new(place).exists());
    found.copied().ok_or_else(|| "libfaketime is not installed (Debian: apt-get install libfaketime)".to_owned())
}

/// The file that says how far a node's clock is off.
pub(super) fn file(folder: &Path) -> PathBuf {
    folder.join("clock")
}

/// The variables of a process that obeys the file.
pub(super) fn environment(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let library = library()?.to_owned();
    let file = file(folder).display().to_string();
    let variables = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", file.as_str()),
        ("FAKETIME_CACHE_DURATION", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    Ok(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
}

/// Sets a clock so many seconds off; within a second the process sees it.
pub(super) fn set(folder: &Path, offset_secs: i64) -> io::Result<()> {
    // Renamed, because a process may read it at any moment.
    let next = folder.join("clock.next");
    fs::write(&next, format!("{offset_secs:+}\n"))?;
    fs::rename(next, file(folder))
}
