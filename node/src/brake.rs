//! The emergency brake: `sys/seal` on one node, without any other and in every state.
//!
//! The caller is judged by this node's own table, without a read point and without a commit: whoever pulls the brake
//! must not wait for a quorum that may be gone. A token that was revoked elsewhere a moment ago can thus still seal this
//! node, which costs a ceremony and reveals nothing. Before a node that serves refuses a token, which may be newer than its
//! table, it catches up, but for a moment only and only if a quorum is there: who waits takes a place that the next one may
//! need. One use of a token with a limit on its uses is not counted.

#[cfg(test)]
mod dump;

use std::time::Duration;

use conclave_vault::{Action, Errands};
use tokio::time::Instant;

use crate::gateway::{Incoming, Outgoing};
use crate::http::error;
use crate::paths::{self, OwnPath};
use crate::replica::contact::Contact;
use crate::serve::Runner;

/// How long a node that serves catches up before it refuses.
const CATCH_UP_TIME: Duration = Duration::from_secs(1);

/// Answers `sys/seal` if this node alone can; `None` for every other request, and for those that go the ordinary way.
pub(crate) async fn answer(runner: &Runner, incoming: &Incoming) -> Option<Outgoing> {
    if paths::own(incoming.request.path.as_str()) != Some(OwnPath::Seal) || !runner.seal.replica.is_initialized() {
        return None;
    }
    let replica = &runner.seal.replica;
    let Some(core) = runner.seal.state.unsealed() else { return Some(done()) };
    let judge = || runner.run_core(&core, incoming, &mut Errands::default()).and_then(|done| done.result);
    let mut judged = judge();
    let may_catch_up = runner.seal.state.serving().is_some() && matches!(replica.contact(), Contact::Confirmed { .. });
    if judged.is_err() && may_catch_up && replica.confirm_leader(Instant::now() + CATCH_UP_TIME).await.is_ok() {
        judged = judge();
    }
    match judged {
        Ok(reply) if matches!(reply.action, Some(Action::Seal)) => {
            let sealing = async {
                runner.seal.seal().await;
                done()
            };
            Some(runner.audit.noting(incoming, sealing).await)
        }
        Err(refused) => Some(runner.audit.noting(incoming, async { error::outgoing(&refused) }).await),
        // Such as help, which the core answers.
        Ok(_) => None,
    }
}

fn done() -> Outgoing {
    Outgoing { status: 204, content_type: String::new(), headers: Vec::new(), body: bytes::Bytes::new() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use conclave_vault::{CanonicalPath, Operation, Request};
    use serde_json::Map;

    use super::*;
    use crate::app::App;
    use crate::config::Config;
    use crate::gateway::{Consistency, Gateway, Noted};

    fn seal(token: Option<&str>) -> Incoming {
        let request = Request {
            id: "1".into(),
            operation: Operation::Update,
            path: CanonicalPath::new("sys/seal").unwrap(),
            namespace: String::new(),
            data: Map::new(),
            has_body: false,
            token: token.map(|token| token.to_owned().into()),
            wrap_ttl: None,
            idempotency_key: None,
            remote_address: None,
            client_certificates: Default::default(),
        };
        Incoming {
            request,
            method: "PUT".into(),
            query: Vec::new(),
            consistency: Consistency::Linearizable,
            wanted_indexes: Vec::new(),
            body_bytes: 0,
            noted: Noted::default(),
            deadline: Instant::now() + Duration::from_secs(1),
        }
    }

    /// An unsealed node that has nobody to ask any more: its consensus has ended.
    async fn cut_off() -> Arc<App> {
        let (app, _) = App::start_dev(Config::memory("127.0.0.1:0"), Some("root-of-test")).await.unwrap();
        app.replica.raft.shutdown().await;
        app
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_without_consensus_seals_and_its_keys_are_gone() {
        let app = cut_off().await;
        let core = app.seal.state.serving().unwrap();
        let before = core.barrier().active_term();
        assert_eq!(app.serve(seal(Some("root-of-test"))).await.status, 204);
        assert!(app.seal.state.unsealed().is_none());
        // Term 0 is what a revoked barrier has in place of its keys, also for those who still hold it.
        assert_eq!((before, core.barrier().active_term()), (1, 0));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_that_waits_for_a_checkpoint_seals_for_those_who_may_only() {
        let app = cut_off().await;
        let core = app.seal.state.serving().unwrap();
        assert!(app.seal.state.withdraw(u64::MAX));
        assert_eq!(app.serve(seal(None)).await.status, 403);
        assert_eq!(app.serve(seal(Some("wrong"))).await.status, 403);
        assert!(app.seal.state.unsealed().is_some());
        assert_eq!(app.serve(seal(Some("root-of-test"))).await.status, 204);
        assert_eq!(core.barrier().active_term(), 0);
        assert_eq!(app.serve(seal(None)).await.status, 204, "a sealed node has nothing left to seal");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_without_consensus_refuses_strangers_itself_and_keeps_nobody_waiting() {
        let app = cut_off().await;
        let whole = Duration::from_secs(90);
        let wrong = Incoming { deadline: Instant::now() + whole, ..seal(Some("wrong")) };
        assert_eq!(app.serve(wrong).await.status, 403, "not 503 after a wait for a quorum");
    }
}
