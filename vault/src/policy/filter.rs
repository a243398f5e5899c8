//! The filter of a list: shows only the names at which the caller may read (or list, for folders).

use crate::limits::MAX_FILTER_BYTES;
use crate::request::Operation;

/// A path with `{{ .key }}` for each name of a list, and perhaps `{{ .path }}` for the path that was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFilter {
    parts: Vec<FilterPart>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum FilterPart {
    Literal(String),
    Path,
    Key,
}

/// Why a text is no filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Without the name, all names would be the same.
    #[error("the filter path must contain {{{{ .key }}}}")]
    NoKey,
    /// Not closed, or another name.
    #[error("only {{{{ .key }}}} and {{{{ .path }}}} are known in a filter path")]
    Unknown,
    /// Over [`MAX_FILTER_BYTES`].
    #[error("the filter path is longer than {MAX_FILTER_BYTES} bytes")]
    TooLong,
}

impl KeyFilter {
    /// Parses the value of `list_scan_response_keys_filter_path`.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_FILTER_BYTES {
            return Err(FilterError::TooLong);
        }
        let (mut parts, mut rest) = (Vec::new(), text.strip_prefix('/').unwrap_or(text));
        while let Some((literal, behind)) = rest.split_once("{{") {
            let (name, behind) = behind.split_once("}}").ok_or(FilterError::Unknown)?;
            parts.push(FilterPart::Literal(literal.to_owned()));
            parts.push(match name.trim() {
                ".key" => FilterPart::Key,
                ".path" => FilterPart::Path,
                _ => return Err(FilterError::Unknown),
            });
            rest = behind;
        }
        parts.push(FilterPart::Literal(rest.to_owned()));
        if parts.contains(&FilterPart::Key) { Ok(Self { parts }) } else { Err(FilterError::NoKey) }
    }

    /// Which request must be allowed for a name to be shown: its path and operation. The listed path ends with a slash.
    pub fn probe(&self, listed: &str, key: &str) -> (String, Operation) {
        let part = |part| match part {
            &FilterPart::Path => listed,
            &FilterPart::Key => key,
            FilterPart::Literal(literal) => literal.as_str(),
        };
        let path: String = self.parts.iter().map(part).collect();
        let operation = if path.ends_with('/') { Operation::List } else { Operation::Read };
        (path, operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_the_path_to_ask_about() {
        let filter = KeyFilter::parse("secret/data/{{ .key }}").unwrap();
        assert_eq!(filter.probe("secret/metadata/", "a"), ("secret/data/a".to_owned(), Operation::Read));
        let filter = KeyFilter::parse("/{{.path}}{{.key}}").unwrap();
        assert_eq!(filter.probe("secret/metadata/", "b/"), ("secret/metadata/b/".to_owned(), Operation::List));
    }

    #[test]
    fn a_filter_needs_the_name_and_knows_no_more() {
        assert_eq!(KeyFilter::parse("a/b"), Err(FilterError::NoKey));
        assert_eq!(KeyFilter::parse("{{ .key }}{{ .env }}"), Err(FilterError::Unknown));
        assert_eq!(KeyFilter::parse("{{ .key"), Err(FilterError::Unknown));
        assert_eq!(KeyFilter::parse(&"a".repeat(MAX_FILTER_BYTES + 1)), Err(FilterError::TooLong));
    }
}
