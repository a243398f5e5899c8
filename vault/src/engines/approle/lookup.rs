//! Listing, showing and destroying secret ids, by themselves or by their accessors.

use serde_json::{Value, json};

use crate::engine::Call;
use crate::engines::approle::role;
use crate::engines::approle::secret::{self, SecretIdPath, SecretIdRecord};
use crate::engines::listing;
use crate::error::{Error, ErrorKind};
use crate::field::{Field, Kind, field};
use crate::reply::{Reply, Status};
use crate::time::Time;

const SECRET_ID: Field = field("secret_id", Kind::Text, "The secret id.").required();
const ACCESSOR: Field = field("secret_id_accessor", Kind::Text, "The secret id's accessor.").required();

/// Of paths that take a secret id.
pub(super) const BY_ID: &[Field] = &[role::NAME, SECRET_ID];
/// Of paths that take an accessor.
pub(super) const BY_ACCESSOR: &[Field] = &[role::NAME, ACCESSOR];

/// What the API shows as the end of what has none.
const NO_END: &str = "0001-01-01T00:00:00Z";

/// `role/{role_name}/secret-id`: the accessors.
pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let role = role::existing(call)?;
    let area = call.mount.area.clone();
    let names = call.store.list(&area, &secret::accessors_path(&role.id))?;
    listing::page(listing::keys(&names), &call.fields)
}

/// `secret-id/lookup`: nothing, if there is no such secret id.
pub(super) fn show(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let found = by_id(call)?;
    Ok(found.map_or_else(Reply::empty, |(_, record)| Reply::data(shown(&record))))
}

/// `secret-id/destroy`: as good if there is no such secret id.
pub(super) fn destroy(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    if let Some((place, record)) = by_id(call)? {
        secret::destroy(call, &place, &record);
    }
    Ok(Reply::empty())
}

/// `secret-id-accessor/lookup`
pub(super) fn show_by_accessor(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    match by_accessor(call)? {
        Ok((_, record)) => Ok(Reply::data(shown(&record))),
        Err(message) => Ok(Reply { status: Status::NotFound, ..Reply::data(json!({ "error": message })) }),
    }
}

/// `secret-id-accessor/destroy`
pub(super) fn destroy_by_accessor(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    match by_accessor(call)? {
        Ok((place, record)) => {
            secret::destroy(call, &place, &record);
            Ok(Reply::empty())
        }
        Err(message) => Err(Error::new(ErrorKind::NotFound, message)),
    }
}

type FoundSecretId = (SecretIdPath, SecretIdRecord);

fn by_id(call: &mut Call<'_, '_>) -> Result<Option<FoundSecretId>, Error> {
    let secret_id = call.fields.text_or_empty(SECRET_ID.name).to_owned();
    if secret_id.is_empty() {
        return Err(Error::invalid("missing secret_id"));
    }
    let role = role::existing(call)?;
    let place = SecretIdPath::new(&call.mount, &role.id, &secret_id);
    Ok(secret::find(call, &place)?.map(|record| (place, record)))
}

/// What an accessor stands for, or what to say if that is nothing. Accessors of other roles stand for nothing.
fn by_accessor(call: &mut Call<'_, '_>) -> Result<Result<FoundSecretId, String>, Error> {
    let accessor = call.fields.text_or_empty(ACCESSOR.name).to_owned();
    if accessor.is_empty() {
        return Err(Error::invalid("missing secret_id_accessor"));
    }
    let role = role::existing(call)?;
    if let Some(place) = secret::by_accessor(call, &role.id, &accessor)?
        && let Some(record) = secret::find(call, &place)?
    {
        return Ok(Ok((place, record)));
    }
    Ok(Err(format!("failed to find accessor entry for secret_id_accessor: {accessor:?}")))
}

fn shown(record: &SecretIdRecord) -> Value {
    json!({
        "secret_id_accessor": record.accessor,
        "secret_id_num_uses": record.uses_left,
        "secret_id_ttl": record.ttl_secs,
        "creation_time": Time::from_nanos(record.created_nanos).to_string(),
        "expiration_time": record.expires().map_or(NO_END.to_owned(), |expires| expires.to_string()),
        "last_updated_time": Time::from_nanos(record.updated_nanos).to_string(),
        "metadata": record.metadata,
        "cidr_list": record.cidrs,
        "token_bound_cidrs": record.token_cidrs,
    })
}
