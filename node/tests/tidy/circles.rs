//! Files that name each other in a circle are one file that nobody can read alone. A parent and its children may.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::{assert_none, is_test, sources};

/// Crates without circles.
const CRATES: &[&str] = &["node"];

/// Modules of a crate by path, such as `cluster/join`, and their code without comments and tests.
fn modules(name: &str) -> BTreeMap<String, String> {
    let folder = Path::new(name).join("src");
    let mut modules = BTreeMap::new();
    for (path, text) in sources() {
        let Ok(path) = path.strip_prefix(&folder) else { continue };
        let module = path.with_extension("").to_string_lossy().into_owned();
        if !is_test(path) && module != "lib" && module != "main" && !is_for_tests(&folder, path) {
            modules.insert(module, code(&text));
        }
    }
    modules
}

/// Whether a file is declared under `#[cfg(test)]`.
fn is_for_tests(folder: &Path, path: &Path) -> bool {
    let (Some(parent), Some(stem)) = (path.parent(), path.file_stem()) else { return false };
    let declaration = format!("#[cfg(test)]\nmod {};", stem.to_string_lossy());
    sources().get(&folder.join(parent).with_extension("rs")).is_some_and(|text| text.contains(&declaration))
}

fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let mut lines = Vec::new();
    let mut is_for_docs = false;
    for line in code.lines() {
        if !std::mem::take(&mut is_for_docs) {
            lines.push(line.split("//").next().unwrap_or(""));
        }
        is_for_docs = line.trim() == "#[cfg(doc)]" || line.trim() == "#[cfg(test)]";
    }
    lines.join(" ")
}

/// What a `use` tree names: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let Some((prefix, inner)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let inner = inner.rsplit_once('}').map_or(inner, |(inner, _)| inner);
    let (mut parts, mut depth, mut part) = (Vec::new(), 0, String::new());
    for letter in inner.chars() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        if letter == ',' && depth == 0 {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(letter);
        }
    }
    parts.push(part);
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expand(part)).map(|part| format!("{}{part}", prefix.trim())).collect()
}

/// Paths within the crate that a piece of code names.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(root) {
            let before = code[..at].trim_end();
            let rest = &code[at..];
            if before.ends_with("use") {
                found.extend(expand(rest.split(';').next().unwrap_or(rest)));
            } else {
                let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != ':');
                found.push(rest[..end.unwrap_or(rest.len())].to_owned());
            }
        }
    }
    found
}

/// The module that a path written in `from` leads into.
fn resolve(from: &str, path: &str, modules: &BTreeMap<String, String>) -> Option<String> {
    let mut at: Vec<&str> = Vec::new();
    for (number, part) in path.split("::").map(str::trim).enumerate() {
        match (number, part) {
            (0, "crate") => {}
            (0, "self") => at = from.split('/').collect(),
            (0, "super") => at = from.split('/').collect::<Vec<_>>().split_last()?.1.to_vec(),
            (_, "super") => _ = at.pop(),
            _ => at.push(part),
        }
    }
    (1..=at.len()).rev().map(|length| at[..length].join("/")).find(|name| modules.contains_key(name))
}

/// What each module names, its own children left out.
fn edges(name: &str) -> BTreeMap<String, BTreeSet<String>> {
    let modules = modules(name);
    let mut edges = BTreeMap::new();
    for (module, code) in &modules {
        let named = paths(code).into_iter().filter_map(|path| resolve(module, &path, &modules));
        let is_other = |other: &String| other != module && !other.starts_with(&format!("{module}/"));
        edges.insert(module.clone(), named.filter(is_other).collect::<BTreeSet<_>>());
    }
    edges
}

fn reached<'a>(from: &'a str, edges: &'a BTreeMap<String, BTreeSet<String>>) -> BTreeSet<&'a str> {
    let (mut known, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        for next in edges.get(module).into_iter().flatten() {
            if known.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    known
}

#[test]
fn no_files_name_each_other_in_a_circle() {
    let mut found = Vec::new();
    for name in CRATES {
        let edges = edges(name);
        assert!(edges.values().map(BTreeSet::len).sum::<usize>() > 100, "the edges of {name} were not found");
        let in_circle = edges.keys().filter(|module| reached(module, &edges).contains(module.as_str()));
        found.extend(in_circle.map(|module| format!("{name}/src/{module}.rs")));
    }
    assert_none("cut what these files need of each other into a file of its own", found);
}

#[test]
fn the_cluster_s_part_knows_no_application() {
    let named = edges("node").into_iter().filter(|(module, named)| {
        module.starts_with("cluster") && named.iter().any(|other| other == "app" || other.starts_with("app/"))
    });
    assert_none("take the replica or the seal", named.map(|(module, _)| format!("node/src/{module}.rs")).collect());
}
