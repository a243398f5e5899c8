//! A configuration file for each node, as a person would write it.

use super::Node;
use super::error::QuickstartError;
use super::folder::{Folder, write_private};

/// Writes all configuration files.
pub(super) fn write(folder: &Folder, nodes: &[Node]) -> Result<(), QuickstartError> {
    nodes.iter().try_for_each(|node| write_private(&folder.configuration(node), text(folder, node).as_bytes()))
}

fn text(folder: &Folder, node: &Node) -> String {
    format!(
        r#"# {name} of the quickstart cluster.

# Where clients reach this node, and where other nodes do.
api_addr     = "{address}"
cluster_addr = "https://127.0.0.1:{cluster_port}"

# The web interface, at /ui/ of the address above.
ui = true

storage "raft" {{
  path    = "{data}"
  node_id = "{name}"
}}

listener "tcp" {{
  address         = "127.0.0.1:{api_port}"
  cluster_address = "127.0.0.1:{cluster_port}"
  tls_cert_file   = "{certificate}"
  tls_key_file    = "{key}"

  # Metrics without a token, also of a sealed node: nobody else reaches this address.
  telemetry {{
    unauthenticated_metrics_access = true
  }}
}}
"#,
        name = node.name,
        address = node.address(),
        api_port = node.api_port,
        cluster_port = node.cluster_port(),
        data = folder.data(node).display(),
        certificate = folder.certificate(node).display(),
        key = folder.key(node).display(),
    )
}
