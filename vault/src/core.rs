//! One request's way through the core: token, path, policies, handler, wrapping, batch.
//!
//! Lives only while the node is unsealed. Holds the keys and the caches, and nothing that a request changes: what
//! changes is in the store, and goes there as a batch.

mod dispatch;
mod notes;
mod route;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_batch::View;
use conclave_batch::{Batch, Checkpoint, SignedBatch};
use parking_lot::RwLock;
use prost::Message;

use self::dispatch::dispatch;
use self::route::{Route, access, route, spelled_anew};
use crate::audit::AuditRules;
use crate::audit::rules::AuditHasher;
use crate::barrier::Barrier;
use crate::barrier::error::BarrierError;
use crate::barrier::tag::Era;
use crate::barrier::uses::{NodeUses, Reservation};
use crate::batch::{self, Proposal};
use crate::cache::Cache;
use crate::context::{Context, Random};
use crate::engine::{Access, Call, Matched, Path};
use crate::errand::Errand;
use crate::error::{Error, ErrorKind};
use crate::field::{Fields, Kind, parse_duration};
use crate::idempotency;
use crate::identity::rights;
use crate::policy::acl::{Acl, AclRequest, Decision};
use crate::policy::shown;
use crate::registry::Registry;
use crate::reply::Reply;
use crate::request::{Operation, Request};
use crate::store::Store;
use crate::token::{self, Token};
use crate::trail::Trail;
use crate::wrapping;

/// How a request ended in the core. A reply with a batch leaves only after the batch was committed; one without needs a
/// read point that is not older than the request.
pub struct Done {
    /// What the client gets.
    pub result: Result<Reply, Error>,
    /// What must be committed first.
    pub batch: Option<Proposal>,
    /// What must be done before the request runs again; then there is no result that counts, and the batch is the intent.
    pub errand: Option<Errand>,
    /// For the audit record, if the context asked for it.
    pub trail: Option<Box<Trail>>,
}

/// The unsealed core.
pub struct Core {
    barrier: Barrier,
    cache: Cache,
    registry: Registry,
    /// Held for reading by every store, so that revoking waits for the runs under way.
    runs: RwLock<()>,
}

/// Who asks.
#[derive(Default)]
struct Caller {
    token: Option<Arc<Token>>,
    acl: Option<Arc<Acl>>,
    /// Whether the policies decide about the request, not only the handler about its reply.
    is_judged: bool,
}

/// What the node must know of a request before it runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whether it changes nothing, so that it must see the newest state.
    pub reads_only: bool,
    /// Path of the mount that it is for; empty if there is none.
    pub mount: String,
}

impl Core {
    /// The core over an open barrier, with the engines that it can mount.
    pub fn new(barrier: Barrier, registry: Registry) -> Self {
        Self { barrier, cache: Cache::default(), registry, runs: RwLock::new(()) }
    }

    /// Gives the keys back, as after a new cluster's first batch.
    pub fn into_barrier(self) -> Barrier {
        self.barrier
    }

    /// Wipes all keys, also from under those who still hold this core; see [`Barrier::revoke`]. Blocks until the runs
    /// under way end. Returns whether every key is gone.
    pub fn revoke(&self, random: &mut dyn Random) -> bool {
        let _no_runs = self.runs.write();
        // The cache holds the mounts' keys, and no run is left that could put them back.
        self.cache.clear();
        self.barrier.revoke(random)
    }

    /// The keys.
    pub fn barrier(&self) -> &Barrier {
        &self.barrier
    }

    /// Decoded objects.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// A window on a view, for work that is no client's request.
    pub fn store<'a>(&'a self, view: &'a dyn View) -> Store<'a> {
        Store::new(view, &self.barrier, &self.cache, &self.registry, self.runs.read_recursive())
    }

    /// Runs a request on a view. Pure: the same request, view, time and randomness give the same end.
    pub fn handle<'a>(&'a self, context: &mut Context<'a>, view: &'a dyn View, request: &Request) -> Done {
        let mut store = self.store(view);
        context.errands.begin_run();
        context.client_certificates = Arc::clone(&request.client_certificates);
        let result = self.respond(context, &mut store, request);
        let trail = context.trail.take();
        let (has_intent, errand) = (context.errands.awaits_intent(), context.errands.take_asked());
        if errand.is_some() && !has_intent {
            return Done { result, batch: None, errand, trail };
        }
        match store.finish(context) {
            Ok(batch) => Done { result, batch, errand, trail },
            Err(error) => Done { result: Err(error), batch: None, errand: None, trail },
        }
    }

    fn respond<'a>(
        &'a self,
        context: &mut Context<'a>,
        store: &mut Store<'a>,
        request: &Request,
    ) -> Result<Reply, Error> {
        check_namespace(request)?;
        check_folder_write(request)?;
        let wrap = wrap_duration(request)?;
        let route = route(store, request)?;
        context.note_mount(route.entry.as_deref().map(|entry| &*entry.mount));
        if let Some(path) = spelled_anew(request, &route)? {
            return self.respond_to_name(context, store, &Request { path, ..request.clone() }, route.matched);
        }
        // Its token is spent with it, so it wraps once at most.
        let is_presented = route.matched.as_ref().is_some_and(|(path, _)| path.access == Access::Presented);
        match access(request, route.matched.as_ref(), context.open_ceremonies) {
            Access::Login => respond_to_login(context, store, request, route, wrap),
            Access::Open if wrap.is_none() || is_presented => {
                check_wrapper(context, store, request, wrap)?;
                run_whole(context, store, request, Caller::default(), route, wrap)
            }
            Access::Optional if wrap.is_none() => {
                let caller = optional_caller(context, store, request)?;
                run_whole(context, store, request, caller, route, wrap)
            }
            // A wrapped reply is stored, and who stores something is asked for the right to it.
            _ => respond_to_token(context, store, request, route, wrap),
        }
    }

    /// What a request will do, as far as its path says so.
    pub fn plan(&self, view: &dyn View, request: &Request) -> Plan {
        let by_verb = Plan { reads_only: request.operation.is_read(), mount: String::new() };
        let mut store = self.store(view);
        let Ok(Route { entry, matched, .. }) = route(&mut store, request) else { return by_verb };
        let mount = entry.map(|entry| entry.record.path.clone()).unwrap_or_default();
        let Some((path, _)) = matched else { return Plan { mount, ..by_verb } };
        Plan { reads_only: path.reads_only(request.operation), mount }
    }

    /// What is recorded where, in a view.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn audit_rules(&self, view: &dyn View) -> Result<Arc<AuditRules>, Error> {
        AuditRules::load(&mut self.store(view))
    }

    /// The hashes of the audit device with an id.
    pub fn audit_hasher(&self, id: &str) -> AuditHasher {
        AuditHasher::new(&self.barrier, id)
    }

    /// How many service tokens the store holds, those among them that expired a moment ago.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn count_tokens(&self, view: &dyn View) -> Result<u64, Error> {
        let mut store = self.store(view);
        let system = store.system();
        store.count(&system, crate::token::record::ACCESSORS)
    }

    /// Answers a request whose path was spelled anew. Who wrote a policy is told that its name is another now.
    fn respond_to_name<'a>(
        &'a self,
        context: &mut Context<'a>,
        store: &mut Store<'a>,
        request: &Request,
        matched: Option<Matched<'_>>,
    ) -> Result<Reply, Error> {
        let reply = self.respond(context, store, request)?;
        let is_write = matches!(request.operation, Operation::Update | Operation::Patch);
        let names = matched.iter().flat_map(|(path, captures)| captures.iter().zip(std::iter::repeat(path)));
        let converted = names.map(|((name, value), path)| (path.kind_of(name), path.kind_of(name).captured(value)));
        match converted.filter(|(kind, _)| *kind == Kind::PolicyName && is_write).map(|(_, name)| name).next() {
            Some(name) => Ok(reply.warn(format!("policy name was converted to {name}"))),
            None => Ok(reply),
        }
    }

    /// Checks a batch's tag, as the leader does before it appends and every unsealed node before it applies.
    pub fn verify_batch(&self, signed: &[u8], index: u64) -> Result<(), BarrierError> {
        let signed = SignedBatch::decode(signed).map_err(|_| BarrierError::Malformed { what: "signed batch" })?;
        self.barrier.verify_batch(signed.term, &signed.body, &signed.tag, index)
    }

    /// Checks the tag of a batch of the log by the terms that counted when its entry was applied.
    pub fn verify_batch_in(&self, era: &Era, signed: &[u8], index: u64) -> Result<(), BarrierError> {
        let signed = SignedBatch::decode(signed).map_err(|_| BarrierError::Malformed { what: "signed batch" })?;
        self.barrier.verify_batch_in(era, signed.term, &signed.body, &signed.tag, index)
    }

    /// Reserves encryptions for a node: a batch, and what to complete with [`Barrier::complete_reservation`] once it is
    /// committed.
    pub fn reserve_uses<'a>(
        &'a self,
        context: &mut Context<'a>,
        view: &'a dyn View,
    ) -> Result<(Proposal, Reservation), Error> {
        let mut store = self.store(view);
        let reservation = reserve(&mut store, context.node_id)?;
        let proposal = store.finish(context)?.ok_or_else(|| Error::internal("a reservation without a record"))?;
        Ok((proposal, reservation))
    }

    /// A tagged batch that confirms the table digest at an index, for [`Checkpoint`].
    pub fn checkpoint(&self, context: &mut Context<'_>, base: u64, confirmed: Option<(u64, [u8; 32])>) -> Proposal {
        let (index, digest) = confirmed.unwrap_or_default();
        let checkpoint = Checkpoint { index, digest: Bytes::copy_from_slice(&digest) };
        let batch = Batch {
            id: Bytes::copy_from_slice(&context.bytes::<16>()),
            epoch: context.epoch,
            base,
            time_millis: context.now.millis(),
            guards: Vec::new(),
            ops: Vec::new(),
            checkpoint: Some(checkpoint),
            new_epoch: None,
        };
        batch::sign(&batch, &self.barrier)
    }
}

/// Writes the record of a reservation.
pub(crate) fn reserve(store: &mut Store<'_>, node_id: u64) -> Result<Reservation, Error> {
    let reservation = store.barrier().open_reservation();
    let (system, name) = (store.system(), format!("{node_id:016x}"));
    let mut uses = store.get::<NodeUses>(&system, &["core", "uses", &name])?.unwrap_or_default();
    uses.reserve(&reservation);
    store.put(&system, &["core", "uses", &name], &uses)?;
    Ok(reservation)
}

/// Only the root namespace exists until the API for more lands.
fn check_namespace(request: &Request) -> Result<(), Error> {
    match request.namespace.trim_matches('/') {
        "" | "root" => Ok(()),
        _ => Err(Error::new(ErrorKind::NotFound, "namespace not found")),
    }
}

fn check_folder_write(request: &Request) -> Result<(), Error> {
    let is_write = matches!(request.operation, Operation::Update | Operation::Create | Operation::Patch);
    if is_write && request.path.is_folder() {
        return Err(Error::invalid("cannot write to a path ending in '/'"));
    }
    Ok(())
}

/// The wanted time to live of a wrapping token; an absent, empty or zero header wants none.
fn wrap_duration(request: &Request) -> Result<Option<Duration>, Error> {
    let Some(text) = request.wrap_ttl.as_deref() else { return Ok(None) };
    let duration = parse_duration(text).ok_or_else(|| {
        Error::invalid("the wrap TTL is not valid: a duration such as 60, \"60s\" or \"5m\" is expected, not negative")
    })?;
    Ok((!duration.is_zero()).then_some(duration))
}

/// A wrapped reply is stored, and strangers store nothing.
fn check_wrapper(
    context: &Context<'_>,
    store: &mut Store<'_>,
    request: &Request,
    wrap: Option<Duration>,
) -> Result<(), Error> {
    if wrap.is_some() {
        rights::authenticate(store, context, own_token(request)?, request.remote_address)?;
    }
    Ok(())
}

/// The token that a request carries.
fn own_token(request: &Request) -> Result<&str, Error> {
    let token = request.token.as_ref().filter(|token| !token.is_empty());
    token.map(|token| token.as_str()).ok_or_else(Error::bad_token)
}

/// The caller of a path that also answers without one. A bad token is refused, as everywhere.
fn optional_caller(context: &mut Context<'_>, store: &mut Store<'_>, request: &Request) -> Result<Caller, Error> {
    let Ok(raw) = own_token(request) else { return Ok(Caller::default()) };
    let token = token::authenticate(store, context, raw, request.remote_address)?;
    context.note_caller(&token);
    let acl = rights::of(store, &token, context.now)?;
    Ok(Caller { token: Some(token), acl: Some(acl), is_judged: false })
}

/// Answers a login.
fn respond_to_login<'a>(
    context: &mut Context<'a>,
    store: &mut Store<'a>,
    request: &Request,
    route: Route<'_>,
    wrap: Option<Duration>,
) -> Result<Reply, Error> {
    // A login is the same login whatever token comes with it, also for one who asks again.
    let request = &Request { token: None, ..request.clone() };
    if let Some(reply) = idempotency::replay_login(store, context, request)? {
        return Ok(reply);
    }
    // A refused login leaves no token, even if it was refused only by its wrapping.
    run_whole(context, store, request, Caller::default(), route, wrap)
}

/// Answers a request that must carry a token.
fn respond_to_token<'a>(
    context: &mut Context<'a>,
    store: &mut Store<'a>,
    request: &Request,
    route: Route<'_>,
    wrap: Option<Duration>,
) -> Result<Reply, Error> {
    let token = token::authenticate(store, context, own_token(request)?, request.remote_address);
    if let Some(reply) = idempotency::replay(store, request, context.now, token.is_ok())? {
        if let Ok(token) = &token {
            context.note_caller(token);
            let acl = rights::of(store, token, context.now)?;
            let decision = judge_again(&acl, request, &route, wrap)?;
            context.note_allowed(request.operation, decision.as_ref());
        }
        return Ok(reply);
    }
    let token = token?;
    context.note_caller(&token);
    token::count_use(store, context, &token)?;
    let acl = rights::of(store, &token, context.now)?;
    context.note_identity(store, &token)?;
    let caller = Caller { token: Some(token), acl: Some(acl), is_judged: true };
    // A refused request leaves no trace but its token's use and the count of wrong logins.
    run_whole(context, store, request, caller, route, wrap)
}

/// Whether who asks again for a reply may still ask at all. What was created by the first request is there by now, so the
/// right to create it is as good as the right to change it.
fn judge_again<'a>(
    acl: &'a Acl,
    request: &Request,
    route: &Route<'_>,
    wrap: Option<Duration>,
) -> Result<Option<Decision<'a>>, Error> {
    let path = route.matched.as_ref().map(|(path, _)| *path);
    let may = |operation| authorise(Some(acl), request, operation, wrap, path);
    match request.operation {
        Operation::Update => may(Operation::Update).or_else(|_| may(Operation::Create)),
        operation => may(operation),
    }
}

/// Runs a request of which nothing stays if it is refused, but for lasting writes and what was written before.
fn run_whole<'a>(
    context: &mut Context<'a>,
    store: &mut Store<'a>,
    request: &Request,
    caller: Caller,
    route: Route<'_>,
    wrap: Option<Duration>,
) -> Result<Reply, Error> {
    let mark = store.mark();
    let result = run(context, store, request, caller, route, wrap);
    if context.errands.awaits_intent() {
        // Nothing but the intent: the use of the token is counted by the run that ends the request.
        store.keep_since(&mark);
    } else if result.is_err() {
        store.discard_since(mark);
    }
    result
}

/// Asks the policies, then the handler.
fn run<'a>(
    context: &mut Context<'a>,
    store: &mut Store<'a>,
    request: &Request,
    caller: Caller,
    route: Route<'_>,
    wrap: Option<Duration>,
) -> Result<Reply, Error> {
    let Caller { token, acl, is_judged } = caller;
    let judge = acl.clone().filter(|_| is_judged);
    let Route { entry, rest, matched } = route;
    let Some(entry) = entry else {
        authorise(judge.as_deref(), request, request.operation, wrap, None)?;
        return Err(no_route(request));
    };
    let (engine, mount) = (entry.engine, Arc::clone(&entry.mount));
    let mut call =
        Call { context, store, request, mount, rest, fields: Fields::default(), token, acl, has_sudo: false };
    let operation = distinguish_create(&mut call, matched.as_ref())?;
    let path = matched.as_ref().map(|(path, _)| *path);
    let decision = authorise(judge.as_deref(), request, operation, wrap, path)?;
    call.has_sudo = decision.is_some_and(|decision| decision.has_sudo);
    call.context.note_allowed(operation, decision.as_ref());
    let mut reply = dispatch(&mut call, engine, matched, operation)?;
    if let (Some(acl), Some(decision)) = (&judge, decision.filter(|_| operation.is_list())) {
        shown::restrict(&mut reply, acl, &decision, request.path.as_str())?;
    }
    let reply = wrapping::wrap_if_wanted(&mut call, reply, wrap)?;
    // Only what is looked for again is kept: who asks without a token is answered anew, but for a login or with a token to unwrap.
    if is_judged || path.is_some_and(|path| matches!(path.access, Access::Login | Access::Presented)) {
        idempotency::record(&mut call, &reply)?;
    }
    Ok(reply)
}

fn no_route(request: &Request) -> Error {
    let path = request.path.as_str();
    Error::new(ErrorKind::NotFound, format!("no handler for route \"{path}\". route entry not found."))
}

/// A write to what is not there is a create, where the engine can tell.
fn distinguish_create(call: &mut Call<'_, '_>, matched: Option<&Matched<'_>>) -> Result<Operation, Error> {
    let operation = call.request.operation;
    let Some((path, captures)) = matched else { return Ok(operation) };
    let (Operation::Update, Some(exists)) = (operation, path.exists) else { return Ok(operation) };
    // Only what the path captured is decoded: the body is not looked at before the caller is known to have the right.
    call.fields = Fields::decode(path.fields, &serde_json::Map::new(), captures)?;
    Ok(if exists(call)? { Operation::Update } else { Operation::Create })
}

/// What the caller's policies decide, if it may go on; `None` on paths that ask for no token.
fn authorise<'a>(
    acl: Option<&'a Acl>,
    request: &Request,
    operation: Operation,
    wrap: Option<Duration>,
    matched: Option<&Path>,
) -> Result<Option<Decision<'a>>, Error> {
    let Some(acl) = acl else { return Ok(None) };
    let decision = acl.check(&AclRequest {
        path: request.path.as_str(),
        operation,
        data: Some(&request.data),
        fields: matched.map_or(&[], |path| path.fields),
        wrap_ttl: wrap,
        is_sudo_path: operation != Operation::Help && matched.is_some_and(Path::needs_sudo),
    });
    if decision.allowed { Ok(Some(decision)) } else { Err(Error::denied()) }
}
