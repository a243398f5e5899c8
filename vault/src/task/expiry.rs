//! What ends by itself, found by the minute in which it ends.
//!
//! An entry lies at `expiry / hour / minute / kind.name`, hours and minutes counted from the Unix epoch. Encrypted
//! names have no order, so what is due is found by listing hours, then minutes; each of them is few. An entry is only a
//! hint: the record it names says when it really ends.
//!
//! A minute is due once it is over, and every minute before it stays due while it has entries. So an entry that was
//! committed late into a past minute is found too, and so is what expired while the cluster was sealed, oldest first.

use prost::Message;

use crate::context::Context;
use crate::engines::approle;
use crate::error::Error;
use crate::idempotency::IdempotencyRecord;
use crate::store::Store;
use crate::task::Run;
use crate::time::Time;
use crate::token::{self, revoke};

/// Directory of the entries.
const FOLDER: &str = "expiry";
/// Most hours, and most minutes of one, that are listed.
const MAX_BUCKETS: usize = 100_000;
/// Most entries of one run, which leaves room for the other work.
const MAX_ENTRIES: usize = 256;

/// What can end by itself. The word is part of the stored name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiring {
    /// A service token, by its hash.
    Token,
    /// The record of an idempotency key, by its name.
    Idempotency,
    /// A token with which a node may join, by its id.
    JoinToken,
    /// A secret id of an AppRole, by its mount, its role and its hash.
    SecretId,
}

/// An entry; says nothing but that it is there.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct ExpiryRecord {}

impl Expiring {
    fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Idempotency => "idempotency",
            Self::JoinToken => "join",
            Self::SecretId => "secret",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Token, Self::Idempotency, Self::JoinToken, Self::SecretId].into_iter().find(|kind| kind.word() == word)
    }
}

/// The names of an entry's directories and of itself.
struct Place([String; 3]);

impl Place {
    fn new(when: Time, what: Expiring, name: &str) -> Self {
        let secs = when.secs();
        Self([(secs / 3600).to_string(), (secs / 60).to_string(), format!("{}.{name}", what.word())])
    }

    fn path(&self) -> [&str; 4] {
        [FOLDER, &self.0[0], &self.0[1], &self.0[2]]
    }
}

/// Has something looked at once a time is past.
pub fn schedule(store: &mut Store<'_>, when: Time, what: Expiring, name: &str) -> Result<(), Error> {
    let system = store.system();
    store.put(&system, &Place::new(when, what, name).path(), &ExpiryRecord {})
}

/// Takes back [`schedule`]; absent is as good.
pub fn unschedule(store: &mut Store<'_>, when: Time, what: Expiring, name: &str) {
    let system = store.system();
    store.delete(&system, &Place::new(when, what, name).path());
}

/// Ends what is due.
pub(super) fn run(store: &mut Store<'_>, context: &mut Context<'_>, run: &mut Run) -> Result<(), Error> {
    let now = context.now;
    let mut entries = 0;
    for hour in past(store, &[FOLDER], now.secs() / 3600 + 1)? {
        let hour = hour.to_string();
        for minute in past(store, &[FOLDER, &hour], now.secs() / 60)? {
            let minute = minute.to_string();
            let path = [FOLDER, hour.as_str(), minute.as_str()];
            let names = store.sample(&store.system(), &path, MAX_ENTRIES - entries)?;
            for name in names {
                entries += 1;
                run.attempt(store, |store| {
                    let system = store.system();
                    end(store, context, &name.name)?;
                    store.delete(&system, &[path[0], path[1], path[2], &name.name]);
                    Ok(1)
                });
            }
            if entries >= MAX_ENTRIES {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The numbered names of a directory below a number, smallest first.
fn past(store: &Store<'_>, path: &[&str], end: i64) -> Result<Vec<i64>, Error> {
    let names = store.sample(&store.system(), path, MAX_BUCKETS)?;
    let mut numbers: Vec<i64> = names.iter().filter_map(|name| name.name.parse().ok()).filter(|n| *n < end).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Ends what an entry names, unless it lasts longer by now; its own entry for that is elsewhere.
fn end(store: &mut Store<'_>, context: &Context<'_>, entry: &str) -> Result<(), Error> {
    let kind = entry.split_once('.').and_then(|(word, name)| Some((Expiring::parse(word)?, name)));
    let system = store.system();
    match kind {
        Some((Expiring::Token, hash)) => {
            let token = token::stored(store, hash)?;
            match token.filter(|token| token.expires().is_some_and(|expires| expires <= context.now)) {
                Some(token) => revoke::end(store, context.now, &token),
                None => Ok(()),
            }
        }
        Some((Expiring::Idempotency, name)) => {
            let record: Option<IdempotencyRecord> = store.get(&system, &["idempotency", name])?;
            if record.is_some_and(|record| record.expires_secs <= context.now.secs()) {
                store.delete(&system, &["idempotency", name]);
            }
            Ok(())
        }
        Some((Expiring::JoinToken, name)) => {
            // It is never prolonged, so its entry tells the truth.
            store.delete(&system, &["join", name]);
            Ok(())
        }
        Some((Expiring::SecretId, name)) => approle::expire(store, context.now, name),
        None => Err(Error::internal("an entry of the expiry calendar names something that this version does not know")),
    }
}
