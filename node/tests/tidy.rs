//! Style as a test: crate edges, banned calls, sizes, dead files. What is checked is what `docs/architecture.md` promises.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/found.rs"]
mod found;
#[path = "tidy/limits.rs"]
mod limits;
#[path = "tidy/log.rs"]
mod log;
#[path = "tidy/names.rs"]
mod names;

/// Most lines of a file, inline tests included.
const MAX_FILE_LINES: usize = 600;
/// Most lines of a function.
const MAX_FUNCTION_LINES: usize = 70;
/// Names that say nothing about what a file holds.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "misc"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

const CRATES: &[&str] =
    &["storage", "storage/batch", "raft", "vault", "node", "client", "client/cli", "jepsen", "bench"];

/// All Rust files of the crates, tests included, with their text.
fn sources() -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    for name in CRATES {
        for part in ["src", "tests", "benches"] {
            collect(&root().join(name).join(part), &mut files);
        }
    }
    assert!(files.len() > 100, "the sources were not found");
    files
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a folder entry is readable").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file is readable");
            files.insert(path.strip_prefix(root()).expect("it lies in the workspace").to_owned(), text);
        }
    }
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path.file_stem().is_some_and(|stem| stem == "tests" || stem == "testing")
}

fn assert_none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn files_are_short() {
    let long = sources().into_iter().filter(|(path, _)| !is_test(path)).filter_map(|(path, text)| {
        let lines = text.lines().count();
        (lines > MAX_FILE_LINES).then(|| format!("{} has {lines} lines, at most {MAX_FILE_LINES}", path.display()))
    });
    assert_none("cut these files where a noun of their own begins", long.collect());
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for (path, text) in sources() {
        let mut open: Option<(usize, String, usize)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            if let Some((start, name, level)) = &open {
                if indent == *level && line.trim_start().starts_with('}') {
                    let lines = number - start + 1;
                    if lines > MAX_FUNCTION_LINES {
                        long.push(format!("{}:{} {name} has {lines} lines", path.display(), start + 1));
                    }
                    open = None;
                }
            } else if is_function_head(line) && !line.trim_end().ends_with(['}', ';']) {
                open = Some((number, line.trim().to_owned(), indent));
            }
        }
    }
    assert_none("cut these functions", long);
}

fn is_function_head(line: &str) -> bool {
    let line = line.trim_start();
    let line = ["pub ", "pub(crate) ", "pub(super) ", "const ", "async ", "unsafe "]
        .iter()
        .fold(line, |line, word| line.strip_prefix(word).unwrap_or(line));
    line.starts_with("fn ")
}

#[test]
fn files_have_names_that_say_something() {
    let bad = sources()
        .into_keys()
        .filter(|path| path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| EMPTY_NAMES.contains(&stem)));
    assert_none("rename these files to the noun that they hold", bad.map(|path| path.display().to_string()).collect());
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    let silent = sources().into_iter().filter(|(path, text)| !is_test(path) && !text.starts_with("//!"));
    assert_none("begin these files with `//!`", silent.map(|(path, _)| path.display().to_string()).collect());
}

#[test]
fn no_file_is_dead() {
    let files = sources();
    let mut declared = BTreeSet::new();
    for (path, text) in &files {
        let folder = match path.file_stem().and_then(|stem| stem.to_str()) {
            Some("lib" | "main" | "mod") => path.parent().unwrap().to_owned(),
            _ => path.with_extension(""),
        };
        for line in text.lines().map(str::trim) {
            let line = line
                .strip_prefix("pub(crate) ")
                .or_else(|| line.strip_prefix("pub(super) "))
                .or_else(|| line.strip_prefix("pub "))
                .unwrap_or(line);
            if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
                declared.insert(folder.join(format!("{name}.rs")));
                declared.insert(folder.join(name).join("mod.rs"));
            }
        }
    }
    let is_root = |path: &Path| {
        let parent = path.parent().and_then(Path::file_name).unwrap_or_default();
        matches!(path.file_name().and_then(|name| name.to_str()), Some("lib.rs" | "main.rs" | "build.rs"))
            || parent == "tests"
            || parent == "bin"
            || parent == "benches"
    };
    let dead = files.keys().filter(|path| !declared.contains(*path) && !is_root(path));
    assert_none("no `mod` line names these files", dead.map(|path| path.display().to_string()).collect());
}

/// Which of our crates a crate may depend on.
const EDGES: &[(&str, &[&str])] = &[
    ("storage/batch", &[]),
    ("storage", &["conclave-batch"]),
    ("vault", &["conclave-batch"]),
    ("client", &[]),
    ("raft", &["conclave-batch", "conclave-storage"]),
    ("client/cli", &["conclave-client"]),
    ("jepsen", &["conclave-client"]),
    ("bench", &["conclave-client", "conclave-jepsen"]),
    (
        "node",
        &["conclave-batch", "conclave-cli", "conclave-client", "conclave-raft", "conclave-storage", "conclave-vault"],
    ),
];

#[test]
fn crates_know_only_what_they_may() {
    let mut broken = Vec::new();
    for (name, allowed) in EDGES {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
        for line in dependencies.lines().filter(|line| line.starts_with("conclave-")) {
            let dependency = line.split(['.', ' ', '=']).next().unwrap();
            if !allowed.contains(&dependency) {
                broken.push(format!("{name} must not depend on {dependency}"));
            }
        }
    }
    assert_none("crate edges", broken);
}

/// Crates that one of ours alone may name.
const OWNED: &[(&str, &[&str])] = &[
    ("openraft", &["raft"]),
    ("tonic", &["raft"]),
    ("fjall", &["storage"]),
    ("raft-log", &["storage"]),
    ("aes-siv", &["vault"]),
    ("hyper", &["node", "client", "bench"]),
    ("ldap3_proto", &["node"]),
    ("prometheus", &["node"]),
    ("reqwest", &["client"]),
];

/// Names of the modules that hold an engine each.
fn engines(files: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let folder = Path::new("vault/src/engines");
    let holds_engine = |(path, text): (&PathBuf, &String)| {
        (path.parent() == Some(folder) && text.contains("static ENGINE: Engine"))
            .then(|| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))?
    };
    files.iter().filter_map(holds_engine).collect()
}

#[test]
fn no_engine_is_named_outside_the_list() {
    let files = sources();
    let engines = engines(&files);
    assert!(engines.len() >= 7, "the engines were not found");
    let list = Path::new("vault/src/engines.rs");
    let mut found = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| path.starts_with("vault/src") && *path != list) {
        let own = path.strip_prefix("vault/src/engines").ok().and_then(|rest| rest.components().next());
        let own = own.map(|name| name.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned());
        // Version 2 of kv takes over the documents of version 1, and the pages of the reference show every engine.
        let may_name = |engine: &str| {
            own.as_deref().is_some_and(|own| own == engine || own == "reference" || (own == "kv2" && engine == "kv1"))
        };
        for (number, line) in text.lines().enumerate() {
            let names = |engine: &&String| {
                line.contains(&format!("engines::{engine}")) || line.contains(&format!("kind == \"{engine}\""))
            };
            for engine in engines.iter().filter(names).filter(|engine| !may_name(engine)) {
                found.push(format!("{}:{} names {engine}", path.display(), number + 1));
            }
        }
    }
    assert_none("let the engine say it, in its table or its life", found);
}

#[test]
fn one_crate_knows_one_outside_thing() {
    let mut broken = Vec::new();
    for name in CRATES {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
        for (outside, owners) in OWNED {
            let is_named = dependencies.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(outside));
            if is_named && !owners.contains(name) {
                broken.push(format!("{name} names {outside}, which only {owners:?} may"));
            }
        }
    }
    assert_none("walls", broken);
}

/// Words that must not stand in a crate's sources, and what stands in their place.
const BANNED: &[(&str, &str, &str)] = &[
    ("vault", "SystemTime", "`Context::now`"),
    ("vault", "Instant", "`Context::now`"),
    ("vault", "tokio", "nothing: the core is called, it does not run"),
    ("vault", "async ", "nothing: the core is called, it does not run"),
    ("vault", "std::fs", "`View`; only `node` knows files"),
    ("vault", "std::env", "configuration; only `node` knows the environment"),
    ("vault", " rand::", "`Context::random`"),
    ("vault", "println!", "a reply, or nothing"),
    ("storage", "println!", "`tracing`"),
    ("raft", "println!", "`tracing`"),
    ("", "todo!", "the thing itself"),
    ("", "unimplemented!", "the thing itself"),
    ("", "dbg!", "`tracing`"),
    ("", "#[ignore", "a test that runs"),
    ("", "allow(dead_code", "no dead code"),
];

#[test]
fn banned_words_stand_nowhere() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        if is_test(&path) {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(&text);
        for (number, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or("");
            for (owner, word, instead) in BANNED {
                if (owner.is_empty() || path.starts_with(Path::new(owner).join("src"))) && line.contains(word) {
                    found.push(format!("{}:{} has `{word}`; use {instead}", path.display(), number + 1));
                }
            }
        }
    }
    assert_none("banned words", found);
}

#[test]
fn documents_are_short_and_the_map_links_every_decision() {
    let lines = |path: &str| {
        fs::read_to_string(root().join(path)).unwrap_or_else(|_| panic!("{path} is missing")).lines().count()
    };
    assert!(lines("README.md") <= 120, "README.md is too long");
    assert!(lines("docs/architecture.md") <= 300, "docs/architecture.md is too long");
    assert!(lines("docs/adding-an-engine.md") <= 60, "docs/adding-an-engine.md is too long");
    let map = fs::read_to_string(root().join("docs/architecture.md")).expect("the map is readable");
    for decision in fs::read_dir(root().join("docs/decisions")).expect("the decisions are readable") {
        let name = decision.expect("a folder entry is readable").file_name().into_string().expect("a plain name");
        assert!(map.contains(&format!("(decisions/{name})")), "docs/architecture.md does not link {name}");
    }
    for page in ["policies", "cli", "metrics"] {
        assert!(lines(&format!("docs/reference/{page}.md")) > 5, "docs/reference/{page}.md says nothing");
    }
}
