//! `login`: a token that somebody else signed, for one of ours; and what bounds the renewal of that.

use crate::engine::{Call, Work};
use crate::engines::jwt::role::{self, JwtRoleRecord, ROLE};
use crate::engines::jwt::{bounds, config, source};
use crate::engines::login::{self, Login, log_in, permits};
use crate::engines::named;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::identity::login::KnownAs;
use crate::jose::claims::Claims;
use crate::reply::Reply;
use crate::token::lifetime::Bounds;
use crate::token::record::TokenRecord;

const ROLE_NAME: Field = field("role", Kind::LowerText, "The role; the default one if it is not said.");
const TOKEN: Field = field("jwt", Kind::Text, "The signed token.").required();

pub(super) const FIELDS: &[Field] = &[ROLE_NAME, TOKEN];

/// `login`
pub(super) fn login(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let config = config::required(call)?;
    let sent = call.fields.text_or_empty(ROLE_NAME.name).to_owned();
    let (name, role) = role::of_login(call, &sent, &config.default_role)?;
    let role = role.ok_or_else(|| Error::invalid(format!("role {name:?} could not be found")))?;
    if !role.is_for_tokens {
        return Err(Error::invalid("role with oidc role_type is not allowed"));
    }
    let text = call.fields.text_or_empty(TOKEN.name).trim().to_owned();
    if text.is_empty() {
        return Err(Error::invalid("missing token"));
    }
    if !permits(&role.terms.bound_cidrs, call.request.remote_address) {
        return Err(Error::bad_token());
    }
    let claims = source::open(call.context, &config, &text)?;
    let issuer = source::issuer(&config);
    if !issuer.is_empty() && claims.text("iss") != issuer {
        return Err(Error::invalid("error validating token: invalid issuer (iss) claim"));
    }
    admit(call, name, &role, &claims)
}

/// Lets in whom a role admits by these claims, which were checked to be signed and by whom.
pub(super) fn admit(
    call: &mut Call<'_, '_>,
    name: String,
    role: &JwtRoleRecord,
    claims: &Claims,
) -> Result<Reply, Error> {
    let (leeways, now) = (role.leeways(), call.context.now);
    let mut timely = claims.check_times(leeways, now);
    if role.max_age_secs > 0 {
        timely = timely.and_then(|()| claims.check_age(role.max_age_secs, leeways, now));
    }
    timely.map_err(|reason| Error::invalid(format!("error validating token: {reason}")))?;
    bounds::check(role, claims)?;
    let user = bounds::user(role, claims)?;
    let mut metadata = bounds::metadata(role, claims)?;
    metadata.insert(ROLE.to_owned(), name.clone());
    let groups = bounds::groups(role, claims)?;
    log_in(
        call,
        Login {
            terms: &role.terms,
            role: name,
            role_mark: role.id.clone(),
            shown_as: Some(user.clone()),
            known_as: KnownAs { name: user, metadata: metadata.clone(), groups },
            meta: metadata,
            bound_cidrs: role.terms.bound_cidrs.clone(),
        },
    )
}

/// What bounds a token's renewal: the role as it is now.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] if the role that made the token is gone, also if another has its name by now.
pub(super) fn renewal(work: &mut Work<'_, '_>, token: &TokenRecord, bounds: Bounds) -> Result<Option<Bounds>, Error> {
    let role = named::find::<JwtRoleRecord>(work.store, &work.mount, &token.method_role)?;
    let role = role.filter(|role| role.id == token.method_role_mark).ok_or_else(login::gone)?;
    Ok(Some(Bounds { role_max_secs: role.terms.max_ttl_secs, period_secs: role.terms.period_secs, ..bounds }))
}
