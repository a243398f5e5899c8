//! Aligned columns.
//!
//! What surprises: an empty cell reads `n/a`, so that cutting by columns never meets a hole.

use serde_json::{Map, Value};

use crate::golang;

/// What stands between two columns.
const GAP: usize = 4;

/// Rows under a header that is underlined; each row has as many cells as the header.
pub(crate) fn columns(header: &[&str], rows: &[Vec<String>]) -> String {
    let titles = header.iter().map(|title| (*title).to_owned()).collect();
    let lines = header.iter().map(|title| "-".repeat(title.chars().count())).collect();
    let all: Vec<Vec<String>> = [titles, lines].into_iter().chain(rows.iter().cloned()).collect();
    aligned(&all)
}

/// Names and values without a header.
pub(crate) fn plain(rows: &[(&str, String)]) -> String {
    aligned(&rows.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]).collect::<Vec<_>>())
}

/// Rows of equally many cells.
fn aligned(all: &[Vec<String>]) -> String {
    let width = |column: usize| all.iter().map(|row| shown(&row[column]).chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..all.first().map_or(0, Vec::len)).map(width).collect();
    let mut text = String::new();
    for row in all {
        let last = row.len() - 1;
        for (number, cell) in row.iter().enumerate() {
            let cell = shown(cell);
            text.push_str(cell);
            if number < last {
                text.push_str(&" ".repeat(widths[number] - cell.chars().count() + GAP));
            }
        }
        text.push('\n');
    }
    text
}

fn shown(cell: &str) -> &str {
    if cell.is_empty() { "n/a" } else { cell }
}

/// Names and values.
pub(crate) fn pairs(rows: &[(String, String)]) -> String {
    let rows: Vec<_> = rows.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect();
    columns(&["Key", "Value"], &rows)
}

/// The members of an object, in their order.
pub(crate) fn object(members: &Map<String, Value>) -> String {
    pairs(&members.iter().map(|(name, value)| (name.clone(), golang::field(name, value))).collect::<Vec<_>>())
}

/// Names alone.
pub(crate) fn keys(keys: &[String]) -> String {
    columns(&["Keys"], &keys.iter().map(|key| vec![key.clone()]).collect::<Vec<_>>())
}

/// A title between signs, about as wide as what stands below.
pub(crate) fn title(title: &str, width: usize) -> String {
    let free = match width.saturating_sub(title.chars().count() + 2) {
        0 => 4,
        free => free + free % 2,
    };
    let signs = "=".repeat(free / 2);
    format!("{signs} {title} {signs}\n")
}

/// A titled table of an object's members.
pub(crate) fn section(heading: &str, members: &Map<String, Value>) -> String {
    let longest = members.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    format!("{}{}", title(heading, longest + GAP + "Value".len()), object(members))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_aligned_and_holes_are_filled() {
        let rows = [("seal_type".to_owned(), "shamir".to_owned()), ("id".to_owned(), String::new())];
        let expected = "Key          Value\n---          -----\nseal_type    shamir\nid           n/a\n";
        assert_eq!(pairs(&rows), expected);
    }

    #[test]
    fn a_section_has_its_title_centred() {
        let data = json!({"greeting": "world"});
        let expected = "====== Data ======\nKey         Value\n---         -----\ngreeting    world\n";
        assert_eq!(section("Data", data.as_object().unwrap()), expected);
    }
}
