//! The canonical path: made once at the edge, and the only input to routing, policies, quotas and audit.
//!
//! Two layers that normalise a name differently are the cause behind most advisories of this field. So what is not
//! canonical is refused, never repaired: there is one spelling of every path.

use crate::limits::{MAX_PATH_BYTES, MAX_PATH_SEGMENTS};
use std::fmt;

/// Why a path is refused. The messages are for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A percent sign without two hexadecimal digits, or bytes that are no UTF-8.
    #[error("the path is not valid: a percent escape is broken or its bytes are not UTF-8")]
    BadEncoding,
    /// A `.` or `..` segment.
    #[error("relative paths not supported")]
    Relative,
    /// Two slashes in a row.
    #[error("the path is not valid: it has an empty segment")]
    EmptySegment,
    /// A control character, or one that is not seen.
    #[error("the path is not valid: it holds a control character, or one that cannot be seen")]
    Unprintable,
    /// Over a limit.
    #[error("the path is too long: at most {MAX_PATH_BYTES} bytes and {MAX_PATH_SEGMENTS} segments")]
    TooLong,
}

/// A path below `/v1/`, without a leading slash; only a folder ends with one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CanonicalPath(String);

impl CanonicalPath {
    /// From the part of a request target behind `/v1/`, percent-decoded exactly once (RFC 3986, section 2.4).
    pub fn decode(raw: &str) -> Result<Self, PathError> {
        if raw.len() > 3 * MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        let mut decoded = Vec::with_capacity(raw.len());
        let mut bytes = raw.bytes();
        while let Some(byte) = bytes.next() {
            decoded.push(match byte {
                b'%' => {
                    let high = bytes.next().and_then(hex_digit).ok_or(PathError::BadEncoding)?;
                    let low = bytes.next().and_then(hex_digit).ok_or(PathError::BadEncoding)?;
                    high << 4 | low
                }
                other => other,
            });
        }
        Self::new(String::from_utf8(decoded).map_err(|_| PathError::BadEncoding)?)
    }

    /// From text that is already decoded.
    pub fn new(text: impl Into<String>) -> Result<Self, PathError> {
        let text = text.into();
        if text.len() > MAX_PATH_BYTES || text.split('/').count() > MAX_PATH_SEGMENTS {
            return Err(PathError::TooLong);
        }
        if text.chars().any(|c| c.is_control() || is_deceptive(c)) {
            return Err(PathError::Unprintable);
        }
        let folder = text.strip_suffix('/').unwrap_or(&text);
        for segment in folder.split('/') {
            match segment {
                "." | ".." => return Err(PathError::Relative),
                "" if !text.is_empty() => return Err(PathError::EmptySegment),
                _ => {}
            }
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// With a slash at the end, as a folder is written.
    #[must_use]
    pub fn into_folder(mut self) -> Self {
        if !self.0.ends_with('/') && !self.0.is_empty() {
            self.0.push('/');
        }
        self
    }

    /// Whether it ends with a slash.
    pub fn is_folder(&self) -> bool {
        self.0.ends_with('/')
    }
}

impl fmt::Debug for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names are secret on disk and so in logs too.
        write!(f, "CanonicalPath({} bytes)", self.0.len())
    }
}

/// Characters that look like a separator or turn the direction of writing, so that two different names look the same.
fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_one_spelling() {
        // check 46
        let cases = [
            ("secret/data/p/q", Ok("secret/data/p/q")),
            ("secret/data/p/q/", Ok("secret/data/p/q/")),
            ("secret/dat%61/p", Ok("secret/data/p")),
            ("secret/p%2Fq", Ok("secret/p/q")),
            ("a+b", Ok("a+b")),
            ("a%2Bb", Ok("a+b")),
            ("%C3%BCml", Ok("üml")),
            ("a..b/...", Ok("a..b/...")),
            ("", Ok("")),
            ("a/../b", Err(PathError::Relative)),
            ("a/%2e%2e/b", Err(PathError::Relative)),
            ("a/./b", Err(PathError::Relative)),
            ("a/..", Err(PathError::Relative)),
            ("a//b", Err(PathError::EmptySegment)),
            ("/a", Err(PathError::EmptySegment)),
            ("/", Err(PathError::EmptySegment)),
            ("a%00b", Err(PathError::Unprintable)),
            ("a%07b", Err(PathError::Unprintable)),
            ("a%5cb", Ok("a\\b")),
            ("a%zz", Err(PathError::BadEncoding)),
            ("a%", Err(PathError::BadEncoding)),
            ("a%ff", Err(PathError::BadEncoding)),
        ];
        for (raw, expected) in cases {
            assert_eq!(
                CanonicalPath::decode(raw).as_ref().map(CanonicalPath::as_str).map_err(|e| *e),
                expected,
                "{raw}"
            );
        }
    }

    #[test]
    fn canonical_is_idempotent() {
        for raw in ["secret/p%2Fq", "a%252e", "x/y/"] {
            let once = CanonicalPath::decode(raw).unwrap();
            assert_eq!(CanonicalPath::new(once.as_str()).unwrap(), once);
        }
    }
}
