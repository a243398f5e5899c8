//! This node's replica of the cluster: log, table, and consensus, by which both change.
//!
//! It knows no keys. Whoever has some reads through [`Replica::context`] and a view of the table, and writes by
//! [`Replica::change`] or [`Replica::propose`].

pub(crate) mod contact;
pub(crate) mod entering;
pub(crate) mod gated;
pub(crate) mod record;
pub(crate) mod standstill;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use conclave_batch::Outcome;
use conclave_raft::{Identity, ProposeError, Raft, ReadError, Role, Status};
use conclave_storage::log::Log;
use conclave_storage::table::Table;
use conclave_vault::{Context, Core, Errands, Error, ErrorKind, OpenCeremonies, Proposal, Store, SystemTtl, Time};
use parking_lot::Mutex;
use tokio::time::Instant;

use self::contact::Contact;
use self::entering::Entering;
use self::gated::GatedTable;
use self::standstill::Standstill;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::limits::MAX_CHANGE_RERUNS;
use crate::metrics::Metrics;
use crate::view::{self, SystemRandomness};
use crate::wakeups::Wakeups;

/// The replica.
pub struct Replica {
    pub(crate) config: Config,
    pub(crate) identity: Arc<Identity>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) table: Arc<GatedTable>,
    pub(crate) raft: Raft,
    pub(crate) clock: Arc<Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) wakeups: Arc<Wakeups>,
    pub(crate) standstill: Standstill,
    pub(crate) last_read_point: Mutex<Option<Instant>>,
    /// Held by whoever makes this node the first of a cluster, or lets it join one.
    pub(crate) entering: Entering,
    /// Since when it leads, in nanoseconds; 0 if it does not.
    pub(crate) active_since: AtomicI64,
    pub(crate) started_at: Time,
}

impl Replica {
    /// Writes to the disk how far the log is committed, or logs why it could not. A sealed node commits nothing by itself: one that
    /// forgot it with its process would take shares by the seal that was there before, or none if there was none.
    pub(crate) async fn remember_committed(&self) {
        let log = Arc::clone(&self.log);
        let synced = tokio::task::spawn_blocking(move || log.sync()).await;
        let failed =
            synced.map_err(|error| error.to_string()).and_then(|synced| synced.map_err(|error| error.to_string()));
        if let Err(error) = failed {
            tracing::error!(
                error,
                "what was committed last could not be written to the disk; look at the disk, and unseal before the power goes"
            );
        }
    }

    /// Time, randomness and surroundings of one call of the core.
    pub(crate) fn context<'a>(&'a self, random: &'a mut SystemRandomness) -> Context<'a> {
        let applied = self.table.applied();
        let cluster_time = Time::from_millis(applied.time_millis);
        Context {
            now: self.clock.now().max(cluster_time),
            random,
            node_id: self.identity.id(),
            system_ttl: self.system_ttl(),
            user_lockout: &self.config.user_lockout,
            open_ceremonies: OpenCeremonies {
                rekey: self.config.has_open_rekey(),
                generate_root: self.config.has_open_generate_root(),
            },
            epoch: applied.epoch,
            api_version: crate::version::API_VERSION,
            errands: Errands::default(),
            client_certificates: Arc::default(),
            trail: None,
        }
    }

    fn system_ttl(&self) -> SystemTtl {
        SystemTtl {
            default_secs: self.config.default_lease_ttl.as_secs(),
            max_secs: self.config.max_lease_ttl.as_secs(),
        }
    }

    /// Runs a change that is no client's request until it is committed, and answers what it answered then.
    pub(crate) async fn change<T>(
        &self,
        core: &Core,
        deadline: Instant,
        change: impl Fn(&mut Store<'_>, &mut Context<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        for _ in 0..MAX_CHANGE_RERUNS {
            let (answer, proposal) = self.run_change(core, &change)?;
            let Some(proposal) = proposal else { return Ok(answer) };
            match self.propose(&proposal, deadline).await? {
                Outcome::Applied { .. } => return Ok(answer),
                Outcome::Conflict { index } => {
                    let _ = self.raft.wait_applied(index, deadline).await;
                }
                outcome => return Err(Error::internal(format!("a change of this node ended as {outcome:?}"))),
            }
        }
        Err(Error::unavailable("the server is too busy with this record; nothing was changed, try again"))
    }

    fn run_change<T>(
        &self,
        core: &Core,
        change: impl Fn(&mut Store<'_>, &mut Context<'_>) -> Result<T, Error>,
    ) -> Result<(T, Option<Proposal>), Error> {
        let view = self.table.view().map_err(|error| Error::internal(error.to_string()))?;
        let mut random = SystemRandomness::default();
        let mut context = self.context(&mut random);
        let mut store = core.store(&view);
        let answer = change(&mut store, &mut context)?;
        Ok((answer, store.finish(&mut context)?))
    }

    /// Commits a batch, or says that it certainly was not or that nobody knows.
    pub(crate) async fn propose(&self, proposal: &Proposal, deadline: Instant) -> Result<Outcome, Error> {
        if !matches!(self.contact(), Contact::Confirmed { .. }) {
            // What is proposed without a quorum may be done later all the same; what was not proposed, never.
            let confirmed = self.while_in_contact(self.raft.read_point(deadline)).await;
            confirmed.ok().and_then(Result::ok).ok_or_else(|| self.out_of_contact())?;
        }
        let started = Instant::now();
        let proposed = self.while_in_contact(self.raft.propose(proposal.bytes.clone(), deadline)).await;
        if matches!(proposed, Ok(Ok(Outcome::Applied { .. }))) {
            self.metrics.committed(started.elapsed());
        }
        proposed.unwrap_or(Err(ProposeError::Unknown)).map_err(not_proposed)
    }

    /// Takes a read point: from here on this node's table is as new as the cluster was when this was called.
    pub(crate) async fn confirm_leader(&self, deadline: Instant) -> Result<(), Error> {
        let asked_at = Instant::now();
        let confirmed = self.while_in_contact(self.raft.read_point(deadline)).await;
        confirmed.unwrap_or_else(|_| Err(self.given_up())).map_err(not_read)?;
        let mut last = self.last_read_point.lock();
        *last = (*last).max(Some(asked_at));
        Ok(())
    }

    /// Waits until an entry is applied here, unless the quorum is lost meanwhile.
    pub(crate) async fn catch_up(&self, index: u64, deadline: Instant) -> Result<(), Error> {
        let applied = self.while_in_contact(self.raft.wait_applied(index, deadline)).await;
        applied.unwrap_or(Err(ReadError::Timeout)).map_err(not_read)
    }

    /// Since when this node leads.
    pub(crate) fn active_since(&self) -> Time {
        Time::from_nanos(self.active_since.load(Ordering::Relaxed))
    }

    /// Notices a change of role.
    pub(crate) fn note_role(&self, status: &Status) {
        let was_active = self.active_since.load(Ordering::Relaxed) != 0;
        match (status.role == Role::Leader, was_active) {
            (true, false) => self.active_since.store(view::now().nanos(), Ordering::Relaxed),
            (false, true) => self.active_since.store(0, Ordering::Relaxed),
            _ => {}
        }
    }
}

fn not_proposed(error: ProposeError) -> Error {
    match error {
        ProposeError::NotAppended { reason } => {
            let mut failed =
                Error::unavailable("no leader accepted the change in time; nothing was changed, try again");
            failed.detail = Some(reason);
            failed
        }
        ProposeError::Unknown => Error::unknown_outcome("the change was sent and its answer did not arrive in time"),
        ProposeError::Refused(reason) => {
            Error::unavailable(format!("the leader refused the change, and nothing was changed: {reason}"))
        }
        ProposeError::TooLarge => Error::new(ErrorKind::TooLarge, "the change is too large for one entry of the log"),
        ProposeError::Stopped => Error::unavailable("this node is stopping"),
    }
}

fn not_read(error: ReadError) -> Error {
    Error::unavailable(match error {
        ReadError::NoLeader => "no leader confirms that this node's data is current; try another node or try again",
        ReadError::Timeout => "this node did not catch up in time; try another node or try again",
        ReadError::Halted => "this node has stopped at an entry that it cannot verify; use another node",
        ReadError::Stopped => "this node is stopping",
    })
}
