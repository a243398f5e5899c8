//! Three nodes of etcd, where it is installed: TLS to clients, plain text between nodes, which is in its favour.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_jepsen::cluster::Certificate;
use http_body_util::Full;
use serde_json::Value;

use super::bare::free_address;
use super::{Subject, authority};
use crate::connection::Target;
use crate::error::BenchError;
use crate::process::Running;
use crate::request::Dialect;

/// How often the nodes are asked who leads, every tenth of a second.
const TRIES: u32 = 150;

/// A cluster of etcd.
pub(crate) struct Etcd {
    nodes: Vec<Running>,
    /// The leader.
    target: Target,
}

impl Etcd {
    /// Starts three nodes; none if there is no such program here.
    pub(crate) async fn start(folder: &Path) -> Result<Option<Self>, BenchError> {
        if Command::new("etcd").arg("--version").output().is_err() {
            return Ok(None);
        }
        let certificate = Certificate::write(folder, [Ipv4Addr::LOCALHOST])?;
        let clients = [free_address()?, free_address()?, free_address()?];
        let peers = [free_address()?, free_address()?, free_address()?];
        let named = peers.iter().enumerate().map(|(index, peer)| format!("e{index}=http://{peer}"));
        let initial = named.collect::<Vec<_>>().join(",");
        let start = |index: usize| {
            let (client, peer) = (format!("https://{}", clients[index]), format!("http://{}", peers[index]));
            let mut command = Command::new("etcd");
            command.arg(format!("--name=e{index}")).arg(format!("--initial-cluster={initial}"));
            command.arg(format!("--data-dir={}", folder.join(format!("e{index}")).display()));
            command.arg(format!("--listen-client-urls={client}")).arg(format!("--advertise-client-urls={client}"));
            command.arg(format!("--listen-peer-urls={peer}")).arg(format!("--initial-advertise-peer-urls={peer}"));
            command.arg(format!("--cert-file={}", certificate.chain.display()));
            command.arg(format!("--key-file={}", certificate.key.display()));
            Running::start(&format!("etcd-{index}"), command, folder)
        };
        let nodes = (0..3).map(start).collect::<Result<Vec<_>, _>>()?;
        for _ in 0..TRIES {
            for client in &clients {
                let target = Target::tls(client, &certificate.pem)?;
                if is_leader(&target).await {
                    return Ok(Some(Self { nodes, target }));
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(BenchError::Settings("etcd elects no leader".to_owned()))
    }

    pub(crate) fn subject(&self) -> Subject {
        Subject {
            name: "etcd".to_owned(),
            target: self.target.clone(),
            dialect: Dialect::Etcd,
            processes: self.nodes.iter().map(Running::id).collect(),
            writes: Arc::default(),
            gauges: Vec::new(),
        }
    }
}

/// Whether a node says of itself that it leads.
async fn is_leader(target: &Target) -> bool {
    let asked = async {
        let mut request = http::Request::post("/v3/maintenance/status").body(Full::new(Bytes::from("{}"))).ok()?;
        request.headers_mut().insert(http::header::HOST, authority(target).ok()?);
        let answer = target.connect().await.ok()?.send(request).await.ok()?;
        let status: Value = serde_json::from_slice(&answer.body).ok()?;
        Some(status["leader"].as_str()? == status["header"]["member_id"].as_str()?)
    };
    asked.await.unwrap_or(false)
}
