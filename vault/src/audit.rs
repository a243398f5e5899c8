//! Audit devices, as far as the cluster knows them: which there are, and which headers they record.
//!
//! Writing records down is the node's.

pub(crate) mod head;
pub(crate) mod rules;

use std::collections::BTreeMap;
use std::fmt;

use prost::Message;
use serde_json::{Map, Value, json};

/// The option whose value is not shown.
const SECRET_OPTION: &str = "headers";
/// What stands in its place.
const WITHHELD: &str = "(withheld)";

/// An audit device. `Debug` shows no options: they may hold credentials of a receiver.
#[derive(Clone, PartialEq, Eq, Message)]
#[prost(skip_debug)]
pub struct AuditDevice {
    /// Its name, with a slash at the end.
    #[prost(string, tag = "1")]
    pub path: String,
    /// What it is, such as `file`.
    #[prost(string, tag = "2")]
    pub kind: String,
    /// For people.
    #[prost(string, tag = "3")]
    pub description: String,
    /// Its settings as they were sent.
    #[prost(btree_map = "string, string", tag = "4")]
    pub options: BTreeMap<String, String>,
    /// Whether clients asked for a local device; shown, without effect.
    #[prost(bool, tag = "5")]
    pub is_local: bool,
    /// Names it for good: a device that is enabled again under the same path has other hashes.
    #[prost(string, tag = "6")]
    pub id: String,
}

impl fmt::Debug for AuditDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditDevice").field("path", &self.path).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl AuditDevice {
    /// As lists show it. Headers for a collector let somebody in, so their values stay hidden.
    pub fn shown(&self) -> Value {
        let option = |(name, value): (&String, &String)| {
            let value = if name == SECRET_OPTION { WITHHELD } else { value };
            (name.clone(), Value::from(value))
        };
        json!({
            "path": self.path,
            "type": self.kind,
            "description": self.description,
            "options": self.options.iter().map(option).collect::<Map<_, _>>(),
            "local": self.is_local,
        })
    }

    /// The id of a device that a node's configuration names. It is the same on every node, so that one value has one hash
    /// in the files of all.
    pub fn configured_id(path: &str) -> String {
        format!("configured {path}")
    }
}

/// A request header that devices record.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct AuditedHeader {
    /// Its name in lower case.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Whether records hold a hash of its values in place of them.
    #[prost(bool, tag = "2")]
    pub is_hashed: bool,
}

/// What the cluster records where.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct AuditRules {
    /// The devices that were enabled over the API, by path.
    #[prost(message, repeated, tag = "1")]
    pub devices: Vec<AuditDevice>,
    /// The headers, by name.
    #[prost(message, repeated, tag = "2")]
    pub headers: Vec<AuditedHeader>,
}
