//! Userpass: people log in with a name and a password.
//!
//! Of a password only an Argon2id digest is stored. Computing one takes long on purpose, so the node does it beside the
//! requests, a few at a time ([`crate::errand`]).
//!
//! What surprises: a login for a name that does not exist computes a digest too, and is refused with the same words, so that
//! nobody learns which names there are.

mod login;
mod user;

#[cfg(test)]
mod tests;

use crate::engine::{Access, Engine, Life, Path};
use crate::engines::{listing, terms};
use crate::mount::Class;
use crate::request::Operation;

const PATHS: &[Path] = &[
    Path {
        pattern: "login/{username}",
        fields: &[&[user::NAME, user::PASSWORD.required()]],
        operations: &[(Operation::Update, login::login)],
        access: Access::Login,
        help: "Log in.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "users/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, user::list)],
        help: "List the users.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "users/{username}",
        fields: &[&[user::NAME, user::PASSWORD, user::PASSWORD_HASH], terms::FIELDS],
        operations: &[
            (Operation::Read, user::read),
            (Operation::Update, user::write),
            (Operation::Delete, user::delete),
        ],
        exists: Some(user::exists),
        help: "Read, write and delete a user.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "users/{username}/password",
        fields: &[&[user::NAME, user::PASSWORD, user::PASSWORD_HASH]],
        operations: &[(Operation::Update, user::set_password)],
        help: "Set the password of a user.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "users/{username}/policies",
        fields: &[&[user::NAME, terms::POLICIES, terms::OLD_POLICIES]],
        operations: &[(Operation::Update, user::set_policies)],
        help: "Set the policies of a user's tokens.",
        ..Path::DEFAULT
    },
];

/// Makes a mount of userpass, by convention at `auth/userpass/`.
pub(crate) static ENGINE: Engine = Engine {
    kind: "userpass",
    class: Class::Auth,
    help: "Logins of people, by name and password.",
    paths: &[PATHS],
    life: Life { renewal: Some(login::renewal), ..Life::NONE },
    locks_out: true,
    ..Engine::DEFAULT
};
