//! Path patterns: how a mount's path table names its paths.
//!
//! A pattern is text: `config`, `roles/{name}`, `data/{path..}`, `roles/?`. `{x}` captures one name, `{x..}` the rest
//! (at least one character, slashes included) up to a literal end that may follow, `{x..?}` the rest or nothing, and a
//! final `/?` permits a trailing slash, which every list has. Matching walks the text once and allocates nothing.

use std::borrow::Cow;

/// What a pattern captured: names and the parts of the path they stand for.
pub(crate) type Captures<'p> = Vec<(&'static str, &'p str)>;

/// Matches a path below a mount; `None` if it does not fit.
pub(crate) fn matches<'p>(pattern: &'static str, path: &'p str) -> Option<Captures<'p>> {
    let mut captures = Captures::new();
    let (pattern, path) = match pattern.strip_suffix("/?") {
        Some(pattern) => (pattern, path.strip_suffix('/').unwrap_or(path)),
        None => (pattern, path),
    };
    let mut parts = pattern.split('/').peekable();
    let mut rest = Some(path);
    while let Some(part) = parts.next() {
        let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
            rest = literal(part, rest?)?;
            continue;
        };
        if let Some(name) = name.strip_suffix("..?") {
            captures.push((name, rest.unwrap_or("")));
            return Some(captures);
        }
        if let Some(name) = name.strip_suffix("..") {
            let end_length: usize = parts.map(|part| part.len() + 1).sum();
            let end = &pattern[pattern.len() - end_length..];
            let value = rest?.strip_suffix(end).filter(|value| !value.is_empty())?;
            captures.push((name, value));
            return Some(captures);
        }
        let (value, tail) = split(rest?);
        if !is_name(value) {
            return None;
        }
        captures.push((name, value));
        rest = tail;
        if rest == Some("") && parts.peek().is_none() {
            return None;
        }
    }
    rest.is_none().then_some(captures)
}

/// Puts captured values, perhaps spelled anew, back into the path that [`matches`] took apart.
pub(crate) fn fill(pattern: &str, captures: &[(&'static str, Cow<'_, str>)], path: &str) -> String {
    let (pattern, end) = match pattern.strip_suffix("/?") {
        Some(pattern) if path.ends_with('/') => (pattern, "/"),
        Some(pattern) => (pattern, ""),
        None => (pattern, ""),
    };
    let value_of = |part: &str| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        let name = name.strip_suffix('?').unwrap_or(name);
        let name = name.strip_suffix("..").unwrap_or(name);
        captures.iter().find(|(captured, _)| *captured == name).map(|(_, value)| value.to_string())
    };
    let parts: Vec<String> = pattern.split('/').map(|part| value_of(part).unwrap_or_else(|| part.to_owned())).collect();
    parts.join("/") + end
}

/// Takes a literal segment; the result's inner option is what follows its slash.
fn literal<'p>(part: &str, rest: &'p str) -> Option<Option<&'p str>> {
    let (segment, tail) = split(rest);
    (segment == part).then_some(tail)
}

fn split(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        Some((segment, tail)) => (segment, Some(tail)),
        None => (path, None),
    }
}

/// Vault's syntax of names: a word character, then word characters, dots and dashes, and a word character at the end.
/// Some engines allow `@` too; it does no harm here.
fn is_name(text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let inner = |c: char| is_word(c) || matches!(c, '-' | '.' | '@');
    text.chars().next().is_some_and(is_word) && text.chars().next_back().is_some_and(is_word) && text.chars().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_they_name() {
        let cases: &[(&'static str, &str, Option<&[&str]>)] = &[
            ("config", "config", Some(&[])),
            ("config", "config/", None),
            ("config", "confi", None),
            ("config", "config/x", None),
            ("roles/?", "roles", Some(&[])),
            ("roles/?", "roles/", Some(&[])),
            ("roles/{name}", "roles/a-b.c", Some(&["a-b.c"])),
            ("roles/{name}", "roles/a/", None),
            ("roles/{name}", "roles/", None),
            ("roles/{name}", "roles/a/b", None),
            ("roles/{name}", "roles/-a", None),
            ("data/{path..}", "data/a/b/", Some(&["a/b/"])),
            ("data/{path..}", "data/", None),
            ("data/{path..}", "data", None),
            ("metadata/{path..?}", "metadata/", Some(&[""])),
            ("metadata/{path..?}", "metadata", Some(&[""])),
            ("{path..?}", "", Some(&[""])),
            ("role/{name}/tune", "role/x/tune", Some(&["x"])),
            ("mounts/{path..}", "mounts/a/tune", Some(&["a/tune"])),
            ("mounts/{path..}/tune", "mounts/a/b/tune", Some(&["a/b"])),
            ("mounts/{path..}/tune", "mounts/tune", None),
            ("mounts/{path..}/tune", "mounts/a", None),
        ];
        for (pattern, path, expected) in cases {
            let got =
                matches(pattern, path).map(|captures| captures.iter().map(|(_, value)| *value).collect::<Vec<_>>());
            assert_eq!(got.as_deref(), *expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn what_was_captured_can_be_put_back() {
        for (pattern, path) in [
            ("roles/{name}", "roles/a-b.c"),
            ("mounts/{path..}/tune", "mounts/a/b/tune"),
            ("role/{role_name}/secret-id/?", "role/x/secret-id/"),
            ("role/{role_name}/secret-id/?", "role/x/secret-id"),
            ("lookup/{prefix..?}", "lookup/a/b/"),
        ] {
            let captures = matches(pattern, path).unwrap();
            let captures: Vec<_> = captures.into_iter().map(|(name, value)| (name, Cow::Borrowed(value))).collect();
            assert_eq!(fill(pattern, &captures, path), path, "{pattern}");
        }
    }
}
