//! `login`: the token of a service account, for one of ours; and what bounds the renewal of that.

use std::collections::BTreeMap;

use crate::engine::{Call, Work};
use crate::engines::kubernetes::config::{self, KubernetesConfigRecord};
use crate::engines::kubernetes::review::{self, ServiceAccount};
use crate::engines::kubernetes::role::KubernetesRoleRecord;
use crate::engines::login::{self, Login, log_in, permits};
use crate::engines::named;
use crate::error::{Error, ErrorKind};
use crate::field::{Field, Kind, field};
use crate::glob;
use crate::identity::login::KnownAs;
use crate::jose::claims::{Claims, Leeways};
use crate::jose::key::VerificationKey;
use crate::jose::token::SignedToken;
use crate::reply::Reply;
use crate::token::lifetime::Bounds;
use crate::token::record::TokenRecord;

const ROLE: Field = field("role", Kind::LowerText, "The role.").required();
const TOKEN: Field = field("jwt", Kind::Text, "The token of the service account.").required();
/// The claim of a token that lies in a secret, as clusters gave them until version 1.24.
const SECRET_CLAIM: &str = "kubernetes.io/serviceaccount/secret.name";

pub(super) const FIELDS: &[Field] = &[ROLE, TOKEN];

/// `login`
pub(super) fn login(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (name, token) = (call.fields.text_or_empty(ROLE.name).to_owned(), call.fields.text_or_empty(TOKEN.name));
    let token = token.trim().to_owned();
    if token.is_empty() {
        return Err(Error::invalid("missing jwt"));
    }
    if name.is_empty() {
        return Err(Error::invalid("missing role"));
    }
    let mount = call.mount.clone();
    let role = named::find::<KubernetesRoleRecord>(call.store, &mount, &name)?;
    let role = role.ok_or_else(|| Error::invalid(format!("invalid role name {name:?}")))?;
    let config =
        config::find(call.store, &mount)?.ok_or_else(|| Error::invalid("could not load backend configuration"))?;
    if !permits(&role.terms.bound_cidrs, call.request.remote_address) {
        return Err(Error::bad_token());
    }
    let signed = SignedToken::parse(&token).map_err(|_| Error::bad_token())?;
    check_locally(call, &config, &role, &signed)?;
    let account = review::ask(call.context, &config, &token, &role.audience)?;
    check_bounds(&role, &account)?;
    let claims = signed.vouched_for().map_err(|_| Error::bad_token())?;
    admit(call, name, &role, &account, &claims)
}

/// What can be told of a token without its cluster, so that others are not sent there.
fn check_locally(
    call: &Call<'_, '_>,
    config: &KubernetesConfigRecord,
    role: &KubernetesRoleRecord,
    signed: &SignedToken<'_>,
) -> Result<(), Error> {
    let claims = if config.keys.is_empty() {
        signed.vouched_for()
    } else {
        let keys: Vec<_> = config.keys.iter().filter_map(|text| VerificationKey::from_pem(text)).collect();
        signed.open(keys.iter().flatten())
    };
    let claims = claims.map_err(|_| Error::bad_token())?;
    let is_from = !config.checks_issuer || claims.text("iss") == config.issuer;
    let audience = claims.audience().map_err(|_| Error::bad_token())?;
    let is_for = role.audience.is_empty() || audience.contains(&role.audience.as_str());
    // Tokens that lie in secrets say nothing of times.
    let is_timeless = ["exp", "nbf", "iat"].iter().all(|name| claims.named(name).is_none());
    let is_timely = is_timeless || claims.check_times(Leeways::default(), call.context.now).is_ok();
    if is_from && is_for && is_timely { Ok(()) } else { Err(Error::bad_token()) }
}

fn check_bounds(role: &KubernetesRoleRecord, account: &ServiceAccount) -> Result<(), Error> {
    let is_among = |patterns: &[String], text: &str| patterns.iter().any(|pattern| glob::matches(pattern, text));
    if !is_among(&role.namespaces, &account.namespace) {
        return Err(Error::new(ErrorKind::Denied, "namespace not authorized"));
    }
    if !is_among(&role.accounts, &account.name) {
        return Err(Error::new(ErrorKind::Denied, "service account name not authorized"));
    }
    Ok(())
}

fn admit(
    call: &mut Call<'_, '_>,
    name: String,
    role: &KubernetesRoleRecord,
    account: &ServiceAccount,
    claims: &Claims,
) -> Result<Reply, Error> {
    let known_as = match role.is_known_by_name {
        true => format!("{}/{}", account.namespace, account.name),
        false => account.uid.clone(),
    };
    let metadata = BTreeMap::from([
        ("service_account_name".to_owned(), account.name.clone()),
        ("service_account_namespace".to_owned(), account.namespace.clone()),
        ("service_account_secret_name".to_owned(), claims.text(SECRET_CLAIM).to_owned()),
        ("service_account_uid".to_owned(), account.uid.clone()),
    ]);
    let mut meta = metadata.clone();
    meta.insert("role".to_owned(), name.clone());
    log_in(
        call,
        Login {
            terms: &role.terms,
            role: name,
            role_mark: role.id.clone(),
            shown_as: Some(format!("{}-{}", account.namespace, account.name)),
            known_as: KnownAs { name: known_as, metadata, groups: Vec::new() },
            meta,
            bound_cidrs: role.terms.bound_cidrs.clone(),
        },
    )
}

/// What bounds a token's renewal: the role as it is now.
///
/// # Errors
/// [`ErrorKind::Invalid`] if the role that made the token is gone, also if another has its name by now.
pub(super) fn renewal(work: &mut Work<'_, '_>, token: &TokenRecord, bounds: Bounds) -> Result<Option<Bounds>, Error> {
    let role = named::find::<KubernetesRoleRecord>(work.store, &work.mount, &token.method_role)?;
    let role = role.filter(|role| role.id == token.method_role_mark).ok_or_else(login::gone)?;
    Ok(Some(Bounds { role_max_secs: role.terms.max_ttl_secs, period_secs: role.terms.period_secs, ..bounds }))
}
