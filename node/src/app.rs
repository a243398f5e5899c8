//! The one place where the concrete parts meet: storage, consensus, core, and what keeps them going.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use conclave_batch::Outcome;
use conclave_raft::{Identity, Raft, Role, Stop};
use conclave_storage::log::Log;
use conclave_storage::table::Table;
use conclave_vault::context::{Context, SystemTtl};
use conclave_vault::core::Core;
use conclave_vault::error::Error;
use conclave_vault::members::MemberRecord;
use conclave_vault::seal::handover::Fingerprint;
use conclave_vault::seal::record;
use conclave_vault::store::{Store, open_key};
use conclave_vault::time::Time;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ceremony::Ceremonies;
use crate::cluster::gated::GatedTable;
use crate::cluster::handover::candidates::Candidates;
use crate::cluster::hooks::NodeHooks;
use crate::cluster::{address, join, membership, observer, upkeep};
use crate::config::{Config, Storage};
use crate::contact::{self, Contact};
use crate::forward::Nonces;
use crate::gateway::{Gateway, Incoming, Outgoing};
use crate::heavy::Heavy;
use crate::http::error;
use crate::http::in_flight::InFlight;
use crate::metrics::Metrics;
use crate::opening::{self, Opened};
use crate::shared::Shared;
use crate::turns::Turns;
use crate::view::SystemRandomness;
use crate::{brake, endpoint, view, vitals};

pub use crate::opening::StartError;

/// How often a change of ours is run again after a conflict.
const MAX_RERUNS: u32 = 100;
/// How long handing over leadership may take before the node seals anyway: an emergency does not wait.
const SEAL_HAND_OVER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long handing over leadership may take before the node stops anyway.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(5);

/// The application.
pub struct App {
    pub(crate) config: Config,
    pub(crate) shared: Arc<Shared>,
    pub(crate) identity: Arc<Identity>,
    /// Names this process of the node; what operators compare before they let it have the root key.
    pub(crate) fingerprint: Fingerprint,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) table: Arc<GatedTable>,
    pub(crate) raft: Raft,
    pub(crate) ceremonies: Mutex<Ceremonies>,
    pub(crate) candidates: Candidates,
    pub(crate) turns: Turns,
    pub(crate) heavy: Heavy,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) last_read_point: Mutex<Option<Instant>>,
    /// Held by whoever makes this node the first of a cluster, or lets it join one.
    pub(crate) entering: tokio::sync::Mutex<()>,
    /// What peers forwarded before.
    pub(crate) nonces: Mutex<Nonces>,
    /// Turns for large requests, which run beside the executor.
    pub(crate) large_runs: Semaphore,
    wants_upkeep: Notify,
    wants_membership: Notify,
    wants_checkpoint: AtomicBool,
    active_since: AtomicI64,
    started_at: Time,
    stop: CancellationToken,
}

impl App {
    /// Opens the storage, starts consensus and what runs by itself. The node is sealed then.
    pub async fn start(config: Config) -> Result<Arc<Self>, StartError> {
        let shared = Arc::new(Shared::default());
        let hooks = Arc::new(NodeHooks::new(Arc::clone(&shared)));
        let ceremonies = Ceremonies::default();
        let Opened { identity, fingerprint, log, table, raft } =
            opening::open(&config, Arc::clone(&hooks), Arc::clone(&shared), &ceremonies.boot_key).await?;
        let app = Arc::new(Self {
            shared,
            ceremonies: Mutex::new(ceremonies),
            candidates: Candidates::default(),
            identity,
            fingerprint,
            log,
            table,
            raft,
            turns: Turns::default(),
            heavy: Heavy::new(&config.limits),
            in_flight: InFlight::new(&config.limits),
            metrics: Arc::new(Metrics::new()),
            last_read_point: Mutex::new(None),
            entering: tokio::sync::Mutex::default(),
            nonces: Mutex::default(),
            large_runs: Semaphore::new(large_runs()),
            wants_upkeep: Notify::new(),
            wants_membership: Notify::new(),
            wants_checkpoint: AtomicBool::new(false),
            active_since: AtomicI64::new(0),
            started_at: view::now(),
            stop: CancellationToken::new(),
            config,
        });
        hooks.attach(&app);
        app.shared.set_low_water_mark(app.config.limits.disk_free_bytes);
        let raft = app.raft.clone();
        app.shared.follow(move |state| raft.set_candidacy(state.candidacy()));
        if let Some(folder) = app.config.storage.folder() {
            app.metrics.watch_folder(folder.to_owned());
        }
        if app.is_clustered() {
            let (node, fingerprint) = (app.node_name(app.identity.id()), app.fingerprint);
            tracing::info!(node, %fingerprint, "the node is sealed; a ceremony on another node knows it by this fingerprint");
        }
        tokio::spawn(upkeep::run(Arc::clone(&app)));
        tokio::spawn(vitals::run(Arc::clone(&app)));
        tokio::spawn(observer::run(Arc::clone(&app)));
        tokio::spawn(contact::run(Arc::clone(&app)));
        tokio::spawn(membership::run(Arc::clone(&app)));
        tokio::spawn(address::run(Arc::clone(&app)));
        tokio::spawn(join::join_as_configured(Arc::clone(&app)));
        Ok(app)
    }

    /// Hands leadership over, stops consensus and makes everything durable.
    pub async fn shutdown(&self) {
        if self.raft.status().role == Role::Leader && self.is_clustered() {
            let _ = tokio::time::timeout(HAND_OVER_TIMEOUT, self.raft.transfer_leadership(None)).await;
        }
        self.stop.cancel();
        self.drop_keys("the node stops").await;
        self.raft.shutdown().await;
        if let Err(error) = self.table.sync() {
            tracing::error!(%error, "the table could not be synced; the log holds what it lacks");
        }
    }

    /// Resolves when consensus ended by itself, with the reason: the process must exit.
    pub async fn fatal(&self) -> String {
        match self.raft.stopped().await {
            // The node stays up, sealed, and says why: an operator must look at it.
            Stop::Halted(index) => {
                self.drop_keys("consensus stopped at an entry that does not verify").await;
                tracing::error!(
                    index,
                    "consensus stopped at an entry that does not verify; this node stays sealed and must be replaced by a fresh one"
                );
                std::future::pending().await
            }
            Stop::Shutdown => std::future::pending().await,
            Stop::Fatal(reason) => reason,
        }
    }

    pub(crate) async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Wipes the keys, whatever state the node is in and whether or not anybody else is up. They are gone when this ends.
    pub(crate) async fn seal(&self) {
        if self.raft.status().role == Role::Leader && self.is_clustered() {
            let _ = tokio::time::timeout(SEAL_HAND_OVER_TIMEOUT, self.raft.transfer_leadership(None)).await;
        }
        self.drop_keys("a caller of sys/seal wanted it").await;
    }

    /// Takes the keys away from every request and wipes them.
    pub(crate) async fn drop_keys(&self, reason: &'static str) {
        let sealed = self.shared.seal(reason);
        let Some(core) = sealed else { return };
        let revoked = tokio::task::spawn_blocking(move || core.revoke(&mut SystemRandomness::default())).await;
        match revoked {
            Ok(true) => tracing::info!("this node is sealed; its keys are wiped"),
            _ => tracing::error!("this node is sealed, but a request still holds a key: stop the process to wipe it"),
        }
    }

    /// Runs a change that is no client's request until it is committed, and answers what it answered then.
    pub(crate) async fn commit<T>(
        &self,
        core: &Core,
        deadline: Instant,
        change: impl Fn(&mut Store<'_>, &mut Context<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        for _ in 0..MAX_RERUNS {
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
        Err(crate::serve::unavailable("the server is too busy with this record; nothing was changed, try again"))
    }

    fn run_change<T>(
        &self,
        core: &Core,
        change: impl Fn(&mut Store<'_>, &mut Context<'_>) -> Result<T, Error>,
    ) -> Result<(T, Option<conclave_vault::batch::Proposal>), Error> {
        let view = self.table.view().map_err(|error| Error::internal(error.to_string()))?;
        let mut random = SystemRandomness::default();
        let mut context = self.context(&mut random);
        let mut store = core.store(&view);
        let answer = change(&mut store, &mut context)?;
        Ok((answer, store.finish(&mut context)?))
    }

    /// A record outside the barrier, as this node's table has it.
    pub(crate) fn open_record(&self, name: &str) -> Option<(u64, bytes::Bytes)> {
        let record = self.table.view().ok()?.get(&open_key(name)).ok()??;
        Some((record.revision, record.value))
    }

    /// Whether the vault was initialised, as far as this node knows.
    pub(crate) fn is_initialized(&self) -> bool {
        self.open_record(record::SEAL).is_some()
    }

    /// Whether this node listens for others.
    pub(crate) fn is_clustered(&self) -> bool {
        matches!(self.config.storage, Storage::Raft(_))
    }

    pub(crate) fn cluster_id(&self) -> Option<[u8; 16]> {
        let record = record::ClusterRecord::decode(self.open_record(record::CLUSTER)?.1).ok()?;
        record.cluster_id.as_slice().try_into().ok()
    }

    /// The cluster id in the form of a UUID.
    pub(crate) fn cluster_id_text(&self) -> String {
        self.cluster_id().map(|id| uuid::Uuid::from_bytes(id).to_string()).unwrap_or_default()
    }

    pub(crate) fn cluster_name(&self) -> String {
        let id = self.cluster_id_text();
        self.config.cluster_name.clone().unwrap_or_else(|| format!("conclave-cluster-{}", &id[..id.len().min(8)]))
    }

    /// A node's cluster address as the API shows it.
    pub(crate) fn cluster_url(&self, address: &str) -> String {
        if address.is_empty() || address.contains("://") { address.to_owned() } else { format!("https://{address}") }
    }

    pub(crate) fn started_at(&self) -> Time {
        self.started_at
    }

    /// Since when this node leads.
    pub(crate) fn active_since(&self) -> Time {
        Time::from_nanos(self.active_since.load(Ordering::Relaxed))
    }

    pub(crate) fn system_ttl(&self) -> SystemTtl {
        SystemTtl {
            default_secs: self.config.default_lease_ttl.as_secs(),
            max_secs: self.config.max_lease_ttl.as_secs(),
        }
    }

    /// This node as the members record describes it.
    pub(crate) fn own_record(&self) -> MemberRecord {
        let own = self.raft.member();
        MemberRecord {
            id: own.id,
            name: own.name,
            public_key: own.public_key.to_vec(),
            cluster_addr: own.cluster_addr,
            api_addr: own.api_addr,
            is_blind: false,
        }
    }

    pub(crate) async fn upkeep_wanted(&self) {
        self.wants_upkeep.notified().await;
    }

    pub(crate) fn wake_upkeep(&self) {
        self.wants_upkeep.notify_one();
    }

    /// Resolves when the members record has changed here.
    pub(crate) async fn members_changed(&self) {
        self.wants_membership.notified().await;
    }

    pub(crate) fn wake_membership(&self) {
        self.wants_membership.notify_one();
    }

    pub(crate) fn request_checkpoint(&self) {
        self.wants_checkpoint.store(true, Ordering::Release);
        self.wake_upkeep();
    }

    pub(crate) fn take_checkpoint_request(&self) -> bool {
        self.wants_checkpoint.swap(false, Ordering::AcqRel)
    }

    /// Brings the gauges up to date and notices a change of role.
    pub(crate) fn publish_metrics(&self) {
        let status = self.status();
        let was_active = self.active_since.load(Ordering::Relaxed) != 0;
        match (status.role == Role::Leader, was_active) {
            (true, false) => self.active_since.store(view::now().nanos(), Ordering::Relaxed),
            (false, true) => self.active_since.store(0, Ordering::Relaxed),
            _ => {}
        }
        self.metrics.set_raft(&status, self.raft.metrics(), |id| self.node_name(id));
        self.metrics.set_node(self.shared.state(), !self.shared.is_sealed(), self.in_flight.count());
        if self.is_initialized() {
            self.metrics.set_cluster(&self.cluster_name(), self.count_tokens());
        }
    }

    fn count_tokens(&self) -> u64 {
        let Some((core, view)) = self.shared.serving().zip(self.table.view().ok()) else { return 0 };
        core.count_tokens(&view).unwrap_or(0)
    }

    async fn respond(self: &Arc<Self>, incoming: Incoming) -> Outgoing {
        if let Some(outgoing) = endpoint::answer(self, &incoming).await {
            return outgoing;
        }
        if let Some(outgoing) = brake::answer(self, &incoming).await {
            return outgoing;
        }
        if self.contact() == Contact::Removed {
            return error::outgoing(&self.out_of_contact());
        }
        match self.shared.serving() {
            Some(core) => self.execute(core, &incoming).await,
            None => error::failure(503, &[&self.shared.reason()]),
        }
    }
}

/// How many large requests run at once: one core stays for everybody else, consensus first of all.
fn large_runs() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))
}

impl Gateway for Arc<App> {
    fn serve(&self, incoming: Incoming) -> BoxFuture<'_, Outgoing> {
        Box::pin(self.respond(incoming))
    }

    fn vouch<'a>(&'a self, token: &'a str, client: IpAddr, deadline: Instant) -> BoxFuture<'a, Result<(), Outgoing>> {
        Box::pin(async move {
            let core = self.shared.serving().ok_or_else(|| error::failure(503, &[&self.shared.reason()]))?;
            self.check_token(&core, token, client, deadline).await.map_err(|refused| error::outgoing(&refused))
        })
    }
}
