//! The one place where the parts meet: [`Replica`] (log, table, consensus), [`Seal`] (keys), and what answers with them.
//!
//! It composes, starts and stops. What a part does stands in the part.

mod peers;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use conclave_raft::{Role, Stop};
use conclave_storage::table::Table;
use conclave_vault::cors::{self, Cors};
use futures::future::BoxFuture;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::actions::Actions;
use crate::audit::entry::Asked;
use crate::audit::{self, Audit, vouching};
use crate::before_unseal::BeforeUnseal;
use crate::cluster::{address, autopilot, contact, endings, join, membership, observer, upkeep};
use crate::config::{Config, Raft, Storage};
use crate::forward::Nonces;
use crate::gateway::{Gateway, Incoming, NotedHeader, Outgoing, Throttled};
use crate::gauges::Gauges;
use crate::http::error;
use crate::http::in_flight::InFlight;
use crate::opening::{self, Opened};
use crate::replica::Replica;
use crate::seal::{Seal, forgetting};
use crate::serve::Runner;
use crate::snapshot::Snapshots;
use crate::throttle::Throttle;
use crate::{brake, scrape, vitals};

pub use crate::opening::StartError;

/// How long handing over leadership may take before the node stops anyway.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(5);

/// What a node says whose log has an entry that nobody of its cluster wrote.
const HALTED: &str = "consensus stopped at an entry that does not verify; this node stays sealed. If others serve, replace it by \
     a fresh one; if none does, wipe nothing and read docs/operating/recovery.md";

/// The application.
pub struct App {
    pub(crate) replica: Arc<Replica>,
    pub(crate) seal: Arc<Seal>,
    pub(crate) runner: Runner,
    pub(crate) before_unseal: BeforeUnseal,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) audit: Arc<Audit>,
    /// How many requests each client sent.
    pub(crate) throttle: Throttle,
    /// What peers forwarded before.
    pub(crate) nonces: Mutex<Nonces>,
}

impl App {
    /// Opens the storage, starts consensus and what runs by itself. The node is sealed then.
    pub async fn start(config: Config) -> Result<Arc<Self>, StartError> {
        let Opened { seal, hooks } = opening::open(config).await?;
        let app = Arc::new(Self::over(seal));
        app.configure_audit(&app.replica.config).map_err(|failures| StartError::Config(failures.join("\n")))?;
        app.seal.announce();
        peers::connect(&app, &hooks);
        app.spawn_tasks();
        Ok(app)
    }

    fn over(seal: Arc<Seal>) -> Self {
        let in_flight = InFlight::new(&seal.replica.config.limits);
        let audit =
            Arc::new(Audit::new(node_name(&seal), &seal.replica.config.limits, Arc::clone(&seal.replica.metrics)));
        let gauges = Arc::new(Gauges { seal: Arc::clone(&seal), in_flight: Arc::clone(&in_flight) });
        let actions = Actions {
            seal: Arc::clone(&seal),
            in_flight: Arc::clone(&in_flight),
            gauges: Arc::clone(&gauges),
            snapshots: Snapshots::default(),
            audit: Arc::clone(&audit),
        };
        Self {
            replica: Arc::clone(&seal.replica),
            runner: Runner::new(Arc::clone(&seal), actions, Arc::clone(&audit)),
            before_unseal: BeforeUnseal::new(Arc::clone(&seal), Arc::clone(&audit)),
            seal,
            gauges,
            in_flight,
            audit,
            throttle: Throttle::default(),
            nonces: Mutex::default(),
        }
    }

    /// Has the audit devices of a configuration record, and no others of this node alone.
    ///
    /// # Errors
    /// What cannot be obeyed; then nothing is changed.
    pub(crate) fn configure_audit(&self, config: &Config) -> Result<(), Vec<String>> {
        self.audit.configure(&config.audit.devices, audit::terms(config))
    }

    fn spawn_tasks(&self) {
        let (replica, seal) = (|| Arc::clone(&self.replica), || Arc::clone(&self.seal));
        tokio::spawn(upkeep::run(seal(), Arc::clone(&self.gauges), Arc::clone(&self.audit)));
        tokio::spawn(endings::run(seal(), Arc::clone(&self.runner.ways)));
        tokio::spawn(vitals::run(replica(), Arc::clone(&self.seal.state)));
        tokio::spawn(forgetting::run(seal()));
        tokio::spawn(observer::run(replica()));
        tokio::spawn(contact::run(seal()));
        tokio::spawn(membership::run(seal()));
        tokio::spawn(autopilot::run(seal()));
        tokio::spawn(address::run(seal()));
        tokio::spawn(join::join_as_configured(seal()));
    }

    /// Hands leadership over, stops consensus and makes everything durable.
    pub async fn shutdown(&self) {
        let replica = &self.replica;
        if replica.raft.status().role == Role::Leader && replica.is_clustered() {
            let _ = tokio::time::timeout(HAND_OVER_TIMEOUT, replica.raft.transfer_leadership(None)).await;
        }
        replica.wakeups.stop();
        if let Some(core) = self.seal.state.serving() {
            vouching::commit(&self.seal, &core, &self.audit).await;
        }
        self.seal.drop_keys("the node stops").await;
        replica.raft.shutdown().await;
        if let Err(error) = replica.table.sync() {
            tracing::error!(%error, "the table could not be synced; the log holds what it lacks");
        }
    }

    /// Resolves when consensus ended by itself, with the reason: the process must exit.
    pub async fn fatal(&self) -> String {
        match self.replica.raft.stopped().await {
            // The node stays up, sealed, and says why: an operator must look at it.
            Stop::Halted(index) => {
                self.seal.drop_keys("consensus stopped at an entry that does not verify").await;
                tracing::error!(index, "{HALTED}");
                std::future::pending().await
            }
            Stop::Shutdown => std::future::pending().await,
            Stop::Fatal(reason) => reason,
        }
    }

    async fn respond(&self, incoming: Incoming) -> Outgoing {
        if let Some(outgoing) = self.before_unseal.answer(&incoming).await {
            return outgoing;
        }
        if let Some(outgoing) = brake::answer(&self.runner, &incoming).await {
            return outgoing;
        }
        if let Some(outgoing) = scrape::answer(&self.runner, &incoming).await {
            return outgoing;
        }
        let refusal = match self.seal.state.serving() {
            _ if self.replica.contact().is_out() => error::outgoing(&self.replica.out_of_contact()),
            Some(core) => return self.runner.execute(core, &incoming).await,
            None => error::failure(503, &[&self.seal.state.refusal()]),
        };
        self.audit.note_refusal(|| Asked::without_values(&incoming), &refusal);
        refusal
    }
}

/// How this node is called in records: as its configuration says, or by its id.
fn node_name(seal: &Seal) -> String {
    match &seal.replica.config.storage {
        Storage::Raft(Raft { node_id: Some(name), .. }) => name.clone(),
        _ => format!("{:016x}", seal.replica.identity.id()),
    }
}

impl Gateway for Arc<App> {
    fn serve(&self, incoming: Incoming) -> BoxFuture<'_, Outgoing> {
        Box::pin(self.respond(incoming))
    }

    fn note_refusal(&self, verb: &str, path: &str, client: IpAddr, outgoing: &Outgoing) {
        self.audit.note_refusal(|| Asked::refused(verb, path, client), outgoing);
    }

    fn cors(&self) -> Option<Arc<Cors>> {
        let core = self.seal.state.serving()?;
        let view = self.replica.table.view().ok()?;
        cors::load(&mut core.store(&view)).ok()
    }

    fn throttle(&self, path: &str, client: IpAddr) -> Throttled {
        let Some(core) = self.seal.state.serving() else { return Throttled::default() };
        self.throttle.judge(&core, &self.replica, path, client)
    }

    fn recorded_headers(&self, headers: &HeaderMap) -> Vec<NotedHeader> {
        self.audit.recorded_headers(headers)
    }

    fn vouch<'a>(&'a self, token: &'a str, client: IpAddr, deadline: Instant) -> BoxFuture<'a, Result<(), Outgoing>> {
        Box::pin(async move {
            let state = &self.seal.state;
            let core = state.serving().ok_or_else(|| error::failure(503, &[&state.refusal()]))?;
            self.runner.check_token(&core, token, client, deadline).await.map_err(|refused| error::outgoing(&refused))
        })
    }
}
