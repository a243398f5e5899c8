//! A node's configuration file, as a person would write it. Clients use plain HTTP: TLS is tested elsewhere, and
//! nodes among themselves use theirs in any case.

use std::path::Path;

use super::address::Place;
use super::{Links, Options};

/// The file's text.
pub(super) fn text(name: &str, place: Place, data: &Path, options: &Options) -> String {
    format!(
        r#"api_addr     = "http://{api}"
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
  tls_disable     = true
}}
"#,
        api = place.api,
        advertised = if options.links == Links::Direct { place.cluster } else { place.door },
        cluster = place.cluster,
        log_level = options.log_level,
        more = options.configuration,
        data = data.display(),
        storage = options.storage,
    )
}
