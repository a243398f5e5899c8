//! What only the core knows of a request and its audit record must hold: who asked, where the request went, and whether
//! the policies let it.
//!
//! Filled while a run goes on, if the node wants it ([`Context::trail`]); otherwise nothing is done for it. What
//! surprises: it holds facts about the mount and not the mount, whose keys must be gone when the node is sealed.
//!
//! [`Context::trail`]: crate::context::Context::trail

use std::sync::Arc;

use serde_json::Value;

use crate::mount::{Class, Mount, class_of};
use crate::request::Operation;
use crate::token::Token;

/// What the last run of a request found out. Has no `Debug`: accessors and metadata are confidential.
#[derive(Clone, Default)]
pub struct Trail {
    /// The caller's token, once it was found to be valid.
    pub token: Option<Arc<Token>>,
    /// Names of the policies that the entity behind it and its groups add.
    pub identity_policies: Vec<String>,
    /// Where the request went.
    pub mount: Option<NotedMount>,
    /// What was done there, a create told from an update; absent if it was refused before that was known.
    pub operation: Option<Operation>,
    /// Whether the caller might: its policies grant it, or the path asks for none.
    pub is_allowed: bool,
    /// The policies that grant it; none if it was refused or the path asks for none.
    pub granting_policies: Vec<String>,
}

/// A mount, as far as an audit record is about it.
#[derive(Clone)]
pub struct NotedMount {
    /// Path with a slash at the end.
    pub path: String,
    /// The engine's kind, such as `kv`.
    pub kind: String,
    /// The mount's accessor.
    pub accessor: String,
    /// Whether it is an auth method.
    pub is_auth: bool,
    /// Fields of requests whose values a record shows.
    pub clear_request_keys: Vec<String>,
    /// Fields of replies whose values a record shows.
    pub clear_response_keys: Vec<String>,
}

impl From<&Mount> for NotedMount {
    fn from(mount: &Mount) -> Self {
        let (record, config) = (&mount.record, mount.config());
        let keys = |name: &str| {
            let keys = config.get(name).and_then(Value::as_array).into_iter().flatten();
            keys.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            clear_request_keys: keys("audit_non_hmac_request_keys"),
            clear_response_keys: keys("audit_non_hmac_response_keys"),
            path: record.path.clone(),
            kind: record.kind.clone(),
            accessor: record.accessor.clone(),
            is_auth: class_of(&record.path) == Class::Auth,
        }
    }
}
