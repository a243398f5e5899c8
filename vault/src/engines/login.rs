//! What every auth method does once it knows who is calling: it makes the token, and the entity that this stands for.
//!
//! Not the proof of who that is; each method has its own.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::engine::Call;
use crate::engines::terms::{TermsRecord, sorted};
use crate::error::Error;
use crate::identity::login::{KnownAs, enter, issue};
use crate::lease::Origin;
use crate::mfa;
use crate::mount::Mount;
use crate::policy::name;
use crate::reply::Reply;
use crate::token::cidr::Cidr;
use crate::token::lifetime::{Bounds, Lifetime};
use crate::token::record::TokenRecord;

/// Somebody who proved who they are.
pub(crate) struct Login<'a> {
    /// What their role says about tokens.
    pub terms: &'a TermsRecord,
    /// Name of the role, so that a renewal finds it again.
    pub role: String,
    /// What the role has that no other of its name has, so that a renewal does not take one made later for it. Empty if
    /// the method does not care.
    pub role_mark: String,
    /// What tells them from others of the mount in the token's display name, if the role does.
    pub shown_as: Option<String>,
    /// By what the mount knows them: it leads to their entity, and is its alias.
    pub known_as: KnownAs,
    /// Metadata of the token.
    pub meta: BTreeMap<String, String>,
    /// Address ranges that the token is bound to, unless the terms bind it to one address.
    pub bound_cidrs: Vec<String>,
}

/// Makes the token, an orphan, and answers with it. Every check of the method comes before: what is refused here is only
/// what no token of the mount can have.
pub(crate) fn log_in(call: &mut Call<'_, '_>, login: Login<'_>) -> Result<Reply, Error> {
    let terms = login.terms;
    let is_batch = is_batch(&call.mount, &terms.token_type);
    if is_batch && (terms.num_uses > 0 || terms.period_secs > 0) {
        return Err(Error::invalid(
            "the mount makes batch tokens, which cannot be periodic or have limited uses; \
             change token_num_uses and token_period of the role, or token_type of the mount",
        ));
    }
    let life = lifetime(call, terms)?;
    let mount = call.mount.clone();
    let entity_id = enter(call.store, call.context, &mount, &login.known_as)?;
    let record = TokenRecord {
        policies: policies(terms),
        path: call.request.path.as_str().to_owned(),
        display_name: display_name(&call.mount, login.shown_as.as_deref()),
        origin: Origin::new(&call.mount.record, call.request.path.as_str()),
        meta: login.meta,
        issued_nanos: call.context.now.nanos(),
        ttl_secs: life.ttl_secs,
        expires_nanos: life.expires.nanos(),
        explicit_max_secs: terms.explicit_max_secs,
        max_secs: terms.max_ttl_secs,
        period_secs: terms.period_secs,
        uses_left: terms.num_uses,
        is_renewable: !is_batch,
        entity_id,
        bound_cidrs: addresses(call, terms, login.bound_cidrs)?,
        method_role: login.role,
        method_role_mark: login.role_mark,
        ..TokenRecord::default()
    };
    if let Some(reply) = mfa::demand(call.store, call.context, &mount, &record, is_batch)? {
        return Ok(reply);
    }
    let auth = issue(call.store, call.context, record, is_batch)?;
    Ok(Reply { warnings: life.warnings, ..Reply::auth(auth) })
}

/// The mount's word decides if it is plain; if it is a default, the role may say otherwise.
fn is_batch(mount: &Mount, wanted: &str) -> bool {
    let config = mount.config();
    match config.get("token_type").and_then(|word| word.as_str()).unwrap_or("default-service") {
        "service" => false,
        "batch" => true,
        "default-batch" => matches!(wanted, "" | "default" | "default-batch" | "batch"),
        _ => matches!(wanted, "default-batch" | "batch"),
    }
}

fn lifetime(call: &Call<'_, '_>, terms: &TermsRecord) -> Result<Lifetime, Error> {
    let mount = &call.mount.record;
    let bounds = Bounds {
        role_max_secs: terms.max_ttl_secs,
        explicit_max_secs: terms.explicit_max_secs,
        period_secs: terms.period_secs,
        ..Bounds::of_mount(call.context, mount)
    };
    // The first that says something. A default over the maximum is cut with a warning, so it is not cut before.
    let says = [terms.ttl_secs, mount.default_ttl_secs, call.context.system_ttl.default_secs];
    let wanted_secs = says.into_iter().find(|secs| *secs > 0).unwrap_or(0);
    let now = call.context.now;
    bounds.lifetime(now, now, wanted_secs).map_err(|error| Error::invalid(error.to_string()))
}

fn policies(terms: &TermsRecord) -> Vec<String> {
    let default = (!terms.no_default_policy).then(|| name::DEFAULT.to_owned());
    sorted(terms.policies.iter().cloned().chain(default).collect())
}

/// The mount's path below `auth/`, with dashes for slashes, and who logged in.
fn display_name(mount: &Mount, shown_as: Option<&str>) -> String {
    let path = mount.record.path.trim_end_matches('/');
    let path = path.strip_prefix("auth/").unwrap_or(path).replace('/', "-");
    shown_as.map_or(path.clone(), |name| format!("{path}-{name}"))
}

/// Whether a list of ranges permits an address. An address that is not known lies in no range.
pub(crate) fn permits(ranges: &[String], remote: Option<IpAddr>) -> bool {
    let contains =
        |range: &String| remote.zip(Cidr::parse(range)).is_some_and(|(remote, range)| range.contains(remote));
    ranges.is_empty() || ranges.iter().any(contains)
}

/// The error of a renewal whose role is not there any more.
pub(crate) fn gone() -> Error {
    Error::invalid("the role that the token was made by does not exist any more, so the token cannot be renewed")
}

fn addresses(call: &Call<'_, '_>, terms: &TermsRecord, bound_cidrs: Vec<String>) -> Result<Vec<String>, Error> {
    if !terms.strictly_bind_ip {
        return Ok(bound_cidrs);
    }
    let address = call.request.remote_address;
    let address = address
        .ok_or_else(|| Error::invalid("the role binds tokens to the client's address, and that is not known"))?;
    Ok(vec![address.to_string()])
}
