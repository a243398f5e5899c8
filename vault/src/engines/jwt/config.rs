//! `config`: where the keys come from, and how this server is known to a provider.
//!
//! What surprises: a write replaces everything, and before it is kept the keys are fetched once, unless the client says not to.

use prost::Message;
use serde_json::{Map, Value, json};
use zeroize::Zeroize;

use crate::engine::Call;
use crate::engines::jwt::source;
use crate::error::{Error, ErrorKind};
use crate::field::{Field, Fields, Kind, field};
use crate::jose::algorithm::JwsAlgorithm;
use crate::jose::key::VerificationKey;
use crate::mount::Mount;
use crate::reply::Reply;
use crate::store::Store;
use crate::web::check_url;

/// Name of the record in the mount's area.
const RECORD: &str = "config";
/// Most places of keys. Each is asked up to twice for one login.
const MAX_PAIRS: usize = 4;
/// Most keys that are told.
const MAX_PUBLIC_KEYS: usize = 64;
/// Longest text of authorities, or of a key, in bytes.
const MAX_PEM_BYTES: usize = 64 << 10;

const DISCOVERY_URL: Field =
    field("oidc_discovery_url", Kind::Text, "URL of a provider, without .well-known; it is the issuer of its tokens.");
const DISCOVERY_CA: Field =
    field("oidc_discovery_ca_pem", Kind::Text, "Authorities of that server, in PEM; none is the system's.");
const CLIENT_ID: Field = field("oidc_client_id", Kind::Text, "This server as the provider knows it.");
const CLIENT_SECRET: Field = field("oidc_client_secret", Kind::Text, "Its secret; never shown.");
const RESPONSE_MODE: Field =
    field("oidc_response_mode", Kind::Text, "How the provider answers.").one_of(&["query"]).or("query");
const RESPONSE_TYPES: Field =
    field("oidc_response_types", Kind::CommaList, "What the provider answers.").one_of(&["code"]).or("code");
const JWKS_URL: Field = field("jwks_url", Kind::Text, "URL of a set of keys.");
const JWKS_CA: Field = field("jwks_ca_pem", Kind::Text, "Authorities of that server, in PEM; none is the system's.");
const PAIRS: Field =
    field("jwks_pairs", Kind::Any, "Several sets of keys: a list of maps with jwks_url and jwks_ca_pem.");
const PUBLIC_KEYS: Field = field("jwt_validation_pubkeys", Kind::CommaList, "Public keys or certificates, in PEM.");
const ALGORITHMS: Field =
    field("jwt_supported_algs", Kind::CommaList, "How tokens may be signed; none is any way, and RS256 for a browser.");
const ISSUER: Field = field(
    "bound_issuer",
    Kind::Text,
    "The issuer that tokens must name; none is that of the provider, if there is one.",
);
const DEFAULT_ROLE: Field = field("default_role", Kind::LowerText, "The role of a login that names none.");
const PROVIDER: Field =
    field("provider_config", Kind::Map, "Refused, unless it is empty: no provider is treated apart.");
const NAMESPACE_IN_STATE: Field =
    field("namespace_in_state", Kind::Bool, "Shown, without effect: there are no namespaces.").or("true");
const SKIP_CHECK: Field =
    field("skip_jwks_validation", Kind::Bool, "Whether to keep the configuration without fetching keys.").or("false");
const SERVER_NAMES: Field = field(
    "override_allowed_server_names",
    Kind::CommaList,
    "Refused, unless it is empty: servers are known by their URL.",
);

pub(super) const FIELDS: &[Field] = &[
    DISCOVERY_URL,
    DISCOVERY_CA,
    CLIENT_ID,
    CLIENT_SECRET,
    RESPONSE_MODE,
    RESPONSE_TYPES,
    JWKS_URL,
    JWKS_CA,
    PAIRS,
    PUBLIC_KEYS,
    ALGORITHMS,
    ISSUER,
    DEFAULT_ROLE,
    PROVIDER,
    NAMESPACE_IN_STATE,
    SKIP_CHECK,
    SERVER_NAMES,
];

/// A place of keys, and whom to believe there.
#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyPlaceRecord {
    #[prost(string, tag = "1")]
    pub(super) url: String,
    #[prost(string, tag = "2")]
    pub(super) ca_pem: String,
}

/// The configuration as it is stored. Has no `Debug`: it holds a secret.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct JwtConfigRecord {
    #[prost(message, optional, tag = "1")]
    pub(super) discovery: Option<KeyPlaceRecord>,
    #[prost(string, tag = "2")]
    pub(super) client_id: String,
    #[prost(string, tag = "3")]
    pub(super) client_secret: String,
    #[prost(string, tag = "4")]
    response_mode: String,
    #[prost(string, repeated, tag = "5")]
    response_types: Vec<String>,
    #[prost(message, optional, tag = "6")]
    pub(super) key_set: Option<KeyPlaceRecord>,
    #[prost(message, repeated, tag = "7")]
    pub(super) pairs: Vec<KeyPlaceRecord>,
    #[prost(string, repeated, tag = "8")]
    pub(super) public_keys: Vec<String>,
    #[prost(string, repeated, tag = "9")]
    pub(super) algorithms: Vec<String>,
    #[prost(string, tag = "10")]
    pub(super) issuer: String,
    #[prost(string, tag = "11")]
    pub(super) default_role: String,
    #[prost(bool, tag = "12")]
    namespace_in_state: bool,
    /// Kept without having fetched keys.
    #[prost(bool, tag = "13")]
    is_unchecked: bool,
}

impl Drop for JwtConfigRecord {
    fn drop(&mut self) {
        self.client_secret.zeroize();
    }
}

impl JwtConfigRecord {
    fn sent(fields: &Fields) -> Result<Self, Error> {
        Ok(Self {
            discovery: place(fields, &DISCOVERY_URL, &DISCOVERY_CA)?,
            client_id: fields.text_or_empty(CLIENT_ID.name).to_owned(),
            client_secret: fields.text_or_empty(CLIENT_SECRET.name).to_owned(),
            response_mode: fields.text_or_empty(RESPONSE_MODE.name).to_owned(),
            response_types: fields.list(RESPONSE_TYPES.name).unwrap_or_default().to_vec(),
            key_set: place(fields, &JWKS_URL, &JWKS_CA)?,
            pairs: pairs(fields)?,
            public_keys: public_keys(fields)?,
            algorithms: algorithms(fields)?,
            issuer: fields.text_or_empty(ISSUER.name).to_owned(),
            default_role: fields.text_or_empty(DEFAULT_ROLE.name).to_owned(),
            namespace_in_state: fields.bool_or(NAMESPACE_IN_STATE.name, true, true),
            is_unchecked: fields.bool(SKIP_CHECK.name).unwrap_or(false),
        })
    }

    fn check(&self, fields: &Fields) -> Result<(), Error> {
        if fields.map(PROVIDER.name).is_some_and(|map| !map.is_empty()) {
            return Err(Error::invalid(
                "provider_config: no provider is treated apart; use its oidc_discovery_url alone",
            ));
        }
        if fields.list(SERVER_NAMES.name).is_some_and(|names| !names.is_empty()) {
            return Err(Error::invalid("override_allowed_server_names: a server must be the one that its URL names"));
        }
        let sources =
            [!self.public_keys.is_empty(), self.key_set.is_some(), !self.pairs.is_empty(), self.discovery.is_some()];
        if sources.into_iter().filter(|is_there| *is_there).count() != 1 {
            return Err(Error::invalid(
                "exactly one of 'jwt_validation_pubkeys', 'jwks_url', 'jwks_pairs', 'oidc_discovery_url', \
                 or 'provider_config' must be set",
            ));
        }
        if self.client_id.is_empty() != self.client_secret.is_empty() {
            return Err(Error::invalid("both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC"));
        }
        if !self.client_id.is_empty() && self.discovery.is_none() {
            return Err(Error::invalid("'oidc_discovery_url' must be set for OIDC"));
        }
        if !matches!(self.response_mode.as_str(), "" | "query") {
            return Err(Error::invalid("invalid response_mode: only \"query\" is supported"));
        }
        if self.response_types.iter().any(|word| word != "code") {
            return Err(Error::invalid("oidc_response_types: only \"code\" is supported"));
        }
        Ok(())
    }

    /// Whether tokens of an algorithm are taken.
    pub(super) fn allows(&self, algorithm: JwsAlgorithm) -> bool {
        self.algorithms.is_empty() || self.algorithms.iter().any(|name| name == algorithm.as_str())
    }

    fn show(&self) -> Map<String, Value> {
        let place = |place: &Option<KeyPlaceRecord>| place.clone().unwrap_or_default();
        let (discovery, key_set) = (place(&self.discovery), place(&self.key_set));
        let pairs = self.pairs.iter().map(|pair| json!({ "jwks_url": pair.url, "jwks_ca_pem": pair.ca_pem }));
        let data = json!({
            "oidc_discovery_url": discovery.url,
            "oidc_discovery_ca_pem": discovery.ca_pem,
            "oidc_client_id": self.client_id,
            "oidc_response_mode": self.response_mode,
            "oidc_response_types": self.response_types,
            "jwks_url": key_set.url,
            "jwks_ca_pem": key_set.ca_pem,
            "jwks_pairs": pairs.collect::<Vec<_>>(),
            "jwt_validation_pubkeys": self.public_keys,
            "jwt_supported_algs": self.algorithms,
            "bound_issuer": self.issuer,
            "default_role": self.default_role,
            "provider_config": {},
            "namespace_in_state": self.namespace_in_state,
            "override_allowed_server_names": [],
            "status": if self.is_unchecked { "unchecked" } else { "valid" },
        });
        data.as_object().cloned().unwrap_or_default()
    }
}

fn check_ca(name: &str, pem: &str) -> Result<(), Error> {
    let is_usable = pem.is_empty() || (pem.len() <= MAX_PEM_BYTES && VerificationKey::from_pem(pem).is_some());
    match is_usable {
        true => Ok(()),
        false => Err(Error::invalid(format!("{name} must hold certificates in PEM, of at most {MAX_PEM_BYTES} bytes"))),
    }
}

fn place(fields: &Fields, url: &Field, ca: &Field) -> Result<Option<KeyPlaceRecord>, Error> {
    let place = KeyPlaceRecord {
        url: fields.text_or_empty(url.name).to_owned(),
        ca_pem: fields.text_or_empty(ca.name).to_owned(),
    };
    check_ca(ca.name, &place.ca_pem)?;
    if place.url.is_empty() {
        return Ok(None);
    }
    check_url(url.name, &place.url)?;
    Ok(Some(place))
}

fn pairs(fields: &Fields) -> Result<Vec<KeyPlaceRecord>, Error> {
    let wrong = || Error::invalid("jwks_pairs must be a list of maps with jwks_url and, if wanted, jwks_ca_pem");
    let Some(sent) = fields.any(PAIRS.name).filter(|sent| !sent.is_null()) else { return Ok(Vec::new()) };
    let list = sent.as_array().ok_or_else(wrong)?;
    if list.len() > MAX_PAIRS {
        return Err(Error::invalid(format!("jwks_pairs holds at most {MAX_PAIRS} sets of keys")));
    }
    let read = |pair: &Value| {
        let pair = pair.as_object().filter(|pair| pair.contains_key(JWKS_URL.name)).ok_or_else(wrong)?;
        place(&Fields::decode(&[&[JWKS_URL, JWKS_CA]], pair, &[])?, &JWKS_URL, &JWKS_CA)?.ok_or_else(wrong)
    };
    list.iter().map(read).collect()
}

fn public_keys(fields: &Fields) -> Result<Vec<String>, Error> {
    let sent = fields.list(PUBLIC_KEYS.name).unwrap_or_default();
    if sent.len() > MAX_PUBLIC_KEYS {
        return Err(Error::invalid(format!("jwt_validation_pubkeys holds at most {MAX_PUBLIC_KEYS} keys")));
    }
    let is_key = |text: &String| text.len() <= MAX_PEM_BYTES && VerificationKey::from_pem(text).is_some();
    match sent.iter().all(is_key) {
        true => Ok(sent.to_vec()),
        false => Err(Error::invalid("error parsing public key: data does not contain any valid public keys")),
    }
}

fn algorithms(fields: &Fields) -> Result<Vec<String>, Error> {
    let sent = fields.list(ALGORITHMS.name).unwrap_or_default();
    match sent.iter().all(|name| JwsAlgorithm::parse(name).is_some()) {
        true => Ok(sent.to_vec()),
        false => Err(Error::invalid(
            "invalid jwt_supported_algs: unsupported signing algorithm; RS, PS and ES with 256, 384 and 512, and EdDSA are supported",
        )),
    }
}

/// The configuration of a mount; `None` before it was written.
pub(super) fn find(store: &mut Store<'_>, mount: &Mount) -> Result<Option<JwtConfigRecord>, Error> {
    store.get(&mount.area, &[RECORD])
}

/// The configuration of a mount.
///
/// # Errors
/// [`ErrorKind::Invalid`] if there is none.
pub(super) fn required(call: &mut Call<'_, '_>) -> Result<JwtConfigRecord, Error> {
    let mount = call.mount.clone();
    find(call.store, &mount)?.ok_or_else(|| Error::invalid("could not load configuration"))
}

pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let config = find(call.store, &mount)?.ok_or_else(Error::not_found)?;
    Ok(Reply { data: Some(config.show()), ..Reply::default() })
}

pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let config = JwtConfigRecord::sent(&call.fields)?;
    config.check(&call.fields)?;
    if !config.is_unchecked {
        // What cannot be reached now is as wrong as what is mistyped.
        source::check(call.context, &config).map_err(|error| match error.kind {
            ErrorKind::Unavailable => Error { kind: ErrorKind::Invalid, ..error },
            _ => error,
        })?;
    }
    call.store.put(&call.mount.area, &[RECORD], &config)?;
    Ok(Reply::empty())
}
