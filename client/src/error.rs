//! What a call can fail with, and whether the request may have been carried out.
//!
//! No variant holds a token or a body. What surprises: [`Error::UnknownOutcome`] is not a failure of the write; it says
//! that nobody can know yet, and the caller must look.

use std::fmt;

use crate::address::{Address, InvalidAddress};
use crate::method::{Effect, Method};
use crate::reply::Reply;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting cannot be used; the text names it and says what to do.
    #[error("{0}")]
    Configuration(String),
    /// The request was refused here, before anything was sent.
    #[error("{method} {path}: {reason}")]
    InvalidRequest {
        /// The request's method.
        method: Method,
        /// The request's path, without `/v1/`.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A server answered with a status that is not a success.
    #[error(transparent)]
    Status(Box<StatusError>),
    /// The write may or may not have been carried out: it may have reached a server, and no proof came back.
    #[error(
        "{method} {path}: the outcome is unknown after {} attempt(s); it may have been carried out, so read before \
         you repeat it{}", attempts.len(), list(attempts)
    )]
    UnknownOutcome {
        /// The request's method.
        method: Method,
        /// The request's path, without `/v1/`.
        path: String,
        /// What was tried, oldest first, at most [`Attempt::KEPT`].
        attempts: Vec<Attempt>,
        /// The error reply to a later attempt, if one came; it does not say what became of the earlier one.
        answer: Option<Box<StatusError>>,
    },
    /// No attempt ever got its request onto a connection, so nothing happened.
    #[error("{method} {path}: no server could be reached{}", list(attempts))]
    Unreachable {
        /// The request's method.
        method: Method,
        /// The request's path, without `/v1/`.
        path: String,
        /// What was tried, oldest first, at most [`Attempt::KEPT`].
        attempts: Vec<Attempt>,
    },
    /// A read was sent and no server answered in time; a read changes nothing, so it may be repeated.
    #[error("{method} {path}: no server answered in time{}", list(attempts))]
    Unanswered {
        /// The request's method.
        method: Method,
        /// The request's path, without `/v1/`.
        path: String,
        /// What was tried, oldest first, at most [`Attempt::KEPT`].
        attempts: Vec<Attempt>,
    },
    /// A server sent the request elsewhere, and following would not be safe.
    #[error("{method} {path}: {from} redirected to {to}, which is not followed: {reason}")]
    RedirectRefused {
        /// The request's method.
        method: Method,
        /// The request's path, without `/v1/`.
        path: String,
        /// Who redirected.
        from: Address,
        /// The origin it named.
        to: String,
        /// Why it is not followed, and what to do.
        reason: &'static str,
    },
    /// The reply was longer than this client reads.
    #[error("{method} {path}: the reply is larger than {limit_bytes} bytes; ask for less, or raise max_reply_bytes")]
    ReplyTooLarge {
        /// The request's method.
        method: Method,
        /// The request's path, without `/v1/`.
        path: String,
        /// The limit that was passed.
        limit_bytes: usize,
        /// Whether the request could change anything.
        effect: Effect,
    },
    /// A success came back, but not in the shape that was asked for.
    #[error("{method} {path}: the reply was not understood: {reason}")]
    MalformedReply {
        /// The request's method.
        method: Method,
        /// The request's path, without `/v1/`.
        path: String,
        /// What was missing; never the reply itself.
        reason: String,
        /// Whether the request could change anything.
        effect: Effect,
    },
}

impl Error {
    /// The status a server answered with, if the error is a server's answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status(error) => Some(error.status),
            _ => None,
        }
    }

    /// Whether the server says that what was asked for is not there (404).
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether the request may have been carried out, or may yet be. Reads never are.
    ///
    /// A 5xx to a write counts, except 501 and 503, by which a server says that it did nothing.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::UnknownOutcome { .. } => true,
            Self::ReplyTooLarge { effect, .. } | Self::MalformedReply { effect, .. } => *effect == Effect::Write,
            Self::Status(error) => {
                error.effect == Effect::Write && error.status >= 500 && !matches!(error.status, 501 | 503)
            }
            _ => false,
        }
    }
}

impl From<InvalidAddress> for Error {
    fn from(source: InvalidAddress) -> Self {
        Self::Configuration(source.to_string())
    }
}

/// A server's answer that is not a success.
#[derive(Debug)]
pub struct StatusError {
    /// The request's method.
    pub method: Method,
    /// The request's path, without `/v1/`.
    pub path: String,
    /// Whether the request could change anything.
    pub effect: Effect,
    /// The HTTP status.
    pub status: u16,
    /// The server's own words.
    pub errors: Vec<String>,
    /// The whole reply; a 404 of KV version 2 still carries data.
    pub reply: Reply,
}

impl StatusError {
    /// Whether some error text contains `words`.
    pub fn says(&self, words: &str) -> bool {
        self.errors.iter().any(|error| error.contains(words))
    }
}

impl fmt::Display for StatusError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}: status {}", self.method, self.path, self.status)?;
        for error in &self.errors {
            write!(formatter, "; {}", error.trim())?;
        }
        Ok(())
    }
}

impl std::error::Error for StatusError {}

/// One attempt that brought no answer.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The node that was tried.
    pub address: Address,
    /// What went wrong.
    pub cause: Cause,
    /// Whether bytes of the request may have reached a server.
    pub may_have_arrived: bool,
}

impl Attempt {
    /// How many attempts an error remembers.
    pub const KEPT: usize = 16;
}

/// Why an attempt brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// The name is not known.
    #[error("the host name cannot be resolved")]
    Name,
    /// No connection, or no answer, in time.
    #[error("timed out")]
    Timeout,
    /// The server's certificate was not accepted, or the handshake failed otherwise.
    #[error("TLS failed: {detail}")]
    Tls {
        /// What kind of failure it is, as far as somebody can do something about it.
        fault: TlsFault,
        /// What the TLS library says.
        detail: String,
    },
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(String),
    /// Something between answered in the server's place.
    #[error("a proxy answered with status {0}")]
    Proxy(u16),
    /// The server does not know itself whether it carried the request out.
    #[error("the server does not know whether it was carried out")]
    Undecided,
}

/// What a failure of TLS comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsFault {
    /// What answers does not speak TLS.
    NotSpoken,
    /// No authority that is trusted vouches for the certificate.
    UnknownAuthority,
    /// The certificate is for other names than the one that was expected.
    OtherName,
    /// The certificate has expired, or is not valid yet.
    OutOfTime,
    /// The certificate is one of an authority, which no server may show (RFC 5280, section 4.2.1.9).
    AuthorityAsServer,
    /// The server speaks TLS, and no HTTP in it.
    OtherProtocol,
    /// The server wants a certificate of the client, or accepts not the one that it got.
    ClientCertificate,
    /// Something else.
    Other,
}

/// The newest attempts, each kind once.
fn list(attempts: &[Attempt]) -> String {
    let mut told: Vec<(String, usize)> = Vec::new();
    for attempt in attempts.iter().rev() {
        let text = format!("{}: {}", attempt.address, attempt.cause);
        match told.iter_mut().find(|(known, _)| *known == text) {
            Some((_, times)) => *times += 1,
            None => told.push((text, 1)),
        }
    }
    let times = |times: &usize| if *times > 1 { format!(" ({times} times)") } else { String::new() };
    told.iter().take(4).map(|(text, count)| format!("; {text}{}", times(count))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_often_is_said_once() {
        let attempt = |port: u16| Attempt {
            address: Address::parse(&format!("http://127.0.0.1:{port}")).unwrap(),
            cause: Cause::Refused,
            may_have_arrived: false,
        };
        let text = list(&[attempt(1), attempt(2), attempt(1)]);
        let expected = "; http://127.0.0.1:1: connection refused (2 times); http://127.0.0.1:2: connection refused";
        assert_eq!(text, expected);
    }
}
