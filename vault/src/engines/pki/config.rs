//! Settings of a mount: where certificates say that more is found, and where the cluster is reached.

use serde_json::{Value, json};

use super::issuer::{self, DEFAULT};
use super::record::{IssuerRecord, PkiClusterRecord, UrlsRecord};
use crate::engine::Call;
use crate::error::Error;
use crate::field::{Field, Fields, Kind, field};
use crate::limits::MAX_URL_BYTES;
use crate::mount::Mount;
use crate::reply::Reply;
use crate::store::Store;

/// Where the settings of URLs lie in the mount's area.
const URLS: &[&str] = &["config", "urls"];
/// Where the cluster's own URLs lie.
const CLUSTER: &[&str] = &["config", "cluster"];
/// Most URLs of one kind.
const MAX_URLS: usize = 16;

const ISSUING: Field = field("issuing_certificates", Kind::CommaList, "URLs of the issuer's certificate.");
const CRLS: Field = field("crl_distribution_points", Kind::CommaList, "URLs of the list of revoked certificates.");
const DELTAS: Field =
    field("delta_crl_distribution_points", Kind::CommaList, "URLs of the list of what was revoked since.");
const OCSP: Field = field("ocsp_servers", Kind::CommaList, "URLs where OCSP is answered.");
const TEMPLATES: Field = field(
    "enable_templating",
    Kind::Bool,
    "Whether {{issuer_id}}, {{cluster_path}} and {{cluster_aia_path}} in URLs are filled in.",
)
.or("false");
const ISSUER_TEMPLATES: Field =
    field("enable_aia_url_templating", Kind::Bool, "As enable_templating of config/urls.").or("false");

pub(super) const URLS_FIELDS: &[Field] = &[ISSUING, CRLS, DELTAS, OCSP, TEMPLATES];
pub(super) const ISSUER_URLS_FIELDS: &[Field] = &[ISSUING, CRLS, DELTAS, OCSP, ISSUER_TEMPLATES];
pub(super) const CLUSTER_FIELDS: &[Field] = &[
    field("path", Kind::Text, "URL of this mount on this cluster, for clients."),
    field("aia_path", Kind::Text, "The same for those who check certificates, such as a plain one without TLS."),
];
pub(super) const ISSUERS_FIELDS: &[Field] = &[
    field("default", Kind::Text, "Id or name of the issuer that default means."),
    field(
        "default_follows_latest_issuer",
        Kind::Bool,
        "Whether each new issuer that has its key here becomes the default.",
    )
    .or("false"),
];
pub(super) const ISSUERS_FIELD_ROOT: &[Field] =
    &[field("default", Kind::Text, "Id or name of the new default issuer.").or("next")];

impl UrlsRecord {
    /// Whether nothing is said.
    pub(super) fn is_empty(&self) -> bool {
        self.issuing_certificates.is_empty()
            && self.crl_distribution_points.is_empty()
            && self.delta_crl_distribution_points.is_empty()
            && self.ocsp_servers.is_empty()
    }

    /// Takes what was sent; the rest stays.
    pub(super) fn take(&mut self, fields: &Fields) -> Result<(), Error> {
        let templates = fields.bool(TEMPLATES.name).or(fields.bool(ISSUER_TEMPLATES.name));
        self.has_templates = templates.unwrap_or(self.has_templates);
        for (field, urls) in [
            (&ISSUING, &mut self.issuing_certificates),
            (&CRLS, &mut self.crl_distribution_points),
            (&DELTAS, &mut self.delta_crl_distribution_points),
            (&OCSP, &mut self.ocsp_servers),
        ] {
            if let Some(sent) = fields.list(field.name) {
                *urls = sent.iter().filter(|url| !url.is_empty()).cloned().collect();
            }
            if urls.len() > MAX_URLS {
                return Err(Error::invalid(format!("{} holds at most {MAX_URLS} URLs", field.name)));
            }
            if !urls.iter().all(|url| is_url(url, self.has_templates)) {
                return Err(Error::invalid(format!(
                    "invalid URL found in Authority Information Access (AIA) parameter {}: begin each with http://, https:// or ldap://",
                    field.name
                )));
            }
        }
        Ok(())
    }

    /// As the API shows it, but for templates.
    pub(super) fn shown(&self) -> Value {
        json!({
            "issuing_certificates": self.issuing_certificates,
            "crl_distribution_points": self.crl_distribution_points,
            "delta_crl_distribution_points": self.delta_crl_distribution_points,
            "ocsp_servers": self.ocsp_servers,
        })
    }

    /// With its templates filled in.
    fn filled(&self, issuer_id: &str, cluster: &PkiClusterRecord) -> Result<Self, Error> {
        let mut filled = self.clone();
        if !self.has_templates {
            return Ok(filled);
        }
        for url in [
            &mut filled.issuing_certificates,
            &mut filled.crl_distribution_points,
            &mut filled.delta_crl_distribution_points,
            &mut filled.ocsp_servers,
        ]
        .into_iter()
        .flatten()
        {
            *url = url
                .replace("{{issuer_id}}", issuer_id)
                .replace("{{cluster_path}}", &cluster.path)
                .replace("{{cluster_aia_path}}", &cluster.aia_path);
            if !is_url(url, false) {
                return Err(Error::invalid(
                    "a URL with templates is none once they are filled in; set path and aia_path of config/cluster",
                ));
            }
        }
        Ok(filled)
    }
}

/// Whether a text is a URL that a certificate can hold.
fn is_url(text: &str, has_templates: bool) -> bool {
    let known = ["http://", "https://", "ldap://", "ldaps://"];
    let host = known.iter().find_map(|scheme| text.strip_prefix(scheme));
    let is_begun = host.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', ':', '?']))
        || (has_templates && text.starts_with("{{cluster_"));
    let is_allowed = |c: char| c.is_ascii_graphic() && (has_templates || !matches!(c, '{' | '}' | '"' | '<' | '>'));
    is_begun && text.len() <= MAX_URL_BYTES && text.chars().all(is_allowed)
}

pub(super) fn urls(store: &mut Store<'_>, mount: &Mount) -> Result<UrlsRecord, Error> {
    Ok(store.get(&mount.area, URLS)?.unwrap_or_default())
}

fn cluster(store: &mut Store<'_>, mount: &Mount) -> Result<PkiClusterRecord, Error> {
    Ok(store.get(&mount.area, CLUSTER)?.unwrap_or_default())
}

/// What the certificates of an issuer say: its own URLs, or the mount's.
pub(super) fn urls_of(store: &mut Store<'_>, mount: &Mount, issuer: &IssuerRecord) -> Result<UrlsRecord, Error> {
    let urls = if issuer.urls.is_empty() { urls(store, mount)? } else { issuer.urls.clone() };
    let cluster = if urls.has_templates { cluster(store, mount)? } else { PkiClusterRecord::default() };
    urls.filled(&issuer.id, &cluster)
}

/// What clients should know if no URL is set.
pub(super) const NO_URLS: &str = "No URLs are set for the issuer's certificate, its list of revoked certificates or OCSP, so who \
                                  checks certificates cannot find them. Consider config/urls, or the URLs of the issuer.";

fn shown_urls(urls: &UrlsRecord) -> Reply {
    let mut reply = Reply::data(urls.shown());
    reply.data.get_or_insert_default().insert("enable_templating".into(), urls.has_templates.into());
    reply
}

pub(super) fn read_urls(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    Ok(shown_urls(&urls(call.store, &mount)?))
}

pub(super) fn write_urls(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let mut urls = urls(call.store, &mount)?;
    urls.take(&call.fields)?;
    call.store.put(&mount.area, URLS, &urls)?;
    Ok(shown_urls(&urls))
}

fn shown_cluster(cluster: &PkiClusterRecord) -> Reply {
    Reply::data(json!({ "path": cluster.path, "aia_path": cluster.aia_path }))
}

pub(super) fn read_cluster(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    Ok(shown_cluster(&cluster(call.store, &mount)?))
}

pub(super) fn write_cluster(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let mut cluster = cluster(call.store, &mount)?;
    for (name, url) in [("path", &mut cluster.path), ("aia_path", &mut cluster.aia_path)] {
        if let Some(sent) = call.fields.text(name) {
            if !sent.is_empty() && !is_url(sent, false) {
                return Err(Error::invalid(format!("{name} must be a URL that begins with http:// or https://")));
            }
            sent.trim_end_matches('/').clone_into(url);
        }
    }
    call.store.put(&mount.area, CLUSTER, &cluster)?;
    Ok(shown_cluster(&cluster))
}

pub(super) fn read_issuers(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let config = issuer::config(call.store, &mount)?;
    Ok(Reply::data(json!({ "default": config.default, "default_follows_latest_issuer": config.follows_latest })))
}

/// Says which issuer is the default. `root/replace` is this too, with the issuer named `next` if none is said.
pub(super) fn write_issuers(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let mut config = issuer::config(call.store, &mount)?;
    config.follows_latest = call.fields.bool("default_follows_latest_issuer").unwrap_or(config.follows_latest);
    let is_replaced = call.rest == "root/replace";
    let mut reference = call.fields.text_or_empty("default");
    if reference.is_empty() && is_replaced {
        reference = "next";
    }
    let mut warnings = Vec::new();
    if reference == DEFAULT || (reference.is_empty() && !call.fields.has("default_follows_latest_issuer")) {
        return Err(Error::invalid("default must be the id or the name of an issuer"));
    }
    if !reference.is_empty() {
        let found = issuer::find(call.store, &mount, reference)?;
        let found = found.ok_or_else(|| Error::invalid("default names no issuer of this mount"))?;
        if found.key_id.is_empty() {
            warnings
                .push("The new default issuer has no key here, so it cannot issue until that is imported.".to_owned());
        }
        config.default = found.id;
    }
    issuer::save_config(call.store, &mount, &config)?;
    let mut reply = read_issuers(call)?;
    reply.warnings = warnings;
    Ok(reply)
}
