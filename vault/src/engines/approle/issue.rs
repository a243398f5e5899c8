//! Making secret ids: random ones, and ones that the caller chose.
//!
//! A secret id can be stricter than its role says, never laxer.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::engine::Call;
use crate::engines::approle::role::{self, AppRoleRecord};
use crate::engines::approle::role_id::{self, MAX_ID_BYTES};
use crate::engines::approle::secret::{self, SecretIdPath, SecretIdRecord};
use crate::engines::terms;
use crate::error::{Error, multi};
use crate::field::{Field, Kind, field, key_values};
use crate::printable;
use crate::reply::Reply;
use crate::token::cidr::Cidr;
use crate::token::lifetime::Bounds;

/// Most entries of metadata.
const MAX_METADATA: usize = 64;
/// Longest key or value of metadata, in bytes.
const MAX_METADATA_BYTES: usize = 512;

const METADATA: Field = field("metadata", Kind::Text, "Metadata of its tokens: a JSON object, as text.");
const CIDRS: Field = field("cidr_list", Kind::CommaList, "Addresses from which a login with it may come.");
const TOKEN_CIDRS: Field = field("token_bound_cidrs", Kind::CommaList, "Addresses from which its tokens may be used.");
const NUM_USES: Field = field("num_uses", Kind::Int, "Logins; the role's if not given, and never more.");
const TTL: Field = field("ttl", Kind::Duration, "Time to live; the role's if not given, and never more.");
const SECRET_ID: Field = field("secret_id", Kind::Text, "The secret id.").required();

pub(super) const FIELDS: &[Field] = &[role::NAME, METADATA, CIDRS, TOKEN_CIDRS, NUM_USES, TTL];
pub(super) const CUSTOM_FIELDS: &[Field] = &[role::NAME, SECRET_ID, METADATA, CIDRS, TOKEN_CIDRS, NUM_USES, TTL];

/// `role/{role_name}/secret-id`
pub(super) fn random(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let role = role::existing(call)?;
    let secret_id = Zeroizing::new(call.context.uuid());
    issue(call, &role, &secret_id)
}

/// `role/{role_name}/custom-secret-id`
pub(super) fn custom(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let role = role::existing(call)?;
    let secret_id = Zeroizing::new(call.fields.text_or_empty(SECRET_ID.name).to_owned());
    if secret_id.is_empty() {
        return Err(Error::invalid("missing secret_id"));
    }
    role_id::check_trimmed(SECRET_ID.name, &secret_id)?;
    if secret_id.len() > MAX_ID_BYTES {
        return Err(Error::invalid(format!("the secret_id is longer than {MAX_ID_BYTES} bytes")));
    }
    issue(call, &role, &secret_id)
}

fn issue(call: &mut Call<'_, '_>, role: &AppRoleRecord, secret_id: &str) -> Result<Reply, Error> {
    if !role.bind_secret_id {
        return Err(Error::invalid("bind_secret_id is not set on the role"));
    }
    let now = call.context.now;
    let ttl_secs = ttl(call, role)?;
    let record = SecretIdRecord {
        accessor: call.context.uuid(),
        uses_left: uses(call, role)?,
        ttl_secs,
        created_nanos: now.nanos(),
        expires_nanos: if ttl_secs == 0 { 0 } else { now.plus_secs(ttl_secs).nanos() },
        updated_nanos: now.nanos(),
        metadata: metadata(call)?,
        cidrs: addresses(call, &CIDRS, role::SECRET_CIDRS.name, &role.secret_cidrs)?,
        token_cidrs: addresses(call, &TOKEN_CIDRS, terms::BOUND_CIDRS.name, &role.terms.bound_cidrs)?,
    };
    let place = SecretIdPath::new(&call.mount, &role.id, secret_id);
    if secret::find(call, &place)?.is_some() {
        return Err(Error::invalid(multi("failed to store secret_id: SecretID is already registered")));
    }
    secret::create(call, &place, &record)?;
    Ok(Reply::data(json!({
        "secret_id": secret_id,
        "secret_id_accessor": record.accessor,
        "secret_id_ttl": record.ttl_secs,
        "secret_id_num_uses": record.uses_left,
    })))
}

fn uses(call: &Call<'_, '_>, role: &AppRoleRecord) -> Result<u64, Error> {
    let mut wanted = role.secret_num_uses;
    terms::take_count(&call.fields, NUM_USES.name, &mut wanted)?;
    match is_laxer(wanted, role.secret_num_uses) {
        true => Err(Error::invalid("num_uses cannot be higher than the role's secret_id_num_uses")),
        false => Ok(wanted),
    }
}

/// In seconds; one beyond the mount's longest time to live is cut, as leases are.
fn ttl(call: &Call<'_, '_>, role: &AppRoleRecord) -> Result<u64, Error> {
    let wanted = terms::whole_secs(&call.fields, TTL.name).unwrap_or(role.secret_ttl_secs);
    match is_laxer(wanted, role.secret_ttl_secs) {
        true => Err(Error::invalid("ttl cannot be longer than the role's secret_id_ttl")),
        false => Ok(wanted.min(Bounds::of_mount(call.context, &call.mount.record).limit_secs)),
    }
}

/// Whether a limit allows more than another, where 0 is without limit.
fn is_laxer(limit: u64, other: u64) -> bool {
    other > 0 && (limit == 0 || limit > other)
}

/// The address ranges of a field, all of which must lie in one of the role's, if that has any.
fn addresses(call: &Call<'_, '_>, field: &Field, of: &str, within: &[String]) -> Result<Vec<String>, Error> {
    let mut list = Vec::new();
    terms::take_addresses(&call.fields, field.name, &mut list)?;
    let outer: Vec<Cidr> = within.iter().filter_map(|range| Cidr::parse(range)).collect();
    let is_inside = |range: &Cidr| outer.is_empty() || outer.iter().any(|outer| outer.contains_range(range));
    match list.iter().filter_map(|range| Cidr::parse(range)).all(|range| is_inside(&range)) {
        true => Ok(list),
        false => Err(Error::invalid(format!("{} must lie within the role's {of}", field.name))),
    }
}

fn metadata(call: &Call<'_, '_>) -> Result<BTreeMap<String, String>, Error> {
    let Some(text) = call.fields.text(METADATA.name) else { return Ok(BTreeMap::new()) };
    let pairs = key_values(&Value::from(text)).ok_or_else(|| {
        Error::invalid("failed to parse metadata: a JSON object of texts is expected, sent as text, or k=v,k=v")
    })?;
    if pairs.len() > MAX_METADATA {
        let message = format!("metadata holds {} entries, at most {MAX_METADATA} are kept", pairs.len());
        return Err(Error::invalid(message));
    }
    let pairs = pairs.into_iter().map(|(key, value)| (key, value.as_str().unwrap_or_default().to_owned()));
    let metadata: BTreeMap<_, _> = pairs.collect();
    let is_long = |text: &String| text.len() > MAX_METADATA_BYTES;
    if metadata.iter().any(|(key, value)| is_long(key) || is_long(value)) {
        return Err(Error::invalid(format!("a key or value of metadata is longer than {MAX_METADATA_BYTES} bytes")));
    }
    printable::check_pairs(METADATA.name, &metadata)?;
    Ok(metadata)
}
