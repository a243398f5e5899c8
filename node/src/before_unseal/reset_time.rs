//! `sys/unseal` with `reset_time`: a threshold of shares sets cluster time to this node's clock, in a new epoch.
//!
//! A ceremony of its own: a share that was entered to unseal says nothing about time. Seen from an operator:
//! `docs/operating/recovery.md`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use conclave_batch::Outcome;
use conclave_storage::table::Table;
use conclave_vault::seal::{Entered, Entry, Outside, ShareError};
use conclave_vault::{Core, EpochChange, Error, ErrorKind, begin_epoch};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::config::limits::MAX_RESET_RERUNS;
use crate::replica::Replica;
use crate::seal::Seal;
use crate::view::SystemRandomness;

/// How long the change may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Takes a share. Answers how far the ceremony is, and the new epoch once it is there.
pub(super) async fn enter(seal: &Arc<Seal>, key: &str, address: IpAddr, outside: &Outside) -> Result<Value, Error> {
    let core = seal.state.serving().ok_or_else(|| Error::unavailable(seal.state.refusal()))?;
    let threshold = outside.seal.threshold;
    let entered = {
        let entry = Entry { key, address, confirmed: BTreeSet::new() };
        let now = Instant::now();
        seal.state.attempts.lock().time.enter(entry, outside, &mut SystemRandomness::default(), now)
    };
    match entered {
        Ok(Entered::Progress(progress)) => {
            tracing::info!(%address, entered = progress.entered, threshold, "a share was entered that is to set cluster time");
            Ok(json!({ "progress": progress.entered, "threshold": threshold, "epoch": null }))
        }
        Ok(Entered::Unsealed { .. }) => {
            let epoch = reset(&seal.replica, &core).await?;
            tracing::warn!(%address, epoch, "cluster time was set to this node's clock; a new epoch began");
            Ok(json!({ "progress": threshold, "threshold": threshold, "epoch": epoch }))
        }
        Err(refused @ (ShareError::Unreadable | ShareError::Wrong)) => {
            seal.note_refused_share(address);
            Err(Error::invalid(refused.to_string()))
        }
        Err(damaged @ ShareError::Damaged(_)) => Err(Error::new(ErrorKind::Internal, damaged.to_string())),
    }
}

/// Begins an epoch whose time is this node's clock, and answers it.
async fn reset(replica: &Replica, core: &Core) -> Result<u64, Error> {
    let deadline = Instant::now() + TIMEOUT;
    for _ in 0..MAX_RESET_RERUNS {
        let (proposal, epoch) = {
            let view = replica.table.view().map_err(|error| Error::internal(error.to_string()))?;
            let mut random = SystemRandomness::default();
            let mut context = replica.context(&mut random);
            context.now = replica.clock.now();
            let change = EpochChange { only_member: None, time: Some(context.now) };
            begin_epoch(core, &mut context, &view, change)?
        };
        match replica.propose(&proposal, deadline).await? {
            Outcome::Applied { .. } => return Ok(epoch),
            Outcome::Conflict { index } => {
                let _ = replica.raft.wait_applied(index, deadline).await;
            }
            outcome => {
                return Err(Error::unavailable(format!("the change ended as {outcome:?}; enter the shares again")));
            }
        }
    }
    Err(Error::unavailable("other changes came first again and again; enter the shares again"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use conclave_vault::seal::{Parameters, Share};
    use conclave_vault::{CanonicalPath, Operation, Request};

    use super::*;
    use crate::app::App;
    use crate::before_unseal::init::create_cluster;
    use crate::config::Config;
    use crate::gateway::{Consistency, Gateway, Incoming, Noted};

    const ROOT: &str = "root-of-test";
    const YEAR_MILLIS: i64 = 31_536_000_000;

    async fn ask(app: &Arc<App>, token: &str, path: &str, data: Value) -> (u16, Value) {
        let Value::Object(data) = data else { panic!("an object is expected") };
        let is_write = !data.is_empty();
        let request = Request {
            id: "1".into(),
            operation: if is_write { Operation::Update } else { Operation::Read },
            path: CanonicalPath::new(path).unwrap(),
            namespace: String::new(),
            data,
            has_body: is_write,
            token: Some(token.to_owned().into()),
            wrap_ttl: None,
            idempotency_key: None,
            remote_address: None,
            client_certificates: Arc::default(),
        };
        let incoming = Incoming {
            request,
            method: if is_write { "POST" } else { "GET" }.into(),
            query: Vec::new(),
            consistency: Consistency::Linearizable,
            wanted_indexes: Vec::new(),
            body_bytes: 0,
            noted: Noted::default(),
            deadline: Instant::now() + Duration::from_secs(20),
        };
        let outgoing = app.serve(incoming).await;
        (outgoing.status, serde_json::from_slice(&outgoing.body).unwrap_or_default())
    }

    async fn token(app: &Arc<App>, ttl: &str) -> String {
        let (status, body) = ask(app, ROOT, "auth/token/create", json!({ "ttl": ttl, "no_parent": true })).await;
        assert_eq!(status, 200, "{body}");
        body["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    async fn works(app: &Arc<App>, token: &str) -> bool {
        ask(app, token, "auth/token/lookup-self", json!({})).await.0 == 200
    }

    fn set_clock(app: &App, ahead_millis: i64) {
        app.seal.state.clock().ahead_millis.store(ahead_millis, Ordering::SeqCst);
        app.seal.state.clock().trust();
    }

    /// A node whose cluster time is a year ahead of its clock, which is right again; and the shares, of which two are needed.
    async fn a_year_ahead() -> (Arc<App>, Vec<Share>) {
        let app = App::start(Config::memory("127.0.0.1:0")).await.unwrap();
        let parameters = Parameters { shares: 3, threshold: 2 };
        let made = create_cluster(&app.seal, parameters, Some(ROOT), false).await.unwrap();
        app.seal.unseal(made.initialized.barrier).await.unwrap();
        set_clock(&app, YEAR_MILLIS);
        token(&app, "1h").await;
        set_clock(&app, 0);
        (app, made.initialized.shares)
    }

    fn is_ahead(app: &App) -> bool {
        let mut random = SystemRandomness::default();
        let now = app.replica.context(&mut random).now;
        now > app.seal.state.clock().now().plus_secs(3_600)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn after_cluster_time_was_set_back_leases_expire_by_the_true_clock_again() {
        let (app, shares) = a_year_ahead().await;
        assert!(is_ahead(&app), "cluster time goes back by itself");
        let (status, body) =
            ask(&app, "", "sys/unseal", json!({ "key": shares[0].to_hex().as_str(), "reset_time": true })).await;
        assert_eq!(
            (status, &body["reset_time"]["progress"], &body["reset_time"]["epoch"]),
            (200, &json!(1), &Value::Null)
        );
        assert!(is_ahead(&app), "one share of two was enough");
        let (status, body) =
            ask(&app, "", "sys/unseal", json!({ "key": shares[2].to_hex().as_str(), "reset_time": true })).await;
        assert_eq!((status, &body["reset_time"]["epoch"]), (200, &json!(2)));
        assert!(!is_ahead(&app));
        assert_eq!(
            app.seal.state.unsealed().unwrap().barrier().epoch(),
            2,
            "messages between nodes belong to the new epoch"
        );
        assert_eq!(app.seal.state.unsealed().unwrap().barrier().active_term(), 2, "and so does what is encrypted");

        let (short, long) = (token(&app, "2s").await, token(&app, "1h").await);
        assert!(works(&app, &long).await);
        set_clock(&app, 3_000);
        assert!(!works(&app, &short).await);
        assert!(works(&app, &long).await);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_share_that_was_given_to_unseal_sets_no_time_and_a_wrong_one_nothing() {
        let (app, shares) = a_year_ahead().await;
        let (one, two) = (shares[0].to_hex(), shares[1].to_hex());
        // Other nodes' ceremonies may be held on an unsealed node.
        let (status, _) = ask(&app, "", "sys/unseal", json!({ "key": one.as_str(), "cluster": true })).await;
        assert_eq!(status, 200);
        let (status, body) = ask(&app, "", "sys/unseal", json!({ "key": two.as_str(), "reset_time": true })).await;
        assert_eq!((status, &body["reset_time"]["progress"]), (200, &json!(1)));
        let (status, _) = ask(&app, "", "sys/unseal", json!({ "key": "ab".repeat(33), "reset_time": true })).await;
        assert_eq!(status, 400);
        assert!(is_ahead(&app));
    }
}
