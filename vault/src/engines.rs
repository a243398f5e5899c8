//! The engines that can be mounted: a list, nothing more.
//!
//! Adding one is a file, a `mod` line and a line in the list. What surprises: `kv` is two engines, told apart by the
//! mount's option `version`, so tuning that option changes which one answers.

use serde_json::{Map, Value};

use crate::engine::Engine;
use crate::error::Error;
use crate::registry::Registry;

pub(crate) mod kv1;
pub(crate) mod kv2;
pub(crate) mod pki;
pub(crate) mod ssh;
pub(crate) mod totp;
pub(crate) mod transit;

pub(crate) mod algorithm;
pub(crate) mod documents;
pub(crate) mod hash;
pub(crate) mod listing;
pub(crate) mod login;
pub(crate) mod named;
pub(crate) mod native;
pub(crate) mod pairs;
pub(crate) mod terms;
pub(crate) mod tools;

pub(crate) mod approle;
pub(crate) mod cert;
pub(crate) mod cubbyhole;
pub(crate) mod identity;
pub(crate) mod jwt;
pub(crate) mod kubernetes;
pub(crate) mod ldap;
pub(crate) mod sys;
pub(crate) mod token;
pub(crate) mod userpass;

#[cfg(test)]
pub(crate) mod accounts;
#[cfg(test)]
pub(crate) mod counter;
#[cfg(test)]
mod reference;

/// Every engine.
static ENGINES: &[&Engine] = &[
    &sys::ENGINE,
    &identity::ENGINE,
    &cubbyhole::ENGINE,
    &kv1::ENGINE,
    &kv2::ENGINE,
    &pki::ENGINE,
    &transit::ENGINE,
    &totp::ENGINE,
    &ssh::ENGINE,
    &token::ENGINE,
    &approle::ENGINE,
    &userpass::ENGINE,
    &jwt::ENGINE,
    &kubernetes::ENGINE,
    &ldap::ENGINE,
    &cert::ENGINE,
    #[cfg(test)]
    &counter::ENGINE,
];

impl Registry {
    /// What every server has.
    pub fn built_in() -> Self {
        Self::new(ENGINES)
    }
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

/// Whether a mount of kind `kv` is asked to keep versions.
pub(crate) fn is_second(options: &Map<String, Value>) -> bool {
    matches!(options.get("version"), Some(Value::String(text)) if text == "2")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mount::Class;

    fn help_of(kind: &str, options: Value, class: Class) -> Option<&'static str> {
        Registry::built_in().find(class, kind, options.as_object().unwrap()).map(|engine| engine.help)
    }

    #[test]
    fn a_kind_and_its_options_name_one_engine() {
        let cases = [
            ("kv", json!({}), Class::Secret, Some(&kv1::ENGINE)),
            ("kv", json!({"version": "1"}), Class::Secret, Some(&kv1::ENGINE)),
            ("kv", json!({"version": "2"}), Class::Secret, Some(&kv2::ENGINE)),
            ("kv-v2", json!({}), Class::Secret, Some(&kv2::ENGINE)),
            ("generic", json!({}), Class::Secret, Some(&kv1::ENGINE)),
            ("system", json!({}), Class::Secret, Some(&sys::ENGINE)),
            ("token", json!({}), Class::Auth, Some(&token::ENGINE)),
            ("token", json!({}), Class::Secret, None),
            ("approle", json!({}), Class::Auth, Some(&approle::ENGINE)),
            ("kv", json!({}), Class::Auth, None),
            ("quantum", json!({}), Class::Secret, None),
        ];
        for (kind, options, class, expected) in cases {
            assert_eq!(help_of(kind, options, class), expected.map(|engine| engine.help), "{kind}");
        }
    }

    #[test]
    fn every_path_of_every_engine_says_what_it_is_for() {
        for engine in ENGINES {
            assert!(!engine.help.is_empty(), "{} lacks help", engine.kind);
            for path in engine.paths() {
                assert!(!path.help.is_empty(), "{}: {} lacks help", engine.kind, path.pattern);
                assert!(!path.operations.is_empty(), "{}: {} answers nothing", engine.kind, path.pattern);
            }
        }
    }
}
