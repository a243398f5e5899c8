//! Records that lie under their names in one directory of a mount, such as roles: the handlers that are the same for all of them.

use prost::Message;
use serde_json::{Map, Value};

use crate::engine::Call;
use crate::engines::listing;
use crate::error::Error;
use crate::field::Field;
use crate::mount::Mount;
use crate::reply::Reply;
use crate::store::Store;

/// A record under its name.
pub(crate) trait Named: Message + Default {
    /// Directory of the records in the mount's area.
    const FOLDER: &'static str;
    /// The field that captures the name.
    const NAME: Field;

    /// As a read shows it.
    fn show(&self) -> Map<String, Value>;
}

/// The name in the request's path, in its one spelling.
pub(crate) fn name_of<R: Named>(call: &Call<'_, '_>) -> String {
    call.fields.text_or_empty(R::NAME.name).to_owned()
}

/// A record of a mount; `None` if there is none.
pub(crate) fn find<R: Named>(store: &mut Store<'_>, mount: &Mount, name: &str) -> Result<Option<R>, Error> {
    store.get(&mount.area, &[R::FOLDER, name])
}

/// Stores a record under its name.
pub(crate) fn save<R: Named>(store: &mut Store<'_>, mount: &Mount, name: &str, record: &R) -> Result<(), Error> {
    store.put(&mount.area, &[R::FOLDER, name], record)
}

/// Whether the record that the path names is there.
pub(crate) fn exists<R: Named>(call: &mut Call<'_, '_>) -> Result<bool, Error> {
    let name = name_of::<R>(call);
    call.store.contains(&call.mount.area, &[R::FOLDER, &name])
}

/// Lists the names.
pub(crate) fn list<R: Named>(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let names = call.store.list(&call.mount.area, &[R::FOLDER])?;
    listing::page(listing::keys(&names), &call.fields)
}

/// Shows the record that the path names.
pub(crate) fn read<R: Named>(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, name) = (call.mount.clone(), name_of::<R>(call));
    let record = find::<R>(call.store, &mount, &name)?.ok_or_else(Error::not_found)?;
    Ok(Reply { data: Some(record.show()), ..Reply::default() })
}

/// Deletes the record that the path names; absent is as good.
pub(crate) fn delete<R: Named>(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = name_of::<R>(call);
    call.store.delete(&call.mount.area, &[R::FOLDER, &name]);
    Ok(Reply::empty())
}
