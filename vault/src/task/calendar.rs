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
use crate::error::Error;
use crate::limits::{MAX_BUCKETS, MAX_DUE_ENTRIES};
use crate::store::Store;
use crate::task::budget::Budget;
use crate::time::Time;

/// Directory of the entries.
const FOLDER: &str = "expiry";

/// Does what an entry is for. It may come late, twice, or for what lasts longer by now.
pub(crate) type Due = for<'s> fn(&mut Store<'s>, &mut Context<'s>, &str) -> Result<(), Error>;

/// A kind of entry.
pub struct Reminder {
    /// The first part of the stored names, up to a dot.
    pub word: &'static str,
    /// What is done with the rest of the name once an entry is due.
    pub due: Due,
}

/// An entry; says nothing but that it is there.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct ExpiryRecord {}

/// The names of an entry's directories and of itself.
struct Slot([String; 3]);

impl Slot {
    fn new(when: Time, what: &Reminder, name: &str) -> Self {
        let secs = when.secs();
        Self([(secs / 3600).to_string(), (secs / 60).to_string(), format!("{}.{name}", what.word)])
    }

    fn path(&self) -> [&str; 4] {
        [FOLDER, &self.0[0], &self.0[1], &self.0[2]]
    }
}

/// Has something looked at once a time is past.
pub(crate) fn schedule(store: &mut Store<'_>, when: Time, what: &Reminder, name: &str) -> Result<(), Error> {
    let system = store.system();
    store.put(&system, &Slot::new(when, what, name).path(), &ExpiryRecord {})
}

/// Takes back [`schedule`]; absent is as good.
pub(crate) fn unschedule(store: &mut Store<'_>, when: Time, what: &Reminder, name: &str) {
    let system = store.system();
    store.delete(&system, &Slot::new(when, what, name).path());
}

/// Ends what is due.
pub(super) fn run<'s>(
    store: &mut Store<'s>,
    context: &mut Context<'s>,
    budget: &mut Budget,
    reminders: &[&Reminder],
) -> Result<(), Error> {
    let now = context.now;
    let mut entries = 0;
    for hour in past(store, &[FOLDER], now.secs() / 3600 + 1)? {
        let hour = hour.to_string();
        for minute in past(store, &[FOLDER, &hour], now.secs() / 60)? {
            let minute = minute.to_string();
            let path = [FOLDER, hour.as_str(), minute.as_str()];
            let names = store.sample(&store.system(), &path, MAX_DUE_ENTRIES - entries)?;
            for name in names {
                entries += 1;
                budget.attempt(store, |store| {
                    let system = store.system();
                    end(store, context, reminders, &name.name)?;
                    store.delete(&system, &[path[0], path[1], path[2], &name.name]);
                    Ok(1)
                });
            }
            if entries >= MAX_DUE_ENTRIES {
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

/// Does what an entry is for.
fn end<'s>(
    store: &mut Store<'s>,
    context: &mut Context<'s>,
    reminders: &[&Reminder],
    entry: &str,
) -> Result<(), Error> {
    let found = entry.split_once('.').and_then(|(word, name)| {
        let reminder = reminders.iter().find(|reminder| reminder.word == word)?;
        Some((reminder.due, name))
    });
    match found {
        Some((due, name)) => due(store, context, name),
        None => Err(Error::internal("an entry of the calendar is of a kind that this version does not know")),
    }
}
