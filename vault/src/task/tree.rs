//! Deleting everything below a path, some records at a time.

use crate::error::Error;
use crate::store::{Area, Store};

/// Deletes up to `limit` records below a path, and returns how many. Fewer than `limit` mean that nothing is left.
///
/// What is found is not guarded: the caller must know that nobody adds to the tree any more.
pub fn delete_below(store: &mut Store<'_>, area: &Area, path: &[&str], limit: usize) -> Result<usize, Error> {
    let mut deleted = 0;
    for name in store.sample(area, path, limit)? {
        let inner = [path, &[&*name.name]].concat();
        if name.has_children {
            deleted += delete_below(store, area, &inner, limit - deleted)?;
        }
        if name.has_value && deleted < limit {
            store.delete(area, &inner);
            deleted += 1;
        }
        if deleted >= limit {
            break;
        }
    }
    Ok(deleted)
}
