//! Running one request: read point, view, core, proposal; again on conflict; on the leader once it lost twice.
//!
//! A write runs on whatever view this node has, because its guards find out. A reply that no committed batch carries is
//! a read, and leaves only after a read point that is not older than the request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use conclave_batch::Outcome;
use conclave_raft::Role;
use conclave_storage::table::Table;
use conclave_vault::{
    Action, Answer, Core, DIRECTORY, Done, Errand, Errands, Error, ErrorKind, Plan, Proposal, Reply, WEB, authenticate,
};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::actions::Actions;
use crate::audit::{Audit, Recording};
use crate::cluster::membership;
use crate::config::limits::MAX_REQUEST_RUNS;
use crate::forward;
use crate::gateway::{Consistency, Incoming, Outgoing};
use crate::heavy::Heavy;
use crate::http::error;
use crate::index::Position;
use crate::metrics::Timed;
use crate::outside::Ways;
use crate::outside::directory::Directories;
use crate::outside::web::Web;
use crate::replica::Replica;
use crate::seal::Seal;
use crate::turns::Turns;
use crate::view::SystemRandomness;

/// Lost races after which a request runs on the leader, first come first served.
const RACES_BEFORE_LEADER: u32 = 2;

/// How a run of a request ended.
enum Run {
    Asked(Errand),
    Finished(Box<Result<Reply, Error>>, Option<u64>),
    Conflict(u64),
    /// What was asked only the leader can do. Nothing was committed, so that it is counted once.
    ForLeader,
}

/// What became of a batch: applied at an index, or not, because of what was applied there.
enum Committed {
    At(u64),
    Overtaken(u64),
}

/// Runs requests.
pub(crate) struct Runner {
    pub(crate) seal: Arc<Seal>,
    pub(crate) actions: Actions,
    pub(crate) audit: Arc<Audit>,
    turns: Turns,
    heavy: Heavy,
    pub(crate) ways: Arc<Ways>,
    /// Turns for large requests, which run beside the executor.
    large_runs: Semaphore,
}

/// How many large requests run at once: one core stays for everybody else, consensus first of all.
fn large_runs() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))
}

impl Runner {
    /// Runs requests on a node's replica, with the keys that its seal has at the time.
    pub(crate) fn new(seal: Arc<Seal>, actions: Actions, audit: Arc<Audit>) -> Self {
        let heavy = Heavy::new(&seal.replica.config.limits);
        let config = &seal.replica.config;
        let ways = Arc::new(Ways::new(&config.limits));
        ways.open(WEB, Arc::new(Web::new(config.outbound.clone(), &config.limits)));
        ways.open(DIRECTORY, Arc::new(Directories::new(config.outbound.clone(), &config.limits)));
        Self { seal, actions, audit, turns: Turns::default(), heavy, ways, large_runs: Semaphore::new(large_runs()) }
    }

    fn replica(&self) -> &Replica {
        &self.seal.replica
    }

    /// Serves a request with an unsealed core.
    pub(crate) async fn execute(&self, core: Arc<Core>, incoming: &Incoming) -> Outgoing {
        let mut recording = Recording::new();
        let outgoing = match self.settle(&core, incoming, true, &mut recording).await {
            Ok(outgoing) => outgoing,
            Err(error) => error::outgoing(&error),
        };
        if Recording::may_begin_with(incoming)
            && let Ok(view) = self.replica().table.view()
            && let Err(error) = self.audit.follow(&core, &view)
        {
            return error::outgoing(&error);
        }
        recording.answer(&self.audit, &core, incoming, outgoing).await
    }

    /// Serves a request that a peer handed to this leader, in the order of arrival per token and path. The peer records it.
    pub(crate) async fn execute_queued(&self, core: Arc<Core>, incoming: &Incoming) -> Outgoing {
        let _turn = self.turns.take(&incoming.request).await;
        match self.settle(&core, incoming, false, &mut Recording::Off).await {
            Ok(outgoing) => outgoing,
            Err(error) => error::outgoing(&error),
        }
    }

    async fn settle(
        &self,
        core: &Arc<Core>,
        incoming: &Incoming,
        may_queue: bool,
        recording: &mut Recording,
    ) -> Result<Outgoing, Error> {
        self.await_wanted_index(core, incoming).await?;
        let mut turn = None;
        let mut races = 0;
        let mut errands = Errands::new(SystemRandomness::default().seed());
        for _ in 0..MAX_REQUEST_RUNS {
            if Instant::now() >= incoming.deadline {
                break;
            }
            match self.run(core, incoming, &mut errands, recording).await? {
                Run::Asked(errand) => {
                    let answer = self.do_errand(core, &errand, incoming).await?;
                    errands.answer(errand, answer);
                    continue;
                }
                Run::Finished(result, written_at) => return self.reply(core, incoming, (*result)?, written_at).await,
                Run::Conflict(index) => {
                    self.replica().catch_up(index, incoming.deadline).await?;
                }
                Run::ForLeader => {
                    if let Some(outgoing) = forward::to_leader(self.replica(), core, incoming).await? {
                        return Ok(outgoing);
                    }
                    // Whoever leads now is to be asked, which may be this node.
                    self.replica().confirm_leader(incoming.deadline).await?;
                }
            }
            races += 1;
            if may_queue && races == RACES_BEFORE_LEADER {
                // What was begun here must be ended here.
                if !errands.has_kept()
                    && self.replica().raft.status().role != Role::Leader
                    && let Some(outgoing) = forward::to_leader(self.replica(), core, incoming).await?
                {
                    return Ok(outgoing);
                }
                turn = Some(self.turns.take(&incoming.request).await);
            }
        }
        drop(turn);
        let left = errands.what_is_left();
        Err(Error::unavailable(format!("the server is too busy with this record; {left}, try again")))
    }

    /// Does what a run of a request ended with.
    pub(crate) async fn do_errand(&self, core: &Core, errand: &Errand, incoming: &Incoming) -> Result<Answer, Error> {
        match errand {
            Errand::Digest(password) => {
                let (source, password) = (incoming.request.remote_address, password.clone());
                self.heavy.run(move |memory| password.digest(memory), source, incoming.deadline).await
            }
            Errand::Compute(computation) => {
                let (source, computation) = (incoming.request.remote_address, computation.clone());
                self.heavy.run(move |_| computation.run(), source, incoming.deadline).await
            }
            Errand::Outside(outside) => {
                let client = incoming.request.remote_address;
                Ok(Answer::Outside(self.ways.reach_for(client, outside, incoming.deadline).await))
            }
            Errand::Node(action) => {
                let reply = self.actions.perform(core, action.clone(), Reply::empty()).await?;
                Ok(Answer::Node(Box::new(reply)))
            }
        }
    }

    async fn run(
        &self,
        core: &Arc<Core>,
        incoming: &Incoming,
        errands: &mut Errands,
        recording: &mut Recording,
    ) -> Result<Run, Error> {
        let (plan, started) = (self.plan(core, incoming)?, Instant::now());
        let run = self.run_planned(core, incoming, errands, plan.reads_only, recording).await;
        if !plan.mount.is_empty() {
            self.replica().metrics.route(incoming.request.operation.as_str(), &plan.mount, started.elapsed());
        }
        run
    }

    async fn run_planned(
        &self,
        core: &Arc<Core>,
        incoming: &Incoming,
        errands: &mut Errands,
        reads_only: bool,
        recording: &mut Recording,
    ) -> Result<Run, Error> {
        if reads_only {
            self.read_point(incoming).await?;
        }
        if core.barrier().is_out_of_uses() {
            // Just unsealed, or just rotated. If it fails, whatever must be encrypted says so.
            let _ = self.seal.reserve_uses(core).await;
        }
        let mut done = self.run_aside(core, incoming, errands).await?;
        if done.batch.is_none() && done.errand.is_none() && !reads_only {
            // Nothing is committed that could find out about a stale view, so the view must not be one.
            self.read_point(incoming).await?;
            done = self.run_aside(core, incoming, errands).await?;
        }
        recording.ask(&self.audit, core, incoming, &mut done).await?;
        if let Some(errand) = done.errand {
            if let Some(intent) = done.batch {
                if let Committed::Overtaken(index) = self.commit(&intent, incoming.deadline).await? {
                    return Ok(Run::Conflict(index));
                }
                errands.keep_intents();
            }
            return Ok(Run::Asked(errand));
        }
        let action = done.result.as_ref().ok().and_then(|reply| reply.action.as_ref());
        if action.is_some_and(Action::is_for_the_leader) && self.replica().raft.status().role != Role::Leader {
            return Ok(Run::ForLeader);
        }
        let Some(proposal) = done.batch else { return Ok(Run::Finished(Box::new(done.result), None)) };
        match self.commit(&proposal, incoming.deadline).await? {
            Committed::At(index) => {
                if let Ok(Some(announcement)) = done.result.as_ref().map(|reply| &reply.announcement) {
                    tracing::info!("{announcement}");
                }
                Ok(Run::Finished(Box::new(done.result), Some(index)))
            }
            Committed::Overtaken(index) => Ok(Run::Conflict(index)),
        }
    }

    /// Commits a batch of a request, or finds out that it lost a race.
    async fn commit(&self, proposal: &Proposal, deadline: Instant) -> Result<Committed, Error> {
        match self.replica().propose(proposal, deadline).await? {
            Outcome::Applied { index } => Ok(Committed::At(index)),
            Outcome::Conflict { index } => Ok(Committed::Overtaken(index)),
            // A new id on a newer view: the old one was certainly not applied, or the proposal would have said so.
            Outcome::TooOld => Ok(Committed::Overtaken(self.replica().raft.applied_index())),
            Outcome::WrongEpoch => Err(Error::unavailable("the cluster began a new epoch meanwhile; try again")),
            Outcome::Malformed => Err(Error::internal("apply refused a batch as malformed")),
        }
    }

    fn plan(&self, core: &Arc<Core>, incoming: &Incoming) -> Result<Plan, Error> {
        let view = self.replica().table.view().map_err(|error| Error::internal(error.to_string()))?;
        Ok(core.plan(&view, &incoming.request))
    }

    /// A run, beside the executor if it may take long: hashing or encrypting megabytes takes a while, and heartbeats must
    /// not wait for that.
    async fn run_aside(&self, core: &Arc<Core>, incoming: &Incoming, errands: &mut Errands) -> Result<Done, Error> {
        let is_large = incoming.body_bytes >= self.replica().config.limits.aside_bytes;
        // A runtime with one thread has nowhere else to run it.
        if !is_large || Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            return self.run_serving(core, incoming, errands);
        }
        // The semaphore is never closed.
        let _turn = self.large_runs.acquire().await;
        tokio::task::block_in_place(|| self.run_serving(core, incoming, errands))
    }

    /// A run whose result counts only if the node still serves after it: a seal or a snapshot may have come between.
    fn run_serving(&self, core: &Arc<Core>, incoming: &Incoming, errands: &mut Errands) -> Result<Done, Error> {
        let done = self.run_core(core, incoming, errands)?;
        if self.seal.state.still_serves(core) { Ok(done) } else { Err(Error::unavailable(self.seal.state.refusal())) }
    }

    /// One run of a request, with what its errands brought so far.
    pub(crate) fn run_core(&self, core: &Arc<Core>, incoming: &Incoming, errands: &mut Errands) -> Result<Done, Error> {
        let view = Timed(self.replica().table.view().map_err(|error| Error::internal(error.to_string()))?);
        let mut random = SystemRandomness::default();
        let mut context = self.replica().context(&mut random);
        context.errands = std::mem::take(errands);
        self.audit.follow(core, &view)?;
        context.trail = (self.audit.is_on() || Recording::may_begin_with(incoming)).then(Box::default);
        let done = core.handle(&mut context, &view, &incoming.request);
        *errands = context.errands;
        Ok(done)
    }

    /// Makes sure that this node's data is as fresh as the request wants it. How stale it may be is the operator's to
    /// say: tokens and policies are as stale as everything else, and who holds a revoked token would wish for more.
    async fn read_point(&self, incoming: &Incoming) -> Result<(), Error> {
        let wanted = match incoming.consistency {
            Consistency::Linearizable => Duration::ZERO,
            Consistency::Bounded(age) => age,
            Consistency::Local => Duration::MAX,
        };
        let allowed = wanted.min(self.replica().config.max_staleness);
        if !allowed.is_zero() && self.replica().last_read_point.lock().is_some_and(|at| at.elapsed() <= allowed) {
            return Ok(());
        }
        self.replica().confirm_leader(incoming.deadline).await
    }

    /// Whether a token works. If not as far as this node knows, it catches up first: the token may be new.
    pub(crate) async fn check_token(
        &self,
        core: &Arc<Core>,
        token: &str,
        client: IpAddr,
        deadline: Instant,
    ) -> Result<(), Error> {
        let check = || {
            let view = self.replica().table.view().map_err(|error| Error::internal(error.to_string()))?;
            let mut random = SystemRandomness::default();
            let context = self.replica().context(&mut random);
            authenticate(&mut core.store(&view), &context, token, Some(client)).map(drop)
        };
        if check().is_ok() {
            return Ok(());
        }
        self.replica().confirm_leader(deadline).await?;
        check()
    }

    async fn await_wanted_index(&self, core: &Arc<Core>, incoming: &Incoming) -> Result<(), Error> {
        let positions = incoming.wanted_indexes.iter().filter_map(|text| Position::parse(core, text));
        let Some(wanted) = positions.map(|position| position.index).max() else { return Ok(()) };
        let not_yet = |_| Error::new(ErrorKind::NotYetApplied, "required index state not present");
        self.replica().raft.wait_applied(wanted, incoming.deadline).await.map_err(not_yet)
    }

    async fn reply(
        &self,
        core: &Arc<Core>,
        incoming: &Incoming,
        mut reply: Reply,
        written_at: Option<u64>,
    ) -> Result<Outgoing, Error> {
        if let Some(action) = reply.action.take() {
            if let Action::RemovePeer { server_id } = &action {
                membership::hand_over_before(&self.seal, server_id).await?;
            }
            if action.is_for_the_leader()
                && self.replica().raft.status().role != Role::Leader
                && let Some(outgoing) = forward::to_leader(self.replica(), core, incoming).await?
            {
                return Ok(outgoing);
            }
            reply = self.actions.perform(core, action, reply).await?;
        }
        let raw = reply.render(&incoming.request.id);
        let mut headers = Vec::new();
        headers.extend(reply.challenge.map(|challenge| ("www-authenticate".to_owned(), challenge.to_owned())));
        if let Some(index) = written_at {
            headers.push(("x-vault-index".to_owned(), Position { index }.to_text(core)));
        }
        Ok(Outgoing { status: raw.status_code, content_type: raw.content_type, headers, body: raw.body.into() })
    }
}

#[cfg(test)]
mod tests;
