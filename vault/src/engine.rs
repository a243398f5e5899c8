//! An engine or auth method: its paths as data, its handlers as functions. How one is added is on one page,
//! `docs/adding-an-engine.md`.
//!
//! The first pattern that matches answers, so the longer one stands first: `mounts/{path..}/tune` before
//! `mounts/{path..}`. What a handler and a hook of an engine's life keep to:
//!
//! - It is pure: no IO, no clock, no randomness but the context's (`vault/clippy.toml` refuses the usual ways). It may run
//!   several times for one request, and only its last run counts.
//! - It reads through the store, all of it: what is not read there is not guarded. Nothing is kept between requests;
//!   decoded objects that every request needs go through [`Store::get_cached`].
//! - What belongs to the mount lies in the mount's area, what belongs to the server in [`Store::system`].
//! - Records are protobuf. Numbers of fields are never reused. A record with secrets has `#[prost(skip_debug)]`.
//! - What can be more than a batch holds is made unreachable first and deleted in the background:
//!   [`Work::drop_folder`], or [`Work::add_chore`] with [`Life::chore`].
//! - Whatever expires is refused at use, and cleaned up by [`Life::due`] after [`Work::remind`]; that may come late,
//!   never, or twice.
//! - Errors say what to do, and hold no value that was sent.
//! - What takes long or only the node knows is asked for ([`crate::errand`]): the run ends there with an error that is
//!   handed up at once, and the request runs again with the answer, which is found by its question. So both runs must ask
//!   the same; random bytes that go into a question come from [`Context::lasting_bytes`].
//! - What is outside is asked for too ([`Context::ask_outside`]), by a way that the node knows. What changes something there
//!   is a lease first: [`Call::begin_lease`] before the errand, [`Call::give`] after it, and [`Life::lease`] to take it back,
//!   which must do no harm to what was never made.
//! - What ends the matter (seal, step down, remove a node) is an action in the reply, done after the batch is committed.
//! - Every number has a limit, a constant with its unit, and a row in the reference page.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::Error;
use crate::field::{Field, Fields, Kind};
use crate::lease::record::Lease;
use crate::mount::{Class, Mount, MountRecord};
use crate::pattern::{self, Captures};
use crate::policy::acl::Acl;
use crate::policy::parameters::Taken;
use crate::reply::Reply;
use crate::request::{Operation, Request};
use crate::store::Store;
use crate::time::Time;
use crate::token::Token;
use crate::token::lifetime::Bounds;
use crate::token::record::TokenRecord;

/// Answers one operation of one path.
pub type Handler = fn(&mut Call<'_, '_>) -> Result<Reply, Error>;
/// Says whether what a write names is there already, so that policies can tell create from update.
pub type Exists = fn(&mut Call<'_, '_>) -> Result<bool, Error>;

/// Who may ask at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A token whose policies allow it.
    Token,
    /// The same, and the policies must grant `sudo` there.
    Sudo,
    /// As [`Access::Sudo`], unless the configuration opens the ceremony to all who have shares; then as [`Access::Open`].
    Sharers(CeremonyKind),
    /// Anybody; a token that comes with the request must be valid, is handed to the handler, and costs no use.
    Optional,
    /// Anybody. A token that comes with the request is not looked at.
    Open,
    /// Anybody who has what the auth method asks for. What such a request leaves behind is kept only if it succeeds.
    Login,
    /// The token that the field `token` names, by carrying it. Who carries another one needs the right to the path.
    Presented,
}

/// A ceremony with shares, on an unsealed node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CeremonyKind {
    /// New shares take the place of the old ones.
    Rekey,
    /// A root token is made.
    GenerateRoot,
}

/// What a path does to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// What the verb says.
    ByVerb,
    /// It reads, whatever the verb.
    Reads,
    /// It writes, whatever the verb.
    Writes,
}

/// One path of an engine.
#[derive(Clone, Copy)]
pub struct Path {
    /// Its pattern (see [`crate::pattern`]), relative to the mount.
    pub pattern: &'static str,
    /// What it takes.
    pub fields: Taken<'static>,
    /// What it answers.
    pub operations: &'static [(Operation, Handler)],
    /// Tells create from update; absent means every write is an update.
    pub exists: Option<Exists>,
    /// Who may ask.
    pub access: Access,
    /// What it does to the store.
    pub effect: Effect,
    /// Whether data it does not declare is the engine's business, not worth a warning.
    pub takes_any_field: bool,
    /// Media type of what a read is answered with (RFC 6838).
    pub read_type: &'static str,
    /// One line for people.
    pub help: &'static str,
}

impl Path {
    /// The usual path; the other fields by struct update.
    pub const DEFAULT: Self = Self {
        pattern: "",
        fields: &[],
        operations: &[],
        exists: None,
        access: Access::Token,
        effect: Effect::ByVerb,
        takes_any_field: false,
        read_type: "application/json",
        help: "",
    };

    /// The kind of what a name stands for; a name that is no field is text.
    pub fn kind_of(&self, name: &str) -> Kind {
        self.fields().find(|field| field.name == name).map_or(Kind::Text, |field| field.kind)
    }

    /// What it takes, one after the other.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> {
        self.fields.iter().copied().flatten()
    }

    /// Whether a token needs `sudo` there.
    pub fn needs_sudo(&self) -> bool {
        matches!(self.access, Access::Sudo | Access::Sharers(_))
    }

    /// Whether it asks for a token, unless the configuration says otherwise.
    pub fn needs_token(&self) -> bool {
        self.needs_sudo() || self.access == Access::Token
    }

    /// Whether a request of this operation changes nothing, so that it must see the newest state before it runs.
    pub fn reads_only(&self, operation: Operation) -> bool {
        match self.effect {
            Effect::ByVerb => operation.is_read(),
            Effect::Reads => true,
            Effect::Writes => false,
        }
    }

    pub(crate) fn handler(&self, operation: Operation) -> Option<Handler> {
        let find = |wanted| self.operations.iter().find(|(known, _)| *known == wanted).map(|(_, handler)| *handler);
        find(operation).or_else(|| (operation == Operation::Create).then(|| find(Operation::Update)).flatten())
    }
}

/// An engine.
pub struct Engine {
    /// The word that mounts it.
    pub kind: &'static str,
    /// Other words for it.
    pub aliases: &'static [&'static str],
    /// Whether it is meant by a mount of its kind with these options. Of two engines of one kind each takes its own.
    pub takes_options: fn(&Map<String, Value>) -> bool,
    /// What it is.
    pub class: Class,
    /// One line for people.
    pub help: &'static str,
    /// Its paths, table after table; the first that matches answers.
    pub paths: &'static [&'static [Path]],
    /// Answers a path that none matches, instead of "unsupported path".
    pub fallback: Option<Handler>,
    /// Whether it counts wrong logins, so that its mounts take settings of lockout.
    pub locks_out: bool,
    /// Whether each namespace has exactly one mount of it, which users neither make nor remove.
    pub is_single: bool,
    /// What happens to its mounts without a request.
    pub life: Life,
}

/// What happens to a mount without a request. Each hook is pure, as a handler is, and may come late or twice.
#[derive(Clone, Copy)]
#[expect(clippy::type_complexity, reason = "each of these types stands once, and a name would hide what a hook takes")]
pub struct Life {
    /// The mount was just made, by the same batch.
    pub mounted: Option<fn(&mut Work<'_, '_>) -> Result<(), Error>>,
    /// The mount's options or settings were changed, by the same batch, and were the given ones before. What the client
    /// should know is answered.
    pub tuned: Option<fn(&mut Work<'_, '_>, &MountRecord) -> Result<Vec<String>, Error>>,
    /// A time is past that the engine wanted to be reminded of, under this name ([`Work::remind`]).
    pub due: Option<fn(&mut Work<'_, '_>, &str) -> Result<(), Error>>,
    /// Does up to a number of pieces of long work of this name ([`Work::add_chore`]); fewer mean that nothing is left.
    pub chore: Option<fn(&mut Work<'_, '_>, &str, usize) -> Result<usize, Error>>,
    /// What bounds a token that the mount made, on top of the mount's own bounds; `None` leaves the token as it is, without
    /// a word.
    pub renewal: Option<fn(&mut Work<'_, '_>, &TokenRecord, Bounds) -> Result<Option<Bounds>, Error>>,
    /// Whether anything is kept for a token of this hash. It is asked by the batch that ends the token, and what it read must
    /// be a guard.
    pub keeps_for_token: Option<fn(&mut Store<'_>, &Mount, &str) -> Result<bool, Error>>,
    /// How the leases that the mount gives are renewed and taken back.
    pub lease: Option<Leasing>,
    /// A token of this hash is gone: deletes up to a number of records that belonged to it; fewer mean that none is left.
    pub token_ended: Option<fn(&mut Work<'_, '_>, &str, usize) -> Result<usize, Error>>,
}

/// What an engine does with a lease that it gave ([`Call::give`]). The first two may ask the outside; all may come late or
/// twice, and must do no harm if what they are about is not there.
#[derive(Clone, Copy)]
#[expect(clippy::type_complexity, reason = "as for `Life`")]
pub struct Leasing {
    /// Prolongs what was given until a time; `None` if there is nothing to do for it.
    pub renew: Option<fn(&mut Work<'_, '_>, &Lease, Time) -> Result<(), Error>>,
    /// Takes back what was given, or what was only begun to be made. An error is why it could not; it is tried again.
    pub revoke: fn(&mut Work<'_, '_>, &Lease) -> Result<(), Error>,
    /// Removes what is kept inside for a lease, by the batch that ends it: it is taken back, or forgotten by force.
    pub ended: Option<fn(&mut Work<'_, '_>, &Lease) -> Result<(), Error>>,
}

impl Life {
    /// An engine that only answers requests; the other fields by struct update.
    pub const NONE: Self = Self {
        mounted: None,
        tuned: None,
        due: None,
        chore: None,
        renewal: None,
        keeps_for_token: None,
        lease: None,
        token_ended: None,
    };
}

impl Engine {
    /// The usual engine; the other fields by struct update.
    pub const DEFAULT: Self = Self {
        kind: "",
        aliases: &[],
        takes_options: |_| true,
        class: Class::Secret,
        help: "",
        paths: &[],
        fallback: None,
        locks_out: false,
        is_single: false,
        life: Life::NONE,
    };
}

/// A mount at work: what its handlers and the hooks of its life may touch.
pub struct Work<'w, 's> {
    /// Time and randomness.
    pub context: &'w mut Context<'s>,
    /// The window on the store.
    pub store: &'w mut Store<'s>,
    /// The mount.
    pub mount: Arc<Mount>,
}

/// What a handler works with.
pub struct Call<'c, 's> {
    /// Time and randomness.
    pub context: &'c mut Context<'s>,
    /// The request's window on the store.
    pub store: &'c mut Store<'s>,
    /// The request.
    pub request: &'c Request,
    /// The mount it goes to.
    pub mount: Arc<Mount>,
    /// Path below the mount.
    pub rest: &'c str,
    /// The decoded fields.
    pub fields: Fields,
    /// The caller's token; absent where the path asks for none.
    pub token: Option<Arc<Token>>,
    /// The caller's rights; absent where the path asks for no token.
    pub acl: Option<Arc<Acl>>,
    /// Whether the caller has `sudo` at the path of the request, which some fields need.
    pub has_sudo: bool,
}

impl<'s> Call<'_, 's> {
    /// The mount at work, without the request.
    pub fn work(&mut self) -> Work<'_, 's> {
        Work { context: self.context, store: self.store, mount: self.mount.clone() }
    }

    /// Another mount at work.
    pub fn work_on(&mut self, mount: Arc<Mount>) -> Work<'_, 's> {
        Work { context: self.context, store: self.store, mount }
    }

    /// The caller's token, which every path has that asks for one.
    pub fn caller(&self) -> Result<Arc<Token>, Error> {
        self.token.clone().ok_or_else(Error::bad_token)
    }

    /// The caller's token as it was sent.
    pub fn raw_token(&self) -> Option<&Zeroizing<String>> {
        self.request.token.as_ref()
    }
}

/// A path and what its pattern captured.
pub(crate) type Matched<'p> = (&'static Path, Captures<'p>);

/// What matched, with every name that it captured in its one spelling; `None` if it is so already.
pub(crate) fn spelled((path, captures): &Matched<'_>, rest: &str) -> Option<String> {
    let spell = |(name, value): &(&'static str, &'_ str)| (*name, path.kind_of(name).captured(value).into_owned());
    let names: Vec<(&'static str, String)> = captures.iter().map(spell).collect();
    if names.iter().zip(captures).all(|((_, one), (_, other))| one == other) {
        return None;
    }
    let names: Vec<_> = names.into_iter().map(|(name, value)| (name, Cow::Owned(value))).collect();
    Some(pattern::fill(path.pattern, &names, rest))
}

impl Engine {
    /// The path that answers.
    pub fn find<'p>(&self, rest: &'p str) -> Option<Matched<'p>> {
        self.paths().find_map(|path| pattern::matches(path.pattern, rest).map(|captures| (path, captures)))
    }

    /// Its paths, one after the other.
    pub fn paths(&self) -> impl Iterator<Item = &'static Path> + use<> {
        self.paths.iter().copied().flatten()
    }
}
