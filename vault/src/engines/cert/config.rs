//! `config`: what counts for the whole mount.

use prost::Message;
use serde_json::json;

use crate::engine::Call;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::mount::Mount;
use crate::reply::Reply;
use crate::store::Store;

/// Name of the record in the mount's area.
const RECORD: &str = "config";

const NO_BINDING: Field =
    field("disable_binding", Kind::Bool, "Whether tokens are renewed without the certificate that they were made by.")
        .or("false");
const ALIAS_METADATA: Field = field(
    "enable_identity_alias_metadata",
    Kind::Bool,
    "Whether what a certificate says of itself becomes metadata of its alias.",
)
.or("false");
const OCSP_CACHE: Field = field("ocsp_cache_size", Kind::Int, "Refused, unless 0: OCSP is not asked.").or("0");

pub(super) const FIELDS: &[Field] = &[NO_BINDING, ALIAS_METADATA, OCSP_CACHE];

/// The configuration as it is stored.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct CertConfigRecord {
    #[prost(bool, tag = "1")]
    pub(super) renews_without: bool,
    #[prost(bool, tag = "2")]
    pub(super) has_alias_metadata: bool,
}

/// The configuration of a mount, which is the usual one before it was written.
pub(super) fn of(store: &mut Store<'_>, mount: &Mount) -> Result<CertConfigRecord, Error> {
    Ok(store.get(&mount.area, &[RECORD])?.unwrap_or_default())
}

pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let config = of(call.store, &mount)?;
    Ok(Reply::data(json!({
        "disable_binding": config.renews_without,
        "enable_identity_alias_metadata": config.has_alias_metadata,
        "ocsp_cache_size": 0,
    })))
}

pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let mut config = of(call.store, &mount)?;
    config.renews_without = call.fields.bool(NO_BINDING.name).unwrap_or(config.renews_without);
    config.has_alias_metadata = call.fields.bool(ALIAS_METADATA.name).unwrap_or(config.has_alias_metadata);
    if call.fields.int(OCSP_CACHE.name).unwrap_or(0) != 0 {
        return Err(Error::invalid("ocsp_cache_size must be 0: OCSP is not asked; use lists of revoked certificates"));
    }
    call.store.put(&mount.area, &[RECORD], &config)?;
    Ok(Reply::empty())
}
