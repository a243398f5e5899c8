//! A login that is right as far as it goes: what more it needs, and keeping it until that is shown.

use prost::Message;
use serde_json::{Map, json};

use crate::context::Context;
use crate::error::Error;
use crate::identity;
use crate::identity::rights::Standing;
use crate::mfa::record::{self, EnforcementRecord};
use crate::mount::Mount;
use crate::reply::{Auth, Reply};
use crate::store::Store;
use crate::task::calendar::{self, Reminder};
use crate::time::Time;
use crate::token::record::TokenRecord;

/// A login waits no longer, by its id.
pub(crate) static EXPIRY: Reminder = Reminder { word: "mfa-login", due: expire };
/// Directory of the logins that wait.
const LOGINS: &str = "mfa-login";
/// How long one waits, in seconds.
const WAIT_SECS: u64 = 300;
/// What a client is told beside the demand; some match on it.
const WARNING: &str = "A login request was issued that is subject to MFA validation. Please make sure to validate the login by \
     sending another request to mfa/validate endpoint.";

/// A login that waits for codes.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct PendingLoginRecord {
    /// The token that it will get; its times count from when it gets it.
    #[prost(message, required, tag = "1")]
    pub(super) token: TokenRecord,
    #[prost(bool, tag = "2")]
    pub(super) is_batch: bool,
    /// As they were when it began.
    #[prost(message, repeated, tag = "3")]
    pub(super) enforcements: Vec<EnforcementRecord>,
    /// Nanoseconds since the Unix epoch.
    #[prost(int64, tag = "4")]
    pub(super) expires_nanos: i64,
}

/// The enforcements that a login is under.
fn over(store: &mut Store<'_>, mount: &Mount, entity_id: &str) -> Result<Vec<EnforcementRecord>, Error> {
    let mut all = record::enforcements(store)?;
    if all.is_empty() {
        return Ok(all);
    }
    let standing = Standing::of(store, entity_id)?;
    let has = |list: &[String], one: &str| list.iter().any(|it| it == one);
    all.retain(|enforcement| {
        has(&enforcement.accessors, &mount.record.accessor)
            || has(&enforcement.kinds, &mount.record.kind)
            || has(&enforcement.entity_ids, entity_id)
            || standing.group_ids().any(|id| has(&enforcement.group_ids, id))
    });
    Ok(all)
}

/// What a login gets in place of its token, if it must show more first.
pub(crate) fn demand(
    store: &mut Store<'_>,
    context: &mut Context<'_>,
    mount: &Mount,
    token: &TokenRecord,
    is_batch: bool,
) -> Result<Option<Reply>, Error> {
    let enforcements = over(store, mount, &token.entity_id)?;
    if enforcements.is_empty() {
        return Ok(None);
    }
    let mut constraints = Map::new();
    for enforcement in &enforcements {
        let any = |id: &String| json!({ "type": "totp", "id": id, "uses_passcode": true });
        let any: Vec<_> = enforcement.method_ids.iter().map(any).collect();
        constraints.insert(enforcement.name.clone(), json!({ "any": any }));
    }
    let (id, expires) = (context.uuid(), context.now.plus_secs(WAIT_SECS));
    let pending = PendingLoginRecord { token: token.clone(), is_batch, enforcements, expires_nanos: expires.nanos() };
    let area = identity::area(store)?;
    store.put(&area, &[LOGINS, &id], &pending)?;
    calendar::schedule(store, expires, &EXPIRY, &id)?;
    let requirement = json!({ "mfa_request_id": id, "mfa_constraints": constraints });
    let auth = Auth { token_type: "default", mfa_requirement: Some(requirement), ..Auth::default() };
    Ok(Some(Reply::auth(auth).warn(WARNING)))
}

/// A login that waits, by its id.
pub(super) fn pending(store: &mut Store<'_>, id: &str, now: Time) -> Result<Option<PendingLoginRecord>, Error> {
    let area = identity::area(store)?;
    let pending: Option<PendingLoginRecord> = store.get(&area, &[LOGINS, id])?;
    Ok(pending.filter(|pending| now < Time::from_nanos(pending.expires_nanos)))
}

/// Forgets a login that waits no longer.
pub(super) fn settle(store: &mut Store<'_>, id: &str, pending: &PendingLoginRecord) -> Result<(), Error> {
    let area = identity::area(store)?;
    store.delete(&area, &[LOGINS, id]);
    calendar::unschedule(store, Time::from_nanos(pending.expires_nanos), &EXPIRY, id);
    Ok(())
}

fn expire<'s>(store: &mut Store<'s>, _: &mut Context<'s>, id: &str) -> Result<(), Error> {
    let area = identity::area(store)?;
    store.delete(&area, &[LOGINS, id]);
    Ok(())
}
