//! `login`: a name and a password, for a token; and what bounds such a token's renewal.
//!
//! Wrong passwords are counted ([`crate::lockout`]), also of names that do not exist, and with the same answers, so that a
//! stranger who guesses does not learn which names exist.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::engine::{Call, Work};
use crate::engines::login::{Login, log_in, permits};
use crate::engines::userpass::user::{self, UserRecord};
use crate::error::Error;
use crate::identity::login::KnownAs;
use crate::lockout::{self, Who};
use crate::reply::Reply;
use crate::token::lifetime::Bounds;
use crate::token::record::TokenRecord;

/// `login/{username}`
pub(super) fn login(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = user::name_of(call)?;
    let text = Zeroizing::new(call.fields.text_or_empty(user::PASSWORD.name).to_owned());
    if text.is_empty() {
        return Err(Error::invalid("missing password"));
    }
    user::check_length(&text)?;
    // From where the user may not log in, there is no such user: so who asks there learns nothing, and locks nobody out.
    let remote = call.request.remote_address;
    let found = user::find(call.store, &call.mount, &name)?;
    let found = found.filter(|user| permits(&user.terms.bound_cidrs, remote));
    let who = if found.is_some() { Who::User(&name) } else { Who::Stranger(&name) };
    lockout::check(call, who)?;
    let is_password = found.as_ref().unwrap_or(&UserRecord::nobody()).is_password(call.context, &text)?;
    let Some(user) = found.filter(|_| is_password) else {
        lockout::count(call, who)?;
        return Err(Error::invalid("invalid username or password"));
    };
    let mount = call.mount.clone();
    lockout::forget(call.store, &mount, &name)?;
    log_in(
        call,
        Login {
            terms: &user.terms,
            role: name.clone(),
            role_mark: user.id.clone(),
            shown_as: Some(name.clone()),
            known_as: KnownAs { name: name.clone(), ..KnownAs::default() },
            meta: BTreeMap::from([("username".to_owned(), name)]),
            bound_cidrs: user.terms.bound_cidrs.clone(),
        },
    )
}

/// What bounds a token's renewal: the user as it is now. The token of a user who is gone is left to its end, without a word,
/// as clients of the method know it.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] if the user's policies are others by now: a renewal would keep the old ones alive.
pub(super) fn renewal(work: &mut Work<'_, '_>, token: &TokenRecord, bounds: Bounds) -> Result<Option<Bounds>, Error> {
    let user = user::find(work.store, &work.mount, &token.method_role)?;
    let Some(user) = user.filter(|user| user.id == token.method_role_mark) else { return Ok(None) };
    if !token.policies.iter().filter(|name| *name != crate::policy::name::DEFAULT).eq(user
        .terms
        .policies
        .iter()
        .filter(|name| *name != crate::policy::name::DEFAULT))
    {
        return Err(Error::invalid("policies have changed, not renewing"));
    }
    Ok(Some(Bounds { role_max_secs: user.terms.max_ttl_secs, period_secs: user.terms.period_secs, ..bounds }))
}
