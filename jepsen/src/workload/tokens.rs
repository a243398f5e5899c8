//! Tokens and what is like them: uses that are counted, revocation that counts on every node, ends of leases.
//!
//! Each ticket is used from several nodes at once, as somebody would who tries to use it once too often. What surprises: a
//! use whose answer is lost may have been counted, also where the request only reads.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use conclave_client::{Error, Method, Secret, TokenRequest};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Clients;
use super::stage::{Hand, Stage};
use crate::history::{Event, Function, Kind};

/// How long a client waits for its operation.
const DEADLINE: Duration = Duration::from_secs(2);
/// The role whose secret ids are used.
const ROLE: &str = "auth/approle/role/jepsen";
/// How long tickets live that are not to end by themselves.
const LONG: &str = "1h";
/// How long a lease lasts, in seconds.
const LEASE_SECS: std::ops::Range<u64> = 3..7;
/// How long after its end it is still shown.
const AFTERWARDS: Duration = Duration::from_secs(4);
/// Rest between two showings of a lease.
const BETWEEN: Duration = Duration::from_millis(300);

/// What a ticket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Token,
    SecretId,
    Wrapping,
    Child,
}

struct Ticket {
    key: String,
    sort: Sort,
    secret: Secret,
    /// What revokes it; a child is revoked with its parent.
    accessor: String,
}

/// What the clients of this load share.
struct Office {
    role_id: String,
    next: AtomicU64,
}

/// Starts one client for each node that makes tickets and has them used.
pub(super) async fn begin_tickets(stage: &Stage, seed: u64, clients: &mut Clients) -> Result<(), Error> {
    let client = stage.hand(0, crate::cluster::PATIENCE)?.client();
    client.raw(Method::Post, "sys/auth/approle", &[], Some(&json!({ "type": "approle" }))).await?;
    client.raw(Method::Post, ROLE, &[], Some(&json!({ "secret_id_num_uses": 9, "token_policies": "default" }))).await?;
    let read = client.raw(Method::Get, &format!("{ROLE}/role-id"), &[], None).await?;
    let role_id = read.data().and_then(|data| data["role_id"].as_str()).unwrap_or_default().to_owned();
    let office = Arc::new(Office { role_id, next: AtomicU64::new(0) });
    let mut seeds = StdRng::seed_from_u64(seed);
    for node in 0..stage.size() {
        let random = StdRng::seed_from_u64(seeds.random());
        clients.tasks.spawn(make_tickets(stage.hand(node, DEADLINE)?, Arc::clone(&office), random));
    }
    Ok(())
}

/// Starts one client for each node that borrows and shows what it borrowed.
pub(super) fn begin_leases(stage: &Stage, seed: u64, clients: &mut Clients) -> Result<(), Error> {
    let office = Arc::new(Office { role_id: String::new(), next: AtomicU64::new(0) });
    let mut seeds = StdRng::seed_from_u64(seed);
    for node in 0..stage.size() {
        let random = StdRng::seed_from_u64(seeds.random());
        clients.tasks.spawn(borrow(stage.hand(node, DEADLINE)?, Arc::clone(&office), random));
    }
    Ok(())
}

async fn make_tickets(mut hand: Hand, office: Arc<Office>, mut random: StdRng) {
    while !hand.stage().is_over() {
        let sort = [Sort::Token, Sort::SecretId, Sort::Wrapping, Sort::Child][random.random_range(0..4)];
        let uses = match sort {
            Sort::Wrapping => Some(1),
            Sort::Child => None,
            Sort::Token | Sort::SecretId => Some(random.random_range(1..4)),
        };
        let Some(ticket) = grant(&mut hand, &office, sort, uses).await else {
            hand.rest(false).await;
            continue;
        };
        let ticket = Arc::new(ticket);
        let mut users = JoinSet::new();
        for node in 0..hand.stage().size() {
            let Ok(user) = hand.stage().hand(node, DEADLINE) else { return };
            users.spawn(use_often(user, Arc::clone(&ticket), Arc::clone(&office)));
        }
        if sort == Sort::Child {
            tokio::time::sleep(Duration::from_millis(random.random_range(0..40))).await;
            revoke(&mut hand, &ticket).await;
        }
        users.join_all().await;
        // Once more on each node, when whatever happened is over.
        for node in 0..hand.stage().size() {
            let home = hand.node();
            hand.move_to(node);
            use_once(&mut hand, &ticket, &office).await;
            hand.move_to(home);
        }
        hand.rest(true).await;
    }
}

async fn use_often(mut hand: Hand, ticket: Arc<Ticket>, office: Arc<Office>) {
    for _ in 0..3 {
        let is_done = use_once(&mut hand, &ticket, &office).await;
        hand.rest(is_done).await;
    }
}

/// Makes a ticket, and says so in the history: that it has an identifier, and how often it can be used.
async fn grant(hand: &mut Hand, office: &Office, sort: Sort, uses: Option<u64>) -> Option<Ticket> {
    let key = format!("{sort:?}-{}", office.next.fetch_add(1, Ordering::Relaxed));
    let event = hand.event(Function::Mint, &format!("{sort:?}"));
    hand.invoke(&event);
    let (secret, identifier, accessor) = match ask_for(hand, sort, uses).await {
        Ok(made) => made,
        Err(error) => {
            hand.end_failed(event, &error);
            return None;
        }
    };
    hand.end(Event { kind: Kind::Ok, value: Some(digest(&identifier)), ..event });
    let event = Event { value: uses, ..hand.event(Function::Grant, &key) };
    hand.invoke(&event);
    hand.end(Event { kind: Kind::Ok, ..event });
    Some(Ticket { key, sort, secret, accessor })
}

/// A ticket's secret, its own identifier, and the accessor that revokes it.
async fn ask_for(hand: &Hand, sort: Sort, uses: Option<u64>) -> Result<(Secret, String, String), Error> {
    let client = hand.client();
    let wanted = |policy: &str| TokenRequest {
        policies: vec![policy.to_owned()],
        ttl: Some(LONG.to_owned()),
        num_uses: uses,
        ..TokenRequest::default()
    };
    match sort {
        Sort::Token => {
            let made = client.tokens().create(&wanted("default")).await?;
            Ok((made.client_token, made.accessor.clone(), made.accessor))
        }
        Sort::Child => {
            let parent = client.tokens().create(&wanted("root")).await?;
            let child = hand.client_with(&parent.client_token).tokens().create(&wanted("default")).await?;
            Ok((child.client_token, child.accessor, parent.accessor))
        }
        Sort::SecretId => {
            let body = json!({ "num_uses": uses });
            let made = client.raw(Method::Post, &format!("{ROLE}/secret-id"), &[], Some(&body)).await?;
            let text = |name: &str| made.data().and_then(|data| data[name].as_str()).unwrap_or_default().to_owned();
            Ok((Secret::new(text("secret_id")), text("secret_id_accessor"), String::new()))
        }
        Sort::Wrapping => {
            let made = client.wrapping().wrap(&json!({ "wrapped": true }), LONG).await?;
            Ok((made.token, made.accessor, String::new()))
        }
    }
}

/// A number in the place of an identifier, which a history should not hold.
fn digest(identifier: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    identifier.hash(&mut hasher);
    hasher.finish()
}

/// Uses a ticket once; answers whether the server said yes or no.
async fn use_once(hand: &mut Hand, ticket: &Ticket, office: &Office) -> bool {
    let event = hand.event(Function::Use, &ticket.key);
    hand.invoke(&event);
    let client = hand.client();
    let (used, refusal) = match ticket.sort {
        Sort::Token | Sort::Child => (hand.client_with(&ticket.secret).tokens().lookup_self().await.map(drop), 403),
        Sort::Wrapping => (client.wrapping().unwrap(&ticket.secret).await.map(drop), 400),
        Sort::SecretId => {
            let body = json!({ "role_id": office.role_id, "secret_id": ticket.secret.expose() });
            (client.raw(Method::Post, "auth/approle/login", &[], Some(&body)).await.map(drop), 400)
        }
    };
    end_use(hand, event, used, refusal)
}

/// Records how a use ended.
fn end_use(hand: &mut Hand, event: Event, used: Result<(), Error>, refusal: u16) -> bool {
    match used {
        Ok(()) => hand.end(Event { kind: Kind::Ok, value: Some(1), ..event }),
        Err(error) if error.status() == Some(refusal) => hand.end(Event { kind: Kind::Ok, value: Some(0), ..event }),
        // Also a read may have been counted, unless the server says that it did nothing.
        Err(error) if matches!(error.status(), Some(500 | 502 | 504)) => hand.end_unknown(event, &error),
        Err(error) => hand.end_failed(event, &error),
    }
}

async fn revoke(hand: &mut Hand, ticket: &Ticket) {
    let event = hand.event(Function::Revoke, &ticket.key);
    hand.invoke(&event);
    match hand.client().tokens().revoke_accessor(&ticket.accessor).await {
        Ok(()) => hand.end(Event { kind: Kind::Ok, ..event }),
        Err(error) => hand.end_failed(event, &error),
    };
}

/// Makes tokens that end soon, and shows each on every node until some time after its end.
async fn borrow(mut hand: Hand, office: Arc<Office>, mut random: StdRng) {
    while !hand.stage().is_over() {
        let secs = random.random_range(LEASE_SECS);
        let key = format!("lease-{}", office.next.fetch_add(1, Ordering::Relaxed));
        let Some(token) = lend(&mut hand, &key, secs).await else {
            hand.rest(false).await;
            continue;
        };
        let end = Instant::now() + Duration::from_secs(secs) + AFTERWARDS;
        let home = hand.node();
        for turn in 0.. {
            if Instant::now() >= end || hand.stage().is_over() {
                break;
            }
            hand.move_to((home + turn) % hand.stage().size());
            let event = hand.event(Function::Show, &key);
            hand.invoke(&event);
            let used = hand.client_with(&token).tokens().lookup_self().await.map(drop);
            end_use(&mut hand, event, used, 403);
            tokio::time::sleep(BETWEEN).await;
        }
        hand.move_to(home);
    }
}

async fn lend(hand: &mut Hand, key: &str, secs: u64) -> Option<Secret> {
    let event = Event { value: Some(secs), ..hand.event(Function::Lend, key) };
    hand.invoke(&event);
    let length = Some(format!("{secs}s"));
    let wanted = TokenRequest {
        policies: vec!["default".to_owned()],
        ttl: length.clone(),
        explicit_max_ttl: length,
        ..TokenRequest::default()
    };
    match hand.client().tokens().create(&wanted).await {
        Ok(made) => {
            hand.end(Event { kind: Kind::Ok, ..event });
            Some(made.client_token)
        }
        Err(error) => {
            hand.end_failed(event, &error);
            None
        }
    }
}
