//! A node's configuration file, as a person would write it. Clients use plain HTTP unless they are to speak TLS;
//! nodes among themselves use theirs in any case.

use std::path::Path;

use super::address::Place;
use super::{Certificate, Links, Options};

/// `http` or `https`.
pub(super) fn scheme(certificate: Option<&Certificate>) -> &'static str {
    if certificate.is_some() { "https" } else { "http" }
}

/// The file's text.
pub(super) fn text(
    name: &str,
    place: Place,
    data: &Path,
    certificate: Option<&Certificate>,
    options: &Options,
) -> String {
    let tls = match certificate {
        Some(Certificate { chain, key, .. }) => {
            format!("tls_cert_file   = \"{}\"\n  tls_key_file    = \"{}\"", chain.display(), key.display())
        }
        None => "tls_disable     = true".to_owned(),
    };
    format!(
        r#"api_addr     = "{scheme}://{api}"
cluster_addr = "https://{advertised}"
log_level    = "{log_level}"
{more}
storage "raft" {{
  path    = "{data}"
  node_id = "{name}"
  {storage}
}}

listener "tcp" {{
  address         = "{api}"
  cluster_address = "{cluster}"
  {tls}
}}
"#,
        scheme = scheme(certificate),
        api = place.api,
        advertised = match options.links {
            Links::Proxied | Links::Recorded => place.door,
            Links::Direct | Links::Switched | Links::Captured => place.cluster,
        },
        cluster = place.cluster,
        log_level = options.log_level,
        more = options.configuration,
        data = data.display(),
        storage = options.storage,
    )
}
