//! `docs/reference/limits.md` lists every bound that the code has, with its value and what it means: the rows are made from
//! the constants and from the comments above them. Bounds stand in one module of each crate, those of an engine in its file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::{assert_none, is_test, root, sources};

/// The module of each crate, and what the page calls what it bounds.
const MODULES: &[(&str, &str)] = &[
    ("node/src/config/limits.rs", "The process and its listeners"),
    ("vault/src/limits.rs", "The core"),
    ("storage/batch/src/limits.rs", "Batches and the table"),
    ("storage/src/limits.rs", "The disk"),
    ("raft/src/limits.rs", "Consensus and the network between nodes"),
];
/// Where engines stand.
const ENGINES: &str = "vault/src/engines";

/// A bound as the code has it.
struct Bound {
    name: String,
    meaning: String,
    value: String,
}

/// A number, or a time in milliseconds.
#[derive(Clone, Copy)]
enum Amount {
    Number(f64),
    Millis(f64),
}

/// What constants and fields say, in their order.
fn bounds(text: &str, known: &BTreeMap<String, Amount>) -> Vec<Bound> {
    let (mut found, mut docs) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("///") {
            docs.push(doc.trim());
            continue;
        }
        let declared = declared(line).map(|(name, value)| (name, value.to_owned()));
        let declared = declared.or_else(|| field(line, &docs).and_then(|name| Some((name, default_of(text, name)?))));
        if let Some((name, value)) = declared {
            let shown = shown(name, evaluate(&value, known));
            found.push(Bound { name: name.to_owned(), meaning: docs.join(" "), value: shown });
        }
        docs.clear();
    }
    found
}

/// The name and value of a constant that a line declares whole.
fn declared(line: &str) -> Option<(&str, &str)> {
    let (before, rest) = line.split_once("const ")?;
    let is_declaration = ["", "pub ", "pub(crate) ", "pub(super) "].contains(&before);
    let (name, rest) = rest.split_once(": ").filter(|_| is_declaration)?;
    let (kind, value) = rest.split_once(" = ")?;
    let is_amount =
        kind == "Duration" || kind.trim_start_matches(['u', 'i', 'f']).parse::<u8>().is_ok() || kind == "usize";
    is_amount.then(|| (name, value.trim_end_matches(';')))
}

/// The name of a documented field of a struct.
fn field<'l>(line: &'l str, docs: &[&str]) -> Option<&'l str> {
    let (name, _) = line.strip_prefix("pub ")?.split_once(": ").filter(|_| !docs.is_empty())?;
    name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_').then_some(name)
}

/// The value that a field has by default.
fn default_of(text: &str, field: &str) -> Option<String> {
    let (_, defaults) = text.split_once("fn default() -> Self {")?;
    let line = defaults.lines().map(str::trim).find_map(|line| line.strip_prefix(&format!("{field}: ")))?;
    Some(line.trim_end_matches(',').to_owned())
}

/// What an expression of numbers, `*`, `<<`, `as`, other constants and times comes to; `None` if it is none of these.
fn evaluate(value: &str, known: &BTreeMap<String, Amount>) -> Option<Amount> {
    let value = value.trim();
    let time = |call: &str, millis: f64| {
        let inner = value.strip_prefix(&format!("Duration::{call}("))?.strip_suffix(')')?;
        Some(Amount::Millis(number(inner, known)? * millis))
    };
    time("from_secs", 1_000.0).or_else(|| time("from_millis", 1.0)).or_else(|| number(value, known).map(Amount::Number))
}

fn number(value: &str, known: &BTreeMap<String, Amount>) -> Option<f64> {
    if let Some((left, right)) = value.split_once("<<") {
        return Some(number(left, known)? * number(right, known)?.exp2());
    }
    if let Some((left, right)) = value.split_once('*') {
        return Some(number(left, known)? * number(right, known)?);
    }
    let value = value.split(" as ").next().unwrap_or(value).trim();
    let last = value.rsplit("::").next().unwrap_or(value);
    match known.get(last) {
        Some(Amount::Number(number)) => Some(*number),
        _ => value.replace('_', "").parse().ok(),
    }
}

/// An amount as people read it, with its unit.
fn shown(name: &str, amount: Option<Amount>) -> String {
    let upper = name.to_uppercase();
    let in_units = |number: f64, units: &[(f64, &str)]| {
        let fits = |(size, _): &&(f64, &str)| number >= *size && number % size == 0.0;
        let (size, unit) = units.iter().find(fits).copied().unwrap_or((1.0, units[units.len() - 1].1));
        format!("{} {unit}", grouped(number / size))
    };
    match amount {
        None => "by the number of cores".to_owned(),
        Some(Amount::Millis(millis)) => in_units(millis, TIMES),
        Some(Amount::Number(number)) if upper.ends_with("_SECS") => in_units(number * 1_000.0, TIMES),
        Some(Amount::Number(number)) if upper.ends_with("_MILLIS") => in_units(number, TIMES),
        Some(Amount::Number(number)) if upper.contains("BYTES") => in_units(number, BYTES),
        Some(Amount::Number(number)) => grouped(number),
    }
}

const TIMES: &[(f64, &str)] =
    &[(86_400_000.0, "d"), (3_600_000.0, "h"), (60_000.0, "min"), (1_000.0, "s"), (1.0, "ms")];
const BYTES: &[(f64, &str)] = &[(1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1_024.0, "KiB"), (1.0, "bytes")];

/// A whole number with commas.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let first = digits.len() % 3;
    let mut parts = vec![&digits[..first]];
    parts.extend((first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]));
    parts.retain(|part| !part.is_empty());
    parts.join(",")
}

/// All constants of the workspace that are amounts, for those that are made of others.
fn known() -> BTreeMap<String, Amount> {
    let mut known = BTreeMap::new();
    for _ in 0..2 {
        for (_, text) in sources().into_iter().filter(|(path, _)| !is_test(path)) {
            for (name, value) in text.lines().map(str::trim).filter_map(declared) {
                if let Some(amount) = evaluate(value, &known) {
                    known.insert(name.to_owned(), amount);
                }
            }
        }
    }
    known
}

fn is_bound(name: &str) -> bool {
    name.starts_with("MAX_") || name.ends_with("_MAX")
}

/// The tables of the page.
fn rendered() -> String {
    let (sources, known) = (sources(), known());
    let mut text = String::new();
    let mut table = |title: &str, bounds: &[Bound]| {
        text.push_str(&format!("\n## {title}\n\n| Name | Bound | Meaning |\n|---|---|---|\n"));
        for Bound { name, meaning, value } in bounds {
            let meaning = meaning.replace("[`", "`").replace("`]", "`").replace('|', "\\|");
            text.push_str(&format!("| `{name}` | {value} | {meaning} |\n"));
        }
    };
    for (module, title) in MODULES {
        let found = bounds(&sources[Path::new(module)], &known);
        assert!(found.len() > 2, "the bounds in {module} were not found");
        table(title, &found);
    }
    let engines = sources.iter().filter(|(path, _)| path.starts_with(ENGINES) && !is_test(path));
    let of_engine = |(path, text): (&std::path::PathBuf, &String)| {
        let engine = path.strip_prefix(ENGINES).expect("it lies there").with_extension("");
        let found = bounds(text, &known).into_iter().filter(|bound| is_bound(&bound.name));
        found.map(|bound| Bound { name: format!("{}: {}", engine.display(), bound.name), ..bound }).collect::<Vec<_>>()
    };
    let all: Vec<_> = engines.flat_map(of_engine).collect();
    assert!(all.len() > 10, "the bounds of engines were not found");
    table("Engines", &all);
    text
}

#[test]
fn the_page_of_limits_says_what_the_code_does() {
    let page = fs::read_to_string(root().join("docs/reference/limits.md")).unwrap_or_default();
    let (_, tables) = page.split_once("\n## ").unwrap_or_default();
    let rendered = rendered();
    let expected: Vec<_> = rendered.trim_start_matches("\n## ").lines().collect();
    let is_right = tables.lines().eq(expected.iter().copied());
    assert!(is_right, "docs/reference/limits.md should go on behind its introduction as follows:\n{rendered}");
}

#[test]
fn bounds_stand_in_the_module_of_limits() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        let is_theirs = MODULES.iter().any(|(module, _)| path == Path::new(module)) || path.starts_with(ENGINES);
        let is_served = ["storage", "raft", "vault", "node"].iter().any(|name| path.starts_with(name));
        if is_theirs || is_test(&path) || !is_served || path.starts_with("vault/tests") {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(&text);
        for (name, value) in code.lines().map(str::trim).filter_map(declared).filter(|(name, _)| is_bound(name)) {
            // What is made of others binds nothing by itself.
            if number(value, &BTreeMap::new()).is_some() {
                found.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert_none("move these to the crate's module of limits", found);
}

#[test]
fn amounts_are_read_and_shown_as_people_write_them() {
    let known = BTreeMap::from([("MAX_MEMBERS".to_owned(), Amount::Number(64.0))]);
    for (name, value, expected) in [
        ("MAX_BATCH_BYTES", "4 * 1024 * 1024", "4 MiB"),
        ("body_bytes", "64 << 10", "64 KiB"),
        ("MAX_NAME_BYTES", "500", "500 bytes"),
        ("MAX_NODES", "250_000", "250,000"),
        ("MAX_USES", "MAX_MEMBERS as u64", "64"),
        ("MAX_PEERS", "conclave_vault::members::MAX_MEMBERS", "64"),
        ("MAX_TOKEN_SECS", "32 * 24 * 3600", "32 d"),
        ("idle_time", "Duration::from_secs(300)", "5 min"),
        ("PAUSE_MAX", "Duration::from_millis(50)", "50 ms"),
    ] {
        assert_eq!(shown(name, evaluate(value, &known)), expected, "{name}");
    }
    assert!(evaluate("std::thread::available_parallelism()", &known).is_none());
}
