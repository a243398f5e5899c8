//! The token method at `auth/token/`: making, looking up, renewing and revoking tokens.
//!
//! This is the API over [`crate::token`]; the paths are here, one file holds each group of handlers. It is always
//! mounted, and has no login: a token comes from a token.
//!
//! What surprises: some requests that need `sudo` answer 400 without it, not 403, because a field asks for the right
//! and not the path.

mod create;
mod lookup;
mod renew;
mod revoke;
mod role;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::engine::{Access, Call, Effect, Engine, Path};
use crate::engines::listing;
use crate::error::{Error, multi};
use crate::field::{Field, Kind, field};
use crate::mount::Class;
use crate::reply::{Reply, Status};
use crate::request::Operation;
use crate::token::{self, Token, record};

const TOKEN: &[Field] = &[field("token", Kind::Text, "The token.")];
const ACCESSOR: &[Field] = &[field("accessor", Kind::Text, "The token's accessor.")];
const INCREMENT: &[Field] = &[field("increment", Kind::Duration, "Wanted time to live from now on.")];

const PATHS: &[Path] = &[
    Path {
        pattern: "create",
        fields: &[create::FIELDS],
        operations: &[(Operation::Update, create::child)],
        help: "Create a token below the calling one.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "create-orphan",
        fields: &[create::FIELDS],
        operations: &[(Operation::Update, create::orphan)],
        help: "Create a token without a parent.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "create/{role_name}",
        fields: &[create::FIELDS],
        operations: &[(Operation::Update, create::by_role)],
        help: "Create a token by a role.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "lookup",
        fields: &[TOKEN],
        operations: &[(Operation::Read, lookup::by_id), (Operation::Update, lookup::by_id)],
        effect: Effect::Reads,
        help: "Show a token.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "lookup-self",
        fields: &[TOKEN],
        operations: &[(Operation::Read, lookup::own), (Operation::Update, lookup::own)],
        effect: Effect::Reads,
        help: "Show the calling token.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "lookup-accessor",
        fields: &[ACCESSOR],
        operations: &[(Operation::Update, lookup::by_accessor)],
        effect: Effect::Reads,
        help: "Show the token of an accessor, without its id.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "renew",
        fields: &[TOKEN, INCREMENT],
        operations: &[(Operation::Update, renew::by_id)],
        help: "Renew a token.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "renew-self",
        fields: &[TOKEN, INCREMENT],
        operations: &[(Operation::Update, renew::own)],
        help: "Renew the calling token.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "renew-accessor",
        fields: &[ACCESSOR, INCREMENT],
        operations: &[(Operation::Update, renew::by_accessor)],
        help: "Renew the token of an accessor.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "revoke",
        fields: &[TOKEN],
        operations: &[(Operation::Update, revoke::by_id)],
        help: "Revoke a token and all below it.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "revoke-self",
        fields: &[TOKEN],
        operations: &[(Operation::Update, revoke::own)],
        help: "Revoke the calling token and all below it.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "revoke-accessor",
        fields: &[ACCESSOR],
        operations: &[(Operation::Update, revoke::by_accessor)],
        help: "Revoke the token of an accessor and all below it.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "revoke-orphan",
        fields: &[TOKEN],
        operations: &[(Operation::Update, revoke::alone)],
        help: "Revoke a token; its children become orphans.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "accessors/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, accessors)],
        access: Access::Sudo,
        help: "List the accessors of all tokens.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "roles/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, role::list)],
        help: "List the token roles.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "roles/{name}",
        fields: &[role::FIELDS],
        operations: &[
            (Operation::Read, role::read),
            (Operation::Update, role::write),
            (Operation::Delete, role::delete),
        ],
        exists: Some(role::exists),
        takes_any_field: true,
        help: "Read, write and delete a token role.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "tidy",
        operations: &[(Operation::Update, tidy)],
        help: "Remove what is left of dead tokens.",
        ..Path::DEFAULT
    },
];

/// Makes `auth/token/`.
pub(crate) static ENGINE: Engine = Engine {
    kind: "token",
    aliases: &[],
    class: Class::Auth,
    help: "Token based credentials.",
    paths: &[PATHS],
    is_single: true,
    ..Engine::DEFAULT
};

/// A token that a request names, and the id under which the reply may show it.
struct Target {
    token: Arc<Token>,
    shown_id: String,
}

/// The calling token.
fn own(call: &Call<'_, '_>) -> Result<Target, Error> {
    let shown_id = call.raw_token().map(|id| id.to_string()).unwrap_or_default();
    Ok(Target { token: call.caller()?, shown_id })
}

/// The token with the id in the field `token`; `None` if there is no such token.
fn named(call: &mut Call<'_, '_>, id: &str) -> Result<Option<Target>, Error> {
    // The caller's last use may just have ended it, and it may still be asked for.
    let caller = call.caller()?;
    if token::hash_of(call.store.barrier(), id) == caller.hash_hex() {
        return own(call).map(Some);
    }
    let token = token::find(call.store, call.context, id)?;
    Ok(token.map(|token| Target { token, shown_id: id.to_owned() }))
}

/// The token with the accessor in the field `accessor`, whose id stays unknown.
fn accessed(call: &mut Call<'_, '_>) -> Result<Option<Target>, Error> {
    let accessor = call.fields.text_or_empty("accessor").to_owned();
    if accessor.is_empty() {
        return Err(Error::invalid(multi("missing accessor")));
    }
    let token = token::by_accessor(call.store, call.context, &accessor)?;
    Ok(token.map(|token| Target { token, shown_id: String::new() }))
}

/// The id in the field `token`, if it was sent.
fn sent_id(call: &Call<'_, '_>) -> Option<String> {
    call.fields.text("token").filter(|id| !id.is_empty()).map(str::to_owned)
}

fn invalid_accessor() -> Error {
    Error::invalid(multi("invalid accessor"))
}

fn accessors(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let system = call.store.system();
    let names = call.store.list(&system, record::ACCESSORS)?;
    listing::page(listing::keys(&names), &call.fields)
}

/// Nothing can be out of step that a tidy would repair: a token and what points to it are written by one batch. What
/// dead tokens leave is removed without being asked, so this only says so, as clients expect it.
fn tidy(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let reply = Reply { status: Status::Accepted, ..Reply::default() };
    Ok(reply.warn("Tokens are tidied all the time in the background; there was nothing to start."))
}
