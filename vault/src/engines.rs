//! The engines that can be mounted: a list, nothing more.
//!
//! Adding one is a file, a `mod` line and a line in the list. What surprises: `kv` is two engines, told apart by the
//! mount's option `version`, so tuning that option changes which one answers.

use serde_json::{Map, Value};

use crate::engine::{Class, Engine};
use crate::error::Error;

pub(crate) mod kv1;
pub(crate) mod kv2;

pub(crate) mod documents;
pub(crate) mod listing;
pub(crate) mod login;
pub(crate) mod terms;

pub(crate) mod approle;
pub(crate) mod cubbyhole;
pub(crate) mod identity;
pub(crate) mod sys;
pub(crate) mod token;
pub(crate) mod userpass;

#[cfg(test)]
pub(crate) mod counter;
#[cfg(test)]
mod reference;

/// Every engine whose kind says all; the two of `kv` are beside it.
static ENGINES: &[&Engine] = &[
    &sys::ENGINE,
    &identity::ENGINE,
    &cubbyhole::ENGINE,
    &token::ENGINE,
    &approle::ENGINE,
    &userpass::ENGINE,
    #[cfg(test)]
    &counter::ENGINE,
];

/// The engine of a kind. `options` are the mount's; `is_auth` says whether it is mounted below `auth/`.
pub(crate) fn find(kind: &str, options: &Map<String, Value>, is_auth: bool) -> Option<&'static Engine> {
    match kind {
        "kv" | "kv-v1" | "kv-v2" | "generic" if is_auth => return None,
        "kv-v1" | "generic" => return Some(&kv1::ENGINE),
        "kv-v2" => return Some(&kv2::ENGINE),
        "kv" if is_second(options) => return Some(&kv2::ENGINE),
        "kv" => return Some(&kv1::ENGINE),
        _ => {}
    }
    let class = if is_auth { Class::Auth } else { Class::Secret };
    let is_meant = |engine: &&&Engine| engine.class == class && (engine.kind == kind || engine.aliases.contains(&kind));
    ENGINES.iter().find(is_meant).copied()
}

/// The kind and the options under which a mount is stored: `kv-v2` is `kv` with an option.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] for options that contradict the kind.
pub(crate) fn spelled(kind: &str, mut options: Map<String, Value>) -> Result<(&str, Map<String, Value>), Error> {
    if !matches!(kind, "kv" | "kv-v1" | "kv-v2") {
        return Ok((kind, options));
    }
    let named = kind.strip_prefix("kv-v");
    let version = options.get("version").and_then(Value::as_str).unwrap_or_default().to_owned();
    match (named, version.as_str()) {
        (None, "" | "1" | "2") => {}
        (Some(named), "") => _ = options.insert("version".into(), named.into()),
        (Some(named), version) if named == version => {}
        _ => {
            return Err(Error::invalid(format!(
                "the version {version:?} does not fit the type {kind}; kv has version 1 or 2"
            )));
        }
    }
    Ok(("kv", options))
}

/// Paths, in full, that a node answers itself because they need no keys.
pub fn before_unseal() -> impl Iterator<Item = String> {
    sys::before_unseal().iter().map(|path| format!("sys/{}", path.pattern))
}

/// Whether a kind is one that users cannot mount.
pub(crate) fn is_single(kind: &str) -> bool {
    ENGINES.iter().any(|engine| engine.is_single && (engine.kind == kind || engine.aliases.contains(&kind)))
}

/// The kinds that users can mount, sorted.
pub(crate) fn mountable(class: Class) -> Vec<&'static str> {
    let listed = ENGINES.iter().filter(|engine| engine.class == class && !engine.is_single).map(|engine| engine.kind);
    let kv = (class == Class::Secret).then_some("kv");
    let mut kinds: Vec<_> = listed.chain(kv).collect();
    kinds.sort_unstable();
    kinds
}

/// Whether a mount of kind `kv` is asked to keep versions.
pub(crate) fn is_second(options: &Map<String, Value>) -> bool {
    matches!(options.get("version"), Some(Value::String(text)) if text == "2")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn help_of(kind: &str, options: Value, is_auth: bool) -> Option<&'static str> {
        find(kind, options.as_object().unwrap(), is_auth).map(|engine| engine.help)
    }

    #[test]
    fn a_kind_and_its_options_name_one_engine() {
        let cases = [
            ("kv", json!({}), false, Some(&kv1::ENGINE)),
            ("kv", json!({"version": "1"}), false, Some(&kv1::ENGINE)),
            ("kv", json!({"version": "2"}), false, Some(&kv2::ENGINE)),
            ("kv-v2", json!({}), false, Some(&kv2::ENGINE)),
            ("generic", json!({}), false, Some(&kv1::ENGINE)),
            ("system", json!({}), false, Some(&sys::ENGINE)),
            ("token", json!({}), true, Some(&token::ENGINE)),
            ("token", json!({}), false, None),
            ("approle", json!({}), true, Some(&approle::ENGINE)),
            ("kv", json!({}), true, None),
            ("quantum", json!({}), false, None),
        ];
        for (kind, options, is_auth, expected) in cases {
            assert_eq!(help_of(kind, options, is_auth), expected.map(|engine| engine.help), "{kind}");
        }
    }

    #[test]
    fn every_path_of_every_engine_says_what_it_is_for() {
        for engine in ENGINES.iter().chain([&&kv1::ENGINE, &&kv2::ENGINE]) {
            assert!(!engine.help.is_empty(), "{} lacks help", engine.kind);
            for path in engine.paths() {
                assert!(!path.help.is_empty(), "{}: {} lacks help", engine.kind, path.pattern);
                assert!(!path.operations.is_empty(), "{}: {} answers nothing", engine.kind, path.pattern);
            }
        }
    }
}
