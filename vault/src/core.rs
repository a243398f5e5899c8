//! One request's way through the core: token, path, policies, handler, wrapping, batch.
//!
//! Lives only while the node is unsealed. Holds the keys and the caches, and nothing that a request changes: what
//! changes is in the store, and goes there as a batch.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;

use crate::barrier::Barrier;
use crate::barrier::error::BarrierError;
use crate::barrier::tag::Era;
use crate::barrier::uses::{NodeUses, Reservation};
use crate::batch::{Batch, Checkpoint, Proposal, SignedBatch};
use crate::cache::Cache;
use crate::context::{Context, Random};
use crate::engine::{self, Call, Class, Matched};
use crate::error::{Error, ErrorKind};
use crate::field::{Field, Fields, Kind, parse_duration};
use crate::idempotency;
use crate::mount::{Mount, MountTable};
use crate::path::CanonicalPath;
use crate::pattern;
use crate::policy::acl::{Acl, AclRequest, Decision};
use crate::policy::{records, shown, sudo};
use crate::reply::Reply;
use crate::request::{Operation, Request};
use crate::store::Store;
use crate::token::{self, Token};
use crate::view::View;
use crate::wrapping;

/// How a request ended in the core. A reply with a batch leaves only after the batch was committed; one without needs a
/// read point that is not older than the request.
pub struct Done {
    /// What the client gets.
    pub result: Result<Reply, Error>,
    /// What must be committed first.
    pub batch: Option<Proposal>,
}

/// The unsealed core.
pub struct Core {
    barrier: Barrier,
    cache: Cache,
    /// Held for reading by every store, so that revoking waits for the runs under way.
    runs: RwLock<()>,
}

/// The caller, its rights and how it wants its reply.
struct Caller {
    token: Option<Arc<Token>>,
    acl: Option<Arc<Acl>>,
}

impl Core {
    /// The core over an open barrier.
    pub fn new(barrier: Barrier) -> Self {
        Self { barrier, cache: Cache::default(), runs: RwLock::new(()) }
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
        Store::new(view, &self.barrier, &self.cache, self.runs.read_recursive())
    }

    /// Runs a request on a view. Pure: the same request, view, time and randomness give the same end.
    pub fn handle<'a>(&'a self, context: &mut Context<'a>, view: &'a dyn View, request: &Request) -> Done {
        let mut store = self.store(view);
        let result = self.respond(context, &mut store, request);
        match store.finish(context) {
            Ok(batch) => Done { result, batch },
            Err(error) => Done { result: Err(error), batch: None },
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
        let mounts = MountTable::load(store)?;
        let mount = mounts.route(request.path.as_str()).cloned();
        let rest = mount.as_ref().map_or("", |mount| rest_of(mount, request.path.as_str()));
        let matched = mount.as_ref().and_then(|mount| mount.engine.find(rest));
        if let Some(path) = spelled_anew(request, rest, matched.as_ref())? {
            return self.respond_to_name(context, store, &Request { path, ..request.clone() }, matched);
        }
        if matched.as_ref().is_some_and(|(path, _)| path.is_public) {
            let caller = Caller { token: None, acl: None };
            if mount.as_ref().is_none_or(|mount| mount.engine.class != Class::Auth) {
                if wrap.is_some() {
                    // A wrapped reply is stored, and strangers store nothing.
                    let raw = request.token.as_ref().filter(|token| !token.is_empty()).ok_or_else(Error::bad_token)?;
                    token::authenticate(store, context, raw, request.remote_address)?;
                }
                return self.run(context, store, request, caller, mount, rest, matched, wrap);
            }
            // A login is the same login whatever token comes with it, also for one who asks again.
            let request = &Request { token: None, ..request.clone() };
            if let Some(reply) = idempotency::replay(store, request, context.now, true)? {
                return Ok(reply);
            }
            let mark = store.mark();
            let result = self.run(context, store, request, caller, mount, rest, matched, wrap);
            if result.is_err() {
                // Nor does a refused login leave a token, even if it was refused only by its wrapping.
                store.discard_since(mark);
            }
            return result;
        }
        let raw = request.token.as_ref().filter(|token| !token.is_empty()).ok_or_else(Error::bad_token)?;
        let token = token::authenticate(store, context, raw, request.remote_address);
        if let Some(reply) = idempotency::replay(store, request, context.now, token.is_ok())? {
            return Ok(reply);
        }
        let token = token?;
        token::count_use(store, context, &token)?;
        let mark = store.mark();
        let acl = records::acl_of(store, &token, context.now)?;
        let caller = Caller { token: Some(token), acl: Some(acl) };
        let result = self.run(context, store, request, caller, mount, rest, matched, wrap);
        if result.is_err() {
            // A refused request leaves no trace but its token's use.
            store.discard_since(mark);
        }
        result
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

    #[expect(clippy::too_many_arguments, reason = "one call's parts, taken apart again at once")]
    fn run<'a>(
        &'a self,
        context: &mut Context<'a>,
        store: &mut Store<'a>,
        request: &Request,
        caller: Caller,
        mount: Option<Arc<Mount>>,
        rest: &str,
        matched: Option<Matched<'_>>,
        wrap: Option<Duration>,
    ) -> Result<Reply, Error> {
        let Some(mount) = mount else {
            authorise(caller.acl.as_deref(), request, request.operation, wrap, &[])?;
            return Err(no_route(request));
        };
        let Caller { token, acl } = caller;
        let mut call = Call { core: self, context, store, request, mount, rest, fields: Fields::default(), token, acl };
        let operation = distinguish_create(&mut call, matched.as_ref())?;
        let fields = matched.as_ref().map_or(&[][..], |(path, _)| path.fields);
        let acl = call.acl.clone();
        let decision = authorise(acl.as_deref(), request, operation, wrap, fields)?;
        let mut reply = engine::dispatch(&mut call, matched, operation)?;
        if let (Some(acl), Some(decision)) = (&acl, decision.filter(|_| operation.is_list())) {
            shown::restrict(&mut reply, acl, &decision, request.path.as_str())?;
        }
        let reply = wrapping::wrap_if_wanted(&mut call, reply, wrap)?;
        idempotency::record(&mut call, &reply)?;
        Ok(reply)
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
        };
        batch.sign(&self.barrier)
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

fn rest_of<'p>(mount: &Mount, path: &'p str) -> &'p str {
    path.strip_prefix(mount.record.path.as_str()).unwrap_or("")
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

/// The request's path with every name that it captured in its one spelling; `None` if it is so already. Names become what
/// the handler will use before any policy is asked about them, so that no second spelling passes a rule.
fn spelled_anew(request: &Request, rest: &str, matched: Option<&Matched<'_>>) -> Result<Option<CanonicalPath>, Error> {
    let Some((path, captures)) = matched else { return Ok(None) };
    let spell = |(name, value): &(&'static str, &'_ str)| (*name, path.kind_of(name).captured(value).into_owned());
    let names: Vec<(&'static str, String)> = captures.iter().map(spell).collect();
    if names.iter().zip(captures).all(|((_, one), (_, other))| one == other) {
        return Ok(None);
    }
    let names: Vec<_> = names.into_iter().map(|(name, value)| (name, Cow::Owned(value))).collect();
    let whole = request.path.as_str();
    let mount = &whole[..whole.len() - rest.len()];
    let path = CanonicalPath::new(format!("{mount}{}", pattern::fill(path.pattern, &names, rest)));
    path.map(Some).map_err(|error| Error::invalid(error.to_string()))
}

/// What the caller's policies decide, if it may go on; `None` on paths that ask for no token.
fn authorise<'a>(
    acl: Option<&'a Acl>,
    request: &Request,
    operation: Operation,
    wrap: Option<Duration>,
    fields: &'static [Field],
) -> Result<Option<Decision<'a>>, Error> {
    let Some(acl) = acl else { return Ok(None) };
    let path = request.path.as_str();
    let decision = acl.check(&AclRequest {
        path,
        operation,
        data: Some(&request.data),
        fields: &[fields],
        wrap_ttl: wrap,
        is_sudo_path: sudo::is_sudo_path(path, operation),
    });
    if decision.allowed { Ok(Some(decision)) } else { Err(Error::denied()) }
}
