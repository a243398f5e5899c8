//! What `sys/internal/ui/resultant-acl` shows: the merged rules, for a client that greys out what would be refused.
//!
//! It is a hint and decides nothing. Patterns with `+` have no place in its format and are left out.

use std::collections::BTreeMap;

use crate::policy::acl::Acl;
use crate::policy::capability::Capabilities;
use crate::policy::pattern::{self, Shape};

/// Capabilities by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AclExport<'a> {
    /// Whether everything is allowed; then the maps are empty and not shown.
    pub root: bool,
    /// Sorted capabilities of exact paths; `deny` for none.
    pub exact_paths: BTreeMap<&'a str, Vec<&'static str>>,
    /// Sorted capabilities of prefixes, without their `*`.
    pub glob_paths: BTreeMap<&'a str, Vec<&'static str>>,
}

impl Acl {
    /// The merged rules.
    pub(crate) fn export(&self) -> AclExport<'_> {
        let mut export = AclExport { root: self.is_root, ..AclExport::default() };
        for rule in self.rules.iter().filter(|_| !self.is_root) {
            let capabilities = if self.is_shadowed(rule) { Capabilities::DENY } else { rule.grant.capabilities };
            let paths = match rule.pattern.shape() {
                Shape::Exact => &mut export.exact_paths,
                Shape::Prefix => &mut export.glob_paths,
                Shape::Segments => continue,
            };
            let text = rule.pattern.text();
            let path = if rule.pattern.shape() == Shape::Prefix { pattern::split_glob(text).1 } else { text };
            paths.insert(path, capabilities.words());
        }
        export
    }
}
