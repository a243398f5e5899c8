//! Who issues tokens: the address that is configured, or that of the cluster's oldest member; and what clients discover there.

use prost::Message;
use serde_json::json;

use crate::engine::Call;
use crate::engines::identity::oidc::jwk::ALGORITHMS;
use crate::engines::identity::oidc::key;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::jose::algorithm::JwsAlgorithm;
use crate::members;
use crate::reply::Reply;

/// Where the configuration lies in the mount's area.
const CONFIG: &[&str] = &["oidc-config"];
/// The warning of whoever sets an issuer, in the words that clients know.
pub(super) const WARNING: &str = "If \"issuer\" is set explicitly, all tokens must be validated against that address, \
     including those issued by secondary clusters. Setting issuer to \"\" will restore the default behavior of using the \
     cluster's api_addr as the issuer.";
/// Longest issuer, in bytes.
const MAX_ISSUER_BYTES: usize = 512;

pub(super) const FIELDS: &[Field] = &[field(
    "issuer",
    Kind::Text,
    "Scheme, host and port of the address under which clients verify tokens; empty is api_addr of the oldest member.",
)];

#[derive(Clone, PartialEq, Message)]
struct OidcConfigRecord {
    #[prost(string, tag = "1")]
    issuer: String,
}

fn config(call: &mut Call<'_, '_>) -> Result<OidcConfigRecord, Error> {
    Ok(call.store.get(&call.mount.area, CONFIG)?.unwrap_or_default())
}

/// The `iss` of identity tokens.
pub(super) fn of_tokens(call: &mut Call<'_, '_>) -> Result<String, Error> {
    let issuer = config(call)?.issuer;
    Ok(format!("{}/v1/identity/oidc", base(call, &issuer)?))
}

/// An address that was configured, or the one that all nodes know the cluster by if none was: that of its oldest member.
pub(super) fn base(call: &mut Call<'_, '_>, configured: &str) -> Result<String, Error> {
    if !configured.is_empty() {
        return Ok(configured.to_owned());
    }
    let members = members::load(call.store)?;
    let oldest = members.members.first().map(|member| member.api_addr.trim_end_matches('/').to_owned());
    Ok(oldest.unwrap_or_default())
}

/// Refuses what is more, or less, than scheme, host and port.
pub(super) fn check(issuer: &str) -> Result<(), Error> {
    let host = issuer.strip_prefix("https://").or_else(|| issuer.strip_prefix("http://"));
    let is_host = |host: &str| {
        !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']'))
    };
    match issuer.is_empty() || (issuer.len() <= MAX_ISSUER_BYTES && host.is_some_and(is_host)) {
        true => Ok(()),
        false => Err(Error::invalid(
            "invalid issuer, which must include only a scheme, host, and optional port (e.g. https://example.com:8200)",
        )),
    }
}

/// `oidc/config`
pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Ok(Reply::data(json!({ "issuer": config(call)?.issuer })))
}

/// `oidc/config`
pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mut record = config(call)?;
    let Some(issuer) = call.fields.text("issuer") else { return Ok(Reply::empty()) };
    check(issuer)?;
    issuer.clone_into(&mut record.issuer);
    call.store.put(&call.mount.area, CONFIG, &record)?;
    let is_set = !record.issuer.is_empty();
    Ok(if is_set { Reply::empty().warn(WARNING) } else { Reply::empty() })
}

/// `oidc/.well-known/openid-configuration` (OpenID Connect Discovery 1.0, section 4)
pub(super) fn discover(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let issuer = of_tokens(call)?;
    Ok(Reply {
        plain: true,
        ..Reply::data(json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/.well-known/keys"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ALGORITHMS.map(JwsAlgorithm::as_str),
        }))
    })
}

/// `oidc/.well-known/keys`
pub(super) fn keys(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let keys = key::all_public(call)?;
    key::jwks(&keys)
}
