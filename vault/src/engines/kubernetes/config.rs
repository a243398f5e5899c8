//! `config`: the cluster whose tokens count, and how its API server is asked.

use prost::Message;
use serde_json::{Map, Value, json};
use zeroize::Zeroize;

use crate::engine::Call;
use crate::error::Error;
use crate::field::{Field, Fields, Kind, field};
use crate::jose::key::VerificationKey;
use crate::mount::Mount;
use crate::reply::Reply;
use crate::store::Store;
use crate::web::check_url;

/// Name of the record in the mount's area.
const RECORD: &str = "config";
/// Most keys that are told.
const MAX_KEYS: usize = 64;
/// Longest text of authorities, or of a key, in bytes.
const MAX_PEM_BYTES: usize = 64 << 10;

const HOST: Field = field("kubernetes_host", Kind::Text, "URL of the API server.").required();
const AUTHORITIES: Field = field(
    "kubernetes_ca_cert",
    Kind::Text,
    "Its authorities, in PEM; none is those of the pod that the node runs in, or the system's.",
);
const REVIEWER: Field = field(
    "token_reviewer_jwt",
    Kind::Text,
    "The token that asks for reviews; none is that of the pod that the node runs in, or the one under review. Never shown.",
);
const KEYS: Field =
    field("pem_keys", Kind::CommaList, "Public keys or certificates, in PEM, that must have signed a token.");
const ISSUER: Field = field("issuer", Kind::Text, "The issuer that a token must name, if that is looked at.");
const NO_ISSUER: Field =
    field("disable_iss_validation", Kind::Bool, "Whether the issuer is left to the review.").or("true");
const NO_POD: Field =
    field("disable_local_ca_jwt", Kind::Bool, "Whether the pod that a node runs in counts for nothing.").or("false");
const ANNOTATIONS: Field =
    field("use_annotations_as_alias_metadata", Kind::Bool, "Refused, unless false: accounts are not looked up.");

pub(super) const FIELDS: &[Field] = &[HOST, AUTHORITIES, REVIEWER, KEYS, ISSUER, NO_ISSUER, NO_POD, ANNOTATIONS];

/// The configuration as it is stored. Has no `Debug`: it holds a token.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct KubernetesConfigRecord {
    #[prost(string, tag = "1")]
    pub(super) host: String,
    #[prost(string, tag = "2")]
    pub(super) ca_pem: String,
    #[prost(string, tag = "3")]
    pub(super) reviewer: String,
    #[prost(string, repeated, tag = "4")]
    pub(super) keys: Vec<String>,
    #[prost(string, tag = "5")]
    pub(super) issuer: String,
    #[prost(bool, tag = "6")]
    pub(super) checks_issuer: bool,
    #[prost(bool, tag = "7")]
    pub(super) ignores_pod: bool,
}

impl Drop for KubernetesConfigRecord {
    fn drop(&mut self) {
        self.reviewer.zeroize();
    }
}

impl KubernetesConfigRecord {
    fn sent(fields: &Fields) -> Result<Self, Error> {
        let text = |field: &Field| fields.text_or_empty(field.name).to_owned();
        let config = Self {
            host: text(&HOST).trim_end_matches('/').to_owned(),
            ca_pem: text(&AUTHORITIES),
            reviewer: text(&REVIEWER),
            keys: fields.list(KEYS.name).unwrap_or_default().to_vec(),
            issuer: text(&ISSUER),
            checks_issuer: !fields.bool_or(NO_ISSUER.name, true, true),
            ignores_pod: fields.bool(NO_POD.name).unwrap_or(false),
        };
        if config.host.is_empty() {
            return Err(Error::invalid("no host provided"));
        }
        check_url(HOST.name, &config.host)?;
        let is_pem = |text: &str| text.len() <= MAX_PEM_BYTES && VerificationKey::from_pem(text).is_some();
        if !config.ca_pem.is_empty() && !is_pem(&config.ca_pem) {
            return Err(Error::invalid(format!(
                "kubernetes_ca_cert must hold certificates in PEM, of at most {MAX_PEM_BYTES} bytes"
            )));
        }
        if config.keys.len() > MAX_KEYS {
            return Err(Error::invalid(format!("pem_keys holds at most {MAX_KEYS} keys")));
        }
        if !config.keys.iter().all(|key| is_pem(key)) {
            return Err(Error::invalid("data does not contain any valid public keys"));
        }
        if fields.bool(ANNOTATIONS.name).unwrap_or(false) {
            return Err(Error::invalid(
                "use_annotations_as_alias_metadata cannot be turned on: accounts are not looked up",
            ));
        }
        Ok(config)
    }

    fn show(&self) -> Map<String, Value> {
        let data = json!({
            "kubernetes_host": self.host,
            "kubernetes_ca_cert": self.ca_pem,
            "token_reviewer_jwt_set": !self.reviewer.is_empty(),
            "pem_keys": self.keys,
            "issuer": self.issuer,
            "disable_iss_validation": !self.checks_issuer,
            "disable_local_ca_jwt": self.ignores_pod,
            "use_annotations_as_alias_metadata": false,
        });
        data.as_object().cloned().unwrap_or_default()
    }
}

/// The configuration of a mount; `None` before it was written.
pub(super) fn find(store: &mut Store<'_>, mount: &Mount) -> Result<Option<KubernetesConfigRecord>, Error> {
    store.get(&mount.area, &[RECORD])
}

pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let config = find(call.store, &mount)?.ok_or_else(Error::not_found)?;
    Ok(Reply { data: Some(config.show()), ..Reply::default() })
}

pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let config = KubernetesConfigRecord::sent(&call.fields)?;
    call.store.put(&call.mount.area, &[RECORD], &config)?;
    Ok(Reply::empty())
}
