//! `audit` blocks, and what bounds the devices that are enabled over the API.
//!
//! A block is `audit "file" "path" { options { … } }`; the second label may be left out, or stand inside as `path`. What the
//! options mean is not known here: [`crate::audit`] refuses what it cannot obey.

use std::collections::BTreeMap;
use std::path::PathBuf;

use conclave_vault::AuditDevice;

use crate::config::section::Section;

/// What the configuration says about audit.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AuditSettings {
    /// The devices of this node, besides those of the cluster.
    pub devices: Vec<AuditDevice>,
    /// Folders and files that devices may write to; empty leaves it to the other rules.
    pub paths: Vec<PathBuf>,
    /// Whether devices that are enabled over the API may have a `prefix`.
    pub allows_prefix: bool,
    /// Folders whose files are the configuration. No device writes below them, for its file would be read at the next start.
    pub sources: Vec<PathBuf>,
}

/// Reads the blocks of a file. Devices add up, as listeners do.
pub(super) fn read(section: &Section<'_>, found: &mut AuditSettings) {
    for (kind, block) in section.labelled("audit") {
        // With two labels the inner one is the path.
        let inner = block.below_labels("options");
        if inner.is_empty() {
            let path = block.filled("path").unwrap_or_else(|| kind.clone());
            add(found, &kind, &path, block);
            continue;
        }
        for (path, inner) in inner {
            add(found, &kind, &path, inner);
        }
    }
    if let Some(paths) = section.texts("audit_paths") {
        found.paths = paths.into_iter().map(PathBuf::from).collect();
        if found.paths.is_empty() || found.paths.iter().any(|path| !path.is_absolute()) {
            section.error(section.line_of("audit_paths"), "audit_paths must be a list of absolute paths, at least one");
        }
    }
    if let Some(allows) = section.boolean("allow_audit_log_prefixing") {
        found.allows_prefix = allows;
    }
}

fn add(found: &mut AuditSettings, kind: &str, path: &str, block: Section<'_>) {
    let path = format!("{}/", path.trim_matches('/'));
    let mut options = BTreeMap::new();
    for block in block.blocks("options") {
        for (name, values, line) in block.all_texts() {
            match values.as_slice() {
                [value] => _ = options.insert(name, value.clone()),
                _ => block.error(line, "an option of an audit device has one value"),
            }
        }
    }
    if found.devices.iter().any(|known| known.path == path) {
        block.error(block.line(), "two audit devices have the same path; give one a second label, or a path");
    }
    found.devices.push(AuditDevice {
        id: AuditDevice::configured_id(&path),
        path,
        kind: kind.to_owned(),
        description: block.text("description").unwrap_or_default(),
        options,
        is_local: block.boolean("local").unwrap_or(true),
    });
    block.finish();
}
