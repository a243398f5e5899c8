//! The cubbyhole: documents that belong to one token and end with it.
//!
//! They lie below the hash of the token, so no token, not even root, can name another's.

use crate::engine::{Call, Engine, Life, Path, Work};
use crate::engines::documents::Documents;
use crate::engines::listing;
use crate::error::{Error, multi};
use crate::mount::Class;
use crate::mount::Mount;
use crate::reply::Reply;
use crate::request::Operation;
use crate::store::Store;
use crate::task::tree;

const PATHS: &[Path] = &[Path {
    pattern: "{path..?}",
    fields: &[listing::FIELDS],
    operations: &[
        (Operation::Read, read),
        (Operation::Update, write),
        (Operation::Delete, delete),
        (Operation::List, list),
        (Operation::Scan, scan),
    ],
    exists: Some(exists),
    takes_any_field: true,
    help: "Read, write, delete and list what belongs to the calling token.",
    ..Path::DEFAULT
}];

/// The cubbyhole.
pub(crate) static ENGINE: Engine = Engine {
    kind: "cubbyhole",
    aliases: &[],
    class: Class::Secret,
    help: "Private storage of one token.",
    paths: &[PATHS],
    is_single: true,
    life: Life { keeps_for_token: Some(keeps), token_ended: Some(forget), ..Life::NONE },
    ..Engine::DEFAULT
};

/// Whether a token has anything here.
fn keeps(store: &mut Store<'_>, mount: &Mount, hash: &str) -> Result<bool, Error> {
    Ok(store.count(&mount.area, &[hash])? > 0)
}

/// Deletes some of what belonged to a token that is gone.
fn forget(work: &mut Work<'_, '_>, hash: &str, limit: usize) -> Result<usize, Error> {
    tree::delete_below(work.store, &work.mount.area, &[hash], limit)
}

/// The name of the calling token's tree.
fn root(call: &Call<'_, '_>) -> Result<String, Error> {
    let token = call.caller()?;
    if token.is_batch() {
        return Err(Error::invalid("cubbyhole operations are only supported by 'service' type tokens"));
    }
    Ok(token.hash_hex())
}

fn exists(call: &mut Call<'_, '_>) -> Result<bool, Error> {
    let root = root(call)?;
    Documents::new(call.mount.area.clone(), &root).contains(call.store, call.rest)
}

fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let root = root(call)?;
    let document = Documents::new(call.mount.area.clone(), &root).get(call.store, call.rest)?;
    Ok(Reply { data: Some(document.ok_or_else(Error::not_found)?), ..Reply::default() })
}

fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let root = root(call)?;
    if call.request.data.is_empty() {
        return Err(Error::invalid(multi("missing data fields")));
    }
    Documents::new(call.mount.area.clone(), &root).put(call.store, call.rest, &call.request.data)?;
    Ok(Reply::empty())
}

fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let root = root(call)?;
    Documents::new(call.mount.area.clone(), &root).delete(call.store, call.rest)?;
    Ok(Reply::empty())
}

fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let root = root(call)?;
    let names = Documents::new(call.mount.area.clone(), &root).list(call.store, call.rest)?;
    listing::page_of(&names, &call.fields)
}

fn scan(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let root = root(call)?;
    let names = Documents::new(call.mount.area.clone(), &root).below(call.store, call.rest)?;
    listing::page(names, &call.fields)
}
