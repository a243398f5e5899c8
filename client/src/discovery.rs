//! Learning further nodes from the cluster itself.
//!
//! It is never needed for a call that is under way, only for later ones. Only what came over TLS is believed, and only
//! https addresses are taken (check 266): over plaintext anyone could name a node and receive the token. A learned
//! node's certificate is verified like any other, for the host name learned.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::error::Error;
use crate::failover::Shared;
use crate::reply::Reply;
use crate::request::Request;
use crate::secret::Secret;
use crate::transport::{self, Context, Sent};

/// How often the cluster is asked.
const INTERVAL: Duration = Duration::from_secs(300);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks in the background if it is time, after a node has just answered over TLS.
pub(crate) fn after_reply(shared: &Arc<Shared>, via: &Address, token: Secret) {
    let Some(last) = shared.discovery.as_ref().filter(|_| via.is_tls()) else {
        return;
    };
    let now = Instant::now();
    {
        let mut last = last.lock();
        if last.is_some_and(|last| now.duration_since(last) < INTERVAL) {
            return;
        }
        *last = Some(now);
    }
    let (shared, via) = (Arc::clone(shared), via.clone());
    tokio::spawn(async move {
        // A failure is not reported: the caller asked for nothing, and the next interval tries again.
        let _ = ask(&shared, &via, token).await;
    });
}

async fn ask(shared: &Shared, via: &Address, token: Secret) -> Result<usize, Error> {
    let request = Request::get("sys/ha-status");
    let context = Context { token: Some(token), namespace: None, indexes: Vec::new() };
    let headers = transport::headers(&request, &context)?;
    let url = format!("{via}{}", request.target()?);
    let url = url.parse().map_err(|_| request.invalid("the address does not make a URL"))?;
    match shared.transport.send(via, url, &request, headers, PATIENCE).await {
        Sent::Answered(answer) if answer.reply.status() == 200 => learn(shared, &answer.reply),
        _ => Err(request.malformed("the cluster did not name its nodes")),
    }
}

/// Takes over the nodes that a reply to `sys/ha-status` names; answers how many are known then.
pub(crate) fn learn(shared: &Shared, reply: &Reply) -> Result<usize, Error> {
    if !reply.address().is_tls() {
        return Err(Error::Configuration(
            "nodes named over plaintext are not trusted; use an https address, or list all addresses".to_owned(),
        ));
    }
    // Servers differ in whether the name's first letter is upper case.
    let places = ["/data/Nodes", "/data/nodes", "/Nodes", "/nodes"];
    let members = places.iter().find_map(|place| reply.json().pointer(place));
    let named: Vec<Address> = members
        .and_then(|members| members.as_array())
        .into_iter()
        .flatten()
        .filter_map(|member| Address::parse(member.get("api_address")?.as_str()?).ok())
        .filter(Address::is_tls)
        .collect();
    let mut nodes = shared.nodes.lock();
    nodes.learn(&named);
    Ok(nodes.count())
}
