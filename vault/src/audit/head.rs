//! How far each node's audit devices were: the newest value of each chain of lines, committed now and then, so that a file
//! that was cut off or made anew shows.
//!
//! One value vouches for all lines before it, so only the newest of each chain is kept, and of a device on a node only the
//! newest chains.

use prost::Message;

use crate::error::Error;
use crate::limits::{MAX_AUDIT_CHAINS, MAX_AUDIT_HEADS};
use crate::store::{Name, Store};

/// Folder of the records in the system's area; below it, one of each node.
const FOLDER: &[&str] = &["core", "audit-heads"];

/// The newest committed line of a chain.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct AuditHead {
    /// Path of the device, with a slash at the end.
    #[prost(string, tag = "1")]
    pub device: String,
    /// Name of the node that wrote the chain, or its id.
    #[prost(string, tag = "2")]
    pub node: String,
    /// Names the chain: 32 hexadecimal digits.
    #[prost(string, tag = "3")]
    pub chain: String,
    /// Number of the line, counted from 1.
    #[prost(uint64, tag = "4")]
    pub number: u64,
    /// Value of the line, in hexadecimal digits.
    #[prost(string, tag = "5")]
    pub value: String,
    /// When the line was written, by the node's clock, in milliseconds since the Unix epoch.
    #[prost(uint64, tag = "6")]
    pub written_millis: u64,
}

/// All heads of one node.
#[derive(Clone, PartialEq, Message)]
struct HeadsRecord {
    #[prost(message, repeated, tag = "1")]
    heads: Vec<AuditHead>,
}

/// Writes down how far a node's chains are. One that went on takes the place of what it was before.
///
/// # Errors
/// If the store cannot be read.
pub fn note(store: &mut Store<'_>, node_id: u64, newest: &[AuditHead]) -> Result<(), Error> {
    let (system, name) = (store.system(), format!("{node_id:016x}"));
    let place = [FOLDER[0], FOLDER[1], &name];
    let mut record: HeadsRecord = store.get(&system, &place)?.unwrap_or_default();
    let before = record.heads.clone();
    for head in newest {
        record.heads.retain(|known| (&known.device, &known.chain) != (&head.device, &head.chain));
        record.heads.push(head.clone());
        // The oldest stand first.
        let of_device = record.heads.iter().filter(|known| known.device == head.device).count();
        let mut surplus = of_device.saturating_sub(MAX_AUDIT_CHAINS);
        record.heads.retain(|known| {
            let goes = known.device == head.device && surplus > 0;
            surplus -= usize::from(goes);
            !goes
        });
    }
    record.heads.drain(..record.heads.len().saturating_sub(MAX_AUDIT_HEADS));
    if record.heads == before { Ok(()) } else { store.put(&system, &place, &record) }
}

/// The heads of a device on all nodes, oldest first on each.
pub(crate) fn of(store: &mut Store<'_>, device: &str) -> Result<Vec<AuditHead>, Error> {
    let system = store.system();
    let nodes = store.list(&system, FOLDER)?;
    let mut found = Vec::new();
    for Name { name, .. } in nodes.iter() {
        let record: HeadsRecord = store.get(&system, &[FOLDER[0], FOLDER[1], name])?.unwrap_or_default();
        found.extend(record.heads.into_iter().filter(|head| head.device == device));
    }
    Ok(found)
}
