//! The path of a block: what it matches, and which of two that match is the more specific.
//!
//! `*` is special only as the last character, `+` only as a whole segment; elsewhere both are themselves. `+` matches
//! one segment, also the empty one behind a folder's slash, so `kv/+` matches the folder `kv/`.

use std::borrow::Cow;
use std::cmp::Reverse;

use crate::spelling;

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    /// `+*`: neither a segment nor a prefix.
    #[error("invalid use of wildcards ('+*' is forbidden); write '+/*' for everything below any segment")]
    PlusStar,
    /// Nothing but perhaps a slash.
    #[error("the path is empty; name one, or write \"*\" for every path")]
    Empty,
    /// A character that no request's path can hold.
    #[error("the path holds a control character or a backslash, which no request's path can; remove it")]
    Unprintable,
}

/// A pattern, ready to match. Has no leading slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: Box<str>,
    /// The text with case folded; `None` if that changes nothing.
    folded: Option<Box<str>>,
    shape: Shape,
}

/// The three kinds of patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One path.
    Exact,
    /// Every path that begins with the text before the `*`.
    Prefix,
    /// Has `+` segments, and perhaps a `*` at the end.
    Segments,
}

/// How specific a pattern is among those that match one path; the greatest decides. Exact patterns do not take part:
/// they come first. The parts, in their order: where the first wildcard is, no `*` at the end, few `+`, length, and the
/// text itself so that no two differ only by luck.
pub(in crate::policy) type Precedence<'a> = (usize, bool, Reverse<usize>, usize, &'a str);

impl Pattern {
    /// Checks what a policy's author wrote, which may hold templates; a leading slash does not count.
    pub(crate) fn validate(text: &str) -> Result<&str, PatternError> {
        let text = text.strip_prefix('/').unwrap_or(text);
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.contains("+*") {
            return Err(PatternError::PlusStar);
        }
        if text.chars().any(|c| c.is_control() || c == '\\') {
            return Err(PatternError::Unprintable);
        }
        Ok(text)
    }

    /// A pattern of a text that [`Pattern::validate`] gave.
    pub(crate) fn new(text: &str) -> Self {
        let folded = match spelling::fold(text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(folded) => Some(folded.into_boxed_str()),
        };
        let shape = match text.split('/').any(|segment| segment == "+") {
            true => Shape::Segments,
            false if text.ends_with('*') => Shape::Prefix,
            false => Shape::Exact,
        };
        Self { text: text.into(), folded, shape }
    }

    /// The text as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The text with case folded, by which denies match.
    pub(crate) fn folded(&self) -> &str {
        self.folded.as_deref().unwrap_or(&self.text)
    }

    /// Its kind.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// How specific it is. Taken from the folded text, so that patterns which differ by case only are equal.
    pub(in crate::policy) fn precedence(&self) -> Precedence<'_> {
        let text = self.folded();
        let (glob, literal) = split_glob(text);
        let (mut first, mut pluses, mut offset) = (literal.len(), 0, 0);
        for segment in literal.split('/') {
            if segment == "+" {
                first = first.min(offset);
                pluses += 1;
            }
            offset += segment.len() + 1;
        }
        (first, !glob, Reverse(pluses), text.len(), text)
    }
}

/// Whether a text ends in `*`, and the text before it.
pub(in crate::policy) fn split_glob(text: &str) -> (bool, &str) {
    match text.strip_suffix('*') {
        Some(literal) => (true, literal),
        None => (false, text),
    }
}

/// Whether a pattern of the shape [`Shape::Segments`] matches a path. Goes byte by byte, because many such patterns are
/// tried for one request and most differ early.
pub(in crate::policy) fn segments_match(pattern: &str, path: &str) -> bool {
    let (glob, literal) = split_glob(pattern);
    let (literal, path) = (literal.as_bytes(), path.as_bytes());
    let mut have = 0;
    for (at, wanted) in literal.iter().enumerate() {
        let is_start = at == 0 || literal[at - 1] == b'/';
        let is_end = literal.get(at + 1).is_none_or(|next| *next == b'/');
        if *wanted == b'+' && is_start && is_end {
            have += path[have..].iter().take_while(|byte| **byte != b'/').count();
        } else if path.get(have) == Some(wanted) {
            have += 1;
        } else {
            return false;
        }
    }
    glob || have == path.len()
}

/// Whether a pattern of the shape [`Shape::Segments`] may match some path below a folder, whose path ends with a slash.
pub(in crate::policy) fn segments_reach(pattern: &str, folder: &str) -> bool {
    let (glob, literal) = split_glob(pattern);
    let mut wanted = literal.split('/').peekable();
    for actual in folder.strip_suffix('/').unwrap_or(folder).split('/') {
        let Some(segment) = wanted.next() else { return false };
        let is_last = wanted.peek().is_none();
        if is_last {
            return glob && actual.starts_with(segment);
        }
        if segment != "+" && segment != actual {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_specific_pattern_is_greater() {
        // check 51
        let rising = [
            ("+/b", "a*"),
            ("a/*", "a/b*"),
            ("a/b*", "a/b/+"),
            ("a/+/*", "a/+/c"),
            ("a/+/*", "a/*"),
            ("w/+/*", "w/*"),
            ("a/+/+", "a/+/c"),
            ("a/+/b*", "a/+/bc*"),
            ("a/+/+/b", "a/+/b/+"),
            ("+/b/+/*", "+/+/ccc/*"),
        ];
        for (less, more) in rising {
            assert!(Pattern::new(less).precedence() < Pattern::new(more).precedence(), "{less} < {more}");
        }
    }

    #[test]
    fn a_plus_is_special_only_as_a_whole_segment() {
        assert_eq!(Pattern::new("app-+").shape(), Shape::Exact);
        assert_eq!(Pattern::new("app-+/x*").shape(), Shape::Prefix);
        assert_eq!(Pattern::new("a*b").shape(), Shape::Exact);
        assert_eq!(Pattern::new("app-+/+").precedence().0, 6);
    }

    #[test]
    fn segments_match_one_each() {
        for (pattern, path, expected) in [
            ("kv/+", "kv/", true),
            ("kv/+", "kv/a", true),
            ("kv/+", "kv/a/", false),
            ("kv/+/x", "kv/x", false),
            ("+/+/y/*", "a/b/y/", true),
            ("+/+/y/*", "a/b/y", false),
            ("+/x*", "a/xyz/more", true),
            ("app-+/+", "app-1/x", false),
            ("app-+/+", "app-+/x", true),
        ] {
            assert_eq!(segments_match(pattern, path), expected, "{pattern} {path}");
        }
    }
}
