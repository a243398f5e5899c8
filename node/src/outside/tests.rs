//! The bounds of messages to the outside; and an engine on a real node that lends out what it makes there.

use std::collections::BTreeSet;

use conclave_vault::{
    Call, CanonicalPath, Effect, Engine, Error, Field, Kind, Lease, LeaseTerms, Leasing, Life, Operation, Path, Reply,
    Request, Work, field,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::*;
use crate::app::App;
use crate::config::Config;
use crate::gateway::{Consistency, Gateway, Incoming};

/// Answers with the message, but to who is to hang.
struct Echo;

impl Way for Echo {
    fn reach<'a>(&'a self, target: &'a str, message: &'a [u8]) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, String>> {
        Box::pin(async move {
            match target {
                "hangs" => std::future::pending().await,
                _ => Ok(message.to_vec().into()),
            }
        })
    }
}

fn ways(limits: Limits) -> Arc<Ways> {
    let ways = Arc::new(Ways::new(&limits));
    ways.open("echo", Arc::new(Echo));
    ways
}

fn to(target: &str) -> OutsideCall {
    OutsideCall { way: "echo", target: target.to_owned(), message: b"hello".to_vec() }
}

fn late() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

#[tokio::test(start_paused = true)]
async fn a_target_that_hangs_holds_up_nobody_but_those_who_want_it() {
    let ways = ways(Limits { outside_at_target: 2, outside_waiting: 3, ..Limits::default() });
    let hanging: Vec<_> = (0..5)
        .map(|_| {
            let ways = ways.clone();
            tokio::spawn(async move { ways.reach(&to("hangs"), late()).await })
        })
        .collect();
    tokio::task::yield_now().await;
    // Its places and its waiting room are full; everybody else is served at once.
    assert!(ways.reach(&to("hangs"), late()).await.unwrap_err().contains("too many messages wait"));
    let before = Instant::now();
    for target in ["one", "two"] {
        assert_eq!(ways.reach(&to(target), late()).await.unwrap().as_slice(), b"hello");
    }
    assert_eq!(Instant::now(), before, "without waiting");
    // Those who want it are told in the end, some after they waited for a place.
    for one in hanging {
        assert!(one.await.unwrap().unwrap_err().contains("in time"));
    }
    assert!(ways.targets.lock().is_empty(), "and nothing is kept of it");
}

#[tokio::test(start_paused = true)]
async fn one_client_has_half_of_a_target_at_most() {
    let ways = ways(Limits { outside_at_target: 2, outside_waiting: 4, ..Limits::default() });
    let from = |address: [u8; 4]| Some(IpAddr::from(address));
    let (flood, other) = (from([10, 0, 0, 1]), from([10, 0, 0, 2]));
    let send = |client| {
        let ways = ways.clone();
        tokio::spawn(async move { ways.reach_for(client, &to("hangs"), late()).await })
    };
    let hanging: Vec<_> = (0..3).map(|_| send(flood)).collect();
    tokio::task::yield_now().await;
    assert!(ways.reach_for(flood, &to("hangs"), late()).await.unwrap_err().contains("for this client"));
    let others = [send(other), send(None)];
    tokio::task::yield_now().await;
    for one in hanging.into_iter().chain(others) {
        assert!(one.await.unwrap().unwrap_err().contains("in time"), "it had its turn");
    }
    assert_eq!(ways.reach_for(flood, &to("one"), late()).await.unwrap().as_slice(), b"hello");
    assert!(ways.targets.lock().is_empty(), "and nothing is kept of it");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_beyond_its_deadline_or_for_a_way_that_is_none() {
    let ways = ways(Limits { outside_targets: 1, ..Limits::default() });
    let soon = Instant::now() + Duration::from_secs(1);
    assert!(ways.reach(&to("hangs"), soon).await.unwrap_err().contains("in time"));
    assert_eq!(Instant::now(), soon);
    let stay = ways.enter("echo one", None).unwrap();
    assert!(ways.reach(&to("two"), late()).await.unwrap_err().contains("too many targets"));
    drop(stay);
    assert!(ways.reach(&to("two"), late()).await.is_ok());
    let nowhere = OutsideCall { way: "carrier pigeon", target: "one".into(), message: Vec::new() };
    assert!(ways.reach(&nowhere, late()).await.unwrap_err().contains("no way by carrier pigeon"));
}

const SERVER: Field = field("server", Kind::Text, "The server that has the account.").required();

/// Lends out accounts on servers outside. For tests alone.
pub(crate) static ENGINE: Engine = Engine {
    kind: "lender",
    help: "Accounts on servers outside.",
    paths: &[&[Path {
        pattern: "creds/{server}",
        fields: &[&[SERVER]],
        operations: &[(Operation::Read, lend)],
        effect: Effect::Writes,
        help: "Borrow an account.",
        ..Path::DEFAULT
    }]],
    life: Life { lease: Some(Leasing { renew: None, revoke, ended: None }), ..Life::NONE },
    ..Engine::DEFAULT
};

fn lend(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let server = call.fields.text_or_empty(SERVER.name).to_owned();
    let account = hex::encode(call.context.lasting_bytes("account")?);
    let lease = call.begin_lease("account", &server, account.as_bytes())?;
    call.context.ask_outside(OutsideCall {
        way: "lender",
        target: server,
        message: format!("make {account}").into_bytes(),
    })?;
    let terms = LeaseTerms { ttl_secs: 3600, max_secs: 0, is_renewable: false };
    call.give(lease, terms, Reply::data(json!({ "username": account })))
}

fn revoke(work: &mut Work<'_, '_>, lease: &Lease) -> Result<(), Error> {
    let message = [b"drop ", lease.record.data.as_slice()].concat();
    let target = lease.record.target.clone();
    work.context.ask_outside(OutsideCall { way: "lender", target, message }).map(drop)
}

/// The servers; one of them hangs until it is let go.
#[derive(Default)]
struct Servers {
    app: Mutex<Option<Arc<App>>>,
    accounts: Mutex<BTreeSet<String>>,
    /// Whether each account was made behind a lease that was committed.
    had_leases: Mutex<Vec<bool>>,
    hanging: Notify,
}

impl Way for Servers {
    fn reach<'a>(&'a self, target: &'a str, message: &'a [u8]) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, String>> {
        Box::pin(async move {
            if target == "hangs" {
                self.hanging.notified().await;
                return Err("it hung".into());
            }
            let text = String::from_utf8_lossy(message).into_owned();
            match text.split_once(' ').unwrap() {
                ("make", account) => {
                    let app = self.app.lock().clone().unwrap();
                    let path = format!("sys/leases/lookup/db/creds/{target}/");
                    let listed = ask(&app, Operation::List, &path, &Value::Null);
                    let has_lease = listed.await.0 == 200;
                    self.had_leases.lock().push(has_lease);
                    self.accounts.lock().insert(account.to_owned());
                }
                (_, account) => _ = self.accounts.lock().remove(account),
            }
            Ok(Zeroizing::new(Vec::new()))
        })
    }
}

pub(crate) async fn ask(app: &Arc<App>, operation: Operation, path: &str, data: &Value) -> (u16, Value) {
    let request = Request {
        id: "1".into(),
        operation,
        path: CanonicalPath::new(path).unwrap(),
        namespace: String::new(),
        has_body: data.is_object(),
        data: data.as_object().cloned().unwrap_or_default(),
        token: Some("root-of-test".to_owned().into()),
        wrap_ttl: None,
        idempotency_key: None,
        remote_address: None,
        client_certificates: Arc::default(),
    };
    let outgoing = app.serve(Incoming {
        request,
        method: String::new(),
        query: Vec::new(),
        consistency: Consistency::Linearizable,
        wanted_indexes: Vec::new(),
        body_bytes: 0,
        noted: crate::gateway::Noted::default(),
        deadline: Instant::now() + Duration::from_secs(60),
    });
    let outgoing = outgoing.await;
    (outgoing.status, serde_json::from_slice(&outgoing.body).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lent_out_is_made_behind_its_lease_and_taken_back_and_a_server_that_hangs_holds_up_nobody() {
    let (app, _) = App::start_dev(Config::memory("127.0.0.1:0"), Some("root-of-test")).await.unwrap();
    let servers = Arc::new(Servers::default());
    *servers.app.lock() = Some(app.clone());
    app.runner.ways.open("lender", servers.clone());
    assert_eq!(ask(&app, Operation::Update, "sys/mounts/db", &json!({ "type": "lender" })).await.0, 204);
    let hanging = tokio::spawn({
        let app = app.clone();
        async move { ask(&app, Operation::Read, "db/creds/hangs", &Value::Null).await.0 }
    });
    let (status, lent) = ask(&app, Operation::Read, "db/creds/one", &Value::Null).await;
    assert_eq!((status, &lent["lease_duration"]), (200, &json!(3600)));
    assert_eq!((servers.accounts.lock().len(), servers.had_leases.lock().clone()), (1, vec![true]));
    let lease = json!({ "lease_id": lent["lease_id"] });
    assert_eq!(ask(&app, Operation::Update, "sys/leases/lookup", &lease).await.0, 200);
    assert_eq!(ask(&app, Operation::Update, "sys/leases/revoke", &lease).await.0, 204);
    assert_eq!(ask(&app, Operation::Update, "sys/leases/lookup", &lease).await.0, 400);
    // The leader takes it back by itself.
    while !servers.accounts.lock().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!hanging.is_finished());
    servers.hanging.notify_one();
    assert_eq!(hanging.await.unwrap(), 503);
    *servers.app.lock() = None;
}
