//! Lists of names as the API shows them: folders end with a slash, and long lists come in pages.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::error::Error;
use crate::field::{Field, Fields, Kind, field};
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
            keys.push(name.name.to_string());
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

/// A name as a list shows it: a record, or a folder with a slash at its end.
#[derive(Clone, Copy)]
struct Shown<'n> {
    name: &'n str,
    is_folder: bool,
}

impl<'n> Shown<'n> {
    fn bytes(self) -> impl Iterator<Item = u8> + 'n {
        self.name.bytes().chain(self.is_folder.then_some(b'/'))
    }

    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes().cmp(other.bytes())
    }

    fn text(self) -> String {
        if self.is_folder { format!("{}/", self.name) } else { self.name.to_owned() }
    }
}

/// One page of the names of a directory as a reply; "not found" if the page is empty. Only what the page shows is copied.
pub(crate) fn page_of(names: &[Name], fields: &Fields) -> Result<Reply, Error> {
    let (after, limit) = (after(fields), limit(fields)?);
    let both = |name: &'_ Name| [(false, name.has_value), (true, name.has_children)];
    let all = names.iter().flat_map(|name| {
        let shown = both(name).into_iter().filter(|(_, is_there)| *is_there);
        shown.map(|(is_folder, _)| Shown { name: &name.name, is_folder })
    });
    let mut shown: Vec<Shown<'_>> = all.filter(|shown| shown.bytes().cmp(after.bytes()) == Ordering::Greater).collect();
    if limit < shown.len() {
        shown.select_nth_unstable_by(limit, Shown::cmp);
        shown.truncate(limit);
    }
    shown.sort_unstable_by(Shown::cmp);
    Reply::keys(shown.into_iter().map(Shown::text).collect())
}

/// One page of a sorted list as a reply; "not found" if the page is empty.
pub(crate) fn page(mut keys: Vec<String>, fields: &Fields) -> Result<Reply, Error> {
    let after = after(fields);
    let begin = keys.partition_point(|key| key.as_str() <= after);
    keys.drain(..begin);
    keys.truncate(limit(fields)?);
    Reply::keys(keys)
}

/// A page of keys with what each of them is. What vanished is left out.
pub(crate) fn with_details<D>(mut page: Reply, mut detail: D) -> Result<Reply, Error>
where
    D: FnMut(&str) -> Result<Option<Value>, Error>,
{
    let Some(data) = &mut page.data else { return Ok(page) };
    let mut details = Map::new();
    for key in data["keys"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if let Some(value) = detail(key)? {
            details.insert(key.to_owned(), value);
        }
    }
    data.insert("key_info".into(), details.into());
    Ok(page)
}

/// The last name of the page before; empty if this is the first.
fn after(fields: &Fields) -> &str {
    fields.text_or_empty("after")
}

/// How many names to return.
fn limit(fields: &Fields) -> Result<usize, Error> {
    match fields.text("limit") {
        None | Some("" | "max") => Ok(usize::MAX),
        Some(text) => match text.parse::<usize>() {
            Ok(0) => Ok(usize::MAX),
            Ok(limit) => Ok(limit),
            Err(_) => Err(Error::invalid("limit must be a whole number, 0 or \"max\" for all names")),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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

    #[test]
    fn a_page_of_names_is_the_same_part_of_the_whole_list() {
        let name = |name: &str, has_value, has_children| Name { name: name.into(), has_value, has_children };
        let names = [name("a", true, true), name("a-b", true, true), name("a.", true, false), name("b", false, true)];
        let whole = keys(&names);
        for after in ["", "a", "a-b/", "a/", "b/", "zz"] {
            for limit in 0..=7 {
                let query = json!({ "after": after, "limit": limit });
                let fields = Fields::decode(&[FIELDS], query.as_object().unwrap(), &[]).unwrap();
                let shown = |reply: Result<Reply, Error>| reply.ok().map(|reply| reply.data);
                assert_eq!(shown(page_of(&names, &fields)), shown(page(whole.clone(), &fields)), "{query}");
            }
        }
    }
}
