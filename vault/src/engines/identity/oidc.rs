//! OpenID Connect: tokens that say who asks, for those who trust this server; and a provider at which applications log in their
//! users.

mod assignment;
mod authorize;
mod client;
mod exchange;
mod issuer;
mod jwk;
mod key;
mod provider;
mod role;
mod scope;
mod template;
mod token;

#[cfg(test)]
mod tests;

pub(super) use self::authorize::forget;
use crate::engine::{Access, Effect, Path};
use crate::engines::listing;
use crate::request::Operation;

/// Identity tokens.
pub(super) const TOKENS: &[Path] = &[
    Path {
        pattern: "oidc/config",
        fields: &[issuer::FIELDS],
        operations: &[(Operation::Read, issuer::read), (Operation::Update, issuer::write)],
        help: "Read and write who issues identity tokens.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/key/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, key::list)],
        help: "List the keys.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/key/{name}",
        fields: &[key::FIELDS],
        operations: &[(Operation::Read, key::read), (Operation::Update, key::write), (Operation::Delete, key::delete)],
        help: "Read, write and delete a key.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/key/{name}/rotate",
        fields: &[key::ROTATE_FIELDS],
        operations: &[(Operation::Update, key::rotate)],
        help: "Have another key sign from now on.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/role/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, role::list)],
        help: "List the roles.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/role/{name}",
        fields: &[role::FIELDS],
        operations: &[
            (Operation::Read, role::read),
            (Operation::Update, role::write),
            (Operation::Delete, role::delete),
        ],
        help: "Read, write and delete a role.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/token/{name}",
        fields: &[token::FIELDS],
        operations: &[(Operation::Read, token::make)],
        help: "Make a token of a role for the caller's entity.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/introspect",
        fields: &[token::INTROSPECT_FIELDS],
        operations: &[(Operation::Update, token::introspect)],
        effect: Effect::Reads,
        help: "Say whether a token counts.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/.well-known/openid-configuration",
        operations: &[(Operation::Read, issuer::discover)],
        access: Access::Open,
        help: "Read what verifiers of identity tokens need to know.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/.well-known/keys",
        operations: &[(Operation::Read, issuer::keys)],
        access: Access::Open,
        help: "Read the public keys of identity tokens.",
        ..Path::DEFAULT
    },
];

/// What a provider is made of.
pub(super) const SETTINGS: &[Path] = &[
    Path {
        pattern: "oidc/assignment/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, assignment::list)],
        help: "List the assignments.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/assignment/{name}",
        fields: &[assignment::FIELDS],
        operations: &[
            (Operation::Read, assignment::read),
            (Operation::Update, assignment::write),
            (Operation::Delete, assignment::delete),
        ],
        help: "Read, write and delete an assignment: who may log in to clients.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/scope/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, scope::list)],
        help: "List the scopes.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/scope/{name}",
        fields: &[scope::FIELDS],
        operations: &[
            (Operation::Read, scope::read),
            (Operation::Update, scope::write),
            (Operation::Delete, scope::delete),
        ],
        help: "Read, write and delete a scope: claims that clients can ask for.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/client/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, client::list)],
        help: "List the clients, with what each of them is.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/client/{name}",
        fields: &[client::FIELDS],
        operations: &[
            (Operation::Read, client::read),
            (Operation::Update, client::write),
            (Operation::Delete, client::delete),
        ],
        help: "Read, write and delete a client: an application whose users log in here.",
        ..Path::DEFAULT
    },
];

/// Providers, and what clients and users do there.
pub(super) const PROVIDERS: &[Path] = &[
    Path {
        pattern: "oidc/provider/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, provider::list)],
        help: "List the providers, with what each of them is.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/provider/{name}",
        fields: &[provider::FIELDS],
        operations: &[
            (Operation::Read, provider::read),
            (Operation::Update, provider::write),
            (Operation::Delete, provider::delete),
        ],
        help: "Read, write and delete a provider.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/provider/{name}/.well-known/openid-configuration",
        fields: &[&[provider::NAME]],
        operations: &[(Operation::Read, provider::discover)],
        access: Access::Open,
        help: "Read what clients of a provider need to know.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/provider/{name}/.well-known/keys",
        fields: &[&[provider::NAME]],
        operations: &[(Operation::Read, provider::keys)],
        access: Access::Open,
        help: "Read the public keys of a provider's tokens.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/provider/{name}/authorize",
        fields: &[authorize::FIELDS],
        operations: &[(Operation::Read, authorize::authorize), (Operation::Update, authorize::authorize)],
        effect: Effect::Writes,
        help: "Get a code, with which a client learns who the caller is.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/provider/{name}/token",
        fields: &[exchange::FIELDS],
        operations: &[(Operation::Update, exchange::exchange)],
        access: Access::Open,
        help: "Turn a code into tokens.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "oidc/provider/{name}/userinfo",
        fields: &[exchange::USERINFO_FIELDS],
        operations: &[(Operation::Read, exchange::userinfo), (Operation::Update, exchange::userinfo)],
        access: Access::Open,
        effect: Effect::Reads,
        help: "Read who an access token is about.",
        ..Path::DEFAULT
    },
];
