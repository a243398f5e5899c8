//! Files that name each other in a circle are one file that nobody can read alone. A parent and its children may, and
//! so may what lies below one module of the crate's root.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::{CRATES, assert_none, is_test, sources};

/// Crates in which also what lies below one module has no circles, but those of a parent and its children.
const STRICT: &[&str] = &["node"];
/// Most times that a name is given on before the path to it is taken for endless.
const MAX_STEPS: usize = 8;

/// A crate's files, as far as they are compiled into it.
struct Modules {
    /// Code without comments and tests, by path such as `cluster/join`; the root is empty.
    code: BTreeMap<String, String>,
    /// What a module gives on from another, by module and name: the path in the crate.
    given_on: BTreeMap<(String, String), Vec<String>>,
}

impl Modules {
    fn of(name: &str) -> Self {
        let mut modules = Self { code: modules(name), given_on: BTreeMap::new() };
        let root = sources().remove(&Path::new(name).join("src/lib.rs")).map(|text| code(&text)).unwrap_or_default();
        modules.code.insert(String::new(), root);
        for (module, code) in &modules.code {
            for path in code.split(';').filter_map(public_use).flat_map(expand) {
                let target = modules.absolute(module, &path);
                if let (Some(target), Some(name)) = (target, path.rsplit("::").next()) {
                    modules.given_on.insert((module.clone(), name.trim().to_owned()), target);
                }
            }
        }
        modules
    }

    /// The path in the crate of a path that is written in a module; none if it leads out of the crate.
    fn absolute(&self, from: &str, path: &str) -> Option<Vec<String>> {
        let own: Vec<&str> = from.split('/').filter(|part| !part.is_empty()).collect();
        let mut at: Vec<&str> = Vec::new();
        for (number, part) in path.split("::").map(str::trim).enumerate() {
            match (number, part) {
                (0, "crate") => {}
                (0, "self") => at.clone_from(&own),
                (0, "super") => at = own.split_last()?.1.to_vec(),
                (_, "super") => _ = at.pop(),
                (_, "self") => {}
                (0, child) => {
                    let name = own.iter().chain([&child]).copied().collect::<Vec<_>>();
                    self.code.contains_key(&name.join("/")).then_some(())?;
                    at = name;
                }
                _ => at.push(part),
            }
        }
        Some(at.into_iter().map(str::to_owned).collect())
    }

    /// The module in which what a path names is written, wherever it is given on.
    fn home(&self, path: Vec<String>) -> Option<String> {
        let mut path = path;
        for _ in 0..MAX_STEPS {
            let length = (0..=path.len()).rev().find(|length| self.code.contains_key(&path[..*length].join("/")))?;
            let module = path[..length].join("/");
            let Some(name) = path.get(length) else { return Some(module) };
            match self.given_on.get(&(module.clone(), name.clone())) {
                Some(target) => path = target.iter().chain(&path[length + 1..]).cloned().collect(),
                None => return Some(module),
            }
        }
        None
    }

    /// Every path within the crate that a module names, also by the name of a child or of a module that it uses.
    fn named(&self, module: &str) -> Vec<Vec<String>> {
        let code = &self.code[module];
        let mut found: Vec<_> = paths(code).iter().filter_map(|path| self.absolute(module, path)).collect();
        let children =
            self.code.keys().filter(|other| other.rsplit_once('/').is_some_and(|(parent, _)| parent == module));
        let children = children.map(|child| child.split('/').map(str::to_owned).collect());
        let used = found.iter().filter(|path| self.code.contains_key(&path.join("/"))).cloned();
        let in_scope: BTreeSet<Vec<String>> = children.chain(used).collect();
        for target in in_scope {
            let Some(name) = target.last() else { continue };
            for (at, _) in code.match_indices(&format!("{name}::")) {
                let before = code[..at].chars().next_back();
                if before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_' && letter != ':') {
                    let rest = word(&code[at + name.len() + 2..]);
                    found.push(target.iter().cloned().chain([rest.to_owned()]).collect());
                }
            }
        }
        found
    }
}

/// The first word of a text.
fn word(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    &text[..end.unwrap_or(text.len())]
}

/// The tree of a `use` that gives names on.
fn public_use(statement: &str) -> Option<&str> {
    let (before, tree) = statement.rsplit_once("use ")?;
    ["pub", "pub(crate)", "pub(super)"].iter().any(|word| before.trim_end().ends_with(word)).then_some(tree)
}

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
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
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

/// What each module names, the root left out.
fn edges(name: &str) -> BTreeMap<String, BTreeSet<String>> {
    let modules = Modules::of(name);
    let mut edges = BTreeMap::new();
    for module in modules.code.keys().filter(|module| !module.is_empty()) {
        let named = modules.named(module).into_iter().filter_map(|path| modules.home(path));
        let is_other = |other: &String| other != module && !other.is_empty();
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

/// The module of the root below which a module lies.
fn top(module: &str) -> &str {
    module.split('/').next().unwrap_or(module)
}

#[test]
fn no_circle_of_files_reaches_beyond_one_module() {
    let mut found = Vec::new();
    for name in CRATES {
        let edges = edges(name);
        let reach: BTreeMap<_, _> = edges.keys().map(|module| (module.as_str(), reached(module, &edges))).collect();
        for (module, reached) in &reach {
            let is_beyond = |other: &&&str| top(other) != top(module) && reach[**other].contains(module);
            if let Some(other) = reached.iter().find(is_beyond) {
                found.push(format!("{name}/src/{module}.rs, by way of {other}.rs"));
            }
        }
    }
    assert_none("cut what these files need of each other into a file of its own", found);
}

#[test]
fn no_files_name_each_other_in_a_circle() {
    let mut found = Vec::new();
    for name in STRICT {
        let mut edges = edges(name);
        assert!(edges.values().map(BTreeSet::len).sum::<usize>() > 100, "the edges of {name} were not found");
        for (module, named) in &mut edges {
            named.retain(|other| !other.starts_with(&format!("{module}/")));
        }
        let in_circle = edges.keys().filter(|module| reached(module, &edges).contains(module.as_str()));
        found.extend(in_circle.map(|module| format!("{name}/src/{module}.rs")));
    }
    assert_none("cut what these files need of each other into a file of its own", found);
}

#[test]
fn a_circle_is_found_through_what_a_parent_gives_on() {
    let code = [
        ("a", "use crate::b::Thing;"),
        ("b", "mod inner; pub(crate) use self::inner::Thing;"),
        ("b/inner", "use crate::c::{self, Other}; fn f() { c::g() }"),
        ("c", "pub(crate) fn g() { crate::a::h() }"),
    ];
    let code = code.map(|(module, code)| (module.to_owned(), code.to_owned()));
    let mut modules = Modules { code: code.into(), given_on: BTreeMap::new() };
    let target = modules.absolute("b", "self::inner::Thing").unwrap();
    modules.given_on.insert(("b".to_owned(), "Thing".to_owned()), target);
    let named =
        |module| -> BTreeSet<_> { modules.named(module).into_iter().filter_map(|path| modules.home(path)).collect() };
    assert_eq!(named("a"), ["b/inner".to_owned()].into());
    assert_eq!(named("b"), ["b/inner".to_owned()].into());
    assert_eq!(named("b/inner"), ["c".to_owned()].into());
    assert_eq!(named("c"), ["a".to_owned()].into());
}

#[test]
fn the_replica_knows_nothing_of_the_seal() {
    let edges = edges("node");
    let named = edges.iter().filter(|(module, _)| top(module) == "replica");
    let found = named.filter(|(_, named)| named.iter().any(|other| top(other) == "seal"));
    assert_none(
        "have the seal told by whom it gives",
        found.map(|(module, _)| format!("node/src/{module}.rs")).collect(),
    );
}

#[test]
fn the_cluster_s_part_knows_no_application() {
    let named = edges("node").into_iter().filter(|(module, named)| {
        module.starts_with("cluster") && named.iter().any(|other| other == "app" || other.starts_with("app/"))
    });
    assert_none("take the replica or the seal", named.map(|(module, _)| format!("node/src/{module}.rs")).collect());
}
