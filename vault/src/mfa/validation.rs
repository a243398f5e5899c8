//! Codes for a login that waits: each is looked at once, and if they satisfy every enforcement there is a token.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::identity::login::issue;
use crate::identity::rights::Standing;
use crate::mfa::demand::{self, PendingLoginRecord};
use crate::mfa::record::{self, EnforcementRecord, MfaMethodRecord, MfaSecretRecord};
use crate::reply::Reply;
use crate::store::Store;
use crate::time::Time;

/// How long nobody may try after too many wrong codes in a row, in seconds.
const LOCK_SECS: u64 = 900;

/// Ends a login with the codes that were sent for its methods.
///
/// # Errors
/// [`ErrorKind::Invalid`] if no login of that id waits, [`ErrorKind::Denied`] if an enforcement is not satisfied. Codes that were
/// right are used up all the same.
pub(crate) fn validate(
    store: &mut Store<'_>,
    context: &mut Context<'_>,
    id: &str,
    codes: &Map<String, Value>,
) -> Result<Reply, Error> {
    let pending = demand::pending(store, id, context.now)?.ok_or_else(|| Error::invalid("invalid request ID"))?;
    let entity_id = pending.token.entity_id.clone();
    Standing::admitted(store, &entity_id)?;
    let mut shown = BTreeSet::new();
    for enforcement in &pending.enforcements {
        satisfy(store, context, enforcement, &entity_id, codes, &mut shown)?;
    }
    demand::settle(store, id, &pending)?;
    let PendingLoginRecord { mut token, is_batch, .. } = pending;
    let life = Time::from_nanos(token.issued_nanos).until(Time::from_nanos(token.expires_nanos));
    if token.expires_nanos != 0 {
        token.expires_nanos = context.now.plus_secs(life.as_secs()).nanos();
    }
    token.issued_nanos = context.now.nanos();
    Ok(Reply::auth(issue(store, context, token, is_batch)?))
}

/// Tries the codes of an enforcement's methods, but for a method whose code was right for an earlier one of this login: a code
/// counts once, and there is no second one for half a minute.
fn satisfy(
    store: &mut Store<'_>,
    context: &Context<'_>,
    enforcement: &EnforcementRecord,
    entity_id: &str,
    codes: &Map<String, Value>,
    shown: &mut BTreeSet<String>,
) -> Result<(), Error> {
    if enforcement.method_ids.iter().any(|method_id| shown.contains(method_id)) {
        return Ok(());
    }
    let mut reasons = Vec::new();
    for method_id in &enforcement.method_ids {
        let Some(code) = codes.get(method_id).and_then(code_of) else { continue };
        let Some(method) = record::method(store, method_id)? else { continue };
        match try_code(store, context, &method, entity_id, code)? {
            Ok(()) => {
                shown.insert(method_id.clone());
                return Ok(());
            }
            Err(reason) => {
                reasons.push(format!("{reason}\n\t* login MFA validation failed for methodID: [{method_id}]"))
            }
        }
    }
    if reasons.is_empty() {
        reasons.push("no code was sent for any of its methods".to_owned());
    }
    let name = &enforcement.name;
    let message =
        format!("failed to satisfy enforcement {name}. error: errors occurred:\n\t* {}\n\n", reasons.join("\n\t* "));
    Err(Error::new(ErrorKind::Denied, message))
}

/// The code of a method: a text, or the first of a list, where it may be called `passcode=…`.
fn code_of(sent: &Value) -> Option<&str> {
    let text = sent.as_str().or_else(|| sent.as_array()?.first()?.as_str())?;
    Some(text.strip_prefix("passcode=").unwrap_or(text))
}

/// Looks at a code; the inner error is what is wrong with it.
fn try_code(
    store: &mut Store<'_>,
    context: &Context<'_>,
    method: &MfaMethodRecord,
    entity_id: &str,
    code: &str,
) -> Result<Result<(), String>, Error> {
    let now = context.now;
    let Some(mut key) = record::secret(store, entity_id, &method.id)? else {
        let name = &method.name;
        return Ok(Err(format!("MFA secret for method name {name:?} not present in entity {entity_id:?}")));
    };
    let is_locked = now < Time::from_nanos(key.last_nanos).plus_secs(LOCK_SECS);
    if key.attempts >= method.max_attempts {
        if is_locked {
            return Ok(Err(format!("maximum TOTP validation attempts exceeded; try again in {LOCK_SECS} s")));
        }
        key.attempts = 0;
    }
    let outcome = use_up(method, &mut key, now, code);
    // Kept, also if the request is refused.
    store.lasting(|store| record::save_secret(store, entity_id, &method.id, Some(&key)))?;
    Ok(outcome)
}

fn use_up(method: &MfaMethodRecord, key: &mut MfaSecretRecord, now: Time, code: &str) -> Result<(), String> {
    let (periods, oldest) = {
        let codes = method.codes(&key.secret);
        (codes.periods_of(code, now, method.skew), codes.period_at(now).saturating_sub(2 * (method.skew + 1)))
    };
    let is_fresh = |period: &u64| !key.used.contains(period);
    let Some(period) = periods.into_iter().find(is_fresh) else {
        (key.attempts, key.last_nanos) = (key.attempts.saturating_add(1), now.nanos());
        return Err("failed to validate TOTP passcode: it is wrong, over, or was used".to_owned());
    };
    key.used.retain(|used| *used >= oldest);
    key.used.push(period);
    key.attempts = 0;
    Ok(())
}
