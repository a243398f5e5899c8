//! The verbs of the API, and what a request can change.

use std::fmt;

/// The verbs of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads one thing.
    Get,
    /// Lists names; sent as GET with `?list=true`, which passes every proxy.
    List,
    /// Creates or updates.
    Post,
    /// The same as [`Method::Post`] for the server.
    Put,
    /// Merges into what is there (RFC 7396).
    Patch,
    /// Deletes.
    Delete,
    /// As GET, without a body.
    Head,
}

impl Method {
    /// The verb on the wire.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Get | Self::List => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
        }
    }

    pub(crate) fn effect(self) -> Effect {
        match self {
            Self::Get | Self::List | Self::Head => Effect::Read,
            Self::Post | Self::Put | Self::Patch | Self::Delete => Effect::Write,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if *self == Self::List { "LIST" } else { self.verb() })
    }
}

/// Whether a request can change anything, and so whether it may be repeated freely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Repeated freely.
    Read,
    /// Repeated only where a server remembers it by its key.
    Write,
}

/// Which nodes may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Any node: the answer is the cluster's.
    Cluster,
    /// The first node only: the answer is about that node (seal status, unseal, health), and is never a reason to move.
    Node,
}
