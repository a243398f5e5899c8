//! A request as it reaches the core: parsed, canonical, not yet authorised.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::path::CanonicalPath;

/// What is to be done at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Write where nothing is; made from [`Operation::Update`] by an existence check.
    Create,
    /// Read.
    Read,
    /// Write.
    Update,
    /// Merge into what is there (RFC 7396).
    Patch,
    /// Delete.
    Delete,
    /// List names.
    List,
    /// List names recursively.
    Scan,
    /// Like read, without a body.
    Header,
    /// Describe the path.
    Help,
}

impl Operation {
    /// Whether the verb changes nothing.
    pub fn is_read(self) -> bool {
        matches!(self, Self::Read | Self::List | Self::Scan | Self::Header | Self::Help)
    }

    /// Whether the path names a folder, which ends with a slash.
    pub fn is_list(self) -> bool {
        matches!(self, Self::List | Self::Scan)
    }

    /// The word that the API uses for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Scan => "scan",
            Self::Header => "header",
            Self::Help => "help",
        }
    }
}

/// One request. Has no `Debug`, because its data and token are secret.
#[derive(Clone)]
pub struct Request {
    /// A UUID, the reply's `request_id`.
    pub id: String,
    /// What is to be done.
    pub operation: Operation,
    /// Where.
    pub path: CanonicalPath,
    /// Namespace as the header gave it; empty is the root namespace.
    pub namespace: String,
    /// Body fields, or query parameters for requests without a body.
    pub data: Map<String, Value>,
    /// Whether a body was sent that was not empty and not `null`.
    pub has_body: bool,
    /// The client token.
    pub token: Option<Zeroizing<String>>,
    /// The wrap header as it was sent.
    pub wrap_ttl: Option<String>,
    /// The idempotency key, if the client sent one.
    pub idempotency_key: Option<String>,
    /// Where the client is.
    pub remote_address: Option<IpAddr>,
    /// The certificates that the client showed on this connection, its own first and in DER. None unless the handshake proved that it
    /// has the key.
    pub client_certificates: Arc<[Vec<u8>]>,
}
