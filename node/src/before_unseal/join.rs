//! `sys/storage/raft/join`: this node enters a cluster.
//!
//! Whoever reaches a node that belongs to no cluster may have it call an address, so those are refused where a cloud answers
//! machines about themselves. What the configuration names is the operator's word, and is not looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use conclave_vault::{Error, boolean};
use serde_json::{Value, json};

use crate::before_unseal::plain;
use crate::cluster::join;
use crate::config::storage::is_url;
use crate::config::{Hidden, RetryJoin};
use crate::gateway::{Incoming, Outgoing};
use crate::http::error;
use crate::seal::Seal;

/// Answers `POST sys/storage/raft/join`.
pub(crate) async fn answer(seal: &Arc<Seal>, incoming: &Incoming) -> Outgoing {
    if !matches!(incoming.method.as_str(), "POST" | "PUT") {
        return error::failure(405, &[]);
    }
    if !seal.replica.is_clustered() {
        return error::outgoing(&Error::invalid(
            "this node's storage does not replicate; only \"raft\" storage with a cluster address joins",
        ));
    }
    match join(seal, incoming).await {
        Ok(joined) => plain(200, &joined),
        Err(error) => error::outgoing(&error),
    }
}

async fn join(seal: &Arc<Seal>, incoming: &Incoming) -> Result<Value, Error> {
    let data = &incoming.request.data;
    let text = |name: &str| data.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let flag = |name: &str| data.get(name).and_then(boolean).unwrap_or(false);
    let at = RetryJoin {
        leader_api_addr: text("leader_api_addr").unwrap_or_default(),
        leader_ca_cert: text("leader_ca_cert"),
        leader_client_cert: text("leader_client_cert"),
        leader_client_key: text("leader_client_key").map(Hidden::new),
        leader_tls_servername: text("leader_tls_servername"),
        token: text("token").map(Hidden::new),
        ..RetryJoin::default()
    };
    let has_token = at.token.is_some();
    if !has_token && !is_url(&at.leader_api_addr) {
        return Err(Error::invalid(
            "a join needs \"token\", which `conclave operator raft join-token` makes on a member, or \"leader_api_addr\", \
             the URL of a member such as https://10.0.0.1:8200, and the shares of its cluster entered here",
        ));
    }
    at.tls_texts().map_err(Error::invalid)?;
    if !has_token {
        refuse_link_local(&at.leader_api_addr).await?;
    }
    join::join_as_asked(seal, at, flag("non_voter"), flag("retry")).await?;
    let mut joined = json!({ "joined": true });
    if !has_token {
        joined["warnings"] =
            json!(["to end the join, enter shares of that cluster on this node (`conclave operator unseal`)"]);
    }
    Ok(joined)
}

/// Addresses beside the link-local ones at which clouds answer machines about themselves: AWS over IPv6, Alibaba, Oracle.
const METADATA: [IpAddr; 3] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

/// Refuses a URL whose host is, or leads to, an address of the link alone or of a cloud's metadata (check 260).
async fn refuse_link_local(url: &str) -> Result<(), Error> {
    let host = url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    let host = host.ok_or_else(|| Error::invalid("leader_api_addr is not a URL such as https://10.0.0.1:8200"))?;
    let host = host.trim_matches(['[', ']']).to_owned();
    // A name that leads nowhere fails at the call, with the reason in the log.
    let Ok(found) = tokio::net::lookup_host((host, 0)).await else { return Ok(()) };
    match found.map(|address| address.ip()).any(is_link_local) {
        true => Err(Error::invalid(
            "leader_api_addr leads to a link-local address or a metadata service, where no member is",
        )),
        false => Ok(()),
    }
}

fn is_link_local(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    is_link_local || METADATA.contains(&address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_join_is_not_looked_for_where_clouds_answer() {
        // check 260
        for host in [
            "169.254.169.254",
            "169.254.169.254:8200",
            "2852039166",
            "0xa9fea9fe",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[::ffff:169.254.169.254]:8200",
            "100.100.100.200",
        ] {
            assert!(refuse_link_local(&format!("http://{host}/latest")).await.is_err(), "{host}");
        }
        for host in ["127.0.0.1:8200", "10.0.0.1", "[::1]:8200"] {
            assert!(refuse_link_local(&format!("https://{host}")).await.is_ok(), "{host}");
        }
    }
}
