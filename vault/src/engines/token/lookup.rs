//! Showing tokens.

use serde_json::{Map, Value, json};

use crate::engine::Call;
use crate::engines::token::{Target, accessed, invalid_accessor, named, own as calling, role, sent_id};
use crate::error::{Error, ErrorKind};
use crate::identity::rights::Standing;
use crate::reply::Reply;
use crate::time::Time;
use crate::token::issue::metadata;
use crate::token::lifetime::secs_until;
use crate::token::record::{TokenRecord, token_path};
use crate::token::{self, Token};

/// `lookup`: a token by its id; without one, the calling token.
pub(super) fn by_id(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let Some(id) = sent_id(call) else { return own(call) };
    let target = named(call, &id)?.ok_or_else(|| Error::new(ErrorKind::Denied, "bad token"))?;
    show(call, &target)
}

/// `lookup-self`.
pub(super) fn own(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let target = calling(call)?;
    show(call, &target)
}

/// `lookup-accessor`.
pub(super) fn by_accessor(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let target = accessed(call)?.ok_or_else(invalid_accessor)?;
    show(call, &target)
}

fn show(call: &mut Call<'_, '_>, target: &Target) -> Result<Reply, Error> {
    let token = &target.token;
    let uses = uses_left(call, token)?;
    let orphan = token::is_orphan(call.store, token)?;
    let period_secs = period(call, &token.record)?;
    let identity_policies = Standing::of(call.store, &token.record.entity_id)?.beside(&[]);
    let record = &token.record;
    let now = call.context.now;
    let mut data = Map::new();
    let mut put = |key: &str, value: Value| data.insert(key.to_owned(), value);
    put("id", target.shown_id.clone().into());
    put("accessor", record.accessor.clone().into());
    put("policies", json!(token.policies));
    put("path", record.path.clone().into());
    put("meta", metadata(record).map_or(Value::Null, Value::Object));
    put("display_name", record.display_name.clone().into());
    put("num_uses", uses);
    put("orphan", orphan.into());
    put("creation_time", Time::from_nanos(record.issued_nanos).secs().into());
    put("creation_ttl", record.ttl_secs.into());
    put("expire_time", token.expires().map_or(Value::Null, |expires| expires.to_string().into()));
    put("ttl", token.expires().map_or(0, |expires| secs_until(now, expires)).into());
    put("explicit_max_ttl", record.explicit_max_secs.into());
    put("entity_id", record.entity_id.clone().into());
    put("type", if token.is_batch() { "batch" } else { "service" }.into());
    if record.path != token::INITIAL_ROOT_PATH {
        // The first root token was given by no request and so has no lease that these would describe.
        put("issue_time", Time::from_nanos(record.issued_nanos).to_string().into());
        put("renewable", record.is_renewable.into());
    }
    if !identity_policies.is_empty() {
        put("identity_policies", json!(identity_policies));
        // Those of other namespaces, of which there are none.
        put("external_namespace_policies", json!({}));
    }
    if period_secs > 0 {
        put("period", period_secs.into());
    }
    if !record.role.is_empty() {
        put("role", record.role.clone().into());
    }
    if !record.bound_cidrs.is_empty() {
        put("bound_cidrs", json!(record.bound_cidrs));
    }
    if record.renewed_nanos != 0 {
        let renewed = Time::from_nanos(record.renewed_nanos);
        put("last_renewal", renewed.to_string().into());
        put("last_renewal_time", renewed.secs().into());
    }
    Ok(Reply { data: Some(data), ..Reply::default() })
}

/// Uses left after this request; -1 if it was the last one.
fn uses_left(call: &mut Call<'_, '_>, token: &Token) -> Result<Value, Error> {
    if token.record.uses_left == 0 {
        return Ok(0.into());
    }
    let system = call.store.system();
    let record = call.store.get::<TokenRecord>(&system, &token_path(&token.hash_hex()))?;
    Ok(record.map_or(Value::from(-1), |record| record.uses_left.into()))
}

/// The period that renewals give, by the token itself or by its role.
fn period(call: &mut Call<'_, '_>, record: &TokenRecord) -> Result<u64, Error> {
    if record.period_secs > 0 || record.role.is_empty() {
        return Ok(record.period_secs);
    }
    Ok(role::load(call, &record.role)?.map_or(0, |role| role.token_period_secs))
}
