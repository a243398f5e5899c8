//! The flags of `conclave operator recover`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use clap::error::Error;
use conclave_cli::spelling;

/// Show what a stopped node has, or make it the only voter of its cluster after the majority is lost.
///
/// Without -force it only shows the node. With -force it asks for the shares of the unseal key. Read
/// docs/operating/recovery.md first: what other nodes acknowledged and this one does not have is lost.
#[derive(Parser)]
#[command(name = "conclave operator recover")]
pub(super) struct RecoverFlags {
    /// The data folder of the stopped node, as `path` in its configuration.
    #[arg(long, value_name = "FOLDER")]
    pub(super) path: PathBuf,
    /// Make this node the only voter. Choose the node whose last entry has the highest term, and of several the highest index.
    #[arg(long = "force")]
    pub(super) is_forced: bool,
    /// Drop every entry of the log behind this index; only if one of them has no valid tag, and this command named the index.
    #[arg(long, value_name = "INDEX", requires = "is_forced")]
    pub(super) drop: Option<u64>,
    /// Take a table that no checkpoint vouches for as it is.
    #[arg(long = "trust-table", requires = "is_forced")]
    pub(super) trusts_table: bool,
    /// Set cluster time to this machine's clock, also if that sets it back.
    #[arg(long = "time", requires = "is_forced")]
    pub(super) sets_time: bool,
}

impl RecoverFlags {
    /// Reads the arguments behind `operator recover`. The error knows how it is shown; the wish for help is one too.
    pub(super) fn parse(arguments: Vec<OsString>) -> Result<Self, Error> {
        let switches = spelling::switches(&<Self as clap::CommandFactory>::command());
        let program = OsString::from("conclave operator recover");
        Self::try_parse_from(std::iter::once(program).chain(spelling::normalise(arguments, &switches)))
    }
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<RecoverFlags, Error> {
        RecoverFlags::parse(arguments.iter().map(OsString::from).collect())
    }

    #[test]
    fn what_changes_something_needs_the_word() {
        let shown = parse(&["-path=/data"]).unwrap();
        assert!(!shown.is_forced && shown.drop.is_none() && !shown.trusts_table && !shown.sets_time);
        let forced = parse(&["-path=/data", "-force", "-drop=7", "-trust-table", "-time"]).unwrap();
        assert!(forced.is_forced && forced.drop == Some(7) && forced.trusts_table && forced.sets_time);
        for changing in ["-drop=7", "-trust-table", "-time"] {
            let error = parse(&["-path=/data", changing]).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument, "{changing}");
        }
        assert!(parse(&["-force"]).is_err(), "no folder is guessed");
    }
}
