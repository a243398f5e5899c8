//! Rate limits: how many requests one client may send to a place in an interval.
//!
//! The core keeps the rules and says which one a path falls under; each node counts by itself and in memory, as Vault's do.
//! All rules lie in one record, so that a request costs one look-up, which the cache answers.

use prost::Message;

use crate::error::Error;
use crate::mount::table::MountTable;
use crate::store::{Store, decode};

/// Where the rules lie in the system area.
const QUOTAS: &[&str] = &["core", "quotas"];
/// Paths that count against no rule unless an operator says otherwise: what must be answered whatever happens.
pub(crate) const EXEMPT_PATHS: [&str; 6] = [
    "sys/generate-root/attempt",
    "sys/generate-root/update",
    "sys/health",
    "sys/internal/ui/mounts",
    "sys/seal-status",
    "sys/unseal",
];

/// One rule.
#[derive(Clone, PartialEq, Message)]
pub struct RateLimit {
    /// What people call it.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The requests that it is for: all if empty; else those to a mount, whose path ends in a slash, to a path within one, or
    /// to all that begin with it if it ends in `*`.
    #[prost(string, tag = "2")]
    pub path: String,
    /// Requests of one client in an interval.
    #[prost(double, tag = "3")]
    pub rate: f64,
    /// The interval, in seconds.
    #[prost(uint64, tag = "4")]
    pub interval_secs: u64,
    /// For how long a client is refused once it sent too many, in seconds; 0 is until the interval ends.
    #[prost(uint64, tag = "5")]
    pub block_secs: u64,
}

impl RateLimit {
    /// How closely the rule describes a path in lower case; `None` if it is not for that path. More is closer. Upper and
    /// lower case are one, as they are in many names: who spells one anew must not have the limit once more.
    fn closeness(&self, path: &str) -> Option<(u8, usize)> {
        let own = self.path.to_lowercase();
        let is_within = |whole: &str| path.starts_with(whole) || path == whole.trim_end_matches('/');
        match own.strip_suffix('*') {
            _ if own.is_empty() => Some((0, 0)),
            Some(start) => path.starts_with(start).then_some((2, start.len())),
            None if own.ends_with('/') => is_within(&own).then_some((1, own.len())),
            None => (path == own).then_some((3, own.len())),
        }
    }

    /// Most requests of one client in an interval.
    pub fn most(&self) -> u64 {
        // Both are positive and finite, as they were checked when the rule was written.
        (self.rate.ceil() as u64).max(1)
    }
}

/// All rules.
#[derive(Clone, PartialEq, Message)]
pub struct Quotas {
    /// In the order of their names.
    #[prost(message, repeated, tag = "1")]
    pub rate_limits: Vec<RateLimit>,
    /// Whether replies say how much of the limit is left.
    #[prost(bool, tag = "2")]
    pub has_headers: bool,
    /// Whether a request that is refused for its rate is recorded by audit devices.
    #[prost(bool, tag = "3")]
    pub is_recorded: bool,
    /// Paths that count against no rule, each exact or ending in `*`.
    #[prost(string, repeated, tag = "4")]
    pub exempt_paths: Vec<String>,
    /// Whether `exempt_paths` was ever written; if not, [`EXEMPT_PATHS`] count.
    #[prost(bool, tag = "5")]
    pub has_exempt_paths: bool,
}

impl Quotas {
    /// Paths that count against no rule.
    pub(crate) fn exempt(&self) -> Vec<String> {
        if self.has_exempt_paths {
            return self.exempt_paths.clone();
        }
        EXEMPT_PATHS.map(str::to_owned).to_vec()
    }

    fn is_exempt(&self, path: &str) -> bool {
        let matches = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path == pattern,
        };
        if self.has_exempt_paths {
            self.exempt_paths.iter().any(|exempt| matches(exempt))
        } else {
            EXEMPT_PATHS.contains(&path)
        }
    }

    /// The rule that a canonical path falls under: of all that are for it, the closest.
    pub fn rule(&self, path: &str) -> Option<&RateLimit> {
        if self.rate_limits.is_empty() || self.is_exempt(path) {
            return None;
        }
        let path = path.to_lowercase();
        let fitting = self.rate_limits.iter().filter_map(|rule| Some((rule.closeness(&path)?, rule)));
        fitting.max_by_key(|(closeness, _)| *closeness).map(|(_, rule)| rule)
    }
}

/// The rules.
pub fn load(store: &mut Store<'_>) -> Result<std::sync::Arc<Quotas>, Error> {
    let system = store.system();
    store.get_cached_or_default(&system, QUOTAS, decode)
}

/// Stores the rules, which the caller checked.
pub(crate) fn put(store: &mut Store<'_>, quotas: &Quotas) -> Result<(), Error> {
    let system = store.system();
    store.put(&system, QUOTAS, quotas)
}

/// Drops the rules of a mount that is gone.
pub(crate) fn forget_mount(store: &mut Store<'_>, mount: &str) -> Result<(), Error> {
    let quotas = load(store)?;
    if !quotas.rate_limits.iter().any(|rule| rule.path.starts_with(mount)) {
        return Ok(());
    }
    let mut kept = Quotas::clone(&quotas);
    kept.rate_limits.retain(|rule| !rule.path.starts_with(mount));
    put(store, &kept)
}

/// Lets the rules of a mount follow it.
pub(crate) fn move_mount(store: &mut Store<'_>, from: &str, to: &str) -> Result<(), Error> {
    let quotas = load(store)?;
    if !quotas.rate_limits.iter().any(|rule| rule.path.starts_with(from)) {
        return Ok(());
    }
    let mut moved = Quotas::clone(&quotas);
    for rule in &mut moved.rate_limits {
        if let Some(below) = rule.path.strip_prefix(from) {
            rule.path = format!("{to}{below}");
        }
    }
    put(store, &moved)
}

/// A path as rules have it: that of a mount with its slash, one within a mount, or none for all.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] if nothing is mounted there.
pub(crate) fn placed(store: &mut Store<'_>, path: &str) -> Result<String, Error> {
    let path = path.trim_start_matches('/');
    if path.is_empty() {
        return Ok(String::new());
    }
    let table = MountTable::load(store)?;
    let as_mount = format!("{}/", path.trim_end_matches('/'));
    if table.at(&as_mount).is_some() {
        return Ok(as_mount);
    }
    match table.route(path.trim_end_matches('*')) {
        Some(_) if !path.ends_with('/') => Ok(path.to_owned()),
        _ => Err(Error::invalid(format!("invalid mount path {path:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(paths: &[&str]) -> Quotas {
        let rule =
            |path: &&str| RateLimit { name: format!("<{path}>"), path: (*path).to_owned(), ..RateLimit::default() };
        Quotas { rate_limits: paths.iter().map(rule).collect(), ..Quotas::default() }
    }

    fn rule(quotas: &Quotas, path: &str) -> String {
        quotas.rule(path).map(|rule| rule.name.clone()).unwrap_or_default()
    }

    #[test]
    fn the_closest_rule_counts() {
        let quotas = quotas(&["", "secret/", "secret/data/*", "secret/data/app/*", "secret/data/app/one"]);
        for (path, expected) in [
            ("sys/mounts", "<>"),
            ("secret/metadata/a", "<secret/>"),
            ("secret", "<secret/>"),
            ("secretive/a", "<>"),
            ("secret/data/b", "<secret/data/*>"),
            ("secret/data/app/two", "<secret/data/app/*>"),
            ("secret/data/app/one", "<secret/data/app/one>"),
            // check 33
            ("secret/data/APP/One", "<secret/data/app/one>"),
            ("Secret/data/app/two", "<secret/data/app/*>"),
        ] {
            assert_eq!(rule(&quotas, path), expected, "{path}");
        }
    }

    #[test]
    fn what_must_be_answered_counts_against_no_rule_unless_an_operator_says_so() {
        let mut quotas = quotas(&[""]);
        assert_eq!((rule(&quotas, "sys/health").as_str(), rule(&quotas, "sys/leader").as_str()), ("", "<>"));
        quotas.has_exempt_paths = true;
        quotas.exempt_paths = vec!["sys/leader".into(), "secret/*".into()];
        for (path, expected) in [("sys/health", "<>"), ("sys/leader", ""), ("secret/a", "")] {
            assert_eq!(rule(&quotas, path), expected, "{path}");
        }
    }
}
