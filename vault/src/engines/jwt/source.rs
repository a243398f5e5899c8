//! Keys from where the configuration says, and tokens opened with them.

use serde_json::{Map, Value};

use crate::context::Context;
use crate::engines::jwt::config::{JwtConfigRecord, KeyPlaceRecord};
use crate::error::{Error, ErrorKind};
use crate::jose::claims::Claims;
use crate::jose::key::{KeySet, VerificationKey};
use crate::jose::token::{SignedToken, TokenError};
use crate::web::{WebReply, WebRequest};

/// How old a set of keys may be that tokens are checked with, in seconds.
const KEYS_SECS: u64 = 300;
/// How old it may be if no key in it fits, in seconds: strangers can send tokens of any key.
const NEWER_KEYS_SECS: u64 = 10;

/// What a provider says of itself (OpenID Connect Discovery 1.0, section 3).
pub(super) struct ProviderDocument(Map<String, Value>);

impl ProviderDocument {
    /// A URL of the document.
    pub(super) fn url(&self, name: &str) -> Result<&str, Error> {
        let url = self.0.get(name).and_then(Value::as_str);
        url.ok_or_else(|| Error::unavailable(format!("the provider's document has no {name}")))
    }

    /// Who its tokens say made them.
    pub(super) fn issuer(&self) -> &str {
        self.0.get("issuer").and_then(Value::as_str).unwrap_or_default()
    }
}

fn fetch(context: &mut Context<'_>, what: &str, request: &WebRequest) -> Result<WebReply, Error> {
    let reply = context.ask_web(request)?;
    match reply.status {
        200 => Ok(reply),
        status => Err(Error::unavailable(format!("{what} was answered with status {status}"))),
    }
}

/// The document of the provider that the configuration names.
pub(super) fn document(context: &mut Context<'_>, place: &KeyPlaceRecord) -> Result<ProviderDocument, Error> {
    document_of_age(context, place, KEYS_SECS)
}

fn document_of_age(
    context: &mut Context<'_>,
    place: &KeyPlaceRecord,
    max_age_secs: u64,
) -> Result<ProviderDocument, Error> {
    let url = format!("{}/.well-known/openid-configuration", place.url.trim_end_matches('/'));
    let what = "the question for the provider's document";
    let reply = fetch(context, what, &WebRequest::get(&url, &place.ca_pem, max_age_secs))?;
    let document = ProviderDocument(
        reply
            .object()
            .ok_or_else(|| Error::unavailable("the provider's document is no JSON object within the limits"))?,
    );
    match document.issuer() == place.url {
        true => Ok(document),
        false => Err(Error::unavailable("the provider names another issuer than oidc_discovery_url")),
    }
}

fn key_set(context: &mut Context<'_>, place: &KeyPlaceRecord, max_age_secs: u64) -> Result<KeySet, Error> {
    let what = "the question for a set of keys";
    let reply = fetch(context, what, &WebRequest::get(&place.url, &place.ca_pem, max_age_secs))?;
    KeySet::parse(&reply.body).ok_or_else(|| Error::unavailable("what was fetched is no set of keys within the limits"))
}

/// Where the sets of keys are, as a provider said at most so long ago; none if the keys are told.
fn places(
    context: &mut Context<'_>,
    config: &JwtConfigRecord,
    max_age_secs: u64,
) -> Result<Vec<KeyPlaceRecord>, Error> {
    if let Some(discovery) = &config.discovery {
        let url = document_of_age(context, discovery, max_age_secs)?.url("jwks_uri")?.to_owned();
        return Ok(vec![KeyPlaceRecord { url, ca_pem: discovery.ca_pem.clone() }]);
    }
    Ok(config.key_set.iter().chain(&config.pairs).cloned().collect())
}

/// Checks that the keys of a configuration can be had.
pub(super) fn check(context: &mut Context<'_>, config: &JwtConfigRecord) -> Result<(), Error> {
    for place in places(context, config, 0)? {
        key_set(context, &place, 0)?;
    }
    Ok(())
}

fn refused(error: TokenError) -> Error {
    Error::invalid(format!("error validating token: error verifying token signature: {error}"))
}

/// The issuer that tokens must name; empty is any.
pub(super) fn issuer(config: &JwtConfigRecord) -> &str {
    let of_provider = config.discovery.as_ref().map_or("", |place| &place.url);
    if config.issuer.is_empty() { of_provider } else { &config.issuer }
}

/// What a token claims, if a key of the configuration signed it in a way that is allowed.
///
/// # Errors
/// [`crate::error::ErrorKind::Invalid`] if none did; [`crate::error::ErrorKind::Unavailable`] if the keys cannot be had.
pub(super) fn open(context: &mut Context<'_>, config: &JwtConfigRecord, text: &str) -> Result<Claims, Error> {
    let token = SignedToken::parse(text).map_err(refused)?;
    if !config.allows(token.algorithm) {
        return Err(Error::invalid(
            "error validating token: invalid algorithm (alg) header parameter: it is not among jwt_supported_algs",
        ));
    }
    if !config.public_keys.is_empty() {
        let keys: Vec<_> = config.public_keys.iter().filter_map(|text| VerificationKey::from_pem(text)).collect();
        return token.open(keys.iter().flatten()).map_err(refused);
    }
    let places = places(context, config, KEYS_SECS)?;
    let mut missing = None;
    for max_age_secs in [KEYS_SECS, NEWER_KEYS_SECS] {
        for place in &places {
            let set = match key_set(context, place, max_age_secs) {
                Ok(set) => set,
                // A place that is down keeps nobody out whose keys are at another.
                Err(error) if error.kind == ErrorKind::Unavailable => {
                    missing = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            match token.open(set.candidates(token.key_id.as_deref(), token.algorithm)) {
                Err(TokenError::NotSigned) => {}
                opened => return opened.map_err(refused),
            }
        }
    }
    Err(missing.unwrap_or_else(|| refused(TokenError::NotSigned)))
}
