//! The one place where a kind of error becomes a status code.

use bytes::Bytes;
use conclave_vault::{Error, ErrorKind};
use serde_json::json;

use crate::gateway::Outgoing;

/// The media type of every JSON body; clients compare it literally, so it has no parameters.
pub const JSON: &str = "application/json";

/// The status code of a kind of error.
pub fn status(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::Invalid => 400,
        ErrorKind::Denied => 403,
        ErrorKind::NotFound => 404,
        ErrorKind::UnsupportedOperation => 405,
        ErrorKind::NotYetApplied => 412,
        ErrorKind::TooLarge => 413,
        ErrorKind::UnsupportedMediaType => 415,
        ErrorKind::IdempotencyMismatch => 422,
        ErrorKind::TooMany => 429,
        ErrorKind::Internal => 500,
        ErrorKind::Unavailable => 503,
    }
}

/// An error as the client sees it. Its detail goes to the log and nowhere else.
pub fn outgoing(error: &Error) -> Outgoing {
    if let Some(detail) = &error.detail {
        tracing::error!(kind = ?error.kind, detail, "a request failed");
    }
    let messages: Vec<&str> = error.messages.iter().map(String::as_str).collect();
    failure(status(error.kind), &messages)
}

/// `{"errors":[…]}` with a status.
pub fn failure(status: u16, messages: &[&str]) -> Outgoing {
    let mut body = json!({ "errors": messages }).to_string();
    body.push('\n');
    let headers = retry_after(status).map(|secs| ("retry-after".to_owned(), secs.to_owned())).into_iter().collect();
    Outgoing { status, content_type: JSON.into(), headers, body: Bytes::from(body) }
}

/// After how many seconds a refused request has a chance. Clients keep to it: without it some give up within a second
/// or two, which is less than an election takes.
fn retry_after(status: u16) -> Option<&'static str> {
    match status {
        429 => Some("1"),
        503 => Some("2"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_does_not_see_the_detail() {
        let error = Error::internal("canary");
        let outgoing = outgoing(&error);
        assert_eq!((outgoing.status, outgoing.body.as_ref()), (500, &b"{\"errors\":[\"internal error\"]}\n"[..]));
    }

    #[test]
    fn what_passes_by_itself_says_when_to_try_again() {
        for (status, secs) in [(429, Some("1")), (503, Some("2")), (500, None), (403, None)] {
            let outgoing = failure(status, &["passing"]);
            let found = outgoing.headers.iter().find(|(name, _)| name == "retry-after");
            assert_eq!(found.map(|(_, value)| value.as_str()), secs, "{status}");
        }
    }

    #[test]
    fn nothing_there_is_said_without_words() {
        assert_eq!(outgoing(&Error::not_found()).body.as_ref(), b"{\"errors\":[]}\n");
    }
}
