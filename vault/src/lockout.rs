//! Lockout: an auth method stops answering for a user after wrong passwords, as the mount's `user_lockout_config` says, or
//! else the `user_lockout` of the node's configuration.
//!
//! The count is a record in the mount's own area, changed under guards, so attempts on several nodes are counted as on
//! one, and nobody gains tries by asking elsewhere. It lies under an HMAC of the user's name, and goes with the mount.
//!
//! What surprises: names that do not exist are counted and locked out too ([`Who::Stranger`]), so that a stranger does not
//! learn by it which names there are. Strangers make these records, so they are bounded: one that is locked is not counted
//! further, and a threshold has a limit, so a name costs at most [`MAX_LOCKOUT_THRESHOLD`] small writes in the time of one
//! lockout; a user has one record, and all names that do not exist share [`MAX_STRANGER_COUNTS`], in which an unlucky name
//! takes the place of another. Which takes whose is as secret as a key. The calendar removes what is over.

pub(crate) mod rule;

use prost::Message;
use serde_json::Value;

use crate::context::Context;
use crate::engine::Call;
use crate::error::{Error, ErrorKind};
use crate::limits::{MAX_LOCKOUT_SECS, MAX_LOCKOUT_THRESHOLD, MAX_STRANGER_COUNTS};
use crate::lockout::rule::UserLockout;
use crate::mount::Mount;
use crate::mount::table::MountTable;
use crate::store::Store;
use crate::task::calendar::{self, Reminder};
use crate::time::Time;

/// Nothing depends on a count any more, by its mount and the hash of the user's name.
pub(crate) static EXPIRY: Reminder = Reminder { word: "lockout", due: expire };
/// Directory of the counts in a mount's area. No engine has one of this name.
const FOLDER: &str = "lockout";
/// Attempts before a user is locked out, if neither the mount nor the configuration says it.
const THRESHOLD: u64 = 5;
/// How long a user is locked out, and after how long without an attempt the count starts again, if neither
/// the mount nor the configuration says it; in seconds.
const USUAL_SECS: u64 = 15 * 60;

/// Whose wrong logins are counted.
#[derive(Clone, Copy)]
pub(crate) enum Who<'a> {
    /// A user that exists and may log in from where it is tried.
    User(&'a str),
    /// A name that leads to nobody there.
    Stranger(&'a str),
}

/// The count of one user.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct LockoutRecord {
    /// The user's name; of a stranger the hash of it.
    #[prost(string, tag = "1")]
    user: String,
    /// Wrong attempts since the count began.
    #[prost(uint64, tag = "2")]
    attempts: u64,
    /// Time of the last one, nanoseconds since the Unix epoch.
    #[prost(int64, tag = "3")]
    last_nanos: i64,
    /// When nothing depends on the record any more, nanoseconds since the Unix epoch.
    #[prost(int64, tag = "4")]
    ends_nanos: i64,
}

/// What counts for a mount: what it says itself, or the configuration, or the defaults.
struct Rules {
    threshold: u64,
    lock_secs: u64,
    reset_secs: u64,
}

impl Rules {
    /// `None` if the mount locks nobody out.
    fn of(mount: &Mount, configured: &UserLockout) -> Option<Self> {
        let usual = configured.of(&mount.record.kind);
        let own = mount.config().remove("user_lockout_config");
        // A mount that was tuned has said whether it locks out, also if it was tuned for something else.
        let is_disabled = match &own {
            Some(own) => own["user_lockout_disable"].as_bool().unwrap_or(false),
            None => usual.is_disabled.unwrap_or(false),
        };
        if is_disabled {
            return None;
        }
        let own = own.unwrap_or_default();
        let says = |name: &str, usual: Option<u64>, default: u64| {
            own[name].as_u64().filter(|value| *value > 0).or(usual).unwrap_or(default)
        };
        Some(Self {
            threshold: says("user_lockout_threshold", usual.threshold, THRESHOLD),
            lock_secs: says("user_lockout_duration", usual.lock_secs, USUAL_SECS).min(MAX_LOCKOUT_SECS),
            reset_secs: says("user_lockout_counter_reset_duration", usual.reset_secs, USUAL_SECS).min(MAX_LOCKOUT_SECS),
        })
    }

    fn is_locked(&self, record: &LockoutRecord, now: Time) -> bool {
        record.attempts >= self.threshold && now < Time::from_nanos(record.last_nanos).plus_secs(self.lock_secs)
    }

    /// Attempts that still count at a time.
    fn counted(&self, record: &LockoutRecord, now: Time) -> u64 {
        let is_over = now >= Time::from_nanos(record.last_nanos).plus_secs(self.reset_secs);
        // Whoever was locked out starts afresh after it.
        if is_over || record.attempts >= self.threshold { 0 } else { record.attempts }
    }
}

/// Where the count of somebody on a mount lies.
struct CountPath {
    /// The hash of a user's name; of a stranger a few digits, which other names have too.
    place: String,
    /// Whose record is meant there.
    owner: String,
}

impl CountPath {
    fn new(mount: &Mount, who: Who<'_>) -> Self {
        let (Who::User(name) | Who::Stranger(name)) = who;
        let index = mount.keys.index(FOLDER, name.as_bytes());
        let hash = hex::encode(index);
        match who {
            Who::User(name) => Self { place: hash, owner: name.to_owned() },
            Who::Stranger(_) => {
                let number = u16::from_be_bytes([index[0], index[1]]) % MAX_STRANGER_COUNTS;
                Self { place: format!("{number:04x}"), owner: hash }
            }
        }
    }

    /// Whether a name of a record in the folder is one that strangers share.
    fn is_shared(place: &str) -> bool {
        place.len() == 4
    }

    fn path(&self) -> [&str; 2] {
        [FOLDER, &self.place]
    }

    fn calendar_name(&self, mount: &Mount) -> String {
        format!("{}.{}", hex::encode(&mount.record.id), self.place)
    }

    /// What lies there, whosever it is.
    fn record(&self, store: &mut Store<'_>, mount: &Mount) -> Result<Option<LockoutRecord>, Error> {
        store.get(&mount.area, &self.path())
    }
}

/// Refuses a login of somebody who is locked out, whatever the password is.
///
/// # Errors
/// [`ErrorKind::Denied`] if so.
pub(crate) fn check(call: &mut Call<'_, '_>, who: Who<'_>) -> Result<(), Error> {
    let mount = call.mount.clone();
    let Some(rules) = Rules::of(&mount, call.context.user_lockout) else { return Ok(()) };
    let place = CountPath::new(&mount, who);
    let record = place.record(call.store, &mount)?.filter(|record| record.user == place.owner);
    match record.is_some_and(|record| rules.is_locked(&record, call.context.now)) {
        true => Err(Error::new(ErrorKind::Denied, "permission denied")),
        false => Ok(()),
    }
}

/// Counts a wrong password of somebody who is not locked out. The count stays although the login is refused.
pub(crate) fn count(call: &mut Call<'_, '_>, who: Who<'_>) -> Result<(), Error> {
    let (mount, now) = (call.mount.clone(), call.context.now);
    let Some(rules) = Rules::of(&mount, call.context.user_lockout) else { return Ok(()) };
    let place = CountPath::new(&mount, who);
    let before = place.record(call.store, &mount)?;
    let own = before.as_ref().filter(|record| record.user == place.owner);
    let attempts = 1 + own.map_or(0, |record| rules.counted(record, now));
    let ends = now.plus_secs(rules.lock_secs.max(rules.reset_secs));
    let user = place.owner.clone();
    let record = LockoutRecord { user, attempts, last_nanos: now.nanos(), ends_nanos: ends.nanos() };
    call.store.lasting(|store| {
        if let Some(before) = before {
            let ends = Time::from_nanos(before.ends_nanos);
            calendar::unschedule(store, ends, &EXPIRY, &place.calendar_name(&mount));
        }
        calendar::schedule(store, ends, &EXPIRY, &place.calendar_name(&mount))?;
        store.put(&mount.area, &place.path(), &record)
    })
}

/// Forgets a user's wrong attempts: after a right password, or because an operator says so.
pub(crate) fn forget(store: &mut Store<'_>, mount: &Mount, user: &str) -> Result<(), Error> {
    forgive(store, mount, Who::User(user))
}

/// Forgets the wrong attempts of somebody after a right password; of a method that cannot tell before who is a stranger.
pub(crate) fn forgive(store: &mut Store<'_>, mount: &Mount, who: Who<'_>) -> Result<(), Error> {
    let place = CountPath::new(mount, who);
    if let Some(record) = place.record(store, mount)?.filter(|record| record.user == place.owner) {
        store.delete(&mount.area, &place.path());
        let ends = Time::from_nanos(record.ends_nanos);
        calendar::unschedule(store, ends, &EXPIRY, &place.calendar_name(mount));
    }
    Ok(())
}

/// The users of a mount that are locked out, sorted; at most `limit` of them.
pub(crate) fn locked(
    store: &mut Store<'_>,
    context: &Context<'_>,
    mount: &Mount,
    limit: usize,
) -> Result<Vec<String>, Error> {
    let Some(rules) = Rules::of(mount, context.user_lockout) else { return Ok(Vec::new()) };
    let mut users = Vec::new();
    // Of names that do not exist there is nothing to unlock.
    for name in store.list(&mount.area, &[FOLDER])?.iter().filter(|name| !CountPath::is_shared(&name.name)) {
        let record = store.get::<LockoutRecord>(&mount.area, &[FOLDER, &name.name])?;
        users.extend(record.filter(|record| rules.is_locked(record, context.now)).map(|record| record.user));
        if users.len() >= limit {
            break;
        }
    }
    users.sort_unstable();
    Ok(users)
}

/// Removes a count, unless it was prolonged: its own entry for that is elsewhere in the calendar.
fn expire<'s>(store: &mut Store<'s>, context: &mut Context<'s>, name: &str) -> Result<(), Error> {
    let (mount, hash) = name.split_once('.').unwrap_or_default();
    let mounts = MountTable::load(store)?;
    // The counts of a mount that is gone go with it.
    let Some(mount) = hex::decode(mount).ok().and_then(|id| mounts.by_id(&id)) else { return Ok(()) };
    let record = store.get::<LockoutRecord>(&mount.area, &[FOLDER, hash])?;
    if record.is_some_and(|record| record.ends_nanos <= context.now.nanos()) {
        store.delete(&mount.area, &[FOLDER, hash]);
    }
    Ok(())
}

/// Checks a threshold that was sent.
pub(crate) fn checked_threshold(value: Option<i64>) -> Result<i64, Error> {
    value.filter(|count| (0..=MAX_LOCKOUT_THRESHOLD).contains(count)).ok_or_else(|| {
        Error::invalid(format!(
            "lockout_threshold must be a whole number, at most {MAX_LOCKOUT_THRESHOLD}; lockout_disable turns lockout off"
        ))
    })
}

/// The setting's value as a mount shows it.
pub(crate) fn shown(threshold: i64, lock_secs: u64, reset_secs: u64, is_disabled: bool) -> Value {
    serde_json::json!({
        "user_lockout_counter_reset_duration": reset_secs,
        "user_lockout_disable": is_disabled,
        "user_lockout_duration": lock_secs,
        "user_lockout_threshold": threshold,
    })
}

#[cfg(test)]
mod tests;
