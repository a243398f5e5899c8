//! The paths of which this node knows more than that a core answers them. One table, so that who answers, who gives places
//! and who repeats replies mean the same paths.

/// What kind of request asks for a place. Each has places of its own, so that none can shut another out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Anything.
    Ordinary,
    /// Health, seal status, leader: what orchestrators and load balancers judge a node by.
    Status,
    /// Initialising, sealing and unsealing: what an operator needs when all else is lost.
    Seal,
}

/// A path that the node answers itself, with or without keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnPath {
    /// One status code for what the node is.
    Health,
    /// How sealed it is.
    SealStatus,
    /// Who leads.
    Leader,
    /// A new cluster.
    Init,
    /// A share.
    Unseal,
    /// This node, as a ceremony on another one lists it.
    CeremonyNode,
    /// The nodes of a ceremony on this one.
    CeremonyNodes,
    /// Entering a cluster.
    Join,
    /// The brake, which only who has a right to it pulls on a node with keys.
    Seal,
}

/// A row of the table: what the node knows of a path.
struct KnownPath {
    /// Without a slash at its end; with one, all paths below.
    path: &'static str,
    own: Option<OwnPath>,
    read: Class,
    write: Class,
    /// Whether the node does what is written there, which leaves no record by which a reply could be found again.
    is_act: bool,
}

impl KnownPath {
    const fn new(path: &'static str, own: OwnPath, read: Class, write: Class, is_act: bool) -> Self {
        Self { path, own: Some(own), read, write, is_act }
    }

    /// Acts that a core orders.
    const fn act(path: &'static str) -> Self {
        Self { path, own: None, read: Class::Ordinary, write: Class::Ordinary, is_act: true }
    }

    fn covers(&self, path: &str) -> bool {
        if self.path.ends_with('/') { path.starts_with(self.path) } else { path.trim_end_matches('/') == self.path }
    }
}

const TABLE: [KnownPath; 13] = [
    KnownPath::new("sys/health", OwnPath::Health, Class::Status, Class::Ordinary, false),
    KnownPath::new("sys/seal-status", OwnPath::SealStatus, Class::Status, Class::Ordinary, false),
    KnownPath::new("sys/leader", OwnPath::Leader, Class::Status, Class::Ordinary, false),
    KnownPath::new("sys/init", OwnPath::Init, Class::Status, Class::Seal, true),
    KnownPath::new("sys/unseal", OwnPath::Unseal, Class::Ordinary, Class::Seal, true),
    KnownPath::new("sys/unseal/node", OwnPath::CeremonyNode, Class::Ordinary, Class::Ordinary, false),
    KnownPath::new("sys/unseal/nodes", OwnPath::CeremonyNodes, Class::Ordinary, Class::Ordinary, false),
    KnownPath::new("sys/storage/raft/join", OwnPath::Join, Class::Ordinary, Class::Ordinary, true),
    KnownPath::new("sys/seal", OwnPath::Seal, Class::Ordinary, Class::Seal, true),
    KnownPath::act("sys/step-down"),
    KnownPath::act("sys/generate-root/"),
    KnownPath::act("sys/rekey/"),
    KnownPath::act("sys/storage/raft/"),
];

/// Which of the node's own paths this is, if it is one.
pub(crate) fn own(path: &str) -> Option<OwnPath> {
    TABLE.iter().find(|row| row.path == path)?.own
}

/// Which places a request for a path may take.
pub(crate) fn class(path: &str, is_write: bool) -> Class {
    let row = TABLE.iter().find(|row| row.path == path);
    row.map_or(Class::Ordinary, |row| if is_write { row.write } else { row.read })
}

/// Whether the node does what is written to a path, which leaves no record by which a reply could be found again.
pub(crate) fn is_act(path: &str) -> bool {
    TABLE.iter().any(|row| row.is_act && row.covers(path))
}

/// The node's own paths.
#[cfg(test)]
pub(crate) fn all_own() -> impl Iterator<Item = (&'static str, OwnPath)> {
    TABLE.iter().filter_map(|row| Some((row.path, row.own?)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_path_stands_once_and_is_found() {
        let paths: BTreeSet<_> = TABLE.iter().map(|row| row.path).collect();
        assert_eq!(paths.len(), TABLE.len());
        for (path, meant) in all_own() {
            assert_eq!(own(path), Some(meant));
            assert_eq!(own(&format!("{path}/")), None, "only the canonical path is answered");
        }
    }
}
