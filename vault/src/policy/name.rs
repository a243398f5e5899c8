//! Names of policies: one spelling each, and none that is mistaken for another.
//!
//! Names come from many places (tokens, roles, entities, groups, users, a restored snapshot), so each of them goes
//! through [`PolicyName::parse`], [`PolicyName::listed`] or [`PolicyName::assignable`]. Only the plain word `root` is the root policy; whatever
//! else looks or normalises like it is refused.

use std::fmt;

use crate::limits::MAX_POLICY_NAME_BYTES;
use crate::spelling;

/// The name of the policy that allows everything.
pub(crate) const ROOT: &str = "root";
/// The name of the policy that tokens have unless they say otherwise.
pub(crate) const DEFAULT: &str = "default";
/// The name of the policy of wrapping tokens.
pub(crate) const RESPONSE_WRAPPING: &str = "response-wrapping";

/// A name in its one spelling: in lower case, without white space around it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PolicyName(String);

/// Why a text names no policy. The messages are for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    /// Nothing, or only white space.
    #[error("the policy name is empty")]
    Empty,
    /// Over [`MAX_POLICY_NAME_BYTES`].
    #[error("the policy name is longer than {MAX_POLICY_NAME_BYTES} bytes")]
    TooLong,
    /// An empty, `.` or `..` segment: such a name would be another one as part of a path.
    #[error("the policy name must not have empty, '.' or '..' segments, nor begin or end with '/'")]
    Segments,
    /// White space in front or behind: the name would be another one to whoever trims it.
    #[error("the policy name must not begin or end with white space")]
    WhiteSpace,
    /// A control character, a wildcard, or a letter that only looks like another.
    #[error(
        "the policy name holds a character that is not allowed; use letters, digits, spaces, '-', '_', '.' and '/'"
    )]
    Character,
    /// Normalises to `root` without being it.
    #[error("the policy name is a spelling of 'root'; only 'root' itself is that policy")]
    RootSpelling,
    /// A policy that may not be given to anybody.
    #[error("the policy {0:?} cannot be assigned")]
    NotAssignable(&'static str),
}

impl PolicyName {
    /// Normalises a name for looking it up or writing it. Only case is normalised: a policy about the name's path sees
    /// the same name.
    pub(crate) fn parse(raw: &str) -> Result<Self, NameError> {
        if raw.len() > MAX_POLICY_NAME_BYTES {
            return Err(NameError::TooLong);
        }
        let name = spelling::lower(raw).into_owned();
        if name.trim().is_empty() {
            return Err(NameError::Empty);
        }
        if looks_like_root(raw) && raw != ROOT {
            return Err(NameError::RootSpelling);
        }
        if name.trim() != name {
            return Err(NameError::WhiteSpace);
        }
        if name.split('/').any(|segment| matches!(segment.trim(), "" | "." | "..")) {
            return Err(NameError::Segments);
        }
        if raw.chars().chain(name.chars()).any(|c| !is_allowed(c)) {
            return Err(NameError::Character);
        }
        Ok(Self(name))
    }

    /// Normalises an entry of a list of names, in which white space around a name does not count.
    pub(crate) fn listed(raw: &str) -> Result<Self, NameError> {
        if looks_like_root(raw) && raw != ROOT {
            return Err(NameError::RootSpelling);
        }
        Self::parse(raw.trim())
    }

    /// Normalises a name for anything that holds policies without being root itself: entities, groups, users, roles.
    pub(crate) fn assignable(raw: &str) -> Result<Self, NameError> {
        let name = Self::listed(raw)?;
        match [ROOT, RESPONSE_WRAPPING].into_iter().find(|refused| name.0 == *refused) {
            Some(refused) => Err(NameError::NotAssignable(refused)),
            None => Ok(name),
        }
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names the root policy.
    pub(crate) fn is_root(&self) -> bool {
        self.0 == ROOT
    }

    /// Whether writing and deleting it is refused.
    pub(crate) fn is_immutable(&self) -> bool {
        matches!(self.as_str(), ROOT | RESPONSE_WRAPPING)
    }

    /// Whether deleting it is refused.
    pub(crate) fn is_undeletable(&self) -> bool {
        self.is_immutable() || self.0 == DEFAULT
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Letters and digits of any script, spaces and printable ASCII; but no wildcards, no separators of other systems, and
/// no compatibility forms, which are other letters in disguise.
fn is_allowed(c: char) -> bool {
    match c {
        '*' | '\\' | '"' | '%' | '{' | '}' => false,
        ' '..='~' => true,
        c => c.is_alphanumeric() && !is_compatibility_form(c),
    }
}

/// Blocks of Unicode whose letters normalise (NFKC) to others.
fn is_compatibility_form(c: char) -> bool {
    matches!(u32::from(c),
        0x02b0..=0x02ff | 0x1d2c..=0x1d6a | 0x1d78..=0x1dbf | 0x2070..=0x209f | 0x2100..=0x214f | 0x2160..=0x218b
        | 0x2460..=0x24ff | 0x2c7c..=0x2c7d | 0x3130..=0x33ff | 0xa69c..=0xa69d | 0xa770 | 0xa7f1..=0xa7f9
        | 0xf900..=0xfaff | 0xfb00..=0xfdff | 0xfe70..=0xffef | 0x1d400..=0x1d7ff | 0x1ee00..=0x1eeff
        | 0x1f100..=0x1f2ff | 0x1fbf0..=0x1fbf9 | 0x2f800..=0x2fa1f)
}

/// The ASCII letter that one from another script is drawn like, for the letters of `root`.
fn ascii_twin(c: char) -> Option<char> {
    Some(match c {
        'о' | 'О' | 'ο' | 'Ο' | 'օ' | 'Օ' => 'o',
        'т' | 'Т' | 'τ' | 'Τ' => 't',
        'г' | 'ꞅ' => 'r',
        _ => return None,
    })
}

/// Characters that leave no trace on a screen: combining marks, joiners, directions, variation selectors.
fn is_invisible(c: char) -> bool {
    matches!(u32::from(c),
        0xad | 0x300..=0x36f | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xfe00..=0xfe0f | 0xfeff)
}

/// Whether a name, seen without white space, invisible characters, marks, slashes and dots around it, is `root`.
fn looks_like_root(raw: &str) -> bool {
    let is_noise = |c: char| c.is_whitespace() || c.is_control() || is_invisible(c);
    let plain = |c: char| match u32::from(c) {
        wide @ 0xff01..=0xff5e => char::from_u32(wide - 0xfee0).unwrap_or(c),
        _ => ascii_twin(c).unwrap_or(c),
    };
    let seen: String = raw.chars().filter(|c| !is_noise(*c)).map(plain).flat_map(char::to_lowercase).collect();
    let mut segments = seen.split('/').filter(|segment| !segment.is_empty() && segment.chars().any(|c| c != '.'));
    match (segments.next_back(), segments.next_back()) {
        (Some(ROOT), None) => true,
        // What `..` would climb out of does not count.
        (Some(ROOT), Some(_)) => seen.split('/').any(|segment| segment == ".."),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling() {
        for (raw, expected) in [
            ("Writer", "writer"),
            ("a, b", "a, b"),
            ("Team/App", "team/app"),
            ("ÜBUNG", "übung"),
            ("root", "root"),
            ("rooted", "rooted"),
            ("a/root", "a/root"),
            ("отдел", "отдел"),
        ] {
            assert_eq!(PolicyName::parse(raw).as_ref().map(PolicyName::as_str), Ok(expected), "{raw:?}");
        }
    }

    #[test]
    fn white_space_around_a_name_makes_no_second_spelling() {
        for raw in [" a", "a ", "a\u{a0}", "\u{3000}a", "a\t"] {
            assert_eq!(PolicyName::parse(raw), Err(NameError::WhiteSpace), "{raw:?}");
            assert_eq!(PolicyName::listed(raw).as_ref().map(PolicyName::as_str), Ok("a"), "{raw:?}");
        }
    }

    #[test]
    fn no_other_spelling_is_root() {
        // check 54
        for raw in [
            "ROOT",
            "Root",
            " root",
            "root ",
            "Root\t",
            "\u{a0}root",
            "ｒｏｏｔ",
            "./root",
            "../root",
            "ns/../root",
            "root/",
            "/root",
            "root/.",
            "ro\u{200b}ot",
            "ro\u{301}ot",
            "r\u{43e}\u{43e}t",
            "root\0",
            "ro ot",
        ] {
            assert_eq!(PolicyName::parse(raw), Err(NameError::RootSpelling), "{raw:?}");
            assert_eq!(PolicyName::listed(raw), Err(NameError::RootSpelling), "{raw:?}");
            assert!(PolicyName::assignable(raw).is_err());
        }
        assert_eq!(PolicyName::assignable("root"), Err(NameError::NotAssignable("root")));
        assert_eq!(PolicyName::assignable("Response-Wrapping"), Err(NameError::NotAssignable("response-wrapping")));
    }

    #[test]
    fn a_name_cannot_wander_in_a_path() {
        // check 55
        for raw in ["a/../b", "./a", "a//b", "a/", "/a", ".", "..", "a/ /b", "a/ ../b"] {
            assert_eq!(PolicyName::parse(raw), Err(NameError::Segments), "{raw:?}");
        }
        for raw in ["a\nb", "a*", "a\\b", "a%2fb", "\u{1d41a}", "ﬁ", "a\u{202e}b", "\u{212a}"] {
            assert_eq!(PolicyName::parse(raw), Err(NameError::Character), "{raw:?}");
        }
        assert_eq!(PolicyName::parse(" \t"), Err(NameError::Empty));
        assert_eq!(PolicyName::parse(&"a".repeat(MAX_POLICY_NAME_BYTES + 1)), Err(NameError::TooLong));
    }

    #[test]
    fn a_normalised_name_stays_what_it_is() {
        for raw in ["İx", "ẞ", "ΑΣ", "ǅ"] {
            if let Ok(name) = PolicyName::parse(raw) {
                assert_eq!(PolicyName::parse(name.as_str()), Ok(name));
            }
        }
    }
}
