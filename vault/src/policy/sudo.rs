//! Root-protected paths: what needs `sudo` beside the operation's own capability.
//!
//! This is the part that belongs to no engine. Engines declare their own protected paths, and requests that need `sudo`
//! because of their fields (a token with a period, say) ask [`crate::policy::acl::Decision::has_sudo`].

use crate::request::Operation;

/// Which operations a row protects.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// Only reading and deleting: the write itself is guarded by shares of the key.
    ReadOrDelete,
}

/// Paths below the namespace; `*` at the end matches every continuation, also none. A path protects its folder's form.
const PROTECTED: &[(&str, When)] = &[
    ("auth/token/accessors", When::Always),
    ("sys/audit", When::Always),
    ("sys/audit/*", When::Always),
    ("sys/auth/*", When::Always),
    ("sys/config/auditing/*", When::Always),
    ("sys/config/cors", When::Always),
    ("sys/config/ui/headers", When::Always),
    ("sys/config/ui/headers/*", When::Always),
    ("sys/internal/inspect/*", When::Always),
    ("sys/leases", When::Always),
    ("sys/leases/lookup/*", When::Always),
    ("sys/leases/revoke-force/*", When::Always),
    ("sys/leases/revoke-prefix/*", When::Always),
    ("sys/plugins/catalog/*", When::Always),
    ("sys/raw", When::Always),
    ("sys/raw/*", When::Always),
    ("sys/rekey/backup", When::ReadOrDelete),
    ("sys/rekey/recovery-key-backup", When::ReadOrDelete),
    ("sys/remount", When::Always),
    ("sys/revoke-force/*", When::Always),
    ("sys/revoke-prefix/*", When::Always),
    ("sys/rotate", When::Always),
    ("sys/rotate/*", When::Always),
    ("sys/seal", When::Always),
    ("sys/step-down", When::Always),
    ("sys/storage/raft/join-token", When::Always),
    ("sys/storage/raft/remove-peer", When::Always),
    ("sys/storage/raft/snapshot-auto/*", When::Always),
];

/// Whether `sudo` is needed. The path is relative to its namespace; letters of any case are protected alike.
pub fn is_sudo_path(path: &str, operation: Operation) -> bool {
    if operation == Operation::Help {
        return false;
    }
    let path = crate::policy::pattern::fold(path);
    let bare = path.strip_suffix('/').unwrap_or(&path);
    PROTECTED.iter().any(|(protected, when)| {
        let is_path = match protected.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => bare == *protected,
        };
        let is_guarded =
            *when == When::Always || matches!(operation, Operation::Read | Operation::Header | Operation::Delete);
        is_path && is_guarded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_lower_case() {
        assert!(PROTECTED.is_sorted_by_key(|(path, _)| *path));
        assert!(PROTECTED.iter().all(|(path, _)| path.to_lowercase() == *path));
    }

    #[test]
    fn protected_paths_need_sudo() {
        // check 62
        use Operation::{Create, Delete, Header, List, Read, Update};
        for (path, operation) in [
            ("sys/auth/up", Create),
            ("sys/auth/up/tune", Read),
            ("sys/audit", Read),
            ("sys/audit/", List),
            ("sys/audit/file", Delete),
            ("sys/remount", Update),
            ("sys/rotate", Update),
            ("sys/rotate/config", Read),
            ("sys/seal", Update),
            ("sys/step-down", Update),
            ("sys/config/cors", Read),
            ("sys/config/ui/headers/X-Test", Read),
            ("sys/config/ui/headers/", List),
            ("sys/config/auditing/request-headers", Read),
            ("sys/leases/lookup/auth/", List),
            ("sys/leases/lookup/", List),
            ("sys/leases", Read),
            ("sys/leases/revoke-prefix/auth", Update),
            ("sys/leases/revoke-force/auth", Update),
            ("sys/revoke-prefix/a", Update),
            ("auth/token/accessors", List),
            ("auth/token/accessors/", List),
            ("sys/raw/core", Read),
            ("sys/internal/inspect/router/root", Read),
            ("sys/plugins/catalog/auth/x", Read),
            ("sys/rekey/backup", Delete),
            ("sys/rekey/backup", Header),
            ("SYS/Seal", Update),
            ("sys/storage/raft/snapshot-auto/config/x", Update),
        ] {
            assert!(is_sudo_path(path, operation), "{path}");
        }
    }

    #[test]
    fn other_paths_do_not() {
        use Operation::{Help, List, Read, Update};
        for (path, operation) in [
            ("sys/auth", Read),
            ("sys/mounts", Read),
            ("sys/mounts/kv", Update),
            ("sys/policies/acl/", List),
            ("sys/leases/lookup", Update),
            ("sys/leases/renew", Update),
            ("sys/plugins/catalog", Read),
            ("auth/token/lookup-accessor", Update),
            ("sys/seal-status", Read),
            ("sys/rekey/backup", Update),
            ("sys/seal", Help),
            ("secret/sys/seal", Read),
            ("sys/config/state/sanitized", Read),
        ] {
            assert!(!is_sudo_path(path, operation), "{path}");
        }
    }
}
