//! Accounts on a server outside, lent out for a time: how an engine that changes something outside is written. For tests alone.
//!
//! It asks, leases, is due, and fails half way. What surprises: an account's name is drawn once for a request, before it is
//! made, and is kept with the lease, so whoever finds the lease can delete the account, also if nobody knows whether it was made.

mod tests;

use prost::Message;
use serde_json::json;

use crate::engine::{Call, Effect, Engine, Leasing, Life, Path, Work};
use crate::errand::OutsideCall;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::lease::grant::LeaseTerms;
use crate::lease::record::Lease;
use crate::mount::Class;
use crate::reply::Reply;
use crate::request::Operation;
use crate::time::Time;

/// After how many seconds an account counts as seasoned.
const SEASON_SECS: u64 = 120;

const SERVER: Field = field("server", Kind::Text, "The server that has the account.").required();

const PATHS: &[Path] = &[Path {
    pattern: "creds/{server}",
    fields: &[&[
        SERVER,
        field("ttl", Kind::Duration, "How long the account is lent out; the mount's default if not said."),
        field("fails", Kind::Bool, "Whether to fail once the account is made.").or("false"),
    ]],
    operations: &[(Operation::Read, lend)],
    // A read by its verb, and yet it makes an account.
    effect: Effect::Writes,
    help: "Borrow an account.",
    ..Path::DEFAULT
}];

/// The engine.
pub(crate) static ENGINE: Engine = Engine {
    kind: "accounts",
    class: Class::Secret,
    help: "Accounts on servers outside.",
    paths: &[PATHS],
    life: Life {
        due: Some(due),
        lease: Some(Leasing { renew: Some(renew), revoke, ended: Some(ended) }),
        ..Life::NONE
    },
    ..Engine::DEFAULT
};

/// What is remembered of an account that is lent out.
#[derive(Clone, Copy, PartialEq, Message)]
struct AccountRecord {
    /// Whether it is older than a while.
    #[prost(bool, tag = "1")]
    is_seasoned: bool,
}

fn message(server: &str, verb: &str, account: &str) -> OutsideCall {
    OutsideCall { way: "test", target: server.to_owned(), message: format!("{verb} {account}").into_bytes() }
}

fn account_of(lease: &Lease) -> String {
    String::from_utf8_lossy(&lease.record.data).into_owned()
}

fn lend(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let server = call.fields.text_or_empty(SERVER.name).to_owned();
    let account = format!("v-{}", hex::encode(&call.context.lasting_bytes("account")?[..8]));
    let lease = call.begin_lease("account", &server, account.as_bytes())?;
    // The run ends here, and what was begun is committed. The next one comes by with the answer.
    let password = call.context.ask_outside(message(&server, "make", &account))?;
    if call.fields.bool("fails").unwrap_or(false) {
        return Err(Error::invalid("it was to fail"));
    }
    let seasoned = call.context.now.plus_secs(SEASON_SECS);
    call.work().remind(seasoned, &account)?;
    call.store.put(&call.mount.area, &["account", &account], &AccountRecord { is_seasoned: false })?;
    let ttl_secs = call.fields.duration("ttl").unwrap_or_default().as_secs();
    let reply = Reply::data(json!({ "username": account, "password": String::from_utf8_lossy(&password) }));
    call.give(lease, LeaseTerms { ttl_secs, max_secs: 0, is_renewable: true }, reply)
}

fn due(work: &mut Work<'_, '_>, account: &str) -> Result<(), Error> {
    // It may be over by now.
    if work.store.contains(&work.mount.area, &["account", account])? {
        work.store.put(&work.mount.area, &["account", account], &AccountRecord { is_seasoned: true })?;
    }
    Ok(())
}

fn renew(work: &mut Work<'_, '_>, lease: &Lease, until: Time) -> Result<(), Error> {
    let account = account_of(lease);
    let prolong = message(&lease.record.target, "prolong", &format!("{account} {}", until.secs()));
    work.context.ask_outside(prolong).map(drop)
}

fn revoke(work: &mut Work<'_, '_>, lease: &Lease) -> Result<(), Error> {
    let account = account_of(lease);
    work.context.ask_outside(message(&lease.record.target, "drop", &account)).map(drop)
}

fn ended(work: &mut Work<'_, '_>, lease: &Lease) -> Result<(), Error> {
    work.store.delete(&work.mount.area, &["account", &account_of(lease)]);
    Ok(())
}
