//! Revoking tokens.

use crate::engine::Call;
use crate::engines::token::{Target, accessed, named, own as calling, sent_id};
use crate::error::Error;
use crate::reply::Reply;
use crate::token::revoke::{end, end_alone};

/// `revoke`: a token by its id. One that is not there is as good as revoked.
pub(super) fn by_id(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let id = sent_id(call).ok_or_else(missing)?;
    match named(call, &id)? {
        Some(target) => revoke(call, &target),
        None => Ok(Reply::empty()),
    }
}

/// `revoke-self`.
pub(super) fn own(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let target = calling(call)?;
    revoke(call, &target)
}

/// `revoke-accessor`.
pub(super) fn by_accessor(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    match accessed(call)? {
        Some(target) => revoke(call, &target),
        None => Ok(Reply::empty().warn("No token found with this accessor")),
    }
}

/// `revoke-orphan`: a token without those below it.
pub(super) fn alone(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let id = sent_id(call).ok_or_else(missing)?;
    if !call.has_sudo {
        return Err(Error::invalid("root or sudo privileges required to revoke and orphan"));
    }
    let Some(target) = named(call, &id)? else {
        return Err(Error::invalid("token to revoke not found"));
    };
    refuse_batch(&target)?;
    end_alone(call.store, call.context.now, &target.token)?;
    Ok(Reply::empty())
}

fn revoke(call: &mut Call<'_, '_>, target: &Target) -> Result<Reply, Error> {
    refuse_batch(target)?;
    end(call.store, call.context.now, &target.token)?;
    Ok(Reply::empty())
}

fn refuse_batch(target: &Target) -> Result<(), Error> {
    match target.token.is_batch() {
        true => Err(Error::invalid("batch tokens cannot be revoked")),
        false => Ok(()),
    }
}

fn missing() -> Error {
    Error::invalid("missing token ID")
}
