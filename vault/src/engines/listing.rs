//! Lists of names as the API shows them: folders end with a slash, and long lists come in pages.

use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::reply::Reply;
use crate::store::{Area, Name, Store};

/// Most names that one scan looks at.
pub(crate) const MAX_BELOW: usize = 20_000;

/// The fields of every list: the last name of the page before, and how many names to return.
pub(crate) const FIELDS: &[Field] = &[
    field("after", Kind::Text, "Names up to and including this one are left out."),
    field("limit", Kind::Text, "At most this many names; absent, 0 or \"max\" is without limit."),
];

/// The names of a directory as the API spells them, sorted. A name that is a leaf and a folder stands twice.
pub(crate) fn keys(names: &[Name]) -> Vec<String> {
    let mut keys = Vec::with_capacity(names.len());
    for name in names {
        if name.has_value {
            keys.push(name.name.clone());
        }
        if name.has_children {
            keys.push(format!("{}/", name.name));
        }
    }
    keys.sort_unstable();
    keys
}

/// The names of all records below a path, at any depth and relative to it, sorted.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] if there are more than [`MAX_BELOW`].
pub(crate) fn below(store: &mut Store<'_>, area: &Area, path: &[&str]) -> Result<Vec<String>, Error> {
    let (mut keys, mut folders, mut seen) = (Vec::new(), vec![String::new()], 0);
    while let Some(folder) = folders.pop() {
        let inner = path.iter().copied().chain(folder.split('/').filter(|segment| !segment.is_empty()));
        for name in store.list(area, &inner.collect::<Vec<_>>())?.iter() {
            seen += 1;
            if name.has_value {
                keys.push(format!("{folder}{}", name.name));
            }
            if name.has_children {
                folders.push(format!("{folder}{}/", name.name));
            }
        }
        if seen > MAX_BELOW {
            return Err(Error::invalid(format!(
                "more than {MAX_BELOW} names lie below the path, the most that one scan looks at; scan its folders one by one"
            )));
        }
    }
    keys.sort_unstable();
    Ok(keys)
}

/// One page of a sorted list as a reply; "not found" if the page is empty.
pub(crate) fn page(mut keys: Vec<String>, fields: &crate::field::Fields) -> Result<Reply, Error> {
    if let Some(after) = fields.text("after").filter(|after| !after.is_empty()) {
        let begin = keys.partition_point(|key| key.as_str() <= after);
        keys.drain(..begin);
    }
    match fields.text("limit") {
        None | Some("" | "max") => {}
        Some(text) => match text.parse::<usize>() {
            Ok(0) => {}
            Ok(limit) => keys.truncate(limit),
            Err(_) => return Err(Error::invalid("limit must be a whole number, 0 or \"max\" for all names")),
        },
    }
    Reply::keys(keys)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::field::Fields;

    fn paged(query: serde_json::Value) -> Result<Vec<String>, Error> {
        let keys = ["a", "a/", "b", "c"].map(str::to_owned).to_vec();
        let fields = Fields::decode(&[FIELDS], query.as_object().expect("an object"), &[])?;
        let reply = page(keys, &fields)?;
        let data = reply.data.unwrap_or_default();
        Ok(data["keys"].as_array().into_iter().flatten().filter_map(|key| key.as_str().map(str::to_owned)).collect())
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        assert_eq!(paged(json!({"limit": 2})).unwrap(), ["a", "a/"]);
        assert_eq!(paged(json!({"limit": "2", "after": "a/"})).unwrap(), ["b", "c"]);
        assert_eq!(paged(json!({"limit": "max"})).unwrap().len(), 4);
        assert_eq!(paged(json!({"limit": 0})).unwrap().len(), 4);
    }

    // check 58
    #[test]
    fn a_limit_that_is_no_number_of_names_is_refused() {
        for limit in [json!(-1), json!("many"), json!("99999999999999999999999")] {
            assert!(paged(json!({ "limit": limit })).is_err(), "{limit}");
        }
    }

    #[test]
    fn a_leaf_that_is_also_a_folder_stands_twice() {
        let name = |name: &str, has_value, has_children| Name { name: name.into(), has_value, has_children };
        assert_eq!(keys(&[name("b", true, true), name("a", false, true)]), ["a/", "b", "b/"]);
    }
}
