//! What is stored for a token, and where.

use std::collections::BTreeMap;

use prost::Message;

use crate::lease::Origin;

/// A service token as it is stored, and the content of a batch token. The id is in neither.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct TokenRecord {
    /// 24 letters and digits; empty for batch tokens.
    #[prost(string, tag = "1")]
    pub accessor: String,
    /// Hash of the parent; empty for orphans.
    #[prost(string, tag = "2")]
    pub parent: String,
    /// Names of policies, normalised.
    #[prost(string, repeated, tag = "3")]
    pub policies: Vec<String>,
    /// The path that made it.
    #[prost(string, tag = "4")]
    pub path: String,
    /// For people.
    #[prost(string, tag = "5")]
    pub display_name: String,
    /// Metadata.
    #[prost(btree_map = "string, string", tag = "6")]
    pub meta: BTreeMap<String, String>,
    /// When it was made, nanoseconds since the Unix epoch.
    #[prost(int64, tag = "7")]
    pub issued_nanos: i64,
    /// Time to live that it was made with, in seconds; 0 is for ever.
    #[prost(uint64, tag = "8")]
    pub ttl_secs: u64,
    /// When it expires, nanoseconds since the Unix epoch; 0 is never.
    #[prost(int64, tag = "9")]
    pub expires_nanos: i64,
    /// Longest life that it was made with, in seconds; 0 is without. A role's is not kept here.
    #[prost(uint64, tag = "10")]
    pub explicit_max_secs: u64,
    /// Period that it was made with, in seconds; 0 is none. A role's is not kept here.
    #[prost(uint64, tag = "11")]
    pub period_secs: u64,
    /// Uses left; 0 is without limit.
    #[prost(uint64, tag = "12")]
    pub uses_left: u64,
    /// Whether it can be renewed.
    #[prost(bool, tag = "13")]
    pub is_renewable: bool,
    /// When it was last renewed, nanoseconds since the Unix epoch; 0 is never.
    #[prost(int64, tag = "14")]
    pub renewed_nanos: i64,
    /// Token role that made it; empty if none.
    #[prost(string, tag = "15")]
    pub role: String,
    /// Entity behind it; empty if none.
    #[prost(string, tag = "16")]
    pub entity_id: String,
    /// Address ranges from which it may be used; empty is from everywhere.
    #[prost(string, repeated, tag = "17")]
    pub bound_cidrs: Vec<String>,
    /// Longest life that the auth method's role gave, in seconds; 0 is the mount's.
    #[prost(uint64, tag = "18")]
    pub max_secs: u64,
    /// Number of ancestors when it was made.
    #[prost(uint32, tag = "19")]
    pub depth: u32,
    /// Stands where a token was that ended without its children: it cannot be used, and they count as orphans.
    #[prost(bool, tag = "20")]
    pub is_tombstone: bool,
    /// Role of the auth method that made it, which bounds its renewals; empty if none.
    #[prost(string, tag = "21")]
    pub method_role: String,
    /// Time to live that the last renewal asked for, in seconds, which is what the next one means if it says nothing; 0
    /// is `ttl_secs`.
    #[prost(uint64, tag = "22")]
    pub renewal_secs: u64,
    /// The mount that made it, and the path below that. Its lease is found there, and it ends with the mount.
    #[prost(message, required, tag = "23")]
    pub origin: Origin,
    /// Generation of revocations in which it was made; see [`crate::lease::revocation`].
    #[prost(uint64, tag = "24")]
    pub generation: u64,
    /// What the role of the auth method had that no other of its name has; empty if it has nothing of the kind.
    #[prost(string, tag = "25")]
    pub method_role_mark: String,
}

/// What an accessor stands for.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AccessorRecord {
    /// Hash of the token.
    #[prost(string, tag = "1")]
    pub token: String,
}

/// A child's place in its parent's list; says nothing but that it is there.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct ChildRecord {}

/// Where a token lies.
pub(crate) fn token_path(hash: &str) -> [&str; 3] {
    ["token", "id", hash]
}

/// Where an accessor lies.
pub(crate) fn accessor_path(accessor: &str) -> [&str; 3] {
    ["token", "accessor", accessor]
}

/// The directory of accessors.
pub(crate) const ACCESSORS: &[&str] = &["token", "accessor"];

/// The directory of a token's children.
pub(crate) fn children_path(hash: &str) -> [&str; 3] {
    ["token", "child", hash]
}

/// Where a child's place lies.
pub(crate) fn child_path<'a>(parent: &'a str, child: &'a str) -> [&'a str; 4] {
    ["token", "child", parent, child]
}

/// Where the reply under a wrapping token lies.
pub(crate) fn wrapped_path(hash: &str) -> [&str; 2] {
    ["wrapping", hash]
}
