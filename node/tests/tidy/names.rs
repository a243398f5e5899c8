//! A type's name occurs once in a crate, so that whoever reads it knows what is meant without looking at the head of the
//! file.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{CRATES, assert_none, is_test, sources};

/// The name of a type that a line at the margin declares.
fn declared(line: &str) -> Option<&str> {
    let line = ["pub ", "pub(crate) ", "pub(super) "].iter().find_map(|word| line.strip_prefix(word)).unwrap_or(line);
    let rest = ["struct ", "enum ", "trait ", "type ", "union "].iter().find_map(|word| line.strip_prefix(word))?;
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
    Some(&rest[..end])
}

#[test]
fn a_type_s_name_occurs_once_in_a_crate() {
    let files = sources();
    let mut found = Vec::new();
    for name in CRATES {
        let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let own = files.iter().filter(|(path, _)| path.starts_with(Path::new(name).join("src")) && !is_test(path));
        for (path, text) in own {
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
            for declared in code.lines().filter_map(declared) {
                places.entry(declared).or_default().push(path.display().to_string());
            }
        }
        assert!(places.len() > 5, "the types of {name} were not found");
        found.extend(
            places
                .into_iter()
                .filter(|(_, places)| places.len() > 1)
                .map(|(name, places)| format!("{name}: {}", places.join(", "))),
        );
    }
    assert_none("give all but one of these types another name", found);
}

#[test]
fn declarations_are_told_from_other_lines() {
    let lines =
        ["pub(crate) struct Area {", "enum Write {", "type Handler = fn();", "    type Item = u8;", "// struct X"];
    assert_eq!(lines.map(declared), [Some("Area"), Some("Write"), Some("Handler"), None, None]);
}
