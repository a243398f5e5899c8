//! `login`: a role id and, if the role asks for it, a secret id, for a token.
//!
//! Whatever is wrong, the answer is the same: a caller does not learn why a secret id was refused. Nothing is written
//! before everything was checked, but the count of wrong secret ids ([`crate::lockout`]), by which a role id that exists
//! can be told from one that does not. A role id is no secret.

use std::collections::BTreeMap;
use std::net::IpAddr;

use zeroize::Zeroizing;

use crate::engine::{Call, Work};
use crate::engines::approle::role::AppRoleRecord;
use crate::engines::approle::role_id;
use crate::engines::approle::secret::{self, SecretIdPath, SecretIdRecord};
use crate::engines::login::{self, Login, log_in, permits};
use crate::engines::named;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::identity::login::KnownAs;
use crate::lockout::{self, Who};
use crate::reply::Reply;
use crate::token::lifetime::Bounds;
use crate::token::record::TokenRecord;

const SECRET_ID: Field = field("secret_id", Kind::Text, "The secret id, if the role asks for one.");

pub(super) const FIELDS: &[Field] = &[role_id::FIELD.required(), SECRET_ID];

/// Stands for the role of a role id that does not exist: its secret id is looked for too, and not found.
const NO_ROLE: &str = "none";

/// `login`
pub(super) fn login(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    // Ids that were read from files end with a newline.
    let role_id = call.fields.text_or_empty(role_id::FIELD.name).trim().to_owned();
    if role_id.is_empty() {
        return Err(Error::invalid("missing role_id"));
    }
    let secret_id = Zeroizing::new(call.fields.text_or_empty(SECRET_ID.name).trim().to_owned());
    let found = role_id::find(call, &role_id)?;
    if found.is_none() {
        // The look-up that a role id which exists would have cost.
        named::find::<AppRoleRecord>(call.store, &call.mount.clone(), NO_ROLE)?;
    }
    if found.is_some() {
        lockout::check(call, Who::User(&role_id))?;
    }
    let place = SecretIdPath::new(&call.mount, found.as_ref().map_or(NO_ROLE, |(_, role)| &role.id), &secret_id);
    let record = secret::find(call, &place)?;
    let is_guess = !secret_id.is_empty() && is_guess(found.as_ref(), record.as_ref(), call.request.remote_address);
    let Some((name, role, record)) = admitted(found, record, call.request.remote_address) else {
        if is_guess {
            lockout::count(call, Who::User(&role_id))?;
        }
        // What was not sent is no secret of ours.
        let message = if secret_id.is_empty() { "missing secret_id" } else { "invalid role or secret ID" };
        return Err(Error::invalid(message));
    };
    if role.bind_secret_id {
        let mount = call.mount.clone();
        lockout::forget(call.store, &mount, &role_id)?;
    }
    if let Some(record) = &record {
        secret::spend(call, &place, record)?;
    }
    let record = record.unwrap_or_default();
    let mut meta = record.metadata;
    meta.insert("role_name".to_owned(), name.clone());
    let bound_cidrs = if record.token_cidrs.is_empty() { role.terms.bound_cidrs.clone() } else { record.token_cidrs };
    // What secret ids say of themselves stays with the token: the alias is the role's, and the same in every login.
    let metadata = BTreeMap::from([("role_name".to_owned(), name.clone())]);
    let known_as = KnownAs { name: role_id, metadata, groups: Vec::new() };
    let role_mark = role.id.clone();
    log_in(call, Login { terms: &role.terms, role: name, role_mark, shown_as: None, known_as, meta, bound_cidrs })
}

/// The role and the secret id, if together they open. A role that asks for no secret id opens without one, and then
/// what was sent counts for nothing.
fn admitted(
    found: Option<(String, AppRoleRecord)>,
    record: Option<SecretIdRecord>,
    remote: Option<IpAddr>,
) -> Option<(String, AppRoleRecord, Option<SecretIdRecord>)> {
    let (name, role) = found?;
    let record = if role.bind_secret_id { Some(record?) } else { None };
    let of_secret = record.iter().flat_map(|record| [&record.cidrs, &record.token_cidrs]);
    let is_permitted =
        [&role.secret_cidrs, &role.terms.bound_cidrs].into_iter().chain(of_secret).all(|list| permits(list, remote));
    is_permitted.then_some((name, role, record))
}

/// Whether a refused login tried a secret id that there is not, from where its role admits somebody. From elsewhere no
/// secret id opens, so nothing is guessed there, and nobody there can lock the role out.
fn is_guess(found: Option<&(String, AppRoleRecord)>, record: Option<&SecretIdRecord>, remote: Option<IpAddr>) -> bool {
    found.is_some_and(|(_, role)| {
        let is_from_here = [&role.secret_cidrs, &role.terms.bound_cidrs].into_iter().all(|list| permits(list, remote));
        role.bind_secret_id && record.is_none() && is_from_here
    })
}

/// What bounds a token's renewal: the role as it is now.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] if the role that made the token is gone, also if another has its name by now.
pub(super) fn renewal(work: &mut Work<'_, '_>, token: &TokenRecord, bounds: Bounds) -> Result<Option<Bounds>, Error> {
    let role = named::find::<AppRoleRecord>(work.store, &work.mount, &token.method_role)?;
    let role = role.filter(|role| role.id == token.method_role_mark).ok_or_else(login::gone)?;
    Ok(Some(Bounds { role_max_secs: role.terms.max_ttl_secs, period_secs: role.terms.period_secs, ..bounds }))
}
