//! `docs/found.md` says of each finding which test holds it mended. A test that was renamed or deleted holds nothing, so
//! every file and every test that the page names must exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::{assert_none, root, sources};

/// A word with as many underscores is the name of a test, which is a sentence.
const SENTENCE_UNDERSCORES: usize = 3;

/// The names of files and tests in the last cell of a row: what stands between spaces, commas and brackets.
fn named(row: &str) -> impl Iterator<Item = &str> {
    let cell = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
    let is_name = |letter: char| letter.is_alphanumeric() || "_/.:-…".contains(letter);
    cell.split(move |letter| !is_name(letter)).filter(|word| !word.is_empty())
}

/// What is wrong with a name: `path.rs`, `path.rs::test`, `module::test` or `test`; a test may end in an ellipsis.
fn fault(name: &str, files: &BTreeSet<String>, functions: &BTreeSet<&str>) -> Option<String> {
    let (file, test) = name.rsplit_once("::").map_or((name, name), |(file, test)| (file, test));
    let file = file.split("::").next().unwrap_or_default().trim_start_matches("…/").trim_end_matches('.');
    if file.ends_with(".rs") && !files.iter().any(|path| Path::new(path).ends_with(file)) {
        return Some(format!("no file {file}"));
    }
    let is_file = [".txt", ".sh", ".md"].iter().any(|end| file.ends_with(end)) && file.contains('/');
    if is_file && !root().join(file).exists() {
        return Some(format!("no file {file}"));
    }
    let start = test.trim_end_matches('…');
    let is_test = start.matches('_').count() >= SENTENCE_UNDERSCORES && !start.contains(['/', '.']);
    let exists = if start == test {
        functions.contains(test)
    } else {
        functions.iter().any(|function| function.starts_with(start))
    };
    (is_test && !exists).then(|| format!("no test {test}"))
}

/// The functions that a text declares.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next())
}

#[test]
fn every_file_and_test_that_the_page_of_findings_names_exists() {
    let sources = sources();
    let files: BTreeSet<String> = sources.keys().map(|path| path.display().to_string()).collect();
    let functions: BTreeSet<&str> = sources.values().flat_map(|text| functions(text)).collect();
    let page = fs::read_to_string(root().join("docs/found.md")).expect("the page is readable");
    let mended = page.split("## Not mended").next().unwrap_or_default();
    let names: Vec<&str> = mended.lines().filter(|line| line.starts_with('|')).flat_map(named).collect();
    assert!(names.iter().filter(|name| name.contains(".rs")).count() > 100, "the page's tests were not found");
    let found = names.iter().filter_map(|name| fault(name, &files, &functions));
    assert_none("docs/found.md names what is not there", found.collect());
}

#[test]
fn what_is_gone_is_noticed() {
    let files = BTreeSet::from(["node/src/seal/state.rs".to_owned()]);
    let functions = BTreeSet::from(["a_node_that_is_there"]);
    let faults = |row| named(row).filter_map(|name| fault(name, &files, &functions)).collect::<Vec<_>>();
    assert!(
        faults(
            "| x | y | node/src/seal/state.rs::a_node_that_is_there, state.rs::a_node_that…, …/state.rs (3 tests) |"
        )
        .is_empty()
    );
    assert_eq!(faults("| x | y | node/src/shared.rs |"), ["no file node/src/shared.rs"]);
    assert_eq!(faults("| x | y | state.rs::a_node_that_is_gone |"), ["no test a_node_that_is_gone"]);
    assert_eq!(faults("| x | y | seal::tests::a_node_of_the_past… |"), ["no test a_node_of_the_past…"]);
    assert_eq!(faults("| x | y | docs/none.md |"), ["no file docs/none.md"]);
}
