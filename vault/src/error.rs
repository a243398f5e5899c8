//! What a request can end with instead of a reply.
//!
//! [`Error::messages`] is for the client and holds no secret, path of a file or address; [`Error::detail`] is for the
//! server's log. The node maps [`ErrorKind`] to a status code in one place.

use conclave_batch::ViewError;

/// Who is at fault, and so which status the client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong (400).
    Invalid,
    /// No token, a bad one, or one without the right (403).
    Denied,
    /// Nothing there (404).
    NotFound,
    /// A known path does not know this operation (405).
    UnsupportedOperation,
    /// The required index is not applied here yet (412).
    NotYetApplied,
    /// Over a limit in size (413).
    TooLarge,
    /// A patch with the wrong media type (415).
    UnsupportedMediaType,
    /// The idempotency key was used for another request (422).
    IdempotencyMismatch,
    /// Over a limit in rate or number (429).
    TooMany,
    /// The server failed (500).
    Internal,
    /// Sealed, no leader, no quorum, or too much contention (503).
    Unavailable,
}

/// A request's failure.
#[derive(Debug, thiserror::Error)]
#[error("{kind:?}: {}", messages.join("; "))]
pub struct Error {
    /// Who is at fault.
    pub kind: ErrorKind,
    /// What the client is told, one entry of `errors` each; may be empty.
    pub messages: Vec<String>,
    /// What only the log is told.
    pub detail: Option<String>,
}

impl Error {
    /// An error of a kind with one message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, messages: vec![message.into()], detail: None }
    }

    /// The client's request is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// There is nothing there, said without words.
    pub fn not_found() -> Self {
        Self { kind: ErrorKind::NotFound, messages: Vec::new(), detail: None }
    }

    /// The token is missing, unknown or expired.
    pub fn bad_token() -> Self {
        Self::new(ErrorKind::Denied, "permission denied")
    }

    /// The token is valid and lacks the right. Clients match on this multi-error form.
    pub fn denied() -> Self {
        Self::new(ErrorKind::Denied, multi("permission denied"))
    }

    /// This server cannot do it now; the message says what to do.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// A change was sent, and whether it took effect is not known. Clients know the words that it begins with.
    pub fn unknown_outcome(why: &str) -> Self {
        Self::unavailable(format!(
            "the outcome is unknown: {why}; read before you write again, or retry with the same Idempotency-Key"
        ))
    }

    /// The server failed; the client learns no more than that.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::new(ErrorKind::Internal, "internal error") }
    }
}

/// The form in which clients know errors that a mount's engine returned: `1 error occurred:` and a bullet.
pub(crate) fn multi(message: &str) -> String {
    format!("1 error occurred:\n\t* {message}\n\n")
}

impl From<ViewError> for Error {
    fn from(error: ViewError) -> Self {
        Self::internal(error.to_string())
    }
}
