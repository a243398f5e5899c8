//! How one node tells another why it refused a request: a number for each kind of error, and its message.
//!
//! The numbers are a wire format between nodes of several versions (`docs/internals/wire.md`): they stand here one by one, so
//! that a kind which comes or goes moves no other.

use conclave_raft::CallError;
use conclave_vault::{Error, ErrorKind};

/// What goes back to the node that asked. What only the log is told stays here.
pub(crate) fn to_call(error: &Error) -> CallError {
    CallError::Failed { code: code(error.kind), message: error.messages.join("; ") }
}

/// Whether the other node refused for this reason.
pub(crate) fn is(failed: u32, kind: ErrorKind) -> bool {
    failed == code(kind)
}

fn code(kind: ErrorKind) -> u32 {
    match kind {
        ErrorKind::Invalid => 100,
        ErrorKind::Denied => 101,
        ErrorKind::NotFound => 102,
        ErrorKind::UnsupportedOperation => 103,
        ErrorKind::NotYetApplied => 104,
        ErrorKind::TooLarge => 105,
        ErrorKind::UnsupportedMediaType => 106,
        ErrorKind::IdempotencyMismatch => 107,
        ErrorKind::TooMany => 108,
        ErrorKind::Internal => 109,
        ErrorKind::Unavailable => 110,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table in `docs/internals/wire.md`, which other versions rely on.
    const TABLE: [(ErrorKind, u32); 11] = [
        (ErrorKind::Invalid, 100),
        (ErrorKind::Denied, 101),
        (ErrorKind::NotFound, 102),
        (ErrorKind::UnsupportedOperation, 103),
        (ErrorKind::NotYetApplied, 104),
        (ErrorKind::TooLarge, 105),
        (ErrorKind::UnsupportedMediaType, 106),
        (ErrorKind::IdempotencyMismatch, 107),
        (ErrorKind::TooMany, 108),
        (ErrorKind::Internal, 109),
        (ErrorKind::Unavailable, 110),
    ];

    #[test]
    fn the_numbers_between_nodes_are_those_of_the_page() {
        let page = include_str!("../../../docs/internals/wire.md");
        for (kind, number) in TABLE {
            let sent = to_call(&Error::new(kind, "why"));
            assert!(matches!(&sent, CallError::Failed { code, message } if *code == number && message == "why"));
            assert!(is(number, kind));
            assert!(page.contains(&format!("| {number} | `{kind:?}` |")), "the page lacks {number}, {kind:?}");
        }
    }

    #[test]
    fn what_only_the_log_is_told_is_not_sent() {
        let error = Error::internal("the disk of vault-3");
        assert!(matches!(to_call(&error), CallError::Failed { code: 109, message } if message == "internal error"));
    }
}
