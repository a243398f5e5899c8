//! JWT and OIDC: machines log in with a token that somebody else signed, people by way of a provider of logins.
//!
//! The keys that tokens are checked with are told (`jwt_validation_pubkeys`), or fetched from a place that is told (`jwks_url`,
//! `jwks_pairs`) or that a provider tells (`oidc_discovery_url`). What was fetched is kept by each node for minutes, and is fetched
//! again at once for a token that no kept key fits, but not more often than every few seconds.
//!
//! What surprises: a login in a browser leaves nothing here before it succeeds. What must be remembered of it travels in its
//! `state`, under an HMAC.

mod bounds;
mod browser;
mod config;
mod login;
mod role;
mod source;

#[cfg(test)]
mod tests;

use crate::engine::{Access, Effect, Engine, Life, Path};
use crate::engines::jwt::role::JwtRoleRecord;
use crate::engines::{listing, named, terms};
use crate::mount::Class;
use crate::request::Operation;

const PATHS: &[Path] = &[
    Path {
        pattern: "login",
        fields: &[login::FIELDS],
        operations: &[(Operation::Update, login::login)],
        access: Access::Login,
        help: "Log in with a signed token.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config",
        fields: &[config::FIELDS],
        operations: &[(Operation::Read, config::read), (Operation::Update, config::write)],
        help: "Read or set where the keys come from that tokens are checked with.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "role/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, named::list::<JwtRoleRecord>)],
        help: "List the roles.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "role/{name}",
        fields: &[role::FIELDS, terms::FIELDS],
        operations: &[
            (Operation::Read, named::read::<JwtRoleRecord>),
            (Operation::Update, role::write),
            (Operation::Delete, named::delete::<JwtRoleRecord>),
        ],
        exists: Some(named::exists::<JwtRoleRecord>),
        help: "Read, write and delete a role.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/auth_url",
        fields: &[browser::URL_FIELDS],
        operations: &[(Operation::Update, browser::auth_url)],
        access: Access::Open,
        effect: Effect::Reads,
        help: "Begin a login in a browser: the page to open.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/callback",
        fields: &[browser::CALLBACK_FIELDS],
        operations: &[(Operation::Read, browser::callback)],
        access: Access::Login,
        effect: Effect::Writes,
        help: "End a login in a browser with what the provider answered.",
        ..Path::DEFAULT
    },
];

/// Makes a mount of JWT or OIDC, by convention at `auth/jwt/` and `auth/oidc/`.
pub(crate) static ENGINE: Engine = Engine {
    kind: "jwt",
    aliases: &["oidc"],
    class: Class::Auth,
    help: "Logins by signed tokens, and by way of OpenID Connect.",
    paths: &[PATHS],
    life: Life { due: Some(browser::forget), renewal: Some(login::renewal), ..Life::NONE },
    ..Engine::DEFAULT
};
