//! Tidying: certificates that are over, and entries of lists for them, are deleted in the background.

use prost::Message;
use serde_json::{Map, Value, json};

use super::crl;
use super::der::shown_time;
use super::fetch::{self, CERTIFICATES, REVOKED};
use super::issuer::Issuers;
use crate::engine::{Call, Work};
use crate::error::Error;
use crate::field::{Field, Fields, Kind, field};
use crate::mount::Mount;
use crate::reply::{Reply, Status};
use crate::store::Store;

/// Where the newest run lies in the mount's area, and the settings of automatic ones.
const RUN: &[&str] = &["tidy", "run"];
const CONFIG: &[&str] = &["config", "auto-tidy"];
/// Name of the chore and of the reminder.
pub(super) const WORD: &str = "tidy";
/// How long a certificate is over before it goes, if nobody says, in seconds.
const BUFFER_SECS: u64 = 72 * 3600;
/// How often it is done by itself, if nobody says, and at the most, in seconds.
const INTERVAL_SECS: u64 = 12 * 3600;
const MIN_INTERVAL_SECS: u64 = 60;

const STORE: Field =
    field("tidy_cert_store", Kind::Bool, "Whether certificates that are over are deleted.").or("false");
const LISTS: Field =
    field("tidy_revoked_certs", Kind::Bool, "Whether revoked ones are too, and are taken off the lists.").or("false");
const BUFFER: Field = field("safety_buffer", Kind::Duration, "How long a certificate must be over.").or("72h");
const ENABLED: Field = field("enabled", Kind::Bool, "Whether it is done by itself.").or("false");
const INTERVAL: Field = field("interval_duration", Kind::Duration, "How often it is done by itself.").or("12h");

pub(super) const FIELDS: &[Field] = &[STORE, LISTS, BUFFER];
pub(super) const CONFIG_FIELDS: &[Field] = &[ENABLED, INTERVAL];

/// What is to be deleted.
#[derive(Clone, PartialEq, Eq, Message)]
struct TidyScope {
    #[prost(bool, tag = "1")]
    store: bool,
    #[prost(bool, tag = "2")]
    lists: bool,
    #[prost(uint64, tag = "3")]
    buffer_secs: u64,
}

/// A run.
#[derive(Clone, PartialEq, Eq, Message)]
struct TidyRunRecord {
    #[prost(message, required, tag = "1")]
    scope: TidyScope,
    /// `Running`, `Finished` or `Cancelled`; empty if there was none.
    #[prost(string, tag = "2")]
    state: String,
    /// Seconds since 1970.
    #[prost(int64, tag = "3")]
    started: i64,
    #[prost(int64, tag = "4")]
    finished: i64,
    #[prost(uint64, tag = "5")]
    deleted: u64,
    #[prost(uint64, tag = "6")]
    deleted_revoked: u64,
    /// The last certificate that was looked at; empty before the first.
    #[prost(string, tag = "7")]
    after: String,
}

/// Settings of automatic runs.
#[derive(Clone, PartialEq, Eq, Message)]
struct AutoTidyRecord {
    #[prost(message, required, tag = "1")]
    scope: TidyScope,
    #[prost(bool, tag = "2")]
    enabled: bool,
    /// 0 is the usual.
    #[prost(uint64, tag = "3")]
    interval_secs: u64,
    /// When the next one is due, in seconds since 1970; 0 if none is.
    #[prost(int64, tag = "4")]
    wake: i64,
}

impl TidyScope {
    fn take(&mut self, fields: &Fields) {
        self.store = fields.bool(STORE.name).unwrap_or(self.store);
        self.lists = fields.bool(LISTS.name).unwrap_or(self.lists);
        self.buffer_secs = fields.duration(BUFFER.name).map_or(self.buffer_secs, |buffer| buffer.as_secs());
        if self.buffer_secs == 0 {
            self.buffer_secs = BUFFER_SECS;
        }
    }

    fn shown(&self) -> Map<String, Value> {
        let data = json!({
            "tidy_cert_store": self.store, "tidy_revoked_certs": self.lists, "safety_buffer": self.buffer_secs,
        });
        data.as_object().cloned().unwrap_or_default()
    }
}

fn run_of(store: &mut Store<'_>, mount: &Mount) -> Result<TidyRunRecord, Error> {
    Ok(store.get(&mount.area, RUN)?.unwrap_or_default())
}

fn config(store: &mut Store<'_>, mount: &Mount) -> Result<AutoTidyRecord, Error> {
    Ok(store.get(&mount.area, CONFIG)?.unwrap_or_default())
}

fn is_running(run: &TidyRunRecord) -> bool {
    run.state == "Running"
}

fn begin(work: &mut Work<'_, '_>, scope: TidyScope) -> Result<(), Error> {
    let started = work.context.now.secs();
    let run = TidyRunRecord { scope, state: "Running".into(), started, ..TidyRunRecord::default() };
    work.store.put(&work.mount.area, RUN, &run)?;
    work.add_chore(WORD)
}

/// Begins a run.
pub(super) fn tidy(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    if is_running(&run_of(call.store, &mount)?) {
        return Err(Error::invalid("tidying is going on already; see tidy-status, or end it by tidy-cancel"));
    }
    let mut scope = TidyScope::default();
    scope.take(&call.fields);
    begin(&mut call.work(), scope)?;
    let reply = Reply { status: Status::Accepted, ..Reply::default() };
    let reply = reply.warn("Tidying goes on in the background; tidy-status says how far it is.");
    // Clients know this reply without the id of its request.
    Ok(Reply { raw: Some(reply.render("")), ..Reply::default() })
}

/// How the newest run is going.
pub(super) fn status(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let run = run_of(call.store, &mount)?;
    let time = |secs: i64| if secs == 0 { Value::Null } else { shown_time(secs).into() };
    let mut data = run.scope.shown();
    data.insert("state".into(), if run.state.is_empty() { "Inactive".into() } else { run.state.clone().into() });
    data.insert("time_started".into(), time(run.started));
    data.insert("time_finished".into(), time(run.finished));
    data.insert("cert_store_deleted_count".into(), run.deleted.into());
    data.insert("revoked_cert_deleted_count".into(), run.deleted_revoked.into());
    data.insert("error".into(), Value::Null);
    Ok(Reply { data: Some(data), ..Reply::default() })
}

/// Ends a run.
pub(super) fn cancel(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let mut run = run_of(call.store, &mount)?;
    if !is_running(&run) {
        return Err(Error::invalid("no tidying is going on"));
    }
    run.state = "Cancelled".into();
    run.finished = call.context.now.secs();
    call.store.put(&mount.area, RUN, &run)?;
    status(call)
}

/// Does some of a run: looks at so many certificates.
pub(super) fn chore(work: &mut Work<'_, '_>, limit: usize) -> Result<usize, Error> {
    let mount = work.mount.clone();
    let mut run = run_of(work.store, &mount)?;
    if !is_running(&run) {
        return Ok(0);
    }
    let before = work.context.now.secs() - i64::try_from(run.scope.buffer_secs).unwrap_or(i64::MAX);
    let after = Some(run.after.as_str()).filter(|after| !after.is_empty());
    let names = work.store.sample_after(&mount.area, &[CERTIFICATES], after, limit.max(1))?;
    for name in &names {
        let serial: &str = &name.name;
        let Some(found) = fetch::find(work.store, &mount, serial)? else { continue };
        if found.not_after >= before {
            continue;
        }
        let is_revoked = fetch::revocation(work.store, &mount, serial)?.is_some();
        let is_meant = if is_revoked { run.scope.lists } else { run.scope.store };
        if !is_meant {
            continue;
        }
        work.store.delete(&mount.area, &[CERTIFICATES, serial]);
        if is_revoked {
            work.store.delete(&mount.area, &[REVOKED, serial]);
            run.deleted_revoked += 1;
        } else {
            run.deleted += 1;
        }
    }
    let done = names.len();
    match names.last() {
        Some(last) if done >= limit => (*last.name).clone_into(&mut run.after),
        _ => finish(work, &mut run, before)?,
    }
    work.store.put(&mount.area, RUN, &run)?;
    Ok(if is_running(&run) { done } else { 0 })
}

fn finish(work: &mut Work<'_, '_>, run: &mut TidyRunRecord, before: i64) -> Result<(), Error> {
    let mount = work.mount.clone();
    if run.scope.lists {
        for issuer in Issuers::load(work.store, &mount)?.all {
            crl::tidy(work, &issuer, before)?;
        }
    }
    run.state = "Finished".into();
    run.finished = work.context.now.secs();
    Ok(())
}

/// A run is due by itself.
pub(super) fn due(work: &mut Work<'_, '_>) -> Result<(), Error> {
    let mount = work.mount.clone();
    let mut config = config(work.store, &mount)?;
    if !config.enabled || config.wake == 0 || config.wake > work.context.now.secs() {
        return Ok(());
    }
    schedule(work, &mut config)?;
    match is_running(&run_of(work.store, &mount)?) {
        true => Ok(()),
        false => begin(work, config.scope),
    }
}

fn schedule(work: &mut Work<'_, '_>, config: &mut AutoTidyRecord) -> Result<(), Error> {
    let secs = if config.interval_secs == 0 { INTERVAL_SECS } else { config.interval_secs };
    let wake = work.context.now.plus_secs(secs);
    config.wake = if config.enabled { wake.secs() } else { 0 };
    if config.enabled {
        work.remind(wake, WORD)?;
    }
    work.store.put(&work.mount.area, CONFIG, config)
}

fn shown_config(config: &AutoTidyRecord) -> Reply {
    let mut data = config.scope.shown();
    data.insert("enabled".into(), config.enabled.into());
    let secs = if config.interval_secs == 0 { INTERVAL_SECS } else { config.interval_secs };
    data.insert("interval_duration".into(), secs.into());
    if config.scope.buffer_secs == 0 {
        data.insert("safety_buffer".into(), BUFFER_SECS.into());
    }
    Reply { data: Some(data), ..Reply::default() }
}

/// Reads `config/auto-tidy`.
pub(super) fn read_config(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    Ok(shown_config(&config(call.store, &mount)?))
}

/// Changes `config/auto-tidy`.
pub(super) fn write_config(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let mount = call.mount.clone();
    let mut config = config(call.store, &mount)?;
    config.scope.take(&call.fields);
    config.enabled = call.fields.bool(ENABLED.name).unwrap_or(config.enabled);
    config.interval_secs = call.fields.duration(INTERVAL.name).map_or(config.interval_secs, |secs| secs.as_secs());
    if config.interval_secs != 0 && config.interval_secs < MIN_INTERVAL_SECS {
        return Err(Error::invalid(format!("interval_duration is at least {MIN_INTERVAL_SECS} s")));
    }
    if config.enabled && !config.scope.store && !config.scope.lists {
        return Err(Error::invalid("there is nothing to tidy: set tidy_cert_store, tidy_revoked_certs, or both"));
    }
    schedule(&mut call.work(), &mut config)?;
    Ok(shown_config(&config))
}
