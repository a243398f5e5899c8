//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// Measures a built server beside baselines, in one run.
#[derive(Parser)]
#[command(name = "conclave-bench", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show the cases.
    List,
    /// Measure.
    Run(RunOptions),
    /// Show two results beside each other.
    Compare {
        /// What `run --json` wrote first.
        before: PathBuf,
        /// What it wrote later.
        after: PathBuf,
    },
    /// Answer every request with one document: the least that a server over TLS does.
    #[command(hide = true)]
    Bare(BareOptions),
}

#[derive(Args)]
pub(crate) struct RunOptions {
    /// Only the cases that matter most, and shortly: three minutes at most.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only cases whose name holds this text; may be repeated.
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Vec<String>,
    /// A server to measure, by default `CONCLAVE_BINARY` or `conclave` beside this program; may be repeated, and two builds
    /// are then measured in turn.
    #[arg(long, value_name = "[NAME=]PATH")]
    pub(crate) server: Vec<Server>,
    /// Another server that speaks Vault's API and has KV version 2 at `secret/`. Its token comes from `BENCH_OTHER_TOKEN`.
    #[arg(long, value_name = "NAME=URL")]
    pub(crate) other: Option<Other>,
    /// The authority of the other server, in PEM form.
    #[arg(long, value_name = "FILE", requires = "other")]
    pub(crate) other_ca: Option<PathBuf>,
    /// How often each case is measured (5; 3 if quick).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) repeats: Option<u32>,
    /// How long one measurement takes, in seconds (5; 1.5 if quick).
    #[arg(long, value_parser = seconds)]
    pub(crate) seconds: Option<Duration>,
    /// Secrets at which growth ends.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) grow_to: u64,
    /// Where the result goes as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Where a page with tables and plots goes.
    #[arg(long, value_name = "FILE")]
    pub(crate) page: Option<PathBuf>,
    /// Where the plots go as SVG.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) plots: Option<PathBuf>,
}

impl RunOptions {
    pub(crate) fn repeats(&self) -> u32 {
        self.repeats.unwrap_or(if self.quick { 3 } else { 5 })
    }

    pub(crate) fn duration(&self) -> Duration {
        self.seconds.unwrap_or(Duration::from_millis(if self.quick { 1500 } else { 5000 }))
    }
}

#[derive(Args)]
pub(crate) struct BareOptions {
    #[arg(long)]
    pub(crate) address: SocketAddr,
    #[arg(long)]
    pub(crate) certificate: PathBuf,
    #[arg(long)]
    pub(crate) key: PathBuf,
    /// The file with the document.
    #[arg(long)]
    pub(crate) body: PathBuf,
}

/// A build of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) name: String,
    /// None for the usual place.
    pub(crate) path: Option<PathBuf>,
}

impl Default for Server {
    fn default() -> Self {
        Self { name: "conclave".to_owned(), path: None }
    }
}

impl std::str::FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = text.split_once('=').unwrap_or(("conclave", text));
        if name.is_empty() || path.is_empty() {
            return Err("expected PATH or NAME=PATH".to_owned());
        }
        Ok(Self { name: name.to_owned(), path: Some(PathBuf::from(path)) })
    }
}

/// A server that runs already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) name: String,
    pub(crate) is_tls: bool,
    /// Host and port.
    pub(crate) authority: String,
}

impl std::str::FromStr for Other {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected NAME=https://HOST:PORT or NAME=http://HOST:PORT".to_owned();
        let (name, url) = text.split_once('=').ok_or_else(wrong)?;
        let (scheme, authority) = url.split_once("://").ok_or_else(wrong)?;
        let authority = authority.trim_end_matches('/');
        if name.is_empty() || !authority.contains(':') || !["http", "https"].contains(&scheme) {
            return Err(wrong());
        }
        Ok(Self { name: name.to_owned(), is_tls: scheme == "https", authority: authority.to_owned() })
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let secs: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    if !(0.1..=600.0).contains(&secs) {
        return Err("expected 0.1 to 600 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(secs))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_server_has_a_name_or_the_usual_one() {
        let server: Server = "old=/opt/old/conclave".parse().unwrap();
        assert_eq!((server.name.as_str(), server.path), ("old", Some(PathBuf::from("/opt/old/conclave"))));
        assert_eq!("/opt/conclave".parse::<Server>().unwrap().name, "conclave");
        assert!("=x".parse::<Server>().is_err());
    }

    #[test]
    fn another_server_needs_a_name_and_a_whole_address() {
        let other: Other = "bao=http://127.0.0.1:8200/".parse().unwrap();
        assert_eq!((other.is_tls, other.authority.as_str()), (false, "127.0.0.1:8200"));
        for wrong in ["http://127.0.0.1:8200", "bao=127.0.0.1:8200", "bao=ftp://x:1", "bao=https://host"] {
            assert!(wrong.parse::<Other>().is_err(), "{wrong}");
        }
    }
}
