//! Codes: made for whoever may read them, and checked once each.

use serde_json::json;

use crate::engine::Call;
use crate::engines::totp::key::{self, NAME, TotpKeyRecord};
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::reply::Reply;
use crate::time::format_duration;

const CODE: Field = field("code", Kind::Text, "The code to check.");

pub(super) const FIELDS: &[Field] = &[NAME, CODE];

fn named(call: &mut Call<'_, '_>) -> Result<TotpKeyRecord, Error> {
    let name = call.fields.text_or_empty(NAME.name).to_owned();
    key::find(call)?.ok_or_else(|| Error::invalid(format!("unknown key: {name}")))
}

pub(super) fn make(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let key = named(call)?;
    let (codes, now) = (key.codes(), call.context.now);
    let period = codes.period_at(now);
    Ok(Reply::data(json!({
        "code": codes.code(period),
        "generated": now.secs(),
        "expire_time": (period + 1) * key.period_secs,
        "period": format_duration(std::time::Duration::from_secs(key.period_secs)),
    })))
}

pub(super) fn check(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let sent = call.fields.text_or_empty(CODE.name).to_owned();
    if sent.is_empty() {
        return Err(Error::invalid("the code value is required"));
    }
    let mut key = named(call)?;
    if sent.len() != key.digits as usize {
        return Err(Error::invalid("invalid number of digits for the code"));
    }
    let (codes, now) = (key.codes(), call.context.now);
    let (periods, present) = (codes.periods_of(&sent, now, key.skew), codes.period_at(now));
    if periods.is_empty() {
        return Ok(Reply::data(json!({ "valid": false })));
    }
    let Some(period) = periods.into_iter().find(|period| !key.used.contains(period)) else {
        return Err(Error::invalid("code already used; wait until the next time period"));
    };
    // Earlier ones count no more, unless a clock goes back further than codes may be apart.
    let oldest = present.saturating_sub(2 * (key.skew + 1));
    key.used.retain(|used| *used >= oldest);
    key.used.push(period);
    key::save(call, &key)?;
    Ok(Reply::data(json!({ "valid": true })))
}
