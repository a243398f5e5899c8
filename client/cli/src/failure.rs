//! Why a command failed, in words that say what to try, and the exit code that goes with it.
//!
//! What surprises: a sealed server's `status` is no failure with words, only an exit code.

use std::fmt;
use std::path::PathBuf;

use conclave_client::{Attempt, Cause, Error, StatusError};

/// What a command ends with.
pub(crate) type Outcome = Result<(), Failure>;

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Something is wrong with what was typed or set here.
    #[error("{0}")]
    Usage(String),
    /// A file of this machine could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Output or input broke.
    #[error("the terminal or pipe failed: {0}")]
    Stream(#[from] std::io::Error),
    /// The server was asked and did not grant it.
    #[error("Error {doing}: {}", Told { error: source, if_forbidden: *if_forbidden })]
    Call {
        /// What was being done, such as `reading secret/app`.
        doing: String,
        /// Why it failed.
        source: Box<Error>,
        /// What to try if the server forbids it, where that is known better than from its answer.
        if_forbidden: Option<&'static str>,
    },
    /// There is nothing at the path.
    #[error("No value found at {path}{}", reasons.iter().map(|reason| format!("\n\n* {reason}")).collect::<String>())]
    NotFound {
        /// The path that was asked for.
        path: String,
        /// The server's words, if it had any.
        reasons: Vec<String>,
    },
    /// The reply lacks something that every server sends.
    #[error("{0}")]
    Reply(String),
    /// All was said already.
    #[error("")]
    Quiet(u8),
}

impl Failure {
    /// A failed call.
    pub(crate) fn call(doing: impl Into<String>, source: Error) -> Self {
        Self::Call { doing: doing.into(), source: Box::new(source), if_forbidden: None }
    }

    /// The same failure with other advice for the case that the server forbids the call.
    pub(crate) fn if_forbidden(mut self, advice: &'static str) -> Self {
        if let Self::Call { if_forbidden, .. } = &mut self {
            *if_forbidden = Some(advice);
        }
        self
    }

    /// A failed file operation.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// The process's exit code: 1 for what is wrong here, 2 for what a server said or did not say.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::File { .. } | Self::Stream(_) => 1,
            Self::Call { source, .. } => match **source {
                Error::Configuration(_) | Error::InvalidRequest { .. } => 1,
                _ => 2,
            },
            Self::NotFound { .. } | Self::Reply(_) => 2,
            Self::Quiet(code) => *code,
        }
    }
}

/// An error with what to try.
struct Told<'a> {
    error: &'a Error,
    if_forbidden: Option<&'static str>,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.error {
            Error::Status(error) => answer(formatter, error, self.if_forbidden),
            Error::Unreachable { attempts, .. } | Error::Unanswered { attempts, .. } => {
                write!(formatter, "{}", self.error)?;
                attempts.last().and_then(advice).map_or(Ok(()), |advice| write!(formatter, "\n\n{advice}"))
            }
            other => write!(formatter, "{other}"),
        }
    }
}

/// The server's answer, laid out as scripts for Vault look for it.
fn answer(formatter: &mut fmt::Formatter<'_>, error: &StatusError, if_forbidden: Option<&str>) -> fmt::Result {
    let address = error.reply.address();
    write!(formatter, "Error making API request.\n\nURL: {} {address}/v1/{}", error.method, error.path)?;
    write!(formatter, "\nCode: {}. Errors:\n", error.status)?;
    for reason in &error.errors {
        write!(formatter, "\n* {}", reason.trim())?;
    }
    hint(error, if_forbidden).map_or(Ok(()), |hint| write!(formatter, "\n\n{hint}"))
}

fn hint<'a>(error: &StatusError, if_forbidden: Option<&'a str>) -> Option<&'a str> {
    match error.status {
        300..400 => Some(
            "Only 307 is followed, and only to a known address. Does something in between redirect? Give the address of \
             the server itself, or let it pass requests on.",
        ),
        503 if error.says("sealed") => Some("Unseal the server first, share by share: `operator unseal`."),
        503 if error.says("leader") => {
            Some("The cluster has no leader at the moment; `operator members` and `status` say more.")
        }
        403 if if_forbidden.is_some() => if_forbidden,
        403 if error.says("invalid token") => Some("The token is wrong or expired; `login` gets another."),
        403 => Some("`token lookup` shows what the token is, `token capabilities` what it may do there."),
        400 if error.says("HTTP request to an HTTPS server") => Some("Write the address with https:// (VAULT_ADDR)."),
        _ => None,
    }
}

fn advice(attempt: &Attempt) -> Option<String> {
    let address = &attempt.address;
    match &attempt.cause {
        Cause::Refused => {
            Some(format!("Nothing listens at {address}. Is the server running, and is VAULT_ADDR or -address right?"))
        }
        Cause::Name => Some("Is the host name in VAULT_ADDR or -address spelled right?".to_owned()),
        Cause::Tls(_) => Some(
            "If the certificate comes from an authority of your own, name its file with VAULT_CACERT or -ca-cert. \
             If the server has no TLS, write its address with http://."
                .to_owned(),
        ),
        Cause::Lost(_) if !address.is_tls() => {
            Some(format!("If the server speaks TLS, write its address with https:// instead of {address}."))
        }
        Cause::Timeout => Some(format!("{address} does not answer; a firewall may drop the connection.")),
        _ => None,
    }
}
