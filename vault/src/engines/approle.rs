//! AppRole: machines log in with a role id, which says which role they want, and a secret id, which says they may.
//!
//! The paths are here, one file holds each group of handlers. Tokens come from [`crate::engines::login`].
//!
//! What surprises: a secret id is stored nowhere, only an HMAC of it; its accessor finds it, but only by way of its own
//! role. And all refusals of a login are one, whatever was wrong.

mod issue;
mod login;
mod lookup;
mod role;
mod role_id;
mod secret;
mod setting;

#[cfg(test)]
mod tests;

use crate::engine::{Access, Call, Effect, Engine, Life, Path};
use crate::engines::approle::role::AppRoleRecord;
use crate::engines::{listing, named, terms};
use crate::error::Error;
use crate::mount::Class;
use crate::reply::{Reply, Status};
use crate::request::Operation;

const PATHS: &[Path] = &[
    Path {
        pattern: "login",
        fields: &[login::FIELDS],
        operations: &[(Operation::Update, login::login)],
        access: Access::Login,
        help: "Log in.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "role/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, named::list::<AppRoleRecord>)],
        help: "List the roles.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "role/{role_name}",
        fields: &[role::OWN_FIELDS, terms::FIELDS],
        operations: &[
            (Operation::Read, named::read::<AppRoleRecord>),
            (Operation::Update, role::write),
            (Operation::Delete, role::delete),
        ],
        exists: Some(named::exists::<AppRoleRecord>),
        help: "Read, write and delete a role.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "role/{role_name}/role-id",
        fields: &[&[role::NAME, role_id::FIELD]],
        operations: &[(Operation::Read, role_id::read), (Operation::Update, role_id::write)],
        help: "Read or set the role id of a role.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "role/{role_name}/secret-id/?",
        fields: &[issue::FIELDS, listing::FIELDS],
        operations: &[(Operation::Update, issue::random), (Operation::List, lookup::list)],
        help: "Make a secret id, or list the accessors of all.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "role/{role_name}/custom-secret-id",
        fields: &[issue::CUSTOM_FIELDS],
        operations: &[(Operation::Update, issue::custom)],
        help: "Make a secret id of the caller's choice.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "role/{role_name}/secret-id/lookup",
        fields: &[lookup::BY_ID],
        operations: &[(Operation::Update, lookup::show)],
        effect: Effect::Reads,
        help: "Show a secret id.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "role/{role_name}/secret-id/destroy",
        fields: &[lookup::BY_ID],
        operations: &[(Operation::Update, lookup::destroy), (Operation::Delete, lookup::destroy)],
        help: "Destroy a secret id.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "role/{role_name}/secret-id-accessor/lookup",
        fields: &[lookup::BY_ACCESSOR],
        operations: &[(Operation::Update, lookup::show_by_accessor)],
        effect: Effect::Reads,
        help: "Show the secret id of an accessor.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "role/{role_name}/secret-id-accessor/destroy",
        fields: &[lookup::BY_ACCESSOR],
        operations: &[
            (Operation::Update, lookup::destroy_by_accessor),
            (Operation::Delete, lookup::destroy_by_accessor),
        ],
        help: "Destroy the secret id of an accessor.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "tidy/secret-id",
        operations: &[(Operation::Update, tidy)],
        help: "Remove what is left of expired secret ids.",
        ..Path::DEFAULT
    },
];

/// Makes a mount of AppRole, by convention at `auth/approle/`.
pub(crate) static ENGINE: Engine = Engine {
    kind: "approle",
    aliases: &[],
    class: Class::Auth,
    help: "Logins of machines, by role id and secret id.",
    paths: &[PATHS, setting::PATHS],
    life: Life { due: Some(secret::expire), renewal: Some(login::renewal), ..Life::NONE },
    locks_out: true,
    ..Engine::DEFAULT
};

/// What expires is refused at use and removed in the background without being asked, so this only says so, as clients
/// expect it.
fn tidy(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let reply = Reply { status: Status::Accepted, ..Reply::default() };
    Ok(reply.warn("Secret ids are tidied all the time in the background; there was nothing to start."))
}
