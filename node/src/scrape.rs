//! `sys/metrics` on a node in trouble: one that reaches no quorum, or has its keys and may not serve. That is when somebody
//! looks at its metrics.
//!
//! The caller is judged by this node's own table, without a read point. So a token that was revoked elsewhere since this node
//! heard of anything still reads metrics here, which hold no secret and no path below a mount, and reads nothing else. A
//! node that is well answers the ordinary way. One that is sealed cannot judge a token, and refuses; only a listener whose
//! metrics are open (`unauthenticated_metrics_access`) shows them then.

use std::sync::Arc;
use std::time::Duration;

use conclave_vault::{Core, Errands, Error, Operation};
use tokio::time::Instant;

use crate::audit::Recording;
use crate::gateway::{Incoming, Outgoing};
use crate::http::error;
use crate::replica::contact::Contact;
use crate::serve::Runner;
use crate::view::SystemRandomness;

/// How long a leader is asked for before the node counts as cut off: shorter than a scrape may take (10 s in Prometheus).
const CONFIRM_TIME: Duration = Duration::from_secs(1);
/// The path of the metrics.
const PATH: &str = "sys/metrics";

/// Answers `sys/metrics` where the ordinary way would refuse it; `None` for every other request and node.
pub(crate) async fn answer(runner: &Runner, incoming: &Incoming) -> Option<Outgoing> {
    if incoming.request.path.as_str() != PATH || incoming.request.operation != Operation::Read {
        return None;
    }
    let core = runner.seal.state.unsealed()?;
    if is_well(runner).await {
        return None;
    }
    let mut recording = Recording::new();
    let outgoing = match show(runner, &core, incoming, &mut recording).await {
        Ok(outgoing) => outgoing,
        Err(refused) => error::outgoing(&refused),
    };
    Some(recording.answer(&runner.audit, &core, incoming, outgoing).await)
}

async fn is_well(runner: &Runner) -> bool {
    let (replica, state) = (&runner.seal.replica, &runner.seal.state);
    state.serving().is_some()
        && matches!(replica.contact(), Contact::Confirmed { .. })
        && replica.confirm_leader(Instant::now() + CONFIRM_TIME).await.is_ok()
}

async fn show(
    runner: &Runner,
    core: &Arc<Core>,
    incoming: &Incoming,
    recording: &mut Recording,
) -> Result<Outgoing, Error> {
    let mut errands = Errands::new(SystemRandomness::default().seed());
    let mut done = runner.run_core(core, incoming, &mut errands)?;
    recording.ask(&runner.audit, core, incoming, &mut done).await?;
    if let Some(errand) = done.errand.take() {
        let answer = runner.do_errand(core, &errand, incoming).await?;
        errands.answer(errand, answer);
        done = runner.run_core(core, incoming, &mut errands)?;
    }
    let reply = done.result?;
    // A use of the token that cannot be counted, or a reply that is to be wrapped.
    let needs_quorum = done.batch.is_some() || done.errand.is_some();
    if needs_quorum || runner.seal.state.unsealed().is_none_or(|present| !Arc::ptr_eq(&present, core)) {
        return Err(refusal(runner));
    }
    let raw = reply.render(&incoming.request.id);
    let (content_type, body) = (raw.content_type, raw.body.into());
    Ok(Outgoing { status: raw.status_code, content_type, headers: Vec::new(), body })
}

fn refusal(runner: &Runner) -> Error {
    match runner.seal.state.serving() {
        Some(_) => runner.seal.replica.out_of_contact(),
        None => Error::unavailable(runner.seal.state.refusal()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use conclave_vault::{CanonicalPath, Request};
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::app::App;
    use crate::config::Config;
    use crate::gateway::{Consistency, Gateway, Noted};

    const ROOT: &str = "root-of-test";

    fn incoming(operation: Operation, path: &str, token: Option<&str>, data: Value) -> Incoming {
        let data: Map<String, Value> = data.as_object().cloned().unwrap_or_default();
        let request = Request {
            id: "1".into(),
            operation,
            path: CanonicalPath::new(path).unwrap(),
            namespace: String::new(),
            has_body: !data.is_empty(),
            data,
            token: token.map(|token| token.to_owned().into()),
            wrap_ttl: None,
            idempotency_key: None,
            remote_address: None,
            client_certificates: Default::default(),
        };
        Incoming {
            request,
            method: "GET".into(),
            query: Vec::new(),
            consistency: Consistency::Linearizable,
            wanted_indexes: Vec::new(),
            body_bytes: 0,
            noted: Noted::default(),
            deadline: Instant::now() + Duration::from_secs(20),
        }
    }

    /// Status and text of the metrics as a token sees them.
    async fn scraped(app: &Arc<App>, token: Option<&str>) -> (u16, String) {
        let asked = incoming(Operation::Read, PATH, token, json!({ "format": "prometheus" }));
        let outgoing = app.serve(asked).await;
        (outgoing.status, String::from_utf8(outgoing.body.to_vec()).unwrap())
    }

    async fn node() -> Arc<App> {
        App::start_dev(Config::memory("127.0.0.1:0"), Some(ROOT)).await.unwrap().0
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_that_is_cut_off_shows_its_metrics_to_whom_its_table_admits_and_nothing_else() {
        let app = node().await;
        let uses = incoming(Operation::Update, "auth/token/create", Some(ROOT), json!({ "num_uses": 3 }));
        let made: Value = serde_json::from_slice(&app.serve(uses).await.body).unwrap();
        let counted = made["auth"]["client_token"].as_str().unwrap().to_owned();
        assert_eq!(scraped(&app, Some(ROOT)).await.0, 200);
        // Nobody is left to ask.
        app.replica.raft.shutdown().await;
        let (status, text) = scraped(&app, Some(ROOT)).await;
        assert_eq!(status, 200, "{text}");
        assert!(text.contains("conclave_raft_has_leader ") && text.contains("vault_core_unsealed"), "{text}");
        for token in [None, Some("wrong")] {
            assert_eq!(scraped(&app, token).await.0, 403, "{token:?}");
        }
        assert_eq!(scraped(&app, Some(&counted)).await.0, 503, "its uses cannot be counted");
        for path in ["auth/token/lookup-self", "sys/mounts", "sys/host-info"] {
            let refused = app.serve(incoming(Operation::Read, path, Some(ROOT), json!({}))).await;
            assert_eq!(refused.status, 503, "{path}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_that_may_not_serve_shows_what_it_is_and_a_sealed_one_judges_nobody() {
        let app = node().await;
        // A trouble would end with the next measurement; this lasts until a checkpoint that never comes.
        assert!(app.seal.state.withdraw(u64::MAX));
        let (status, text) = scraped(&app, Some(ROOT)).await;
        assert!(status == 200 && text.contains("conclave_node_state{state=\"unconfirmed\"} 1"), "{status} {text}");
        assert_eq!(scraped(&app, Some("wrong")).await.0, 403);
        app.seal.drop_keys("a test").await;
        assert_eq!(scraped(&app, Some(ROOT)).await.0, 503);
    }
}
