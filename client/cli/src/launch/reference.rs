//! References to secrets: `vault://mount/path#field`.

use std::str::FromStr;

/// What each reference begins with.
const SCHEME: &str = "vault://";

/// One field of one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// As `kv get` takes it: the mount and the path inside, without `data/`.
    pub(crate) path: String,
    /// Which field.
    pub(crate) field: String,
}

impl Reference {
    /// Whether a value is meant as a reference, well-formed or not.
    pub(crate) fn is_meant(value: &str) -> bool {
        value.starts_with(SCHEME)
    }
}

impl FromStr for Reference {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inside = text.strip_prefix(SCHEME).ok_or("a reference begins with vault://")?;
        let (path, field) = inside.split_once('#').ok_or("a reference names a field behind #")?;
        let path = path.trim_matches('/');
        if !path.contains('/') || path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err("a reference names a mount and a path in it");
        }
        if field.is_empty() {
            return Err("a reference names a field behind #");
        }
        Ok(Self { path: path.to_owned(), field: field.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_a_path_and_a_field() {
        let found: Reference = "vault://secret/team/app#pass#word".parse().unwrap();
        assert_eq!((found.path.as_str(), found.field.as_str()), ("secret/team/app", "pass#word"));
    }

    #[test]
    fn what_lacks_a_part_is_refused() {
        for text in ["vault://secret/app", "vault://secret/app#", "vault://secret#a", "vault://#a", "vault://a/../b#c"]
        {
            assert!(Reference::is_meant(text) && text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
